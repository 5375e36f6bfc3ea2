//! That everything comes to an end that somebody knows of, and that only verdicts teach (invariants 10 and 11).

use std::collections::{BTreeMap, BTreeSet};

use mape_k::domain::Cause;
use mape_k::domain::cycle::{CycleReport, CycleStatus};
use mape_k::domain::execution::{ActionState, Execution, ExecutionStatus};
use mape_k::domain::natural::NaturalCount;
use mape_k::domain::need::NeedReason as Reason;
use mape_k::domain::outcome::{ActionStatistics, Outcome, OutcomeType};
use mape_k::domain::time::since;
use mape_k::knowledge::learning;
use mape_k::knowledge::store::{Collection, Write};

use super::bounds::COMES_TO_REST;
use crate::outside::Outside;

/// Three cycles and a slow one: what should be over by now and is not must have been told.
const SOON: u64 = 240;

impl Outside {
    /// Invariant 11: a verdict is stored once for each action of an execution, together with the end of its judging, on
    /// an execution that took effect; afterwards it is at most taken back, never made better.
    pub(super) fn judged(&mut self, now: f64, key: String, outcome: Outcome) {
        self.watch.tested(11);
        self.watch.reach(format!("verdict {}", outcome.outcome_type.as_str()));
        let id = outcome.execution_id.to_string();
        if let Some(before) = self.watch.outcomes.get(&key) {
            let taken_back = before.outcome_type == OutcomeType::Success;
            if before.outcome_type != outcome.outcome_type && !taken_back {
                let what =
                    format!("verdict {key} of {id} changed from {}", before.outcome_type.as_str());
                self.watch.broke(11, now, what);
            }
        } else {
            let again = self.watch.outcomes.values().any(|o| {
                o.execution_id == outcome.execution_id && o.action_type == outcome.action_type
            });
            if again {
                self.watch.broke(
                    11,
                    now,
                    format!("{} of {id} is judged twice", outcome.action_type),
                );
            }
            if !self.watch.verifications.contains_key(&id) {
                self.watch.broke(11, now, format!("{id} is judged, and was not being judged"));
            }
            self.watch.judged.push(key.clone());
        }
        self.watch.outcomes.insert(key, outcome);
    }

    /// Invariant 10: with the verdict that an action did harm stands the page that says so, or its undo.
    /// Invariant 11: with a verdict its judging ends.
    pub(super) fn after_batch(&mut self, now: f64, writes: &[Write]) {
        let outcomes: BTreeSet<&str> = writes
            .iter()
            .filter_map(|write| match write {
                Write::Put { collection: Collection::Outcomes, key, .. } => Some(key.as_str()),
                _ => None,
            })
            .collect();
        for key in outcomes {
            let Some(outcome) = self.watch.outcomes.get(key).cloned() else { continue };
            let id = outcome.execution_id.to_string();
            if self.watch.verifications.contains_key(&id) {
                self.watch.broke(11, now, format!("{id} has a verdict and is still being judged"));
            }
            if outcome.outcome_type != OutcomeType::Degradation {
                continue;
            }
            self.watch.tested(10);
            let told = self.watch.open().any(|e| {
                e.reason == Reason::Degradation
                    && e.cause.as_ref() == Some(&outcome.cause)
                    && e.component.as_deref() == Some(outcome.component.as_str())
            });
            let undone = self.watch.executions.get(&id).is_some_and(|e| {
                let state = |s| e.actions.iter().any(|a| a.state == s);
                state(ActionState::UndoSent) || state(ActionState::Undone)
            });
            if !told && !undone {
                self.watch.broke(10, now, format!("{id} did harm, and nobody was told"));
            }
        }
    }

    /// Invariant 10, at the end of each cycle that could read and write: an end that is not known has its page; no
    /// judging outlives its time; no execution is left running; a temporary state that should be over has its page.
    pub(super) fn nothing_forgotten(&mut self, now: f64, report: &CycleReport) {
        if report.status == CycleStatus::Error || report.error.is_some() {
            return;
        }
        let wall = self.daemon_wall();
        let late = |at| since(wall, at).as_secs() > SOON;
        let watch = &self.watch;
        let mut broken = Vec::new();
        let page =
            |id: &str| watch.open().any(|e| e.reason == Reason::OutcomeUnknown && e.subject == id);
        let mut tests = 0;
        for (id, execution) in &watch.executions {
            let unknown = execution.actions.iter().any(|a| a.state == ActionState::Unknown);
            if unknown {
                tests += 1;
                if !page(id) {
                    broken.push(format!("the end of {id} is not known, and nobody was told"));
                }
            }
            let runs =
                matches!(execution.status, ExecutionStatus::Pending | ExecutionStatus::InProgress);
            if runs && late(execution.started_at) {
                broken.push(format!("{id} is still called running"));
            }
        }
        for (id, verification) in &watch.verifications {
            tests += 1;
            let open = watch.executions.get(id).is_some_and(Execution::is_open);
            if late(verification.judge_by) && !open {
                broken.push(format!("{id} is still being judged, long after its time"));
            }
        }
        for (key, temporary) in &watch.temporaries {
            tests += 1;
            if late(temporary.expires_at) && !page(&temporary.execution_id.to_string()) {
                broken.push(format!("temporary {key} should be over, and nobody was told"));
            }
        }
        for _ in 0..tests {
            self.watch.tested(10);
        }
        for what in broken {
            self.watch.broke(10, now, what);
        }
    }

    /// What replaying all verdicts teaches.
    pub fn replayed(
        &self,
        natural: &BTreeMap<Cause, NaturalCount>,
        saturation: u32,
    ) -> Vec<ActionStatistics> {
        learning::statistics(&self.watch.verdicts(), natural, saturation)
    }

    /// Invariant 10, at the end of a run whose last trouble is long over: every action has an end, nothing is being
    /// judged or in force, and no page is open but on what is still broken.
    /// Invariant 11: what was learned is what replaying the verdicts gives.
    pub fn ended(
        &mut self,
        end: f64,
        quiet_since: f64,
        learned: &[ActionStatistics],
        replayed: &[ActionStatistics],
    ) {
        self.watch.tested(11);
        if replayed != learned {
            let what = format!("learned {learned:?}, replaying gives {replayed:?}");
            self.watch.broke(11, end, what);
        }
        for known in learned {
            let of = |kind: OutcomeType| {
                let own = self.watch.outcomes.values().filter(|o| {
                    o.cause == known.cause
                        && o.action_type == known.action
                        && o.outcome_type == kind
                });
                u32::try_from(own.count()).expect("few verdicts")
            };
            let (successes, partials) = (of(OutcomeType::Success), of(OutcomeType::Partial));
            let judged =
                successes + partials + of(OutcomeType::Ineffective) + of(OutcomeType::Degradation);
            if (known.runs, known.successes, known.partials) != (judged, successes, partials) {
                let what = format!("{judged} verdicts, {successes} and {partials} good: {known:?}");
                self.watch.broke(11, end, what);
            }
        }
        self.at_rest(end, quiet_since);
        if end - quiet_since < COMES_TO_REST {
            return;
        }
        let in_force = self.truth()["policies"].as_array().cloned().unwrap_or_default();
        let watch = &self.watch;
        let mut broken: Vec<String> = in_force
            .iter()
            .filter(|policy| policy.get("duration_seconds").is_some())
            .map(|policy| format!("in force at Charter at the end: {policy}"))
            .collect();
        for (id, execution) in &watch.executions {
            for action in &execution.actions {
                let ended = matches!(
                    action.state,
                    ActionState::Refused
                        | ActionState::Closed
                        | ActionState::Undone
                        | ActionState::UndoFailed
                );
                if !ended {
                    broken.push(format!("{} of {id} ended as {:?}", action.action, action.state));
                }
            }
        }
        broken.extend(
            watch.verifications.keys().map(|id| format!("{id} is being judged at the end")),
        );
        broken.extend(watch.temporaries.keys().map(|key| format!("{key} is in force at the end")));
        // What is broken in truth may have its page.
        let active = watch.truth.is_broken() || !self.alertmanager.named(end).is_empty();
        if !active {
            broken.extend(
                watch.open().map(|e| format!("still open: {} {}", e.reason.as_str(), e.detail)),
            );
        }
        self.watch.tested(10);
        for what in broken {
            self.watch.broke(10, end, what);
        }
    }
}
