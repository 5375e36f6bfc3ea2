//! The account of what a campaign reached: what was never reached is not proven. Owns the list of what ought to be
//! reached, from the closed sets of the project itself, and the few things that cannot be, each with its reason.

use std::collections::BTreeSet;

use mape_k::charter_sandbox::faults::Fault;
use mape_k::domain::cycle::{CandidateResult, CycleReport, Hold, Impossibility, Ineligibility};
use mape_k::domain::execution::ActionState;
use mape_k::domain::guard::Guard;
use mape_k::domain::need::NeedReason;
use mape_k::domain::outcome::OutcomeType;
use mape_k::domain::policy::Approval;

use crate::outside::Outside;
use crate::script;

impl Outside {
    pub(super) fn reached_in(&mut self, report: &CycleReport) {
        self.watch.reach(format!("cycle {}", report.status.as_str()));
        for candidate in &report.candidates {
            let what = match &candidate.verdict {
                CandidateResult::Chosen => "chosen".to_owned(),
                CandidateResult::Outranked { .. } => "outranked".to_owned(),
                CandidateResult::Held { reason, .. } => format!("hold {}", reason.as_str()),
                CandidateResult::Impossible { reason, .. } => {
                    format!("impossible {}", reason.as_str())
                }
                CandidateResult::Ineligible { reason, .. } => {
                    format!("ineligible {}", reason.as_str())
                }
            };
            if matches!(candidate.verdict, CandidateResult::Held { reason: Hold::Paused, .. }) {
                // It would have been sent.
                self.watch.tested(4);
            }
            self.watch.reach(what);
            for reading in candidate.guards.iter().filter(|g| g.held.is_some()) {
                self.watch.reach(format!("guard {}", reading.guard.as_str()));
            }
        }
    }
}

const STATES: [ActionState; 12] = [
    ActionState::Intent,
    ActionState::Validated,
    ActionState::Sent,
    ActionState::Applied,
    ActionState::Refused,
    ActionState::Unknown,
    ActionState::Verifying,
    ActionState::Verified,
    ActionState::Closed,
    ActionState::UndoSent,
    ActionState::Undone,
    ActionState::UndoFailed,
];

/// What a campaign of many hours has to reach.
pub fn expected() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    all.extend(Guard::ALL.map(|guard| format!("guard {}", guard.as_str())));
    all.extend(Hold::ALL.map(|hold| format!("hold {}", hold.as_str())));
    all.extend(Impossibility::ALL.map(|reason| format!("impossible {}", reason.as_str())));
    all.extend(Ineligibility::ALL.map(|reason| format!("ineligible {}", reason.as_str())));
    all.extend(NeedReason::ALL.map(|reason| format!("escalation {}", reason.as_str())));
    all.extend(OutcomeType::ALL.map(|verdict| format!("verdict {}", verdict.as_str())));
    all.extend(Approval::ALL.map(|approval| format!("approval {}", approval.as_str())));
    all.extend(STATES.map(|state| format!("state {state:?}")));
    for from in STATES {
        let next = STATES.into_iter().filter(|to| from.may_become(*to));
        all.extend(next.map(|to| format!("move {from:?} to {to:?}")));
    }
    all.extend(Fault::ALL.map(|fault| format!("event plant {}", fault.name())));
    all.extend(script::kinds());
    all.extend(["healthy", "completed", "failed", "error"].map(|status| format!("cycle {status}")));
    all.extend((1..=12).map(|invariant| format!("invariant {invariant}")));
    all
}

/// Not reached here: why, and by which test of `tests/it` it is held instead.
pub const UNREACHED: [(&str, &str); 19] = [
    (
        "guard freshness",
        "one rule a cause: s05_half_blind_is_held_by_the_share_of_the_evidence_that_was_read",
    ),
    (
        "guard leader",
        "a lease that ends within one read: s03_who_may_not_be_the_leader_any_more_chooses_nothing",
    ),
    (
        "escalation ambiguous_scope",
        "no scope: a67_an_ambiguous_scope_is_told_and_nothing_is_called",
    ),
    (
        "ineligible ambiguous_scope",
        "no scope: a67_an_ambiguous_scope_is_told_and_nothing_is_called",
    ),
    (
        "escalation unknown_cause",
        "every cause has a strategy: a16_an_unknown_cause_is_escalated_and_nothing_is_called",
    ),
    (
        "hold fleet_limit",
        "all remedies share a ground but restarts: s05_at_most_a_tenth_of_the_fleet_and_never_two_of_a_redundancy_group",
    ),
    (
        "move Applied to UndoSent",
        "shipped policies have one action: undo_leaves_alone_what_somebody_else_has_changed_since",
    ),
    (
        "move Verifying to UndoSent",
        "a verdict comes before any expiry: s09_one_that_is_over_before_its_verdict_spoils_no_statistics",
    ),
    (
        "move UndoSent to UndoFailed",
        "Charter refuses no rollback: undo_leaves_alone_what_somebody_else_has_changed_since",
    ),
    (
        "state UndoFailed",
        "Charter refuses no rollback: undo_leaves_alone_what_somebody_else_has_changed_since",
    ),
    (
        "hold not_begun",
        "a stop between plan and intent: a_policy_that_stopping_kept_from_execution_stays_approved",
    ),
    (
        "hold not_leading",
        "a lease that ends within one read: s03_who_may_not_be_the_leader_any_more_chooses_nothing",
    ),
    (
        "hold stale_data",
        "one rule a cause: s05_half_blind_is_held_by_the_share_of_the_evidence_that_was_read",
    ),
    (
        "impossible invalid",
        "sizes are valid: no_scaling_when_the_size_is_unknown_or_outside_the_limits",
    ),
    (
        "impossible size_unknown",
        "Charter tells its size or nothing at all: no_scaling_when_the_size_is_unknown_or_outside_the_limits",
    ),
    (
        "ineligible low_confidence",
        "shipped detectors are sure: a17_a_cause_below_min_confidence_is_not_acted_on",
    ),
    (
        "ineligible low_score",
        "shipped costs are low: a32_thirty_failures_lower_an_action_below_its_alternative",
    ),
    (
        "ineligible over_the_limit",
        "under six causes at once: a17_at_most_five_policies_come_from_one_analysis",
    ),
    (
        "ineligible unconfirmed",
        "a rule not read whole has no evidence: evidence_must_be_read_as_broken_in_this_very_cycle",
    ),
];
