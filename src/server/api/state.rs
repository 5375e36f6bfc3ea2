//! The loop's present state and its sums.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::domain::Cause;
use crate::domain::cycle::CycleStatus;
use crate::domain::escalation::Escalation;
use crate::domain::outcome::ActionStatistics;
use crate::domain::pause::Pause;
use crate::domain::reading::Source;
use crate::domain::rule::Severity;
use crate::domain::standing::Standing;
use crate::domain::temporary::InForce;
use crate::domain::time::Time;
use crate::domain::view::{RuleHealth, ShownAlert, SourceStatus};
use crate::domain::{charter::CommitteeState, violation::Violation};
use crate::knowledge::documents;
use crate::server::Context;
use crate::server::reply::ApiError;

/// Alerts shown at once; their number says how many there are.
const MAX_ALERTS: usize = 500;

/// The key under which `by_component` counts violations that belong to no component.
const NO_COMPONENT: &str = "(none)";

#[derive(Debug, Serialize)]
pub(super) struct LoopState {
    running: bool,
    iteration: u64,
    started_at: Option<Time>,
    last_update: Option<Time>,
    violations: usize,
    policies_generated: u64,
    policies_executed: u64,
    last_error: Option<String>,
    last_status: Option<CycleStatus>,
    /// Who paused it, why and until when; null while it may act.
    paused: Option<Pause>,
    /// Mode, breaker, storm and budget after the last cycle; null before the first and when it broke off.
    standing: Option<Standing>,
    /// Throttles, bypasses and overrides at work at Charter now, so far as the journal knows.
    in_force: Vec<InForce>,
    interval_seconds: f64,
    sources: Vec<SourceStatus>,
    /// Rules without good data; all others are well.
    rules_without_good_data: Vec<RuleHealth>,
    charter: Option<Charter>,
    /// Alerts that are shown only, or wait for people.
    alerts: Vec<ShownAlert>,
    alerts_total: usize,
}

#[derive(Debug, Serialize)]
struct Charter {
    at: Time,
    state: Option<CommitteeState>,
    error: Option<String>,
}

pub(super) async fn state(State(context): State<Context>) -> Result<Json<LoopState>, ApiError> {
    // From the store and not from the view: a pause shows as soon as it is set.
    let paused = context.knowledge.paused(context.handle.now()).await?;
    let in_force = context.knowledge.in_force().await?;
    let view = context.handle.view();
    let charter = view.charter.as_ref().map(|charter| Charter {
        at: charter.at,
        state: charter.state.as_ref().ok().cloned(),
        error: charter.state.as_ref().err().cloned(),
    });
    Ok(Json(LoopState {
        running: view.running,
        iteration: view.iteration,
        started_at: view.started_at,
        last_update: view.last_update,
        violations: active(&view.violations).count(),
        policies_generated: view.policies_generated,
        policies_executed: view.policies_executed,
        last_error: view.last_error.clone(),
        last_status: view.last_status,
        paused,
        standing: view.standing.clone(),
        in_force,
        interval_seconds: view.interval.as_secs_f64(),
        sources: view.sources.clone(),
        rules_without_good_data: view.rules.iter().filter(|rule| !rule.good).cloned().collect(),
        charter,
        alerts: view.alerts.iter().take(MAX_ALERTS).cloned().collect(),
        alerts_total: view.alerts.len(),
    }))
}

#[derive(Debug, Serialize)]
pub(super) struct Statistics {
    uptime_seconds: f64,
    totals: Totals,
    violations: Sums,
    knowledge: Vec<ActionStatistics>,
    /// Episodes in which a remedy was due and nothing was done, by cause.
    natural_recovery: Vec<NaturalRecovery>,
}

#[derive(Debug, Serialize)]
struct NaturalRecovery {
    cause: Cause,
    episodes: u32,
    recovered: u32,
    /// With a prior of eight episodes without a recovery.
    probability: f64,
}

/// Since the start of the process, but for what is active or open now.
#[derive(Debug, Serialize)]
struct Totals {
    cycles: u64,
    violations_active: usize,
    policies_generated: u64,
    policies_executed: u64,
    alerts_received: u64,
    alerts_accepted: u64,
    alerts_processed: u64,
    escalations_open: usize,
}

#[derive(Debug, Serialize)]
struct Sums {
    #[serde(rename = "by_severity")]
    severity: BTreeMap<&'static str, usize>,
    #[serde(rename = "by_source")]
    source: BTreeMap<&'static str, usize>,
    #[serde(rename = "by_component")]
    component: BTreeMap<String, usize>,
}

pub(super) async fn statistics(
    State(context): State<Context>,
) -> Result<Json<Statistics>, ApiError> {
    let view = context.handle.view();
    let open = context.knowledge.all::<Escalation>(Some(documents::OPEN)).await?;
    let natural = context.knowledge.natural().await?;
    let alerts = context.metrics.alert_totals();
    Ok(Json(Statistics {
        uptime_seconds: context.uptime().as_secs_f64(),
        totals: Totals {
            cycles: view.iteration,
            violations_active: active(&view.violations).count(),
            policies_generated: view.policies_generated,
            policies_executed: view.policies_executed,
            alerts_received: alerts.received,
            alerts_accepted: alerts.accepted,
            alerts_processed: alerts.processed,
            escalations_open: open.len(),
        },
        violations: sums(&view.violations),
        knowledge: view.statistics.clone(),
        natural_recovery: natural
            .counts
            .into_iter()
            .map(|(cause, count)| NaturalRecovery {
                cause,
                episodes: count.episodes,
                recovered: count.recovered,
                probability: count.probability(),
            })
            .collect(),
    }))
}

fn active(violations: &[Violation]) -> impl Iterator<Item = &Violation> {
    violations.iter().filter(|violation| violation.cleared_at.is_none())
}

fn sums(violations: &[Violation]) -> Sums {
    let mut sums = Sums {
        severity: Severity::ALL.map(|severity| (severity.as_str(), 0)).into(),
        source: Source::ALL.map(|source| (source.as_str(), 0)).into(),
        component: BTreeMap::new(),
    };
    for violation in active(violations) {
        *sums.severity.entry(violation.severity.as_str()).or_default() += 1;
        *sums.source.entry(violation.source.as_str()).or_default() += 1;
        let component = violation.component.as_deref().unwrap_or(NO_COMPONENT);
        *sums.component.entry(component.to_owned()).or_default() += 1;
    }
    sums
}
