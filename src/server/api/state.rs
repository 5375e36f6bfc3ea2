//! The loop's present state and its sums.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::Cause;
use crate::domain::cycle::CycleStatus;
use crate::domain::expiring_action::InForce;
use crate::domain::loop_status::LoopStatus;
use crate::domain::need::Need;
use crate::domain::outcome::ActionStatistics;
use crate::domain::pause::Pause;
use crate::domain::reading::Source;
use crate::domain::rule::Severity;
use crate::domain::time::Time;
use crate::domain::view::{RuleHealth, ShownAlert, SourceStatus};
use crate::domain::{charter::CommitteeState, violation::Violation};
use crate::knowledge::documents;
use crate::server::Context;
use crate::server::reply::ApiError;

/// Alerts shown at once; their number says how many there are.
const MAX_ALERTS: usize = 500;

/// One for each (reason, cause, component, subject): far fewer.
pub(super) const MOST_OPEN: usize = 10_000;

/// The key under which `by_component` counts violations that belong to no component.
const NO_COMPONENT: &str = "(none)";

/// The loop's present state.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LoopState {
    running: bool,
    /// Of several replicas on one store one leads; a follower runs no cycles, so that what only cycles know is empty here.
    leading: bool,
    leader: Option<LeaderState>,
    iteration: u64,
    started_at: Option<Time>,
    last_update: Option<Time>,
    /// How many are active, findings of the cluster among them; `mape_k_violations_active` counts without.
    violations: usize,
    policies_generated: u64,
    policies_executed: u64,
    last_error: Option<String>,
    last_status: Option<CycleStatus>,
    /// Who paused it, why and until when; null while it may act.
    paused: Option<Pause>,
    /// Mode, breaker, storm and budget after the last cycle; null before the first and when it broke off.
    standing: Option<LoopStatus>,
    /// Throttles, bypasses and overrides in force at Charter now, as the journal knows them.
    in_force: Vec<InForce>,
    /// From one scheduled cycle to the next.
    interval_seconds: f64,
    sources: Vec<SourceStatus>,
    /// Rules whose data was missing or incomplete in the last cycle.
    rules_without_good_data: Vec<RuleHealth>,
    charter: Option<Charter>,
    /// Alerts that are shown only, or need people.
    alerts: Vec<ShownAlert>,
    /// How many there are; `alerts` shows 500 at most.
    alerts_total: usize,
}

/// The leader as last read from the store; null before the first time.
#[derive(Debug, Serialize, ToSchema)]
struct LeaderState {
    holder: String,
    epoch: u64,
    /// Its lease has not run out.
    known: bool,
}

/// Charter's state as the last cycle read it, or why it could not.
#[derive(Debug, Serialize, ToSchema)]
struct Charter {
    at: Time,
    state: Option<CommitteeState>,
    error: Option<String>,
}

/// The loop's present state: who leads, who paused it, its mode and guards, what it can read.
#[utoipa::path(
    get,
    path = "/api/v1/state",
    tag = "Present",
    responses((status = 200, description = "As of the last cycle; a pause shows at once.", body = LoopState))
)]
pub(super) async fn state(State(context): State<Context>) -> Result<Json<LoopState>, ApiError> {
    // From the store and not from the view: a pause shows as soon as it is set.
    let paused = context.knowledge.paused(context.handle.now()).await?;
    let in_force = context.knowledge.in_force().await?;
    let violations = super::violations::present(&context).await?;
    let view = context.handle.view();
    let charter = view.charter.as_ref().map(|charter| Charter {
        at: charter.at,
        state: charter.state.as_ref().ok().cloned(),
        error: charter.state.as_ref().err().cloned(),
    });
    let leader = context.handle.leader();
    Ok(Json(LoopState {
        running: view.running,
        leading: leader.leads(),
        leader: (!leader.holder.is_empty()).then(|| LeaderState {
            known: leader.is_known(),
            epoch: leader.epoch,
            holder: leader.holder,
        }),
        iteration: view.iteration,
        started_at: view.started_at,
        last_update: view.last_update,
        violations: active(&violations).count(),
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

/// Sums, and what was learned.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Statistics {
    uptime_seconds: f64,
    totals: Totals,
    violations: Sums,
    /// What is known of each action for each cause.
    knowledge: Vec<ActionStatistics>,
    /// Episodes in which an action was due and none was taken, by cause.
    natural_recovery: Vec<NaturalRecovery>,
}

/// How often the violations of a cause clear by themselves.
#[derive(Debug, Serialize, ToSchema)]
struct NaturalRecovery {
    cause: Cause,
    episodes: u32,
    recovered: u32,
    /// 0 to 1. With a prior of eight episodes without a recovery.
    probability: f64,
}

/// Since the start of the process, but for what is active or open now.
#[derive(Debug, Serialize, ToSchema)]
struct Totals {
    cycles: u64,
    /// Findings of the cluster among them; `mape_k_violations_active` counts without.
    violations_active: usize,
    policies_generated: u64,
    policies_executed: u64,
    alerts_received: u64,
    alerts_accepted: u64,
    alerts_processed: u64,
    /// Needs that are open.
    escalations_open: usize,
}

/// How many violations are active.
#[derive(Debug, Serialize, ToSchema)]
struct Sums {
    /// Findings of the cluster among them; `mape_k_violations_active` counts without.
    #[serde(rename = "by_severity")]
    severity: BTreeMap<&'static str, usize>,
    #[serde(rename = "by_source")]
    source: BTreeMap<&'static str, usize>,
    #[serde(rename = "by_component")]
    component: BTreeMap<String, usize>,
}

/// Totals since the start, violations summed up, and what was learned by cause and action.
#[utoipa::path(
    get,
    path = "/api/v1/statistics",
    tag = "Present",
    responses((status = 200, description = "Sums.", body = Statistics))
)]
pub(super) async fn statistics(
    State(context): State<Context>,
) -> Result<Json<Statistics>, ApiError> {
    let view = context.handle.view();
    let knowledge = if context.handle.leader().leads() {
        view.statistics.clone()
    } else {
        context.knowledge.statistics().await?
    };
    let violations = super::violations::present(&context).await?;
    let (open, _) = context.knowledge.survey::<Need>(Some(documents::OPEN), MOST_OPEN).await?;
    let natural = context.knowledge.natural().await?;
    let alerts = context.metrics.alert_totals();
    Ok(Json(Statistics {
        uptime_seconds: context.uptime().as_secs_f64(),
        totals: Totals {
            cycles: view.iteration,
            violations_active: active(&violations).count(),
            policies_generated: view.policies_generated,
            policies_executed: view.policies_executed,
            alerts_received: alerts.received,
            alerts_accepted: alerts.accepted,
            alerts_processed: alerts.processed,
            escalations_open: open.len(),
        },
        violations: sums(&violations),
        knowledge,
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
