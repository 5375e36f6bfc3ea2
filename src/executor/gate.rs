//! The last line before a call: may this action of this policy be sent at this very moment, however it came here?
//!
//! Asked before each action begins and, once its try is in the journal, before every try. What was in the journal before
//! a pause is under way and is finished; nothing begins after it.

use std::collections::BTreeSet;

use super::journal::JournalError;
use super::transaction::{Halt, JOURNAL_TIMEOUT, Transaction};
use crate::domain::action::{Action, ActionKind, Risk};
use crate::domain::execution::ActionState;
use crate::domain::policy::Policy;
use crate::domain::time::Time;

/// What the `guardrails` section forbids, whether or not a person approved it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rails {
    /// Mode observe: no system is ever changed.
    pub observe: bool,
    /// Mode suggest: nothing goes out without a person.
    pub suggest: bool,
    /// High risk may go out without a person.
    pub auto_approve_high_risk: bool,
    pub forbidden: BTreeSet<ActionKind>,
    /// Hooks that go out only when a person has approved them.
    pub asks: BTreeSet<ActionKind>,
}

/// Why it may not be sent; `None`: it may.
fn refusal(rails: &Rails, policy: &Policy, action: &Action, now: Time) -> Option<String> {
    if rails.forbidden.contains(&action.kind()) {
        return Some(format!("{} is forbidden (guardrails.forbidden_actions)", action.kind()));
    }
    let grant = match policy.granted(now) {
        Ok(grant) => grant,
        Err(error) => return Some(error.to_string()),
    };
    let risky = policy.highest_risk() == Risk::High;
    if grant.is_auto() && rails.suggest {
        return Some("guardrails.mode is suggest, and no person has approved it".to_owned());
    }
    if grant.is_auto() && rails.asks.contains(&action.kind()) {
        return Some(format!(
            "{} waits for a person each time, and none has approved it",
            action.kind()
        ));
    }
    if grant.is_auto() && risky && !rails.auto_approve_high_risk {
        return Some(
            "its risk is high, and no person has approved it (guardrails.auto_approve_high_risk)"
                .to_owned(),
        );
    }
    None
}

impl Transaction<'_> {
    /// Why nothing at all may be sent. Once said it stands for the rest of the execution, and nothing is undone either:
    /// the person who paused wants Charter left as it is.
    pub(super) async fn halted(&mut self) -> Result<Option<String>, Halt> {
        if self.hands_off.is_some() {
            return Ok(self.hands_off.clone());
        }
        let asked = tokio::time::timeout(JOURNAL_TIMEOUT, self.journal.halted()).await;
        let said = asked.unwrap_or_else(|_| {
            Err(JournalError(format!("no answer in {} s", JOURNAL_TIMEOUT.as_secs())))
        });
        self.hands_off = said.map_err(Halt::Gate)?.or_else(|| {
            let observing = self.settings.rails.observe;
            observing.then(|| "guardrails.mode is observe".to_owned())
        });
        Ok(self.hands_off.clone())
    }

    /// Why this action may not be sent, or undone, at this moment.
    pub(super) async fn barred(&mut self, index: usize) -> Result<Option<String>, Halt> {
        if let Some(why) = self.halted().await? {
            return Ok(Some(why));
        }
        let record = &self.execution.actions[index];
        if record.state == ActionState::UndoSent {
            // Who allowed an action has allowed taking it back, also a minute too late.
            return Ok(None);
        }
        let Some(policy) = self.policy else {
            return Ok(Some(
                "what an earlier process left is only undone, never done anew".to_owned(),
            ));
        };
        Ok(refusal(&self.settings.rails, policy, &record.action, (self.now)()))
    }
}
