//! One kind in one namespace: lists it, watches what changes, begins again when that breaks.
//!
//! ```text
//!      ┌── failure, 410 Gone, a stream that said nothing ──┐
//!      ▼                                                   │
//!    list ──▶ watch ── the server ends it in time ──▶ watch from the last version
//! ```
//!
//! Over the client's `list` and `watch` requests rather than `kube::runtime::watcher`: that one re-establishes watches
//! without a word, so that nobody could tell a quiet kind from one whose stream is dead. Here everything that proves the
//! cache current leaves its mark, and every wait has an end. It also needs no full `ObjectMeta` of each object, decodes
//! objects one by one, so that one that cannot be read is skipped alone, and writes none to the log with all that stands
//! in it.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use futures::TryStreamExt;
use futures::io::AsyncReadExt;
use kube::Client;
use kube::api::{ListParams, WatchParams};
use kube::core::{Request, WatchEvent};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep, timeout};
use tracing::instrument::WithSubscriber;
use tracing::subscriber::NoSubscriber;

use super::WatchTimeouts;
use super::cache::{Cache, Listed, MAX_OBJECTS};
use super::failure::{Fault, not_the_api, of_kube, of_status};
use super::trim::{
    ClaimWire, CronJobWire, DaemonSetWire, DeploymentWire, EventWire, HttpTransport, JobWire,
    NodeWire, PodWire, ReplicaSetWire, ReplicationControllerWire, StatefulSetWire, Unread, read,
};
use crate::domain::cluster::Kind;
use crate::domain::reading::FailureKind;

/// A page of pods is some 2.5 MB of text, which is all of it that is ever held at once.
const PAGE: u32 = 250;

/// Objects may be 1.5 MB; a page of such is no answer any more.
const PAGE_BYTES: u64 = 64 * 1024 * 1024;

/// Of [`PAGE`] objects each: a deployment keeps ten old replica sets, which are listed and not kept; with as much again
/// for pages that are not full.
const MAX_PAGES: usize = 2 * 11 * MAX_OBJECTS / PAGE as usize;

/// Before the second try; doubled for each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

pub(super) struct Watcher {
    client: Client,
    cache: Arc<Cache>,
    patience: WatchTimeouts,
}

/// A watch that came to an end without a failure.
struct Ended {
    version: String,
    /// The API server said something that only a working watch says.
    proven: bool,
}

impl Watcher {
    pub(super) fn new(client: Client, cache: Arc<Cache>, patience: WatchTimeouts) -> Self {
        Self { client, cache, patience }
    }

    /// Never ends; dropped to stop it.
    pub(super) async fn run(self) {
        match self.cache.kind() {
            Kind::Pods => self.keep_current::<PodWire>().await,
            Kind::Events => self.keep_current::<EventWire>().await,
            Kind::Nodes => self.keep_current::<NodeWire>().await,
            Kind::Deployments => self.keep_current::<DeploymentWire>().await,
            Kind::StatefulSets => self.keep_current::<StatefulSetWire>().await,
            Kind::DaemonSets => self.keep_current::<DaemonSetWire>().await,
            Kind::ReplicaSets => self.keep_current::<ReplicaSetWire>().await,
            Kind::ReplicationControllers => self.keep_current::<ReplicationControllerWire>().await,
            Kind::Jobs => self.keep_current::<JobWire>().await,
            Kind::CronJobs => self.keep_current::<CronJobWire>().await,
            Kind::Claims => self.keep_current::<ClaimWire>().await,
        }
    }

    async fn keep_current<W: HttpTransport>(&self) {
        let mut pauses = self.pauses();
        let mut from: Option<String> = None;
        loop {
            let tried = match from.take() {
                Some(version) => self.watch::<W>(version).await,
                None => match self.list::<W>().await {
                    Ok(version) => self.watch::<W>(version).await,
                    Err(fault) => Err(fault),
                },
            };
            match tried {
                Ok(Ended { version, proven: true }) => {
                    from = Some(version);
                    pauses = self.pauses();
                }
                // It may have said nothing because it has nothing to say: the list will tell.
                Ok(Ended { proven: false, .. }) => {}
                Err(fault) if fault.is_gone() => {}
                Err(fault) => self.cache.failed(fault),
            }
            sleep(pauses.next().unwrap_or(self.patience.pause)).await;
        }
    }

    fn pauses(&self) -> ExponentialBackoff {
        ExponentialBuilder::default()
            .with_min_delay(FIRST_PAUSE)
            .with_max_delay(self.patience.pause)
            .with_jitter()
            .without_max_times()
            .build()
    }

    /// Page by page into a map of its own, which then takes the place of the old one. Answers the version to watch from.
    async fn list<W: HttpTransport>(&self) -> Result<String, Fault> {
        let mut listed = Listed::new(self.cache.kind());
        let mut params = ListParams {
            limit: Some(PAGE),
            field_selector: self.cache.subject().selector.map(str::to_owned),
            ..ListParams::default()
        };
        for _ in 0..MAX_PAGES {
            let meta = timeout(self.patience.answer, self.page::<W>(&params, &mut listed))
                .await
                .map_err(|_| self.late("no whole page of the list"))??;
            let goes_on = meta.next.filter(|token| !token.is_empty());
            if goes_on.is_none() {
                let version = version(meta.resource_version.unwrap_or_default())?;
                self.cache.replace(listed);
                return Ok(version);
            }
            params.continue_token = goes_on;
        }
        Err(Fault::new(FailureKind::Nonsense, "the list has no end"))
    }

    async fn page<W: HttpTransport>(
        &self,
        params: &ListParams,
        listed: &mut Listed,
    ) -> Result<PageMeta, Fault> {
        let request = self.request().list(params).map_err(kube::Error::BuildRequest);
        let request = request.map_err(|error| of_kube(&error))?;
        let body = quietly(self.client.request_stream(request)).await;
        let body = body.map_err(|error| of_kube(&error))?;
        let mut bytes = Vec::new();
        pin!(body)
            .take(PAGE_BYTES + 1)
            .read_to_end(&mut bytes)
            .await
            .map_err(|error| of_kube(&kube::Error::ReadEvents(error)))?;
        if bytes.len() as u64 > PAGE_BYTES {
            return Err(too_many());
        }
        let page: Page<'_> = serde_json::from_slice(&bytes).map_err(|error| not_the_api(&error))?;
        for item in page.items.unwrap_or_default() {
            match read::<W>(item.get()) {
                Ok(slim) => listed.add(slim.key, slim.object),
                Err(unread) => listed.skip(unread),
            }
            if listed.len() > MAX_OBJECTS {
                return Err(too_many());
            }
        }
        listed.keep_newest_events();
        listed.check()?;
        Ok(page.metadata)
    }

    async fn watch<W: HttpTransport>(&self, from: String) -> Result<Ended, Fault> {
        let began = Instant::now();
        let params = WatchParams {
            field_selector: self.cache.subject().selector.map(str::to_owned),
            timeout: u32::try_from(self.patience.watch.as_secs()).ok(),
            bookmarks: true,
            ..WatchParams::default()
        };
        let request = self.request().watch(&params, &from).map_err(kube::Error::BuildRequest);
        let request = request.map_err(|error| of_kube(&error))?;
        let head = quietly(self.client.request_events::<Box<RawValue>>(request));
        let stream = timeout(self.patience.answer, head)
            .await
            .map_err(|_| self.late("no answer to a watch"))?
            .map_err(|error| of_kube(&error))?;
        let mut stream = pin!(stream);
        self.cache.heard();
        let (mut at, mut proven) = (from, false);
        loop {
            let event = timeout(self.patience.quiet, quietly(stream.try_next()))
                .await
                .map_err(|_| self.silent())?
                .map_err(|error| of_kube(&error))?;
            match event {
                Some(WatchEvent::Added(object) | WatchEvent::Modified(object)) => {
                    match read::<W>(object.get()) {
                        Ok(slim) => {
                            at = version(slim.version)?;
                            if !self.cache.apply(slim.key, slim.object) {
                                return Err(too_many());
                            }
                        }
                        Err(unread) => {
                            at = version_after(at, &unread);
                            self.cache.skip(unread)?;
                        }
                    }
                }
                Some(WatchEvent::Deleted(object)) => match read::<W>(object.get()) {
                    Ok(slim) => {
                        at = version(slim.version)?;
                        self.cache.remove(&slim.key);
                    }
                    Err(unread) => {
                        self.cache.remove(&unread.key());
                        at = version_after(at, &unread);
                    }
                },
                Some(WatchEvent::Bookmark(mark)) => at = version(mark.metadata.resource_version)?,
                Some(WatchEvent::Error(status)) => return Err(of_status(&status)),
                None => {
                    // Ended when it was asked to, to the second in which the server keeps time.
                    let in_time = began.elapsed() + Duration::from_secs(1) >= self.patience.watch;
                    if in_time {
                        self.cache.heard();
                    }
                    return Ok(Ended { version: at, proven: proven || in_time });
                }
            }
            proven = true;
            self.cache.heard();
        }
    }

    fn request(&self) -> Request {
        let subject = self.cache.subject();
        let group = match subject.kind {
            Kind::Pods
            | Kind::Events
            | Kind::Nodes
            | Kind::Claims
            | Kind::ReplicationControllers => "/api/v1",
            Kind::Deployments | Kind::StatefulSets | Kind::DaemonSets | Kind::ReplicaSets => {
                "/apis/apps/v1"
            }
            Kind::Jobs | Kind::CronJobs => "/apis/batch/v1",
        };
        let kind = subject.kind.as_str();
        Request::new(match &subject.namespace {
            Some(namespace) => format!("{group}/namespaces/{namespace}/{kind}"),
            None => format!("{group}/{kind}"),
        })
    }

    fn late(&self, what: &str) -> Fault {
        let seconds = self.patience.answer.as_secs();
        Fault::new(FailureKind::Timeout, format!("{what} within {seconds} s"))
    }

    fn silent(&self) -> Fault {
        let seconds = self.patience.quiet.as_secs();
        Fault::new(
            FailureKind::Timeout,
            format!("a watch said nothing for {seconds} s, not even its end"),
        )
    }
}

/// A page of a list; its objects are still text.
#[derive(Deserialize)]
struct Page<'a> {
    metadata: PageMeta,
    #[serde(borrow)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageMeta {
    resource_version: Option<String>,
    #[serde(rename = "continue")]
    next: Option<String>,
}

fn version(text: String) -> Result<String, Fault> {
    if text.is_empty() {
        return Err(Fault::new(FailureKind::Nonsense, "an answer without resourceVersion"));
    }
    Ok(text)
}

/// An object that does not say its version leaves the watch where it was: it is sent again after a break.
fn version_after(before: String, unread: &Unread) -> String {
    if unread.version.is_empty() { before } else { unread.version.clone() }
}

fn too_many() -> Fault {
    let what = format!(
        "there are more than {MAX_OBJECTS}, or a page has more than {} MiB",
        PAGE_BYTES >> 20
    );
    Fault::new(FailureKind::TooLarge, what)
}

/// Without the client's own log lines: it writes an error for each try, and sometimes the answer with it. We log ours
/// once, by the cache.
pub(super) fn quietly<F: Future>(future: F) -> impl Future<Output = F::Output> {
    future.with_subscriber(NoSubscriber::new())
}
