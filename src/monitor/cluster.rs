//! Kubernetes: watch caches of exactly the kinds that findings need, trimmed on arrival.
//!
//! ```text
//! API server ─list, watch─▶ Watcher (one a kind and namespace) ─trim─▶ Cache ─read─▶ ClusterReading
//! ```
//!
//! A cycle reads memory and never waits for the network. What cannot be relied on (never listed, failing for longer than
//! a moment, silent) is left out and said, by kind: an emptied cache never looks like a healthy cluster. It concludes
//! nothing from what it holds: that is the analyzer's.

mod cache;
mod connect;
mod failure;
mod logs;
pub mod review;
pub mod settings;
pub mod trim;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use self::cache::Cache;
use self::connect::Connection;
use self::failure::Subject;
use self::settings::Settings;
use self::watch::Watcher;
use crate::domain::cluster::{Cluster, ClusterReading, Kind};
use crate::domain::reading::{FailureKind, ReadFailure};
use crate::domain::time::Time;

pub use self::connect::Error;

/// The events that explain a finding; the server leaves the others out, which are most of them. No selector can say "or".
/// To the scheduler it is no warning that a pod had to make room for another one, and nothing else says so once the pod
/// is gone; nor is it one to an autoscaler that it makes a node for a pod, or does not.
const EVENTS: [&str; 5] = [
    "type!=Normal",
    "type=Normal,reason=Preempted",
    "type=Normal,reason=TriggeredScaleUp",
    "type=Normal,reason=NotTriggerScaleUp",
    "type=Normal,reason=Nominated",
];

/// How long the API server is waited for. No key of the configuration: they follow from how it behaves.
#[derive(Clone, Copy, Debug)]
pub struct WatchTimeouts {
    /// For the head of an answer, and for a page of a list as a whole. The server itself gives up after 60 s.
    pub answer: Duration,
    /// After which the server is asked to end a watch, whole seconds: its end says that nothing was missed. A request a
    /// minute and kind is nothing to it, and a silently dead connection is found that much sooner.
    pub watch: Duration,
    /// Without a byte of a watch for this long, its connection is dead: longer than `watch`.
    pub quiet: Duration,
    /// How long a kind may fail before it counts as failed: a leader's change or a rolled API server has ended by then,
    /// after some six tries.
    pub grace: Duration,
    /// Between two tries, without the jitter that may double it; half a minute at most, as other clients have it.
    pub pause: Duration,
}

impl Default for WatchTimeouts {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(30),
            watch: Duration::from_secs(60),
            quiet: Duration::from_secs(75),
            grace: Duration::from_secs(30),
            pause: Duration::from_secs(15),
        }
    }
}

impl WatchTimeouts {
    /// A working watcher proves itself at least this often: the longest silence of a stream, and the list after it.
    fn stale(&self) -> Duration {
        self.quiet + self.answer + self.grace
    }
}

/// Where Kubernetes is looked at.
#[derive(Clone, Debug, Default)]
pub enum Watch {
    /// Nowhere: `kubernetes.enabled` is false.
    #[default]
    Off,
    On(ClusterWatch),
    /// It is wanted, and nobody can say where the API server is: no kind of it can be read, and the other sources can.
    Broken(ClusterReading),
}

impl Watch {
    #[must_use]
    pub fn broken(settings: &Settings, error: &Error) -> Self {
        let text = format!("{error}. Correct it, then restart mape-k");
        let failure = ReadFailure { kind: FailureKind::Unreachable, text };
        let failures = settings.kinds.iter().map(|kind| (*kind, failure.clone())).collect();
        let expected = settings.kinds.clone();
        Self::Broken(ClusterReading { expected, failures, ..ClusterReading::default() })
    }
}

/// Reads the caches; cheap to clone. [`Driver`] fills them.
#[derive(Clone)]
pub struct ClusterWatch {
    client: kube::Client,
    settings: Arc<Settings>,
    patience: WatchTimeouts,
    caches: Arc<[Arc<Cache>]>,
    own_namespace: Option<String>,
    settled: Arc<Notify>,
}

impl std::fmt::Debug for ClusterWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterWatch").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Keeps the caches current for as long as it is run.
#[must_use = "without it nothing is ever listed"]
pub struct Driver {
    watchers: Vec<Watcher>,
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("watchers", &self.watchers.len()).finish()
    }
}

impl ClusterWatch {
    /// Finds out where the API server is and who we are to it; asks it nothing yet.
    pub async fn new(
        settings: &Settings,
        patience: WatchTimeouts,
    ) -> Result<(Self, Driver), Error> {
        let Connection { client, server, own_namespace } = connect::client(settings).await?;
        let settled = Arc::new(Notify::new());
        let caches: Vec<Arc<Cache>> = settings
            .kinds
            .iter()
            .flat_map(|kind| subjects(*kind, settings, &server))
            .map(|subject| Arc::new(Cache::new(subject, settled.clone())))
            .collect();
        let watchers = caches
            .iter()
            .map(|cache| Watcher::new(client.clone(), cache.clone(), patience))
            .collect();
        let handle = Self {
            client,
            settings: Arc::new(settings.clone()),
            patience,
            caches: caches.into(),
            own_namespace,
            settled,
        };
        Ok((handle, Driver { watchers }))
    }

    /// The caches as they stand. Never waits.
    #[must_use]
    pub fn read(&self, now: Time) -> ClusterReading {
        let mut reading = ClusterReading {
            read_at: Some(now),
            expected: self.settings.kinds.clone(),
            own_namespace: self.own_namespace.clone(),
            ..ClusterReading::default()
        };
        let (left_out, read): (Vec<&Arc<Cache>>, Vec<&Arc<Cache>>) =
            self.caches.iter().partition(|cache| self.is_left_out(cache));
        reading.expected.retain(|kind| read.iter().any(|cache| cache.kind() == *kind));
        let left_out = left_out.into_iter().map(|cache| cache.subject());
        reading.left_out = left_out
            .filter(|subject| reading.expected.contains(&subject.kind))
            .filter_map(|subject| Some((subject.kind, subject.namespace.clone()?)))
            .collect();
        let (mut found, mut failed) = (Vec::new(), BTreeSet::new());
        for cache in read {
            match cache.objects(&self.patience, now) {
                Ok(objects) => found.push((cache.kind(), objects)),
                // Events are asked for twice, and fail as one.
                Err(failure) => {
                    if failed.insert(cache.subject().scope()) {
                        note(&mut reading.failures, cache.kind(), failure);
                    }
                }
            }
        }
        // One namespace of a kind missing: the rest of it would look like all there is.
        let mut cluster = Cluster::default();
        for (kind, (objects, unread)) in found {
            if !reading.failures.contains_key(&kind) {
                reading.unread.extend(unread);
                for object in objects {
                    object.add_to(&mut cluster);
                }
            }
        }
        reading.cluster = cluster;
        reading
    }

    /// The account has never had a right to an optional kind: it is as if the configuration left it out. The log has said
    /// so.
    fn is_left_out(&self, cache: &Cache) -> bool {
        self.settings.is_optional(cache.kind()) && cache.was_always_refused()
    }

    /// Waits until every kind was listed or has failed once, or for the deadline: a first cycle need not fail for having
    /// come too soon.
    pub async fn ready(&self, deadline: Instant) {
        loop {
            // Made before the look, so that no change between the two is missed.
            let changed = self.settled.notified();
            if self.caches.iter().all(|cache| cache.is_settled())
                || timeout_at(deadline, changed).await.is_err()
            {
                return;
            }
        }
    }

    /// The last lines of a container's log, `log_lines` of them at most; `None` when it cannot be read or none are asked
    /// for. `previous`: of the run before this one.
    pub async fn last_lines(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        previous: bool,
    ) -> Option<Vec<String>> {
        let wanted = logs::LogRequest { namespace, pod, container, previous };
        logs::last_lines(&self.client, &wanted, self.settings.log_lines).await
    }
}

impl Driver {
    /// Lists and watches until it is stopped; it retries failures for ever, with pauses.
    pub async fn run(self, stop: CancellationToken) {
        let watchers = self
            .watchers
            .into_iter()
            .map(|watcher| -> Pin<Box<dyn Future<Output = ()> + Send>> { Box::pin(watcher.run()) });
        stop.run_until_cancelled(futures::future::join_all(watchers)).await;
    }
}

/// Nodes belong to no namespace. `None`: all of them.
fn namespaces(kind: Kind, settings: &Settings) -> Vec<Option<String>> {
    if kind == Kind::Nodes || settings.namespaces.is_empty() {
        return vec![None];
    }
    settings.namespaces.iter().cloned().map(Some).collect()
}

/// What is listed and watched for a kind, one by one.
fn subjects(kind: Kind, settings: &Settings, server: &str) -> Vec<Subject> {
    let selectors = match kind {
        Kind::Events => EVENTS.map(Some).to_vec(),
        _ => vec![None],
    };
    let subject = |namespace: Option<String>| {
        let of = move |selector| Subject {
            kind,
            namespace: namespace.clone(),
            selector,
            server: server.to_owned(),
        };
        selectors.iter().copied().map(of).collect::<Vec<_>>()
    };
    namespaces(kind, settings).into_iter().flat_map(subject).collect()
}

/// One failure a kind; that of a second namespace is added to its text.
fn note(failures: &mut BTreeMap<Kind, ReadFailure>, kind: Kind, failure: ReadFailure) {
    failures
        .entry(kind)
        .and_modify(|first| {
            if first.text.len() < 2_000 {
                first.text = format!("{}; {}", first.text, failure.text);
            }
        })
        .or_insert(failure);
}
