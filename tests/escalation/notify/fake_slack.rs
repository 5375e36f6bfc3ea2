//! Slack over HTTP: records what it is asked, answers as it is told to.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use url::Url;

#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Asked {
    pub fn channel(&self) -> &str {
        self.body["channel"].as_str().unwrap_or("none")
    }

    pub fn text(&self) -> &str {
        self.body["text"].as_str().expect("a text")
    }

    pub fn is_edit(&self) -> bool {
        self.path.ends_with("chat.update")
    }

    /// The text of all blocks, header and attachment; without blocks the text itself.
    pub fn shown(&self) -> String {
        if self.blocks().is_empty() {
            return self.text().to_owned();
        }
        self.blocks()
            .iter()
            .map(|block| match block["type"].as_str() {
                Some("context") => block["elements"][0]["text"].as_str().expect("a text"),
                _ => block["text"]["text"].as_str().expect("a text"),
            })
            .collect::<Vec<_>>()
            .join("\n")
    }

    pub fn blocks(&self) -> Vec<Value> {
        let own = self.body["blocks"].as_array().cloned().unwrap_or_default();
        let attached = &self.body["attachments"][0]["blocks"];
        own.into_iter().chain(attached.as_array().cloned().unwrap_or_default()).collect()
    }
}

/// How it answers.
#[derive(Clone, Debug)]
pub enum Reply {
    /// As Slack does when all is well.
    Fine,
    /// As when all is well, after so long.
    Late(Duration),
    /// `ok: false` with this code.
    No(&'static str),
    Status(u16, &'static str),
    /// 429 with `Retry-After`.
    Wait(u64),
    /// Quotes the request's Authorization header and path with a 500.
    Quote,
    Never,
}

type Rule = Box<dyn Fn(&Asked) -> Reply + Send>;

#[derive(Clone)]
pub struct FakeSlack {
    pub url: Url,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    asked: Vec<Asked>,
    rule: Rule,
}

impl FakeSlack {
    pub async fn start() -> Self {
        let inner = Inner { asked: Vec::new(), rule: Box::new(|_| Reply::Fine) };
        let inner = Arc::new(Mutex::new(inner));
        let router = Router::new().fallback(answer).with_state(inner.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url: Url::parse(&url).expect("a URL"), inner }
    }

    pub fn answers(&self, rule: impl Fn(&Asked) -> Reply + Send + 'static) {
        self.inner.lock().expect("no panic").rule = Box::new(rule);
    }

    pub fn always(&self, reply: Reply) {
        self.answers(move |_| reply.clone());
    }

    /// What it was asked since the last time.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.inner.lock().expect("no panic").asked)
    }

    /// How often it was asked since then.
    pub fn count(&self) -> usize {
        self.inner.lock().expect("no panic").asked.len()
    }

    pub fn asked_once(&self) -> Asked {
        let mut asked = self.asked();
        assert_eq!(asked.len(), 1, "one call was expected: {asked:#?}");
        asked.remove(0)
    }
}

async fn answer(
    State(inner): State<Arc<Mutex<Inner>>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let body = serde_json::from_slice(&body).expect("a JSON body");
    let asked = Asked { path: uri.path().to_owned(), headers, body };
    let (reply, number) = {
        let mut inner = inner.lock().expect("no panic");
        inner.asked.push(asked.clone());
        ((inner.rule)(&asked), inner.asked.len())
    };
    if let Reply::Late(wait) = reply {
        tokio::time::sleep(wait).await;
    }
    match reply {
        Reply::Fine | Reply::Late(_) if asked.path.starts_with("/services/") => {
            "ok".into_response()
        }
        Reply::Fine | Reply::Late(_) => {
            // Slack answers with the channel's id, whatever it was called.
            let id = match asked.channel() {
                name if name.starts_with('#') => format!("C0{}", name[1..].to_uppercase()),
                id => id.to_owned(),
            };
            let ts = asked.body["ts"].as_str().map_or(format!("1763.{number:06}"), str::to_owned);
            axum::Json(json!({ "ok": true, "channel": id, "ts": ts, "message": asked.body }))
                .into_response()
        }
        Reply::No(code) if asked.path.starts_with("/services/") => {
            (StatusCode::BAD_REQUEST, code).into_response()
        }
        Reply::No(code) => {
            axum::Json(json!({ "ok": false, "error": code, "needed": "chat:write" }))
                .into_response()
        }
        Reply::Status(status, body) => {
            (StatusCode::from_u16(status).expect("a status"), body).into_response()
        }
        Reply::Wait(seconds) => {
            let headers = [("retry-after", seconds.to_string())];
            (StatusCode::TOO_MANY_REQUESTS, headers, "ratelimited").into_response()
        }
        Reply::Quote => {
            let authorization = asked.headers.get("authorization");
            let authorization = authorization.and_then(|value| value.to_str().ok());
            let text = format!("no upstream for {} ({authorization:?})", asked.path);
            (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
        }
        Reply::Never => std::future::pending().await,
    }
}
