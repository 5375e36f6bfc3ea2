//! The first phase: everything read in one go, under one deadline.

use std::collections::BTreeSet;

use super::Cycle;
use super::recall::Recalled;
use super::recover::settle;
use crate::actuators::charter::Charter;
use crate::analyzer::Changes;
use crate::domain::alert::{Alert, AlertState, AlertStatus, AlertView, InboxAlert};
use crate::domain::charter::CharterView;
use crate::domain::cycle::Trigger;
use crate::domain::outcome::{ActionStatistics, Judging, Outcome};
use crate::domain::reading::{CounterBaseline, FailureKind, Snapshot, SourceReading};
use crate::domain::rule::Rule;
use crate::domain::time::{Time, since};
use crate::domain::violation::Violation;
use crate::knowledge::StoreError;
use crate::monitor::HistoryRequest;

/// Charter's own measure of what it serves: throttling is computed from it.
const SERVED_METRIC: &str = "westworld_charter_throughput_ops_per_sec";

/// Unknown severity words that are logged, in one process: a sender that makes words up must not fill the log.
const SAID_SEVERITIES: usize = 100;

/// What one cycle saw.
#[derive(Debug)]
pub(super) struct Seen {
    pub trigger: Trigger,
    pub snapshot: Snapshot,
    pub charter: CharterView,
    /// The inbox as it was read: after the cycle these are taken in.
    pub inbox: Vec<InboxAlert>,
    /// Those taken in by an earlier cycle that Alertmanager's list has for the first time.
    pub newly_listed: Vec<InboxAlert>,
    /// When the oldest critical alert arrived that no cycle has taken in.
    pub woken_by: Option<Time>,
}

impl Cycle {
    /// Reads the sources and Charter at once, and then the store: what arrived meanwhile is taken in too.
    pub(super) async fn observe(
        &mut self,
        trigger: Trigger,
    ) -> (Seen, Result<Recalled, StoreError>) {
        let now = self.clock.now();
        // A counter read over its full window would show an increase that is over as one that goes on.
        let (baselines, unread) = match self.baselines(now).await {
            Ok(baselines) => (baselines, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        let causal = &self.config.analyze.algorithms.causal;
        let history = self.tracker.wants_history(now).map(|from| HistoryRequest {
            rules: vec![causal.latency.clone(), causal.failure.clone()],
            from,
        });
        let (observation, charter) = tokio::join!(
            self.monitor.observe(&baselines, history.as_ref()),
            look_at(self.charter.as_deref(), now)
        );
        let skewed =
            |s: &SourceReading| s.result.as_ref().is_err_and(|e| e.kind == FailureKind::Skew);
        let right = !observation.sources.iter().any(skewed);
        let mut recalled = match unread {
            Some(error) => Err(error),
            None => self.recall(right).await,
        };
        let (mut inbox, receivers) = match &mut recalled {
            Ok(recalled) => {
                (std::mem::take(&mut recalled.inbox), std::mem::take(&mut recalled.receivers))
            }
            Err(_) => Default::default(),
        };
        let snapshot = self.monitor.snapshot(observation, &inbox, &receivers);
        let newly_listed = newly_listed(&mut inbox, &snapshot.alerts);
        for reading in &snapshot.sources {
            let failed = reading.result.as_ref().err().map(|failure| failure.kind);
            self.metrics.source_read(reading.source, failed, snapshot.at);
        }
        self.say_of_alerts(&snapshot.alerts);
        self.metrics.inbox_depth(inbox.iter().filter(|a| !a.processed).count());
        let woken_by = inbox
            .iter()
            .filter(|a| !a.processed && self.monitor.wakes(a))
            .map(|a| a.received_at)
            .min();
        (Seen { trigger, snapshot, charter, inbox, newly_listed, woken_by }, recalled)
    }

    pub(super) async fn see_charter(&self) -> CharterView {
        look_at(self.charter.as_deref(), self.clock.now()).await
    }

    /// Severity words that nobody knows, and an Alertmanager that does not tell what is muted: each said once.
    fn say_of_alerts(&mut self, alerts: &AlertView) {
        for (word, count) in &alerts.unknown_severities {
            self.metrics.alerts_of_unknown_severity(*count);
            let said = &mut self.memory.said.severities;
            if said.len() < SAID_SEVERITIES && said.insert(word.clone()) {
                tracing::warn!(
                    word,
                    counted_as = "warning",
                    "an alert's severity is a word that alertmanager.severities does not know; add it there"
                );
            }
        }
        if alerts.muting_untold && !std::mem::replace(&mut self.memory.said.muting, true) {
            tracing::warn!(
                "this Alertmanager does not tell which alerts a route's time interval mutes (0.28 and later do): an alert \
                 that no webhook has brought is shown and not acted on"
            );
        }
    }

    /// With a clock that is not `right` nothing is sent; and a pause is not put away, which holds by the right time.
    async fn recall(&mut self, right: bool) -> Result<Recalled, StoreError> {
        if self.memory.in_hand {
            let rails = &self.config.plan.guardrails;
            settle(&self.knowledge, &self.metrics, rails, &self.ids, self.clock.now()).await?;
            self.memory.in_hand = false;
            if let Some(system) = self.memory.begun.take() {
                let why = "an execution's end could not be written to the journal";
                self.memory.journal_failed = Some((system, why.to_owned()));
            }
        }
        let now = self.clock.now();
        if right && let Some(over) = self.knowledge.end_pause(now).await? {
            tracing::info!(by = over.by, reason = over.reason, until = %over.until, "a pause is over: the loop acts again");
        }
        let statistics = self.learned().await?;
        let recalled = Recalled::read(&self.knowledge, statistics, now).await?;
        self.metrics.paused(recalled.pause.is_some());
        Ok(recalled)
    }

    /// What the records teach. They are many and seldom change, so that they are read only after one was written.
    pub(super) async fn learned(&mut self) -> Result<Vec<ActionStatistics>, StoreError> {
        if let Some(known) = &self.memory.learned {
            return Ok(known.clone());
        }
        let learned = self.knowledge.statistics().await?;
        Ok(self.memory.learned.insert(learned).clone())
    }

    /// Keeps what later cycles need of this one.
    pub(super) fn remember(&mut self, seen: &Seen, changes: &Changes) {
        let now = seen.snapshot.at;
        self.memory.saw_charter(&seen.charter, now);
        for reading in seen.snapshot.sources.iter().filter(|s| s.result.is_ok()) {
            self.memory.last_read.insert(reading.source, now);
        }
        if let Some(rate) = served(seen, changes).filter(|_| seen.trigger == Trigger::Scheduled) {
            self.memory.served(rate, now);
        }
        self.memory.vanished.extend(changes.vanished.iter().cloned());
        let all_good = changes.rules.iter().all(|r| r.good || r.problem.is_none());
        let calm = all_good && !self.tracker.active().any(Violation::counts);
        if calm {
            self.memory.quiet_since.get_or_insert(now);
        } else {
            self.memory.quiet_since = None;
        }
    }

    /// Where counters must count only what came after settling: actions that are being judged, and those judged so
    /// lately that a counter's window still reaches back before the end of their settling.
    async fn baselines(&self, now: Time) -> Result<Vec<CounterBaseline>, StoreError> {
        let windows = self.config.monitor.rules.iter().filter_map(|r| r.increase_over());
        let Some(longest) = windows.max() else { return Ok(Vec::new()) };
        let judgings = self.knowledge.all::<Judging>(None).await?;
        let mut baselines: Vec<CounterBaseline> = judgings
            .iter()
            .filter(|j| j.settled_at <= now)
            .map(|j| CounterBaseline { target: j.target.clone(), settled_at: j.settled_at })
            .collect();
        let (judged, _) = self.knowledge.survey::<Outcome>(None, RECENT_OUTCOMES).await?;
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
}

async fn look_at(charter: Option<&Charter>, at: Time) -> CharterView {
    match charter {
        Some(charter) => charter.observe(at).await,
        None => CharterView::turned_off(at),
    }
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

/// Outcomes looked at for baselines: one policy at a time is judged on one ground, so these reach far back.
const RECENT_OUTCOMES: usize = 20;

/// The sum over the components, if that rule was read well.
fn served(seen: &Seen, changes: &Changes) -> Option<f64> {
    let is_served = |rule: &Rule| rule.metric_name() == SERVED_METRIC;
    let reading = seen.snapshot.readings.iter().find(|r| is_served(&r.rule))?;
    let good = changes.rules.iter().any(|s| s.rule == reading.rule.name && s.good);
    let points = reading.points.as_ref().ok().filter(|_| good)?;
    Some(points.iter().map(|p| p.value).sum())
}
