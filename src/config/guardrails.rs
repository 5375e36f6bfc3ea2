//! The `guardrails` section.

use std::time::Duration;

use super::hooks::Actions;
use super::reader::{Accepted, Section};
use super::tree::Value;
use super::values::{boolean, count, duration_or_zero, one_of, positive, share, text};
use crate::planner::Settings;
use crate::planner::guardrails::{Guardrails, Kubernetes, Mode};

/// What the ledger remembers.
const DAY: Duration = Duration::from_secs(86_400);

/// Names and patterns of protected namespaces; more would be a policy of their own.
const MAX_NAMESPACES: usize = 100;

/// For how long the tracker knows beginnings at least.
const ONSETS: Duration = Duration::from_secs(300);

pub(super) fn read(mut section: Section<'_>, plan: &Settings, actions: &Actions) -> Guardrails {
    let mut rails = Guardrails::default();
    section.read(
        "mode",
        &mut rails.mode,
        one_of(&[("observe", Mode::Observe), ("suggest", Mode::Suggest), ("act", Mode::Act)]),
    );
    section.read("auto_approve_high_risk", &mut rails.auto_approve_high_risk, boolean);
    for item in section.list("forbidden_actions").unwrap_or_default() {
        rails.forbidden_actions.extend(item.parse(|value| actions.value(value)));
    }
    section.read("actions_per_incident", &mut rails.actions_per_incident, count(1..=100));
    section.read(
        "actions_per_cause_per_day",
        &mut rails.actions_per_cause_per_day,
        count(1..=1000),
    );
    section.read("failures_per_remedy", &mut rails.failures_per_remedy, count(1..=100));
    section.read("temporary_limit", &mut rails.temporary_limit, positive);
    for (cause, strategies) in &plan.strategies {
        for strategy in strategies {
            if strategy.duration_seconds.is_some_and(|lasts| lasts > rails.temporary_limit) {
                let text = format!(
                    "plan.strategies asks for {} of {cause} for longer than this",
                    strategy.action
                );
                section.error("temporary_limit", text);
            }
        }
    }
    let mut cooldown = section.section("cooldown");
    cooldown.read("shortest", &mut rails.cooldown.shortest, duration_or_zero);
    cooldown.read("longest", &mut rails.cooldown.longest, positive);
    cooldown.read("opposite", &mut rails.cooldown.opposite, duration_or_zero);
    for (key, lasts) in [("longest", rails.cooldown.longest), ("opposite", rails.cooldown.opposite)]
    {
        if lasts > DAY {
            cooldown.error(key, "longer than the day that is remembered");
        }
    }
    if rails.cooldown.longest < rails.cooldown.shortest {
        cooldown.error("longest", "shorter than shortest");
    }
    let mut budget = section.section("budget");
    budget.read("per_hour", &mut rails.budget.per_hour, count(1..=1000));
    budget.read("per_target_per_hour", &mut rails.budget.per_target_per_hour, count(1..=1000));
    budget.read("override_gap", &mut rails.budget.override_gap, duration_or_zero);
    if rails.budget.override_gap > DAY {
        budget.error("override_gap", "longer than the day that is remembered");
    }
    budget.read("overrides_per_day", &mut rails.budget.overrides_per_day, count(0..=1000));
    let mut fleet = section.section("fleet");
    fleet.read("share", &mut rails.fleet.share, share);
    for item in fleet.list("redundancy_groups").unwrap_or_default() {
        let members = item.into_list().unwrap_or_default();
        let group = members.iter().filter_map(|member| member.parse(text)).collect();
        rails.fleet.redundancy_groups.push(group);
    }
    let mut breaker = section.section("breaker");
    breaker.read("degradations", &mut rails.breaker.degradations, count(1..=100));
    breaker.read("of", &mut rails.breaker.of, count(1..=100));
    breaker.read("ineffective", &mut rails.breaker.ineffective, count(1..=100));
    breaker.read("open_for", &mut rails.breaker.open_for, positive);
    if rails.breaker.of < rails.breaker.degradations {
        breaker.error("of", "fewer than degradations: it would never open");
    }
    let mut storm = section.section("storm");
    storm.read("firing", &mut rails.storm.firing, share);
    storm.read("within", &mut rails.storm.within, positive);
    if rails.storm.within > ONSETS {
        storm.error("within", "longer than beginnings are remembered (5 min)");
    }
    storm.read("unhealthy", &mut rails.storm.unhealthy, share);
    storm.read("min_components", &mut rails.storm.min_components, count(1..=100_000));
    storm.read("min_sick", &mut rails.storm.min_sick, count(1..=100_000));
    storm.read("leave_after", &mut rails.storm.leave_after, duration_or_zero);
    kubernetes(section.section("kubernetes"), &mut rails.kubernetes);
    rails
}

fn kubernetes(mut section: Section<'_>, rails: &mut Kubernetes) {
    section.read("per_hour", &mut rails.per_hour, count(1..=1000));
    section.read("per_namespace_per_hour", &mut rails.per_namespace_per_hour, count(1..=1000));
    section.read("per_workload_per_hour", &mut rails.per_workload_per_hour, count(1..=1000));
    section.read("at_once", &mut rails.at_once, count(1..=1000));
    section.read("at_once_per_namespace", &mut rails.at_once_per_namespace, count(1..=1000));
    if let Some(given) = section.distinct("protected_namespaces", MAX_NAMESPACES, pattern) {
        rails.protected_namespaces = given;
    }
    let mut storm = section.section("storm");
    storm.read("not_ready", &mut rails.storm.not_ready, share);
    storm.read("min_nodes", &mut rails.storm.min_nodes, count(1..=100_000));
    storm.read("sick", &mut rails.storm.sick, share);
    storm.read("min_workloads", &mut rails.storm.min_workloads, count(1..=100_000));
    storm.read("within", &mut rails.storm.within, positive);
    storm.read("leave_after", &mut rails.storm.leave_after, duration_or_zero);
}

fn pattern(value: &Value) -> Result<String, Accepted> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_pattern = |given: &String| {
        let start = given.strip_suffix('*').unwrap_or(given);
        !given.is_empty() && given.len() <= 63 && start.chars().all(fits)
    };
    text(value).ok().filter(is_pattern).ok_or_else(|| {
        "a namespace's name, or the beginning of some with a * behind it, such as kube-*".to_owned()
    })
}
