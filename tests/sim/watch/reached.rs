//! The account of what a campaign reached: what was never reached is not proven. Owns the list of what ought to be
//! reached, from the closed sets of the project itself, and the few things that cannot be, each with its reason.

use std::collections::BTreeSet;

use mape_k::charter_sandbox::faults::Fault;
use mape_k::domain::cycle::{CycleReport, Hold, Impossibility, Ineligibility, Verdict};
use mape_k::domain::escalation::EscalationReason;
use mape_k::domain::execution::ActionState;
use mape_k::domain::outcome::OutcomeType;
use mape_k::domain::policy::Approval;

use crate::outside::Outside;
use crate::script;

impl Outside {
    pub(super) fn reached_in(&mut self, report: &CycleReport) {
        self.watch.reach(format!("cycle {}", report.status.as_str()));
        for candidate in &report.candidates {
            let what = match &candidate.verdict {
                Verdict::Chosen => "chosen".to_owned(),
                Verdict::Outranked { .. } => "outranked".to_owned(),
                Verdict::Held { reason, .. } => format!("hold {}", reason.as_str()),
                Verdict::Impossible { reason, .. } => format!("impossible {}", reason.as_str()),
                Verdict::Ineligible { reason, .. } => format!("ineligible {}", reason.as_str()),
            };
            if matches!(candidate.verdict, Verdict::Held { reason: Hold::Paused, .. }) {
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
    ActionState::Judging,
    ActionState::Judged,
    ActionState::Closed,
    ActionState::UndoSent,
    ActionState::Undone,
    ActionState::UndoFailed,
];

/// What a campaign of many hours has to reach.
pub fn expected() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    all.extend(Hold::ALL.map(|hold| format!("hold {}", hold.as_str())));
    all.extend(Impossibility::ALL.map(|reason| format!("impossible {}", reason.as_str())));
    all.extend(Ineligibility::ALL.map(|reason| format!("ineligible {}", reason.as_str())));
    all.extend(EscalationReason::ALL.map(|reason| format!("escalation {}", reason.as_str())));
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

/// Cannot be reached here, and why.
pub const UNREACHED: [(&str, &str); 0] = [];
