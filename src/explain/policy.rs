//! The page of one policy: why it was proposed, who decided, what became of it.

use serde_json::json;

use super::{Explanation, Kind, Page, verified, words};
use crate::domain::execution::Execution;
use crate::domain::legible;
use crate::domain::outcome::{Outcome, PendingVerification};
use crate::domain::policy::{Approval, Policy};
use crate::domain::time::Time;

#[derive(Debug)]
pub struct PolicyFacts<'a> {
    pub now: Time,
    pub policy: &'a Policy,
    /// Of it, if it came to that and is still kept.
    pub execution: Option<&'a Execution>,
    pub verification: Option<&'a PendingVerification>,
    pub verdicts: &'a [Outcome],
}

#[must_use]
pub fn policy(facts: &PolicyFacts<'_>) -> Explanation {
    let policy = facts.policy;
    let mut page = Page::begin(&in_short(facts));
    page.section("Why it was proposed");
    proposed(&mut page, facts);
    page.section("Who decided");
    page.say(&decided(policy, facts.now));
    page.section("What became of it");
    match facts.execution {
        Some(execution) => {
            for record in &execution.actions {
                page.item(&verified::record(record));
            }
            page.say(&format!("More: mape-k explain action {}", execution.id));
        }
        None => page.say("No execution of it is kept."),
    }
    for verdict in facts.verdicts {
        page.item(&verified::outcome(verdict, facts.now));
    }
    if let Some(verification) = facts.verification {
        page.say(&verified::verification(verification, facts.now));
    }
    // Handed over is not yet done, and what failed was not.
    let became = match (policy.approval, facts.execution) {
        (Approval::Executed, Some(execution)) => verified::status(execution.status),
        (Approval::Executed, None) => "begun",
        (approval, _) => approval.as_str(),
    };
    let title = format!("Policy {}: {became}", policy.id);
    let raw = json!({
        "policy": policy,
        "execution": facts.execution,
        "judging": facts.verification,
        "verdicts": facts.verdicts,
    });
    page.end(Kind::Policy, policy.id.to_string(), &title, raw)
}

fn in_short(facts: &PolicyFacts<'_>) -> Vec<String> {
    let policy = facts.policy;
    let what = format!(
        "{} for {} at {}",
        words::actions(&policy.actions),
        policy.cause,
        legible::name(&policy.component)
    );
    let text = match policy.approval {
        Approval::Pending => {
            format!(
                "{what} waits for an approval. mape-k approve {0} or mape-k reject {0} --reason TEXT",
                policy.short_hash()
            )
        }
        Approval::Approved => {
            format!("{what} is approved. The next cycle whose guards let it carries it out.")
        }
        Approval::Rejected => format!("{what} was rejected. Nothing of it is done."),
        Approval::Expired => {
            format!("{what} expired: {}. Nothing of it is done.", policy.expiry())
        }
        Approval::Superseded => {
            format!(
                "Another action for the same cause took the place of {what}. Nothing of it is done."
            )
        }
        Approval::Executed => match facts.execution {
            Some(execution) => format!("{what} was {}.", verified::status(execution.status)),
            None => format!("{what} was handed to the executor; its journal is no longer kept."),
        },
    };
    vec![text]
}

fn proposed(page: &mut Page, facts: &PolicyFacts<'_>) {
    let policy = facts.policy;
    page.say(&format!(
        "Proposed {}, revision {}.",
        words::at(policy.created_at, facts.now),
        policy.revision
    ));
    page.say(&format!("{}.", words::without_stop(&policy.expected_impact)));
    let effectiveness = if policy.cause_confidence > 0.0 {
        format!(" × effectiveness {:.2}", policy.benefit / policy.cause_confidence)
    } else {
        String::new()
    };
    page.say(&format!(
        "Benefit {:.2} (confidence {:.2}{effectiveness}) − cost {:.2} = score {:.2}. Risk {}, priority {}; {} behind it.",
        policy.benefit,
        policy.cause_confidence,
        policy.cost,
        policy.score,
        policy.risk.as_str(),
        <&str>::from(policy.priority),
        words::count(policy.evidence.len(), "violation")
    ));
}

fn decided(policy: &Policy, now: Time) -> String {
    let at = policy.decided_at.map(|at| format!(" {}", words::at(at, now))).unwrap_or_default();
    match (policy.decided_by.as_deref(), policy.approval) {
        (Some("auto"), _) => {
            format!("orchestrator.auto_approve is on: it was approved without a person{at}.")
        }
        (Some(by), Approval::Rejected) => {
            let why = policy.decision_reason.as_deref();
            let why = why.map(|why| format!(": {}", words::without_stop(why))).unwrap_or_default();
            format!("{} rejected it{at}{why}.", legible::name(by))
        }
        (Some(by), _) => format!("{} approved it{at}.", legible::name(by)),
        (None, Approval::Expired | Approval::Superseded) => format!("Nobody; it ended{at}."),
        (None, _) => "Nobody yet.".to_owned(),
    }
}
