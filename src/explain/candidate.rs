//! What each result of weighing an action means and what would change it: one sentence for each value of each reason.

use super::Meaning;
use crate::domain::cycle::{Hold, Impossibility, Ineligibility};

const fn meaning(because: &'static str, changes: &'static str) -> Meaning {
    Meaning { because, changes }
}

/// Held back for a while.
#[must_use]
pub fn hold(reason: Hold) -> Meaning {
    match reason {
        Hold::Paused => meaning(
            "a person has paused the loop: it reads, concludes and plans, and changes nothing",
            "The loop acts again when somebody resumes it, or when the pause ends by itself.",
        ),
        Hold::ModeObserve => meaning(
            "guardrails.mode is observe: no action is ever sent",
            "Set guardrails.mode to suggest or act and reload the configuration.",
        ),
        Hold::NotLeading => meaning(
            "this replica could not be sure that it leads, and two replicas that act at once would undo each other's work",
            "The replica that leads weighs it afresh; /health of each replica names it.",
        ),
        Hold::CharterUnreachable => meaning(
            "Charter does not answer, so nobody can know what an action would do",
            "It is weighed again as soon as Charter answers; /health says what is wrong with it.",
        ),
        Hold::ClusterUnreadable => meaning(
            "the target is in Kubernetes, and its present state cannot be read",
            "It is weighed again as soon as the watch caches have the target (kubernetes.enabled, kubernetes.kinds, kubernetes.namespaces); /health says what cannot be read.",
        ),
        Hold::TargetMissing => meaning(
            "the target is in Kubernetes, and the watch caches hold no such object",
            "Correct the target, or let kubernetes.kinds and kubernetes.namespaces cover it.",
        ),
        Hold::OptedOut => meaning(
            "the target's label mape-k.io/act allows no action",
            "Set the label to suggest, or take it off; then the action waits for an approval.",
        ),
        Hold::Protected => meaning(
            "the target is protected: only people change it",
            "A person has to do it; guardrails.kubernetes.protected_namespaces lists the namespaces.",
        ),
        Hold::StaleData => meaning(
            "the data behind the action is incomplete or too old",
            "The next cycle that reads its rules in full weighs it again; /health names the rules that could not be read.",
        ),
        Hold::Storm => meaning(
            "much of the system is unhealthy at once, and acting on single parts would make it worse",
            "The loop acts again when few enough components have been unhealthy for a while (guardrails.storm); until then it needs a person.",
        ),
        Hold::BreakerOpen => meaning(
            "recent actions of the loop did harm or did not help, so its breaker is open",
            "The breaker closes by itself after a while (guardrails.breaker); until then it needs a person.",
        ),
        Hold::Cooldown => meaning(
            "the same action was done on this target not long ago",
            "It may be done again when the cooldown has ended (guardrails.cooldown).",
        ),
        Hold::OppositeDirection => meaning(
            "the opposite action was done not long ago, and doing this one now would undo it",
            "It may be done when guardrails.cooldown.opposite has passed.",
        ),
        Hold::BudgetExhausted => meaning(
            "the loop has used all the actions that guardrails.budget allows",
            "It may be done when earlier actions no longer count, or with a larger budget.",
        ),
        Hold::FleetLimit => meaning(
            "as many parts of the fleet are being changed as guardrails.fleet allows at once",
            "It may be done when the actions under way have their results.",
        ),
        Hold::Verifying => meaning(
            "an earlier action on the same target has no result yet",
            "It is weighed again after that result, which comes in the second good cycle after the settle time.",
        ),
        Hold::InFlight => meaning(
            "a change of size, a recovery or an undo there is still under way",
            "It is weighed again when that has ended, or after its settle time at the latest.",
        ),
        Hold::OutcomeUnknown => meaning(
            "nobody knows whether an earlier action on this target took effect",
            "A person has to look at it; the loop acts there again when the need outcome_unknown has ended.",
        ),
        Hold::Rejected => meaning(
            "a person has rejected the action",
            "It is proposed again when the violation has cleared and come back, or after an hour (less in a rehearsal).",
        ),
        Hold::ApprovalPending => meaning(
            "the action waits for an approval",
            "Approve or reject it; without a decision it expires (plan.approval_ttl) and is proposed again.",
        ),
        Hold::NotBegun => meaning(
            "the action was chosen and not begun, and nothing of it was sent",
            "The next cycle weighs it again.",
        ),
    }
}

/// The next action for the cause counts.
#[must_use]
pub fn impossibility(reason: Impossibility) -> Meaning {
    match reason {
        Impossibility::AtLimit => meaning(
            "Charter's size is at its limit",
            "Raise plan.scaling.max_replicas if the machines carry it.",
        ),
        Impossibility::SizeUnknown => meaning(
            "Charter's size is not known, or lies outside plan.scaling",
            "Charter must answer with a size that lies within plan.scaling.",
        ),
        Impossibility::ParameterMissing => meaning(
            "a parameter that the action needs could be neither computed nor found in its strategy",
            "Name the parameter in plan.strategies, or wait until it can be computed.",
        ),
        Impossibility::Invalid => meaning(
            "its system would refuse the action with these parameters",
            "Correct its parameters in plan.strategies; the next incident tries it afresh.",
        ),
        Impossibility::NotConfined => meaning(
            "the cause shows on more than one component, and the action would treat only one",
            "It is possible again when the cause shows on that component only, unless the loop has given the incident up.",
        ),
        Impossibility::Forbidden => meaning(
            "guardrails.forbidden_actions forbids the action",
            "Take it off that list and reload the configuration.",
        ),
    }
}

/// Not worth doing now, or not its turn.
#[must_use]
pub fn ineligibility(reason: Ineligibility) -> Meaning {
    match reason {
        Ineligibility::LowConfidence => meaning(
            "the confidence in the cause is too low",
            "More evidence raises the confidence, most of all a rule that names its cause; the limit is plan.min_confidence.",
        ),
        Ineligibility::LowScore => meaning(
            "the action promises too little for its cost",
            "A likelier cause or better results would change that; so would plan.cost_model or plan.min_score.",
        ),
        Ineligibility::TooFewOccurrences => meaning(
            "the cause has not been seen often enough yet to act on it",
            "Each scheduled cycle that still sees it adds one (orchestrator.plan_threshold); critical needs one only.",
        ),
        Ineligibility::NotItsTurn => meaning(
            "another action comes before this one and has not failed in this incident",
            "Its turn comes when that one did not help, did harm, or is impossible.",
        ),
        Ineligibility::TriedOut => meaning(
            "the action was tried and did not help",
            "The next action for the cause counts; this one may be tried again once the incident is resolved and its evidence was clear for plan.incident_gap, or when its failures are older than a day, less in a rehearsal (guardrails.failures_per_remedy, guardrails.actions_per_cause_per_day).",
        ),
        Ineligibility::AmbiguousScope => meaning(
            "the violations belong to two systems, and nothing says which of them is ours",
            "Set monitor.scope to name ours and reload the configuration.",
        ),
        Ineligibility::Unconfirmed => meaning(
            "no evidence for it could be read as violated in this cycle",
            "The next cycle that reads it as violated, in good data, counts.",
        ),
        Ineligibility::OverTheLimit => meaning(
            "this cycle proposed as many other actions as it may",
            "It is weighed again in the next cycle (plan.max_policies_per_analysis).",
        ),
        Ineligibility::RemediesExhausted => meaning(
            "it needs a person: every action was tried or impossible, and the loop gave the incident up",
            "The actions are fresh again once the incident is resolved and its evidence was clear for plan.incident_gap.",
        ),
    }
}
