//! What is checked on this machine: the store, disarmed guards and the programs of hooks.

use std::fs;
use std::path::Path;
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

/// Can reports and backups be written? Writes a file and removes it; the daemon makes the folders that are missing.
pub(super) fn reports(config: &Config) -> Check {
    let Some(reports) = &config.escalation.reports_dir else {
        return Check::off("reports", "escalation.reports_dir");
    };
    for folder in [reports.clone(), reports.join("incidents")] {
        let there = folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
        let file = there.join(format!(".mape-k-doctor-{}", std::process::id()));
        if let Err(error) = fs::write(&file, "test").and_then(|()| fs::remove_file(&file)) {
            return Check::fix(
                "reports",
                format!("cannot write to {}: {error}", there.display()),
                "Make the folder writable for this user, or set escalation.reports_dir",
            );
        }
    }
    Check::ok("reports", format!("{} can be written", reports.display()))
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
