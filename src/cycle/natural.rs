//! Tells the count of natural recoveries what this cycle held back; written only when that changes something.

use std::collections::{BTreeMap, BTreeSet};

use super::Cycle;
use super::observe::Seen;
use super::recall::Recalled;
use crate::analyzer::Changes;
use crate::domain::analysis::Analysis;
use crate::domain::cycle::{Hold, Trigger, Verdict};
use crate::domain::time::since;
use crate::domain::violation::Violation;
use crate::knowledge::natural::{Held, Scene, observe};
use crate::knowledge::{Fact, StoreError};
use crate::planner::Plan;

/// Holds that leave Charter alone for a while. Not those that last a moment or in which something is under way.
fn leaves_alone(hold: Hold) -> bool {
    match hold {
        Hold::Paused
        | Hold::ModeObserve
        | Hold::Storm
        | Hold::BreakerOpen
        | Hold::Cooldown
        | Hold::OppositeDirection
        | Hold::BudgetExhausted
        | Hold::Rejected
        | Hold::ApprovalPending => true,
        Hold::CharterUnreachable
        | Hold::StaleData
        | Hold::FleetLimit
        | Hold::Judging
        | Hold::InFlight
        | Hold::OutcomeUnknown
        | Hold::NotBegun => false,
    }
}

impl Cycle {
    pub(super) async fn count_natural(
        &self,
        recalled: &mut Recalled,
        seen: &Seen,
        changes: &Changes,
        analysis: &Analysis,
        plan: &Plan,
        active: &BTreeMap<&str, &Violation>,
    ) -> Result<(), StoreError> {
        let now = seen.snapshot.at;
        let acted_at = recalled.ledger.sent().map(|e| e.at).max();
        // What was done lately may be what heals it.
        let alone = acted_at.is_none_or(|at| since(now, at) >= self.config.plan.incident_gap);
        let held = if alone { self.held(analysis, plan, active) } else { Vec::new() };
        if held.is_empty() && recalled.natural.open.is_empty() {
            return Ok(());
        }
        let scene = Scene {
            now,
            scheduled: seen.trigger == Trigger::Scheduled,
            active,
            vanished: &changes.vanished,
            acted_at,
            held,
            patience: self.config.knowledge.judge_limit,
        };
        let before = recalled.natural.clone();
        observe(&mut recalled.natural, &scene);
        if recalled.natural == before {
            return Ok(());
        }
        let value = serde_json::to_value(&recalled.natural).expect("counts have text keys only");
        let mut batch = self.knowledge.batch();
        batch.put(&Fact { name: Fact::NATURAL.to_owned(), value, at: now });
        self.knowledge.commit(batch).await.map(|_| ())
    }

    /// Of each cause the first remedy that was held back, if nothing has been tried in its incident.
    fn held(
        &self,
        analysis: &Analysis,
        plan: &Plan,
        active: &BTreeMap<&str, &Violation>,
    ) -> Vec<Held> {
        let interval = self.config.orchestrator.loop_interval;
        let untouched = plan.incidents.iter().filter(|i| i.attempts.is_empty());
        let held = untouched.filter_map(|incident| {
            let candidate = plan.candidates.iter().find(|c| {
                let waits =
                    matches!(&c.verdict, Verdict::Held { reason, .. } if leaves_alone(*reason));
                c.cause == incident.cause && waits
            })?;
            let roots = analysis.root_causes.iter().filter(|r| r.cause == incident.cause);
            let counts = |fp: &&String| active.get(fp.as_str()).is_some_and(|v| v.counts());
            let evidence: BTreeSet<String> =
                roots.flat_map(|r| &r.evidence).filter(counts).cloned().collect();
            Some(Held {
                cause: incident.cause.clone(),
                incident: incident.id,
                span: self.config.execute.settle(candidate.action) + interval * 2,
                evidence,
            })
        });
        held.collect()
    }
}
