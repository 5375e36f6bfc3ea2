//! One open watch: replays what is newer than its version, then tells what happens, until it is over or cut.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::{Asked, Cut, Entry, Mood, Shared, event, fits, refusal, status};

pub fn open(
    shared: &Shared,
    asked: &Asked,
    kind: String,
    namespace: Option<String>,
    mood: Mood,
) -> Response {
    let from: u64 = asked.query["resourceVersion"].parse().expect("a version");
    let seconds = asked.query["timeoutSeconds"].parse().expect("a number of seconds");
    let (opened_at, oldest) = {
        let world = shared.world.lock().expect("the world");
        (world.history.len(), world.oldest)
    };
    if from < oldest {
        return refusal(410, "too old resource version");
    }
    let watch = Watch {
        shared: shared.clone(),
        changed: shared.changed.subscribe(),
        kind,
        namespace,
        selector: asked.selector().map(str::to_owned),
        from,
        next: 0,
        opened_at,
        deadline: Instant::now() + Duration::from_secs(seconds),
        silent: mood == Mood::Sluggish,
        over: false,
    };
    let body = stream::unfold(watch, async |mut watch| Some((watch.next().await?, watch)));
    Body::from_stream(Box::pin(body)).into_response()
}

struct Watch {
    shared: Shared,
    changed: watch::Receiver<()>,
    kind: String,
    namespace: Option<String>,
    selector: Option<String>,
    from: u64,
    /// Place in the history.
    next: usize,
    /// Events before this are replayed, cuts are not.
    opened_at: usize,
    deadline: Instant,
    silent: bool,
    over: bool,
}

impl Watch {
    async fn next(&mut self) -> Option<Result<Bytes, std::io::Error>> {
        if self.silent {
            std::future::pending::<()>().await;
        }
        if self.over {
            return Some(Err(std::io::Error::other("the connection breaks")));
        }
        loop {
            while let Some(piece) = self.step() {
                match piece {
                    Step::Nothing => {}
                    Step::Line(line) => return Some(Ok(Bytes::from(format!("{line}\n")))),
                    Step::Half => {
                        self.over = true;
                        return Some(Ok(Bytes::from(
                            "{\"type\":\"MODIFIED\",\"object\":{\"kind\":",
                        )));
                    }
                    Step::End => return None,
                }
            }
            if timeout_at(self.deadline, self.changed.changed()).await.is_err() {
                return None;
            }
        }
    }

    /// The next entry of the history, if there is one.
    fn step(&mut self) -> Option<Step> {
        let world = self.shared.world.lock().expect("the world");
        let at = self.next;
        let entry = world.history.get(at)?;
        self.next += 1;
        Some(match entry {
            Entry::Event { version, kind, namespace, line } => {
                let mine = *kind == self.kind
                    && *version > self.from
                    && self.namespace.as_deref().is_none_or(|wanted| namespace == wanted)
                    && fits(self.selector.as_deref(), || {
                        let line: Value = serde_json::from_str(line).expect("JSON");
                        line["object"].clone()
                    });
                if mine { Step::Line(line.to_string()) } else { Step::Nothing }
            }
            Entry::Cut { kind, how } if *kind == self.kind && at >= self.opened_at => match how {
                Cut::Bookmark => Step::Line(
                    json!({ "type": "BOOKMARK", "object": {
                        "kind": "Any", "apiVersion": "v1",
                        "metadata": { "resourceVersion": world.version.to_string() },
                    }})
                    .to_string(),
                ),
                Cut::End => Step::End,
                Cut::MidLine => Step::Half,
                Cut::Gone => Step::Line(event("ERROR", &status(410, "too old").to_string())),
                Cut::Error => Step::Line(event("ERROR", &status(500, "etcd").to_string())),
            },
            Entry::Cut { .. } => Step::Nothing,
        })
    }
}

enum Step {
    Nothing,
    Line(String),
    Half,
    End,
}
