//! The first phase: every source read in one go, under one deadline. Charter is read beside it, under the same one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::kit::Kit;
use super::recall::Recalled;
use crate::domain::alert::{Alert, AlertState, AlertStatus, AlertView, InboxAlert};
use crate::domain::charter::CharterView;
use crate::domain::cluster::ClusterReading;
use crate::domain::cycle::Trigger;
use crate::domain::outcome::{Outcome, PendingVerification};
use crate::domain::reading::{CounterBaseline, FailureKind, Snapshot, Source, SourceReading};
use crate::domain::time::{Time, since};
use crate::knowledge::StoreError;
use crate::monitor::{HistoryRequest, Monitor, Observation};

/// Unknown severity words that are logged, in one process: a sender that makes words up must not fill the log.
const SAID_SEVERITIES: usize = 100;

/// What was read of the sources, before the store's inbox is joined to it.
#[derive(Debug)]
pub(super) struct Read {
    observation: Observation,
    /// The store could not say what counters are to be counted from: nothing of it may be recalled in this cycle.
    pub unread: Option<StoreError>,
}

impl Read {
    /// Our clock and that of the sources agree.
    pub fn has_right_time(&self) -> bool {
        let skewed =
            |s: &SourceReading| s.result.as_ref().is_err_and(|e| e.kind == FailureKind::Skew);
        !self.observation.sources.iter().any(skewed)
    }
}

/// What one cycle saw.
#[derive(Debug)]
pub(super) struct Seen {
    pub trigger: Trigger,
    pub snapshot: Snapshot,
    /// It may answer after everything else.
    pub charter: CharterView,
    /// `None`: Kubernetes is not looked at.
    pub cluster: Option<ClusterReading>,
    /// The inbox as it was read: after the cycle these are taken in.
    pub inbox: Vec<InboxAlert>,
    /// Those taken in by an earlier cycle that Alertmanager's list has for the first time.
    pub newly_listed: Vec<InboxAlert>,
    /// When the oldest critical alert arrived that no cycle has taken in.
    pub woken_by: Option<Time>,
}

/// The sources, and what was said of them.
#[derive(Debug)]
pub(super) struct Observe {
    pub monitor: Monitor,
    /// When each source was last read whole.
    pub last_read: BTreeMap<Source, Time>,
    /// What was logged of alerts, once in a process: severity words that nobody knows, and that Alertmanager does not tell
    /// what is muted.
    said_severities: BTreeSet<String>,
    said_muting: bool,
}

impl Observe {
    pub fn new(monitor: Monitor) -> Self {
        Self {
            monitor,
            last_read: BTreeMap::new(),
            said_severities: BTreeSet::new(),
            said_muting: false,
        }
    }

    /// After others may have led: what they had read is not known here.
    pub fn afresh(&mut self, known_alerts: BTreeSet<String>) {
        self.monitor.remember_alerts(known_alerts);
        self.last_read.clear();
    }

    /// Reads the sources at once. `history_from`: since when the past is wanted too.
    pub async fn read(&mut self, kit: &Kit, history_from: Option<Time>) -> Read {
        let now = kit.clock.now();
        // A counter read over its full window would show an increase that is over as one that goes on.
        let baselines = kit.knowledge.answers(ANSWERS_WITHIN, baselines(kit, now)).await;
        let (baselines, unread) = match baselines {
            Ok(baselines) => (baselines, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        let causal = &kit.config.analyze.algorithms.causal;
        let history = history_from.map(|from| HistoryRequest {
            rules: vec![causal.latency.clone(), causal.failure.clone()],
            from,
        });
        let observation = self.monitor.observe(&baselines, history.as_ref()).await;
        Read { observation, unread }
    }

    /// Joins to it what arrived while it was read.
    pub fn join(
        &mut self,
        kit: &Kit,
        read: Read,
        recalled: Option<&mut Recalled>,
        trigger: Trigger,
    ) -> Seen {
        let Read { mut observation, unread: _ } = read;
        let (mut inbox, receivers) = match recalled {
            Some(recalled) => {
                (std::mem::take(&mut recalled.inbox), std::mem::take(&mut recalled.receivers))
            }
            None => Default::default(),
        };
        let cluster = observation.cluster.take();
        let snapshot = self.monitor.snapshot(observation, &inbox, &receivers);
        let newly_listed = newly_listed(&mut inbox, &snapshot.alerts);
        for reading in &snapshot.sources {
            let failed = reading.result.as_ref().err().map(|failure| failure.kind);
            kit.metrics.source_read(reading.source, failed, snapshot.at);
        }
        for reading in snapshot.sources.iter().filter(|s| s.result.is_ok()) {
            self.last_read.insert(reading.source, snapshot.at);
        }
        self.say_of_alerts(kit, &snapshot.alerts);
        kit.metrics.inbox_depth(inbox.iter().filter(|a| !a.processed).count());
        let woken_by = inbox
            .iter()
            .filter(|a| !a.processed && self.monitor.wakes(a))
            .map(|a| a.received_at)
            .min();
        let charter = CharterView::unread(snapshot.at);
        Seen { trigger, snapshot, charter, cluster, inbox, newly_listed, woken_by }
    }

    /// Severity words that nobody knows, and an Alertmanager that does not tell what is muted: each said once.
    fn say_of_alerts(&mut self, kit: &Kit, alerts: &AlertView) {
        for (word, count) in &alerts.unknown_severities {
            kit.metrics.alerts_of_unknown_severity(*count);
            let said = &mut self.said_severities;
            if said.len() < SAID_SEVERITIES && said.insert(word.clone()) {
                tracing::warn!(
                    word,
                    counted_as = "warning",
                    "an alert's severity is a word that alertmanager.severities does not know; add it there"
                );
            }
        }
        if alerts.muting_unnotified && !std::mem::replace(&mut self.said_muting, true) {
            tracing::warn!(
                "this Alertmanager does not tell which alerts a route's time interval mutes (0.28 and later do): an alert \
                 that no webhook has brought is shown and not acted on"
            );
        }
    }
}

/// Where counters must count only what came after settling: actions that are being verified, and those verified so
/// lately that a counter's window still reaches back before the end of their settling.
async fn baselines(kit: &Kit, now: Time) -> Result<Vec<CounterBaseline>, StoreError> {
    let windows = kit.config.monitor.rules.iter().filter_map(|r| r.increase_over());
    let Some(longest) = windows.max() else { return Ok(Vec::new()) };
    let verifications = kit.knowledge.all::<PendingVerification>(None).await?;
    let mut baselines: Vec<CounterBaseline> = verifications
        .iter()
        .filter(|j| j.settled_at <= now)
        .map(|j| CounterBaseline { target: j.target.clone(), settled_at: j.settled_at })
        .collect();
    let (judged, _) = kit.knowledge.survey::<Outcome>(None, RECENT_OUTCOMES).await?;
    for outcome in judged {
        if since(now, outcome.settled_at) < longest {
            baselines.push(CounterBaseline {
                target: outcome.target.clone(),
                settled_at: outcome.settled_at,
            });
        }
    }
    Ok(baselines)
}

/// Notes which delivered alerts the list has, and returns those that no write of this cycle's inbox would tell the store.
fn newly_listed(inbox: &mut [InboxAlert], view: &AlertView) -> Vec<InboxAlert> {
    let in_list = |alert: &&Alert| match alert.state {
        AlertState::Firing | AlertState::HeldBack => true,
        AlertState::Clear | AlertState::Unconfirmed => false,
    };
    let listed: BTreeSet<&str> =
        view.alerts.iter().filter(in_list).map(|alert| alert.key.as_str()).collect();
    let mut newly = Vec::new();
    for alert in inbox.iter_mut().filter(|a| !a.listed && a.status == AlertStatus::Firing) {
        if listed.contains(alert.key().as_str()) {
            alert.listed = true;
            if alert.processed {
                newly.push(alert.clone());
            }
        }
    }
    newly
}

/// The sources are read when a store that hangs has not answered by then; nothing is decided in that cycle.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// Outcomes looked at for baselines: one policy at a time is verified on one target, so these reach far back.
const RECENT_OUTCOMES: usize = 20;
