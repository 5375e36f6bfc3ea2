//! The systems that are read: metrics with their rules, Alertmanager, Charter, Kubernetes and GitHub.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use uuid::Uuid;

use super::{ANSWER, Check, State};
use crate::analyzer::{Found, Tracker};
use crate::cli::observe;
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::CHARTER;
use crate::domain::address;
use crate::domain::cycle::Trigger;
use crate::domain::reading::Source;
use crate::explain::count;
use crate::monitor::Monitor;
use crate::monitor::cluster::review::{self, Permission};
use crate::monitor::github::Github;

/// Metrics, their clock, Alertmanager, and every rule that has no data.
pub(super) async fn metrics(config: &Config, clock: Clock) -> Vec<Check> {
    let interval = config.orchestrator.loop_interval;
    let (settings, alertmanager) = (config.monitor.clone(), config.alertmanager.clone());
    let mut monitor = match Monitor::new(settings, alertmanager, interval, clock) {
        Ok(monitor) => monitor,
        Err(error) => return vec![Check::told("monitor", error.to_string())],
    };
    let read = monitor.observe(&[], None).await;
    let seen = monitor.snapshot(read, &[], &BTreeSet::new());
    let mut checks = Vec::new();
    for source in &seen.sources {
        let name = source.source.as_str();
        let url = match source.source {
            Source::Alertmanager => Some(&config.alertmanager.url),
            _ => config.monitor.server(),
        };
        let at = url.map(|url| format!(" at {}", address::redacted(url))).unwrap_or_default();
        let subject = format!("{name}{at}");
        let check = match &source.result {
            Err(error) => Check::told(subject, error.text.clone()),
            Ok(()) if source.source == Source::Alertmanager => {
                Check::ok(subject, "its alerts can be read")
            }
            Ok(()) => {
                let rules = count(seen.readings.len(), "rule");
                let skew = source.skew.map(|skew| {
                    let way = if skew < 0.0 { "behind" } else { "ahead of" };
                    format!("; its clock is {:.1} s {way} ours", skew.abs())
                });
                Check::ok(subject, format!("{rules} asked{}", skew.unwrap_or_default()))
            }
        };
        checks.push(check.took(source.took));
    }
    if config.monitor.server().is_none() {
        checks.push(Check::off("metrics", "monitor.prometheus_url"));
    }
    if !config.alertmanager.enabled {
        checks.push(Check::off("alertmanager", "alertmanager.enabled"));
    }
    // While the server does not answer, nobody knows what it has.
    if !seen.is_blind() {
        let mut tracker = Tracker::new(config.analyze.clone(), clock.now(), Vec::new());
        let found = Found::default();
        let changes = tracker.observe(&seen, &found, Trigger::Scheduled, &mut Uuid::now_v7);
        let without = changes.rules.into_iter().filter_map(|rule| Some((rule.rule, rule.problem?)));
        checks.extend(without.map(|(rule, problem)| {
            Check::fix(
                format!("rule {rule}"),
                problem,
                "Correct its metric or labels, have it scraped, or remove the rule",
            )
        }));
    }
    checks
}

pub(super) async fn charter(config: &Config, clock: Clock) -> Check {
    let Some(url) = &config.execute.charter_url else {
        return Check::off(CHARTER, "execute.charter_url");
    };
    let subject = format!("{CHARTER} at {}", address::redacted(url));
    let began = Instant::now();
    let check = match observe::charter(config, clock).await {
        Err(error) => Check::told(subject, error.to_string()),
        Ok(view) => match view.map(|view| view.state) {
            Some(Ok(state)) => Check::ok(
                subject,
                format!(
                    "it says that it is {} with {} replicas",
                    <&str>::from(state.status),
                    state.replicas
                ),
            ),
            Some(Err(error)) => Check::told(subject, error),
            None => Check::off(subject, "execute.charter_url"),
        },
    };
    check.took(began.elapsed())
}

/// The API server, and each permission that the configuration needs there.
pub(super) async fn kubernetes(config: &Config) -> Vec<Check> {
    if !config.kubernetes.enabled {
        return vec![Check::off("kubernetes", "kubernetes.enabled")];
    }
    let began = Instant::now();
    let (server, permissions) = match review::review(&config.kubernetes).await {
        Ok(reviewed) => reviewed,
        Err(error) => return vec![Check::told("kubernetes", error.to_string())],
    };
    let took = began.elapsed();
    let subject = format!("kubernetes at {server}");
    // A server that cannot be asked says so to every question: it is told once.
    let mut unasked: Vec<&String> =
        permissions.iter().filter_map(|one| one.allowed.as_ref().err()).collect();
    unasked.dedup();
    let allowed = permissions.iter().filter(|one| one.allowed == Ok(true)).count();
    let mut checks = vec![
        match unasked.first() {
            Some(error) => Check::fix(
                subject,
                format!("the permissions could not be checked: {error}"),
                "Check that it runs and is reached from here, and kubernetes.kubeconfig",
            ),
            None => Check::ok(subject, format!("{allowed} of {} permissions", permissions.len())),
        }
        .took(took),
    ];
    let refused = permissions.iter().filter(|one| one.allowed == Ok(false));
    let mut kinds: BTreeMap<(&str, bool, Option<&str>), Vec<&Permission>> = BTreeMap::new();
    for one in refused {
        let key = (one.resource.as_str(), one.is_optional, one.namespace.as_deref());
        kinds.entry(key).or_default().push(one);
    }
    for ((resource, is_optional, namespace), refused) in kinds {
        let verbs: Vec<&str> = refused.iter().map(|one| one.verb).collect();
        let verbs = verbs.join(" and ");
        let place = namespace.map_or_else(String::new, |name| format!(" in namespace {name}"));
        let subject = format!("permission {verbs} {resource}{place}");
        if is_optional {
            let found = "refused: objects of this kind are not watched; all else works";
            checks.push(Check::new(State::Note, subject, found));
            continue;
        }
        let role = if namespace.is_some() { "Role" } else { "ClusterRole" };
        let group = refused.first().map_or("", |one| one.group);
        checks.push(Check::fix(
            subject,
            "refused",
            format!(
                "Give mape-k's {role} the verbs {verbs} on {resource} (apiGroup {group:?}), or leave the kind out of kubernetes.kinds"
            ),
        ));
    }
    checks
}

pub(super) async fn github(config: &Config, clock: Clock) -> Check {
    if !config.github.enabled {
        return Check::off("github", "github.enabled");
    }
    let subject = format!("github at {}", address::redacted(&config.github.api_url));
    let began = Instant::now();
    let asked = async {
        let github = Github::new(&config.github, clock).map_err(|error| error.to_string())?;
        let deadline = tokio::time::Instant::now() + ANSWER;
        let commits = github.commits("README.md", clock.now(), deadline).await;
        commits.map_err(|error| error.to_string())
    };
    let check = match asked.await {
        Ok(_) => Check::ok(subject, "the repository's commits can be read"),
        Err(error) => Check::told(subject, error),
    };
    check.took(began.elapsed())
}
