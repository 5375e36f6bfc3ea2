//! Monitor: reads Prometheus (or scrapes Charter), Alertmanager and the webhook's inbox into a [`Snapshot`], and the watch
//! caches of the cluster beside it.
//!
//! ```text
//! Prometheus | scrape ─┐ one deadline
//! Alertmanager's list ─┼─▶ Observation ─┬─▶ Snapshot, ClusterReading
//! cluster watch caches ┘                │
//!         inbox, learnt receivers ──────┘
//! ```
//!
//! It concludes nothing: which violations are active, good or missing is the analyzer's tracking. It knows no store:
//! the cycle hands it the inbox.

pub mod alertmanager;
pub mod alerts;
pub mod cluster;
pub mod github;
mod http;
pub mod label_change;
pub mod prometheus;
pub mod promql;
pub mod scrape;
pub mod settings;
pub mod severities;
pub mod source;
pub mod webhook;
pub mod window;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use url::Url;

use self::alertmanager::Alertmanager;
use self::alerts::{KnownAlerts, Routing, ViewInput};
use self::cluster::Watch;
use self::prometheus::Prometheus;
use self::scrape::Scrape;
use self::source::MetricSource;
pub use settings::{AlertmanagerSettings, Handler, MetricsSource, Settings};

use crate::clock::Clock;
use crate::domain::alert::{AlertListing, InboxAlert};
use crate::domain::cluster::ClusterReading;
use crate::domain::reading::{
    CounterBaseline, ReadFailure, RuleReading, SeriesHistory, Snapshot, Source, SourceReading,
};
use crate::domain::rule::Rule;
use crate::domain::time::Time;
use crate::http::{HttpSettings, HttpTransport, Reach, SetupError, network};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("a source cannot be reached: {0}")]
    Client(#[from] SetupError),
    #[error("github.token holds characters that no token has")]
    Token,
    #[error(
        "monitor.source is scrape but monitor.scrape_url is not set: give the URL of Charter's metrics"
    )]
    NoScrapeUrl,
    #[error(
        "github.enabled is true but github.owner or github.repository is not set: give both (GITHUB_REPO_OWNER, \
         GITHUB_REPO_NAME)"
    )]
    NoRepository,
}

/// The past wanted along with the present: at start and after a gap.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryRequest {
    /// Names of rules; one that does not exist has no history.
    pub rules: Vec<String>,
    pub from: Time,
}

/// What was read in one cycle, before the inbox is joined to it.
#[derive(Debug)]
pub struct Observation {
    pub at: Time,
    pub readings: Vec<RuleReading>,
    pub sources: Vec<SourceReading>,
    /// Empty unless asked for; a failure is a reason to ask again.
    pub history: Result<Vec<SeriesHistory>, ReadFailure>,
    /// `None` with Alertmanager off.
    pub listing: Option<Result<AlertListing, ReadFailure>>,
    /// `None` with Kubernetes off.
    pub cluster: Option<ClusterReading>,
}

#[derive(Debug)]
pub struct Monitor {
    /// `None`: no metrics are read.
    source: Option<Box<dyn MetricSource>>,
    alertmanager: Option<Alertmanager>,
    settings: Settings,
    alertmanager_settings: AlertmanagerSettings,
    known: KnownAlerts,
    watch: Watch,
    /// The first cycle waits for the first lists; later ones never do.
    has_looked: bool,
    clock: Clock,
}

impl Monitor {
    pub fn new(
        settings: Settings,
        alertmanager_settings: AlertmanagerSettings,
        loop_interval: Duration,
        clock: Clock,
    ) -> Result<Self, Error> {
        Self::through(network, settings, alertmanager_settings, loop_interval, clock)
    }

    /// The same by another way than the network.
    pub fn with_transport(
        wire: Arc<dyn HttpTransport>,
        settings: Settings,
        alertmanager_settings: AlertmanagerSettings,
        loop_interval: Duration,
        clock: Clock,
    ) -> Result<Self, Error> {
        let reach = move |_: &Url, _: Option<&HttpSettings>| Ok(wire.clone());
        Self::through(reach, settings, alertmanager_settings, loop_interval, clock)
    }

    fn through(
        reach: impl Reach,
        settings: Settings,
        alertmanager_settings: AlertmanagerSettings,
        loop_interval: Duration,
        clock: Clock,
    ) -> Result<Self, Error> {
        let source: Option<Box<dyn MetricSource>> = match (settings.server(), settings.source) {
            (Some(url), MetricsSource::Prometheus) => {
                let wire = reach(url, settings.http.as_deref())?;
                Some(Box::new(Prometheus::with_transport(wire, url, &settings, clock)))
            }
            (Some(url), MetricsSource::Scrape) => {
                let wire = reach(url, settings.http.as_deref())?;
                Some(Box::new(Scrape::with_transport(wire, &settings, clock)?))
            }
            (None, MetricsSource::Prometheus) => None,
            (None, MetricsSource::Scrape) => return Err(Error::NoScrapeUrl),
        };
        let alertmanager = if alertmanager_settings.enabled {
            let wire = reach(&alertmanager_settings.url, alertmanager_settings.http.as_deref())?;
            Some(Alertmanager::with_transport(wire, &alertmanager_settings, clock))
        } else {
            None
        };
        let known = KnownAlerts::new(loop_interval);
        let (watch, has_looked) = (Watch::Off, false);
        Ok(Self {
            source,
            alertmanager,
            settings,
            alertmanager_settings,
            known,
            watch,
            has_looked,
            clock,
        })
    }

    /// Looks at Kubernetes too.
    #[must_use]
    pub fn watching(self, watch: Watch) -> Self {
        Self { watch, ..self }
    }

    #[must_use]
    pub fn cluster(&self) -> &Watch {
        &self.watch
    }

    /// The watch caches as they stand; `None` with Kubernetes off. Never waits.
    #[must_use]
    pub fn read_cluster(&self) -> Option<ClusterReading> {
        match &self.watch {
            Watch::Off => None,
            Watch::Broken(reading) => Some(reading.clone()),
            Watch::On(watch) => Some(watch.read(self.clock.now())),
        }
    }

    /// Keys of the alerts that the store held when this process began to lead: none of them is an onset, nor is what the
    /// next list holds.
    pub fn remember_alerts(&mut self, keys: impl IntoIterator<Item = String>) {
        let now = self.clock.now();
        self.known.forget();
        self.known.remember(keys, now);
    }

    /// Reads metrics, Alertmanager and the watch caches at once, under one deadline of `monitor.query_timeout`. Never fails: what could
    /// not be read says so in its own place.
    pub async fn observe(
        &mut self,
        baselines: &[CounterBaseline],
        history: Option<&HistoryRequest>,
    ) -> Observation {
        let at = self.clock.now();
        let deadline = Instant::now() + self.settings.query_timeout;
        let (source, rules) = (&mut self.source, &self.settings.rules);
        let metrics = async {
            let Some(source) = source else { return (Vec::new(), None, Ok(Vec::new())) };
            let (readings, read) = source.read(rules, baselines, deadline).await;
            let history = match history {
                // A source that did not answer just now is not asked for more.
                Some(wanted) if read.result.is_ok() => {
                    let rules: Vec<Arc<Rule>> =
                        rules.iter().filter(|r| wanted.rules.contains(&r.name)).cloned().collect();
                    source.history(&rules, wanted.from, at, deadline).await
                }
                Some(_) => read.result.clone().map(|()| Vec::new()),
                None => Ok(Vec::new()),
            };
            (readings, Some(read), history)
        };
        let alertmanager = self.alertmanager.as_ref();
        let alerts = async {
            let started = Instant::now();
            let listing = alertmanager?.list(deadline).await;
            Some((started.elapsed(), listing))
        };
        let watch = &self.watch;
        let is_first = !std::mem::replace(&mut self.has_looked, true);
        let lists = async {
            match watch {
                Watch::On(watch) if is_first => watch.ready(deadline).await,
                Watch::On(_) | Watch::Broken(_) | Watch::Off => {}
            }
        };
        let ((readings, read, history), alerts, ()) = tokio::join!(metrics, alerts, lists);
        let cluster = self.read_cluster();
        let mut sources: Vec<SourceReading> = read.into_iter().collect();
        let listing = alerts.map(|(took, listing)| {
            let result = listing.as_ref().map(|_| ()).map_err(Clone::clone);
            let source = Source::Alertmanager;
            sources.push(SourceReading { source, took, skew: None, result });
            listing
        });
        Observation { at, readings, sources, history, listing, cluster }
    }

    fn routing(&self) -> Routing<'_> {
        Routing {
            settings: &self.alertmanager_settings,
            scope: &self.settings.scope,
            rules: &self.settings.rules,
        }
    }

    /// Is this delivery one that wakes the loop?
    #[must_use]
    pub fn wakes(&self, alert: &InboxAlert) -> bool {
        alerts::wakes(alert, self.routing())
    }

    /// Joins the inbox, read from the store after [`observe`](Self::observe), to what was read.
    pub fn snapshot(
        &mut self,
        observation: Observation,
        inbox: &[InboxAlert],
        learnt_receivers: &BTreeSet<String>,
    ) -> Snapshot {
        let Observation { at, readings, sources, history, listing, cluster: _ } = observation;
        let routing = self.routing();
        let seen = alerts::view(ViewInput {
            inbox,
            listing: listing.as_ref().map(Result::as_ref),
            known: &self.known,
            learnt_receivers,
            routing,
        });
        let read = listing.as_ref().and_then(|listing| listing.as_ref().ok());
        self.known.note(&seen, read, at);
        let alerts = seen.view;
        Snapshot { at, readings, alerts, sources, history: history.unwrap_or_default() }
    }
}
