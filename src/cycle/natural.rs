//! Adds to the count of natural recoveries what this cycle held back; written only when that changes something.

use std::collections::{BTreeMap, BTreeSet};

use super::kit::Kit;
use super::observe::Seen;
use super::recall::Recalled;
use super::verify::Verify;
use crate::domain::Cause;
use crate::domain::analysis::Analysis;
use crate::domain::cycle::{CandidateResult, Hold, Trigger};
use crate::domain::time::{Time, since};
use crate::domain::violation::Violation;
use crate::knowledge::natural::{Held, Scene, observe};
use crate::knowledge::{Fact, StoreError};
use crate::planner::Plan;

/// Holds that leave Charter alone for a while. Not those that last a moment, those in which something is under way, or
/// those by a person who has it in hand: what is mended by hand has not recovered by itself.
fn leaves_alone(hold: Hold) -> bool {
    match hold {
        Hold::ModeObserve
        | Hold::Storm
        | Hold::BreakerOpen
        | Hold::Cooldown
        | Hold::OppositeDirection
        | Hold::BudgetExhausted
        | Hold::OptedOut
        | Hold::Protected
        | Hold::ApprovalPending => true,
        Hold::Paused
        | Hold::Rejected
        | Hold::CharterUnreachable
        | Hold::ClusterUnreadable
        | Hold::TargetMissing
        | Hold::StaleData
        | Hold::FleetLimit
        | Hold::Verifying
        | Hold::InFlight
        | Hold::OutcomeUnknown
        | Hold::NotLeading
        | Hold::NotBegun => false,
    }
}

/// A person has said no, and so has looked at it.
fn is_rejected(cause: &Cause, plan: &Plan) -> bool {
    let rejected =
        |v: &CandidateResult| matches!(v, CandidateResult::Held { reason: Hold::Rejected, .. });
    plan.candidates.iter().any(|c| &c.cause == cause && rejected(&c.verdict))
}

impl Verify {
    /// `resized_at`: when Charter's size was last seen to change.
    pub(super) async fn count_natural(
        &mut self,
        kit: &Kit,
        recalled: &mut Recalled,
        seen: &Seen,
        (analysis, plan): (&Analysis, &Plan),
        active: &BTreeMap<&str, &Violation>,
        resized_at: Option<Time>,
    ) -> Result<(), StoreError> {
        let now = seen.snapshot.at;
        let paused = recalled.pause.as_ref().is_some_and(|p| p.holds(now));
        let before = recalled.natural.clone();
        recalled.natural.open.retain(|e| !paused && !is_rejected(&e.cause, plan));
        // A size that changed may be somebody else's doing.
        let undone = recalled.aftermath.undone.iter().map(|u| u.at);
        let acted_at = recalled.ledger.sent().map(|e| e.at).chain(resized_at).chain(undone).max();
        // What was done lately may be what heals it.
        let alone = acted_at.is_none_or(|at| since(now, at) >= kit.config.plan.incident_gap);
        let held = if alone { held(kit, analysis, plan, active) } else { Vec::new() };
        let scene = Scene {
            now,
            looked: seen.trigger == Trigger::Scheduled && !seen.snapshot.is_blind(),
            active,
            vanished: &self.vanished,
            acted_at,
            held,
            patience: kit.config.knowledge.judge_limit,
            watch: kit.config.plan.incident_gap,
        };
        observe(&mut recalled.natural, &scene);
        if recalled.natural == before {
            self.vanished.clear();
            return Ok(());
        }
        self.learned = None;
        let value = serde_json::to_value(&recalled.natural).expect("counts have text keys only");
        let mut batch = kit.knowledge.batch();
        batch.put(&Fact { name: Fact::NATURAL.to_owned(), value, at: now });
        kit.knowledge.commit(batch).await?;
        self.vanished.clear();
        Ok(())
    }
}

/// Of each cause the first action that was held back, if nothing has been tried in its oldest treatment.
fn held(
    kit: &Kit,
    analysis: &Analysis,
    plan: &Plan,
    active: &BTreeMap<&str, &Violation>,
) -> Vec<Held> {
    let interval = kit.config.orchestrator.loop_interval;
    let mut causes = BTreeSet::new();
    let first = plan.treatments.iter().filter(|one| causes.insert(&one.cause));
    let held = first.filter(|one| one.attempts.is_empty()).filter_map(|treatment| {
        let candidate = plan.candidates.iter().find(|c| {
            let waits =
                matches!(&c.verdict, CandidateResult::Held { reason, .. } if leaves_alone(*reason));
            waits && plan.treatment_for(c).is_some_and(|one| one.id == treatment.id)
        })?;
        let roots = analysis.root_causes.iter().filter(|r| treatment.has_root(r));
        let counts = |fp: &&String| active.get(fp.as_str()).is_some_and(|v| v.counts());
        let evidence: BTreeSet<String> =
            roots.flat_map(|r| &r.evidence).filter(counts).cloned().collect();
        Some(Held {
            cause: treatment.cause.clone(),
            incident: treatment.id,
            span: kit.config.execute.settle(candidate.action) + interval * 2,
            evidence,
        })
    });
    held.collect()
}
