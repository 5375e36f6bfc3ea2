//! The `execute` section.

use super::hooks::Actions;
use super::reader::Section;
use super::tree::Value;
use super::values::{base_url, boolean, count, duration_or_zero, one_of, positive};
use crate::actuators::hook;
use crate::domain::execution::ExecutionMode;
use crate::executor::settings::{Idempotency, Settings};

pub(super) fn read(
    mut section: Section<'_>,
    actions: &Actions,
    hooks: &hook::Settings,
) -> Settings {
    let mut settings = Settings::default();
    section.optional("charter_url", &mut settings.charter_url, base_url);
    section.secret("charter_api_key", "charter_api_key_file", &mut settings.charter_api_key);
    let token = settings.charter_api_key.as_ref().map(|_| "charter_api_key");
    settings.http = section.http(settings.charter_url.as_ref(), token);
    section.read("timeout_seconds", &mut settings.timeout_seconds, positive);
    section.read("policy_timeout", &mut settings.policy_timeout, positive);
    if settings.policy_timeout < settings.timeout_seconds {
        section.warn(
            "policy_timeout",
            "shorter than timeout_seconds: a policy ends before one of its calls may time out",
        );
    }
    let cut = settings.policy_timeout * 9 / 10;
    for hook in hooks.hooks.iter().filter(|hook| hook.timeout > cut) {
        section.warn_here(format!(
            "hook {} has a timeout of {} s, and its calls are cut after {} s, nine tenths of policy_timeout: their end is then not known. Raise policy_timeout",
            hook.name,
            hook.timeout.as_secs_f64(),
            cut.as_secs_f64(),
        ));
    }
    section.read("max_retries", &mut settings.max_retries, count(1..=10));
    section.read("rollback_enabled", &mut settings.rollback_enabled, boolean);
    section.read(
        "execution_mode",
        &mut settings.execution_mode,
        one_of(&[
            ("transactional", ExecutionMode::Transactional),
            ("best_effort", ExecutionMode::BestEffort),
        ]),
    );
    section.read("idempotent_charter", &mut settings.idempotent_charter, |value| match value {
        Value::Text(text) if text == "auto" => Ok(Idempotency::Auto),
        Value::Bool(true) => Ok(Idempotency::Yes),
        Value::Bool(false) => Ok(Idempotency::No),
        _ => Err("auto, true or false".to_owned()),
    });
    section.read("settle_default", &mut settings.settle_default, duration_or_zero);
    for (name, item) in section.map("settle").unwrap_or_default() {
        match actions.named(name) {
            Ok(kind) => {
                if let Some(settle) = item.parse(duration_or_zero) {
                    settings.settle.insert(kind, settle);
                }
            }
            Err(accepted) => item.error(format!("no such action; accepted: {accepted}")),
        }
    }
    settings
}
