//! What came of one run, in numbers: what the loop did and told, what Charter was asked, and for how long users felt
//! it. The truth is the plant's own, never what the metrics say.

use std::collections::BTreeMap;

use mape_k::charter_sandbox::service::Request;
use mape_k::domain::action::ActionKind;
use mape_k::domain::execution::Execution;
use mape_k::domain::need::{Need, NeedReason};
use mape_k::domain::outcome::{Outcome, OutcomeType};
use mape_k::knowledge::Knowledge;

use super::outside::{Outside, Shared};
use super::prometheus::SCRAPE_SECONDS;

/// More of a component's operations fail, or wait longer, than the shipped rules allow.
const FAILING: f64 = 0.10;
const WAITING_SECONDS: f64 = 1.0;

#[derive(Clone, Debug, Default)]
pub struct Account {
    /// Actions that were sent, in their order.
    pub actions: Vec<ActionKind>,
    /// In the order of judging.
    pub verdicts: Vec<(ActionKind, OutcomeType)>,
    /// Escalations opened, and those of them that are open at the end.
    pub told: BTreeMap<NeedReason, u32>,
    pub open: BTreeMap<NeedReason, u32>,
    /// Changing calls of the loop that Charter worked on, and those that changed something.
    pub calls: u32,
    pub effects: u32,
    /// Keys that took effect more than once.
    pub twice: usize,
    pub felt: Felt,
}

/// For how long users felt it.
#[derive(Clone, Debug, Default)]
pub struct Felt {
    pub minutes: f64,
    /// The minute in which they last did; 0 when they never did.
    pub until: f64,
    pub at_end: bool,
}

impl Account {
    /// As it stands in the store and at Charter at the end of a run.
    pub async fn of(knowledge: &Knowledge, outside: &Shared) -> Self {
        let mut account = Self::default();
        let mut executions = knowledge.all::<Execution>(None).await.expect("executions");
        executions.sort_by_key(|execution| execution.started_at);
        let actions = executions.iter().flat_map(|execution| &execution.actions);
        account.actions =
            actions.filter(|a| a.sent_at.is_some()).map(|a| a.action.kind()).collect();
        let mut outcomes = knowledge.all::<Outcome>(None).await.expect("outcomes");
        outcomes.sort_by_key(|outcome| outcome.judged_at);
        account.verdicts = outcomes.iter().map(|o| (o.action_type, o.outcome_type)).collect();
        for escalation in knowledge.all::<Need>(None).await.expect("escalations") {
            *account.told.entry(escalation.reason).or_default() += 1;
            if escalation.closed_at.is_none() {
                *account.open.entry(escalation.reason).or_default() += 1;
            }
        }
        let mut outside = outside.lock();
        account.felt = outside.felt.clone();
        let audit = outside.charter(&Request::get("/sandbox/audit")).json();
        let mut keys = BTreeMap::<&str, u32>::new();
        for call in audit.as_array().into_iter().flatten() {
            let path = call["path"].as_str().unwrap_or_default();
            let foreign = call["key"].as_str().is_some_and(|key| key.starts_with("foreign-"));
            if call["method"] == "POST" && !path.ends_with("/validate") && !foreign {
                account.calls += 1;
                if !call["effect"].is_null() {
                    account.effects += 1;
                    *keys.entry(call["key"].as_str().unwrap_or_default()).or_default() += 1;
                }
            }
        }
        // Where Charter forgets keys it sees none.
        account.twice = keys.iter().filter(|(key, n)| !key.is_empty() && **n > 1).count();
        account
    }
}

impl Outside {
    /// One look at the truth, every `SCRAPE_SECONDS`.
    pub fn look(&mut self) {
        let state = self.truth();
        let number = |value: &serde_json::Value| value.as_f64().unwrap_or(0.0);
        let bad = state["components"].as_array().into_iter().flatten().any(|component| {
            number(&component["failure_rate"]) > FAILING
                || number(&component["oldest_wait_seconds"]) > WAITING_SECONDS
        });
        self.felt.at_end = bad;
        if bad {
            self.felt.minutes += SCRAPE_SECONDS / 60.0;
            self.felt.until = self.now() / 60.0;
        }
    }
}

impl std::fmt::Display for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |items: Vec<String>| {
            if items.is_empty() { "nothing".to_owned() } else { items.join(", ") }
        };
        let told = self.told.iter().map(|(reason, count)| {
            let open =
                self.open.get(reason).map_or(String::new(), |open| format!(" ({open} open)"));
            format!("{count} {}{open}", reason.as_str())
        });
        let verdicts =
            self.verdicts.iter().map(|(action, verdict)| format!("{action} {}", verdict.as_str()));
        write!(
            f,
            "did {}; judged {}; told {}; {} calls, {} effects; {:.1} bad minutes, last at {:.1}{}",
            list(self.actions.iter().map(ToString::to_string).collect()),
            list(verdicts.collect()),
            list(told.collect()),
            self.calls,
            self.effects,
            self.felt.minutes,
            self.felt.until,
            if self.felt.at_end { ", bad at the end" } else { "" },
        )
    }
}
