//! From contenders to policies: the best one that everything admits is executed, the rest is reported.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::candidate::{Contender, compare};
use super::policy;
use super::{Plan, PlanInput};
use crate::domain::Cause;
use crate::domain::cycle::{Hold, Ineligibility, Verdict};
use crate::domain::policy::Approval;

pub(super) fn choose(
    input: &PlanInput<'_>,
    mut contenders: Vec<Contender>,
    plan: &mut Plan,
    new_id: &mut dyn FnMut() -> Uuid,
) {
    // What a person approved goes first; then order.
    contenders.sort_by(|a, b| {
        b.approved_by_person.cmp(&a.approved_by_person).then_with(|| compare(a, b))
    });
    let mut proposed: BTreeSet<(Cause, String)> = BTreeSet::new();
    let best =
        contenders.iter().find(|c| c.held.is_none()).map(|c| (c.report.action, c.report.score));
    for contender in contenders {
        let mut report = contender.report.clone();
        if let Some((reason, detail)) = &contender.held {
            report.verdict = Verdict::Held { reason: *reason, detail: detail.clone() };
            policy::refresh(input, &contender, plan);
            plan.candidates.push(report);
            continue;
        }
        let pair = (report.cause.clone(), report.component.clone());
        let outranked = best.map(|(by, score)| Verdict::Outranked { by, score });
        // At most one policy is open per cause and component: its best.
        if proposed.contains(&pair) {
            report.verdict = outranked.unwrap_or(report.verdict);
            plan.candidates.push(report);
            continue;
        }
        if proposed.len() >= input.settings.max_policies_per_analysis {
            report.verdict = Verdict::Ineligible {
                reason: Ineligibility::OverTheLimit,
                detail: format!("more than {} policies", input.settings.max_policies_per_analysis),
            };
            plan.candidates.push(report);
            continue;
        }
        proposed.insert(pair);
        let mut policy = policy::propose(input, &contender, plan, new_id);
        report.verdict = if policy.approval != Approval::Approved {
            Verdict::Held {
                reason: Hold::ApprovalPending,
                detail: format!(
                    "policy {} revision {} waits for a person",
                    policy.id, policy.revision
                ),
            }
        } else if plan.chosen.is_some() {
            outranked.unwrap_or(Verdict::Chosen)
        } else {
            policy.approval = Approval::Executed;
            policy.updated_at = input.now;
            plan.chosen = Some(policy.clone());
            Verdict::Chosen
        };
        plan.policies.push(policy);
        plan.candidates.push(report);
    }
}
