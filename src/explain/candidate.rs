//! What each verdict on a remedy means and what would change it: one sentence for each value of each reason.

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
            "It goes on when somebody resumes it, or when the pause ends by itself.",
        ),
        Hold::ModeObserve => meaning(
            "guardrails.mode is observe: no action is ever sent",
            "Set guardrails.mode to suggest or act and restart.",
        ),
        Hold::NotLeading => meaning(
            "this mape-k could not be sure to lead, and two that act at once would undo each other's work",
            "Whoever leads weighs it afresh; /health of each replica says who that is.",
        ),
        Hold::CharterUnreachable => meaning(
            "Charter does not answer, so it cannot be known what an action would do",
            "It is weighed again as soon as Charter answers; /health says what is wrong with it.",
        ),
        Hold::ClusterUnreadable => meaning(
            "the target is in Kubernetes, and what it is there now cannot be read",
            "It is weighed again as soon as the watch caches have the target (kubernetes.enabled, kubernetes.kinds, kubernetes.namespaces); /health says what cannot be read.",
        ),
        Hold::TargetMissing => meaning(
            "the target is in Kubernetes, and the watch caches have no such object",
            "Correct the target, or let kubernetes.kinds and kubernetes.namespaces cover it.",
        ),
        Hold::OptedOut => meaning(
            "the label mape-k.io/act of the target allows no action",
            "Set the label to suggest, or take it off; then the action waits for an approval.",
        ),
        Hold::Protected => meaning(
            "the target is protected: only people change it",
            "A person has to see to it; guardrails.kubernetes.protected_namespaces has the namespaces.",
        ),
        Hold::StaleData => meaning(
            "the data behind the remedy is not whole, covered and fresh",
            "The next cycle that reads its rules well weighs it again; /health names those that are not read well.",
        ),
        Hold::Storm => meaning(
            "most of the system is sick at once, and acting on single parts would make it worse",
            "It goes on when few enough have been sick for a while (guardrails.storm); until then a person has it.",
        ),
        Hold::BreakerOpen => meaning(
            "the loop's own actions have lately done harm or no good, so its breaker is open",
            "The breaker closes by itself after a while (guardrails.breaker); until then a person has it.",
        ),
        Hold::Cooldown => meaning(
            "the same was done on this ground not long ago",
            "It may be done again when the cooldown is over (guardrails.cooldown).",
        ),
        Hold::OppositeDirection => meaning(
            "its opposite was done not long ago, and doing it now would swing to and fro",
            "It may be done when guardrails.cooldown.opposite has passed.",
        ),
        Hold::BudgetExhausted => meaning(
            "as much has been done lately as guardrails.budget allows",
            "It may be done when earlier actions are old enough not to count any more, or with a larger budget.",
        ),
        Hold::FleetLimit => meaning(
            "as much of the fleet is being worked on already as guardrails.fleet allows at once",
            "It may be done when what is being worked on has its verdict.",
        ),
        Hold::Verifying => meaning(
            "an earlier action on the same ground has not had its verdict yet",
            "It is weighed again after that verdict, which comes in the second good cycle after settling.",
        ),
        Hold::InFlight => meaning(
            "a change of size, a recovery or an undo there is still under way",
            "It is weighed again when that has settled, or after its settle time at the latest.",
        ),
        Hold::OutcomeUnknown => meaning(
            "nobody knows whether an earlier action on this ground took effect",
            "A person has to look at it; it goes on when the need outcome_unknown has ended.",
        ),
        Hold::Rejected => meaning(
            "a person has rejected the remedy",
            "It is proposed again when the violation has cleared and come back, or after an hour (less in a rehearsal).",
        ),
        Hold::ApprovalPending => meaning(
            "the remedy waits for a person's word",
            "Approve or reject it; without a word it expires (plan.approval_ttl) and is proposed again.",
        ),
        Hold::NotBegun => meaning(
            "what was chosen was not begun after all, and nothing of it was sent",
            "The next cycle weighs it again.",
        ),
    }
}

/// The cause's next remedy counts.
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
            "a parameter that the remedy needs could be neither computed nor found in its strategy",
            "Name the parameter in plan.strategies, or wait until it can be computed.",
        ),
        Impossibility::Invalid => meaning(
            "the remedy would be refused as it stands",
            "Correct its parameters in plan.strategies; the next incident tries it afresh.",
        ),
        Impossibility::NotConfined => meaning(
            "the cause shows on more than one component, and the remedy would treat one alone",
            "It is possible again when the cause shows on that one component only, unless the incident has been given up.",
        ),
        Impossibility::Forbidden => meaning(
            "guardrails.forbidden_actions names the action",
            "Take it off that list and restart.",
        ),
    }
}

/// Not worth doing now, or not its turn.
#[must_use]
pub fn ineligibility(reason: Ineligibility) -> Meaning {
    match reason {
        Ineligibility::LowConfidence => meaning(
            "the cause is not sure enough",
            "More evidence raises the confidence, a rule that names its cause most; the limit is plan.min_confidence.",
        ),
        Ineligibility::LowScore => meaning(
            "the remedy promises too little for what it costs",
            "A likelier cause, better outcomes, plan.cost_model or plan.min_score would change that.",
        ),
        Ineligibility::TooFewOccurrences => meaning(
            "the cause has not been seen often enough yet to act on it",
            "Each scheduled cycle that still sees it adds one (orchestrator.plan_threshold); critical needs one only.",
        ),
        Ineligibility::NotItsTurn => meaning(
            "another remedy comes before this one, and has not failed in this incident",
            "Its turn comes when that one has been judged ineffective or harmful, or is impossible.",
        ),
        Ineligibility::TriedOut => meaning(
            "the remedy was tried and did not do it",
            "The cause's next remedy counts; this one may be tried again in a new incident (plan.incident_gap), or when its failures are older than a day, less in a rehearsal (guardrails.failures_per_remedy, guardrails.actions_per_cause_per_day).",
        ),
        Ineligibility::AmbiguousScope => meaning(
            "what is wrong belongs to two systems, and nothing says which of them is ours",
            "Set monitor.scope to name ours and restart.",
        ),
        Ineligibility::Unconfirmed => meaning(
            "nothing of the evidence was read as broken in this very cycle",
            "The next cycle that reads it as broken, in good data, counts.",
        ),
        Ineligibility::OverTheLimit => meaning(
            "enough others were proposed in this cycle",
            "It is weighed again in the next cycle (plan.max_policies_per_analysis).",
        ),
        Ineligibility::RemediesExhausted => meaning(
            "a person has it: when the incident was given up, every remedy had been tried or was impossible",
            "A new incident starts afresh: its evidence has to be clear for plan.incident_gap first.",
        ),
    }
}
