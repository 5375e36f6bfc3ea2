//! Giving back replicas that our own scaling added, once nothing has been wrong for `plan.give_back.after` (off by
//! default).

use super::PlanInput;
use super::candidate::{Contender, hold};
use super::policy::approved_by_person;
use crate::domain::action::{Action, ActionKind};
use crate::domain::cycle::{CandidateReport, Verdict};
use crate::domain::time::since;
use crate::domain::{CHARTER, Cause};

pub(super) fn candidate(input: &PlanInput<'_>) -> Option<Contender> {
    let after = input.settings.give_back.after?;
    let surplus = input.surplus?;
    let quiet = since(input.now, input.quiet_since?);
    let state = input.charter.state.as_ref().ok()?;
    // Only the size that we ourselves set, and only while nobody else has changed it.
    if quiet < after || state.replicas != surplus.ours || surplus.original >= surplus.ours {
        return None;
    }
    let scaling = &input.settings.scaling;
    let replicas = surplus.original.clamp(scaling.min_replicas, scaling.max_replicas);
    if replicas >= state.replicas {
        return None;
    }
    let cause = Cause::new(Cause::GIVE_BACK);
    let action = Action::ScaleDown { replicas };
    let open = input
        .policies
        .iter()
        .find(|p| p.approval.is_open() && p.cause == cause && p.component == CHARTER);
    let benefit = input.settings.benefit_target;
    let cost = input.settings.cost(ActionKind::ScaleDown);
    Some(Contender {
        report: CandidateReport {
            component: CHARTER.to_owned(),
            action: ActionKind::ScaleDown,
            planned: Some(action.clone()),
            cause_confidence: 1.0,
            effectiveness: 1.0,
            benefit,
            cost,
            score: benefit - cost,
            occurrences: 0,
            verdict: Verdict::Chosen,
            cause: cause.clone(),
        },
        held: hold(input, &cause, CHARTER, &action),
        action,
        evidence: Vec::new(),
        critical: false,
        proposed_at: open.map_or(input.now, |p| p.created_at),
        approved_by_person: open.is_some_and(approved_by_person),
    })
}
