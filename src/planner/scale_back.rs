//! Giving back replicas that our own scaling added, once nothing has been wrong for `plan.give_back.after` (off by
//! default).

use super::PlanInput;
use super::candidate::Contender;
use super::cost_benefit::benefit;
use super::guards::{self, Subject};
use super::policy::open_policy;
use crate::domain::action::{Action, ActionKind};
use crate::domain::cycle::{CandidateReport, CandidateResult};
use crate::domain::time::since;
use crate::domain::{CHARTER, Cause};

pub(super) fn candidate<'a>(input: &PlanInput<'a>) -> Option<Contender<'a>> {
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
    let cause = Cause::new(Cause::SCALE_BACK);
    let action = Action::ScaleDown { replicas };
    let benefit = benefit(1.0, 1.0, input.settings);
    let cost = input.settings.cost(ActionKind::ScaleDown);
    if benefit - cost <= input.settings.min_score {
        return None;
    }
    let subject = Subject { cause: &cause, component: CHARTER, action: &action, evidence: &[] };
    let guards = guards::read(input, &subject);
    let held = guards::first_held(&guards);
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
            guards,
            verdict: CandidateResult::Chosen,
            cause: cause.clone(),
        },
        held,
        action,
        evidence: Vec::new(),
        critical: false,
        open: open_policy(input, &cause, CHARTER),
    })
}
