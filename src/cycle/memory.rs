//! What the cycle remembers from one run to the next, beside the tracker: bounded, and safe to lose in a restart.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::domain::Cause;
use crate::domain::charter::{CharterView, CommitteeStatus};
use crate::domain::cycle::{CycleReport, CycleStatus, Trigger};
use crate::domain::outcome::ActionStatistics;
use crate::domain::reading::Source;
use crate::domain::target::System;
use crate::domain::time::{Time, since};
use crate::escalation::Wanted;
use crate::planner::Resize;

/// Good cycles over which the served rate is averaged.
const SERVED_OVER: usize = 5;

/// A rate older than so many intervals says nothing of the present load.
const SERVED_FRESH: u32 = 10;

#[derive(Debug)]
pub(super) struct Memory {
    pub number: u64,
    last_second: String,
    in_second: u32,
    replicas: Option<u32>,
    pub last_resize: Option<Resize>,
    pub recovering_since: Option<Time>,
    served: VecDeque<(Time, f64)>,
    pub quiet_since: Option<Time>,
    /// Violations that vanished and that judging, or the count of natural recoveries, has not durably heard of.
    pub vanished: Vec<String>,
    /// What outcomes and natural recoveries teach, until one of them is written: while this process leads nobody else
    /// writes them, and whoever leads anew begins afresh.
    pub learned: Option<Vec<ActionStatistics>>,
    /// The same as last shown.
    pub shown_learned: Vec<ActionStatistics>,
    pub started_at: Option<Time>,
    pub last_good_cycle: Option<Time>,
    /// Cycles that failed or broke off since.
    pub failed_cycles: u64,
    pub last_error: Option<String>,
    /// When each source was last read whole.
    pub last_read: BTreeMap<Source, Time>,
    pub policies_generated: u64,
    pub policies_executed: u64,
    /// Since when the metrics cannot be read; over after a few cycles in which they could.
    pub blind_since: Option<Time>,
    pub readable_cycles: u32,
    /// Since when a cause's remedy has been held by one reason.
    pub held_since: BTreeMap<(Cause, &'static str), Time>,
    /// An execution was begun and its end is not known to be in the store: it is settled before anything is recalled.
    pub in_hand: bool,
    /// What Charter has in force against our journal, as last seen.
    pub leftovers: Vec<Wanted>,
    /// Charter's list is still to be held against the journal.
    pub sweep_due: bool,
    /// What this cycle could not find out or end, so that people must go on being told of it.
    pub unresolved: Vec<Wanted>,
    /// Its intent was durable, on this system: what fails from then on is the journal's failure.
    pub begun: Option<System>,
    /// Whose breaker opens, and why: the journal of the last execution cannot be relied on.
    pub journal_failed: Option<(System, String)>,
    /// Since when nobody could confirm a critical alert, by fingerprint.
    pub unconfirmed_since: BTreeMap<String, Time>,
    pub said: Said,
}

/// What was logged of alerts, once in a process.
#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    /// Severity words that nobody knows.
    pub severities: BTreeSet<String>,
    /// Alertmanager does not tell what is muted.
    pub muting: bool,
}

impl Memory {
    pub fn new() -> Self {
        Self {
            number: 0,
            last_second: String::new(),
            in_second: 0,
            replicas: None,
            last_resize: None,
            recovering_since: None,
            served: VecDeque::new(),
            quiet_since: None,
            vanished: Vec::new(),
            learned: None,
            shown_learned: Vec::new(),
            started_at: None,
            last_good_cycle: None,
            failed_cycles: 0,
            last_error: None,
            last_read: BTreeMap::new(),
            policies_generated: 0,
            policies_executed: 0,
            blind_since: None,
            readable_cycles: 0,
            held_since: BTreeMap::new(),
            in_hand: false,
            leftovers: Vec::new(),
            sweep_due: true,
            unresolved: Vec::new(),
            begun: None,
            journal_failed: None,
            unconfirmed_since: BTreeMap::new(),
            said: Said::default(),
        }
    }

    /// After others may have led, of whose cycles `newest` was the last: what was counted goes on, names too, so that none
    /// is given twice when leaders change within a second. Everything else is from before.
    pub fn afresh(&self, newest: Option<&CycleReport>) -> Self {
        let (last_second, place) = newest
            .map_or(("", "1"), |report| report.id.split_once('-').unwrap_or((&report.id, "1")));
        Self {
            number: self.number,
            last_second: last_second.to_owned(),
            in_second: place.parse().unwrap_or(1),
            started_at: self.started_at,
            // What failed before goes on failing until a cycle does not.
            failed_cycles: newest.map_or(0, |report| report.failed_cycles),
            policies_generated: self.policies_generated,
            policies_executed: self.policies_executed,
            said: self.said.clone(),
            ..Self::new()
        }
    }

    /// The report of the next cycle, with its number and name.
    pub fn next_cycle(&mut self, trigger: Trigger, now: Time) -> CycleReport {
        self.number += 1;
        self.started_at.get_or_insert(now);
        let second = now.format("%Y%m%d_%H%M%S").to_string();
        if second == self.last_second {
            self.in_second += 1;
        } else {
            self.in_second = 1;
            self.last_second.clone_from(&second);
        }
        let id = if self.in_second == 1 { second } else { format!("{second}-{}", self.in_second) };
        CycleReport {
            id,
            number: self.number,
            trigger,
            status: CycleStatus::Completed,
            phase: None,
            error: None,
            started_at: now,
            duration_seconds: 0.0,
            phases: Vec::new(),
            violations: 0,
            actionable: 0,
            opened: 0,
            cleared: 0,
            opened_examples: Vec::new(),
            cleared_examples: Vec::new(),
            basis: None,
            analysis_id: None,
            candidates: Vec::new(),
            policies_generated: 0,
            execution_id: None,
            outcomes: Vec::new(),
            escalations_opened: Vec::new(),
            escalations_closed: Vec::new(),
            failed_cycles: 0,
            findings: Vec::new(),
            unread_objects: Vec::new(),
            escalation_decision: None,
            notification_result: None,
            notifications_sent: 0,
            trend_analysis: None,
        }
    }

    /// Sees changes of Charter's size, ours or another's, and since when it recovers.
    pub fn saw_charter(&mut self, charter: &CharterView, now: Time) {
        let Ok(state) = &charter.state else { return };
        if self.replicas.is_some_and(|known| known != state.replicas) {
            self.last_resize = Some(Resize { at: now });
        }
        self.replicas = Some(state.replicas);
        if state.status == CommitteeStatus::Recovering {
            self.recovering_since.get_or_insert(now);
        } else {
            self.recovering_since = None;
        }
    }

    pub fn served(&mut self, rate: f64, now: Time) {
        self.served.push_back((now, rate));
        while self.served.len() > SERVED_OVER {
            self.served.pop_front();
        }
    }

    /// The mean over the last good cycles; unknown before the first, and when the last is long ago.
    pub fn served_rate(&self, now: Time, interval: Duration) -> Option<f64> {
        let fresh = |at: Time| since(now, at) <= interval * SERVED_FRESH;
        let rates: Vec<f64> =
            self.served.iter().filter(|(at, _)| fresh(*at)).map(|(_, rate)| *rate).collect();
        (!rates.is_empty()).then(|| rates.iter().sum::<f64>() / rates.len() as f64)
    }
}
