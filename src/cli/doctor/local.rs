//! What is checked on this machine: the store, disarmed guards and the programs of hooks.

use std::time::Instant;

use super::{ANSWER, Check, State};
use crate::config::Config;
use crate::knowledge;

pub(super) async fn store(config: &Config) -> Check {
    let began = Instant::now();
    let check = match tokio::time::timeout(ANSWER, knowledge::probe(&config.knowledge)).await {
        Ok(Ok(found)) => Check::ok("store", found),
        Ok(Err(error)) => Check::told("store", error.to_string()),
        Err(_) => Check::fix(
            "store",
            format!("no answer within {} s", ANSWER.as_secs()),
            "Check that the database runs and is reached from here (knowledge.postgres_url)",
        ),
    };
    check.took(began.elapsed())
}

/// What a valid configuration leaves open: guards that hold nothing back, programs that are not there.
pub(super) fn advice(config: &Config) -> Vec<Check> {
    // Of notifiers more is known than that: their servers are asked.
    let advice = config.advice().into_iter().filter(|one| one.path != "notify");
    let mut checks: Vec<Check> = advice
        .map(|one| {
            let is_to_fix = ["guardrails", "hooks"].iter().any(|key| one.path.starts_with(key));
            let state = if is_to_fix { State::Fix } else { State::Note };
            Check::new(state, one.path, one.text)
        })
        .collect();
    for hook in &config.hooks.hooks {
        for (variable, _) in hook.environment.iter().filter(|(_, value)| value.is_none()) {
            checks.push(Check::fix(
                format!("hooks[{}].environment", hook.name),
                format!("{variable} is not set in this environment"),
                "Set it where the daemon is started, or leave it out of the hook's environment",
            ));
        }
    }
    checks
}
