//! What is checked on this machine: the store, and the programs of hooks.

use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::fs::{Access, access};

use super::{ANSWER, Check};
use crate::actuators::hook::settings::{Hook, Verb};
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

/// Every program that a hook calls. Nothing of them is run.
pub(super) fn hooks(config: &Config) -> Vec<Check> {
    config.hooks.hooks.iter().flat_map(|hook| of_hook(hook, config)).collect()
}

fn of_hook(hook: &Hook, config: &Config) -> Vec<Check> {
    let verbs = [
        ("validate", hook.validate.as_ref()),
        ("apply", Some(&hook.apply)),
        ("probe", hook.probe.as_ref()),
        ("undo", hook.undo.as_ref()),
    ];
    let check = |(name, verb): (&str, &Verb)| {
        let Verb::Command(argv) = verb else { return None };
        let subject = format!("hook {} {name}", hook.name);
        let program = argv.first()?;
        Some(match find(program, config.hooks.inherited.get("PATH")) {
            Some(path) => Check::ok(subject, format!("{} can be executed", path.display())),
            None => Check::fix(
                subject,
                format!("there is no program {program:?} that this user may execute"),
                "Install it, or name its path in hooks; in a container it must be in the image",
            ),
        })
    };
    let verbs = verbs.into_iter().filter_map(|(name, verb)| Some((name, verb?)));
    let mut checks: Vec<Check> = verbs.filter_map(check).collect();
    for (variable, _) in hook.environment.iter().filter(|(_, value)| value.is_none()) {
        checks.push(Check::fix(
            format!("hook {}", hook.name),
            format!("its variable {variable} is not set in this environment"),
            "Set it where the daemon is started, or leave it out of the hook's environment",
        ));
    }
    checks
}

fn find(program: &str, path: Option<&String>) -> Option<PathBuf> {
    let is_program = |path: &Path| path.is_file() && access(path, Access::EXEC_OK).is_ok();
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|path| is_program(path));
    }
    let folders = std::env::split_paths(path?).collect::<Vec<_>>();
    folders.into_iter().map(|folder| folder.join(program)).find(|path| is_program(path))
}
