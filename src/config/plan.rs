//! The `plan` section.

use std::time::Duration;

use super::hooks::Actions;
use super::reader::Section;
use super::strategies;
use super::values::{count, number, positive, share};
use crate::planner::settings::{Scaling, Settings};

pub(super) fn read(
    mut section: Section<'_>,
    interval: Duration,
    actions: &Actions,
    charter: bool,
) -> Settings {
    let mut settings = Settings::default();
    for (name, item) in section.map("cost_model").unwrap_or_default() {
        match actions.named(name) {
            Ok(kind) => {
                if let Some(cost) = item.parse(share) {
                    settings.cost_model.insert(kind, cost);
                }
            }
            Err(accepted) => item.error(format!("no such action; accepted: {accepted}")),
        }
    }
    section.read("benefit_target", &mut settings.benefit_target, share);
    section.read("min_confidence", &mut settings.min_confidence, share);
    // A score is a benefit up to 1 minus a cost up to 1.
    section.read("min_score", &mut settings.min_score, number(-1.0..=1.0));
    section.read(
        "max_policies_per_analysis",
        &mut settings.max_policies_per_analysis,
        count(1..=100),
    );
    section.read("approval_ttl", &mut settings.approval_ttl, positive);
    if settings.approval_ttl < interval * 3 {
        section.error(
            "approval_ttl",
            "shorter than three of orchestrator.loop_interval: an approval would expire before a cycle could use it",
        );
    }
    scaling(section.section("scaling"), &mut settings.scaling);
    let mut give_back = section.section("give_back");
    give_back.optional("after", &mut settings.give_back.after, positive);
    if !charter {
        // What is shipped changes Charter.
        settings.strategies.clear();
    }
    let entries = section.map("strategies").unwrap_or_default();
    settings.strategies.extend(strategies::read(entries, actions, charter));
    settings
}

fn scaling(mut section: Section<'_>, scaling: &mut Scaling) {
    section.read("factor", &mut scaling.factor, number(1.01..=10.0));
    section.read("min_replicas", &mut scaling.min_replicas, count(1..=100_000));
    section.read("max_replicas", &mut scaling.max_replicas, count(1..=100_000));
    if scaling.min_replicas > scaling.max_replicas {
        section.error(
            "min_replicas",
            format!(
                "{} is more than max_replicas {}; accepted: min_replicas up to max_replicas",
                scaling.min_replicas, scaling.max_replicas
            ),
        );
    }
    if scaling.factor > 2.0 {
        section.warn("factor", "above 2 makes no difference: one step at most doubles");
    }
}
