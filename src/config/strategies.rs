//! `plan.strategies`: each cause's candidates, an action with its parameters and what it comes after.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value as Json};

use super::duration;
use super::hooks::Actions;
use super::reader::{Item, Section};
use super::tree::Value;
use super::values::{self, boolean, count, number_above_zero, one_of, text};
use crate::domain::action::spec::ActionSpec;
use crate::domain::action::{ActionKind, RebalanceStrategy};
use crate::domain::target::System;
use crate::domain::{Cause, legible};
use crate::planner::Strategy;

/// Without Charter (`charter` is false) what changes it is left out, with a warning: to turn Charter off is one key, and not
/// one beside many others to be deleted.
pub(super) fn read(
    entries: Vec<(&str, Item<'_>)>,
    actions: &Actions,
    charter: bool,
) -> BTreeMap<Cause, Vec<Strategy>> {
    let mut strategies = BTreeMap::new();
    for (name, item) in entries {
        let cause = Cause::new(name);
        if name.trim().is_empty() {
            item.error("a cause without a name");
        } else if !values::is_what_it_looks_like(name) {
            item.error(format!(
                "the cause {} has characters that look like others or hide",
                legible::name(name)
            ));
        } else if cause.is_unknown() || name == Cause::SCALE_BACK {
            item.error(format!("{name} takes no strategy; accepted: the name of a fault's cause"));
        }
        let Some(candidates) = item.into_list() else { continue };
        strategies.insert(cause, candidates_of(candidates, actions, charter));
    }
    strategies
}

fn candidates_of(items: Vec<Item<'_>>, actions: &Actions, charter: bool) -> Vec<Strategy> {
    let read: Vec<_> = items
        .into_iter()
        .filter_map(|item| {
            let mut section = item.into_section()?;
            let strategy = candidate(&mut section, actions);
            Some((section, strategy))
        })
        .collect();
    let all: Vec<_> = read.iter().filter_map(|(_, strategy)| strategy.clone()).collect();
    for (section, strategy) in &read {
        if let Some(strategy) = strategy {
            check_after(section, strategy, &all);
            if !charter && is_of_charter(strategy.action) {
                section.warn_here(format!(
                    "{} is left out: it changes Charter, which execute.charter_url null turns off",
                    strategy.action
                ));
            }
        }
    }
    if charter { all } else { without_charter(all) }
}

fn is_of_charter(kind: ActionKind) -> bool {
    kind.system() == System::Charter
}

/// What came after an action of Charter's has no longer anything to wait for.
fn without_charter(mut strategies: Vec<Strategy>) -> Vec<Strategy> {
    strategies.retain(|strategy| !is_of_charter(strategy.action));
    for strategy in &mut strategies {
        strategy.after = strategy.after.filter(|before| !is_of_charter(*before));
    }
    strategies
}

/// `after` must name another action of the list, and following it must come to an end.
fn check_after(section: &Section<'_>, strategy: &Strategy, all: &[Strategy]) {
    let Some(first) = strategy.after else { return };
    if !all.iter().any(|other| other.action == first) {
        section.error("after", format!("{first} is not an action of this cause's list"));
        return;
    }
    let mut next = Some(first);
    // Each step is another candidate, so a chain without a circle ends within the list's length.
    for _ in 0..all.len() {
        let Some(action) = next else { return };
        if action == strategy.action {
            let text = format!("{action} would come after itself; accepted: an order with a first");
            section.error("after", text);
            return;
        }
        next = all.iter().find(|other| other.action == action).and_then(|other| other.after);
    }
}

fn candidate(section: &mut Section<'_>, actions: &Actions) -> Option<Strategy> {
    let action = section.required("action", |value| actions.value(value));
    // Nothing is known of a candidate without its action: its parameters are all accepted, and checked next time.
    let mut strategy = Strategy::new(action.unwrap_or(ActionKind::ScaleUp));
    section.optional("after", &mut strategy.after, |value| actions.value(value));
    section.optional("replicas", &mut strategy.replicas, count(1..=100_000));
    section.optional("service", &mut strategy.service, text);
    section.optional("graceful", &mut strategy.graceful, boolean);
    section.optional("policy_set", &mut strategy.policy_set, text);
    section.optional("validation_type", &mut strategy.validation_type, text);
    section.optional("rate_limit", &mut strategy.rate_limit, number_above_zero);
    // Charter counts whole seconds.
    section.optional("duration_seconds", &mut strategy.duration_seconds, |value| {
        duration::parse(value)
            .filter(|duration| duration.as_secs() >= 1 && duration.subsec_nanos() == 0)
            .ok_or_else(|| format!("{}, whole seconds from 1", duration::FORMS))
    });
    section.optional(
        "strategy",
        &mut strategy.strategy,
        one_of(&[
            ("round_robin", RebalanceStrategy::RoundRobin),
            ("least_loaded", RebalanceStrategy::LeastLoaded),
        ]),
    );
    if let Some(entries) = section.map("settings") {
        let json = |(key, item): (&str, Item<'_>)| Some((key.to_owned(), json(&item)?));
        strategy.settings = Some(entries.into_iter().filter_map(json).collect::<Map<_, _>>());
    }
    let action = action?;
    check_parameters(section, action);
    Some(strategy)
}

/// Refuses parameters of other actions; warns of missing ones that nothing computes.
fn check_parameters(section: &Section<'_>, action: ActionKind) {
    const ALL: [&str; 9] = [
        "replicas",
        "service",
        "graceful",
        "policy_set",
        "validation_type",
        "rate_limit",
        "duration_seconds",
        "strategy",
        "settings",
    ];
    let ActionSpec { parameters: accepted, required: needed, .. } = action.spec();
    for key in ALL.into_iter().filter(|key| section.is_given(key) && !accepted.contains(key)) {
        let takes = accepted.join(", ");
        section.error(key, format!("not a parameter of {action}; accepted: {takes}"));
    }
    for key in needed.iter().filter(|key| !section.is_given(key)) {
        section.warn_here(format!("{action} without {key}: it can never be planned"));
    }
}

/// Free values for Charter; what JSON cannot hold is refused.
fn json(item: &Item<'_>) -> Option<Json> {
    let value = to_json(&item.node.value);
    if value.is_none() {
        item.error("NaN and infinities are not accepted");
    }
    value
}

fn to_json(value: &Value) -> Option<Json> {
    Some(match value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Int(value) => match (u64::try_from(*value), i64::try_from(*value)) {
            (Ok(value), _) => Json::from(value),
            (_, Ok(value)) => Json::from(value),
            _ => return None,
        },
        Value::Float(value) => Json::Number(Number::from_f64(*value)?),
        Value::Text(text) | Value::Word(text) => Json::String(text.clone()),
        Value::List(items) => {
            Json::Array(items.iter().map(|item| to_json(&item.value)).collect::<Option<_>>()?)
        }
        Value::Map(entries) => Json::Object(
            entries
                .iter()
                .map(|entry| Some((entry.key.clone(), to_json(&entry.node.value)?)))
                .collect::<Option<_>>()?,
        ),
    })
}
