//! `/health`, `/ready` and `/metrics`: is the loop alive, is it of use, and its numbers.
//!
//! A replica that follows is of use while it can take alerts in and somebody leads.
//!
//! Alive is the heartbeat alone, so that a sick Charter or Prometheus never makes an orchestrator restart the daemon
//! that is there to heal it.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, middleware};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::reply::Problem;
use super::{Context, access};
use crate::control_loop::handle::Leader;
use crate::domain::cycle::CycleStatus;
use crate::domain::cycle::condition::NOTHING_TO_LOOK_AT;
use crate::domain::incident::NOBODY_IS_NOTIFIED;
use crate::domain::reading::Source;
use crate::domain::time::since;
use crate::domain::view::{LoopView, SourceStatus};
use crate::metrics::labels::StoreOperation;

/// A store that does not answer for so long is not well; /health itself must answer sooner than a probe gives up.
const STORE_CHECK: Duration = Duration::from_secs(2);

/// A cycle may be late twice before the loop is no longer called ready.
const READY_INTERVALS: u32 = 3;

/// Rules named in one sentence before it only counts them.
const NAMED: usize = 5;

/// `stalled` is of the loop alone: it stands still. `warning` and `off` are of components alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = HealthStatus)]
enum Status {
    Ok,
    /// Switched off by the configuration.
    Off,
    /// Worth a person's attention, although the daemon works as it is configured.
    Warning,
    Degraded,
    Stalled,
}

/// One part of the daemon, or one that it needs.
#[derive(Debug, Serialize, ToSchema)]
struct Component {
    status: Status,
    /// What is wrong, or worth knowing.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

impl Component {
    /// Well unless there is something to say.
    fn unless(problem: Option<String>) -> Self {
        let status = if problem.is_some() { Status::Degraded } else { Status::Ok };
        Self { status, detail: problem }
    }

    fn is_well(&self) -> bool {
        matches!(self.status, Status::Ok | Status::Off | Status::Warning)
    }
}

/// Is it alive, and which parts are degraded?
#[derive(Debug, Serialize, ToSchema)]
struct Health {
    status: Status,
    /// `orchestrator.environment`; absent where it has no name.
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<String>,
    version: &'static str,
    uptime_seconds: f64,
    /// The beginning of the SHA-256 of the configuration that is in effect, secrets left out.
    config_hash: String,
    /// `loop`, each source, `rules`, `charter`, `escalation`, `notification`, `kubernetes`, `store` and `leader`, so far as this
    /// replica knows of them.
    components: BTreeMap<&'static str, Component>,
}

/// Is it ready, and if not, what is missing?
#[derive(Debug, Serialize, ToSchema)]
struct Ready {
    ready: bool,
    /// In words; empty when it is ready.
    missing: Vec<String>,
}

/// They stand outside the door of the API: probes carry no token.
pub fn described() -> OpenApiRouter<Context> {
    probes().merge(OpenApiRouter::default().routes(routes!(metrics)))
}

fn probes() -> OpenApiRouter<Context> {
    OpenApiRouter::default().routes(routes!(health)).routes(routes!(ready))
}

/// A probe is answered by whatever name it uses: a sidecar passes on the name that it was asked by.
pub fn routes(context: &Context) -> Router<Context> {
    let named = middleware::from_fn_with_state(context.settings.clone(), access::named);
    let metrics = OpenApiRouter::default().routes(routes!(metrics)).layer(named);
    Router::from(probes().merge(metrics))
}

/// Is the loop alive? For liveness probes: a sick Charter or Prometheus never makes it 503.
#[utoipa::path(
    get,
    path = "/health",
    tag = "Probes",
    responses(
        (status = 200, description = "The loop moves; `degraded` says that a component is not healthy.", body = Health),
        (status = 503, description = "The loop has not moved for `api.stall_after`: restart it.", body = Health),
    )
)]
pub async fn health(State(context): State<Context>) -> Response {
    let view = context.handle.view();
    let running = context.running.borrow().clone();
    let beat = context.handle.heartbeat_age();
    let stalled = beat > context.settings.stall_after;
    let leader = context.handle.leader();
    let pause = async { if leader.leads() { paused(&context).await } else { None } };
    let (pause, store) = tokio::join!(pause, store_problem(&context, &view));
    let mut components = BTreeMap::new();
    let cycle = if stalled {
        let detail = format!(
            "the loop has not moved for {} s; api.stall_after is {} s",
            beat.as_secs(),
            context.settings.stall_after.as_secs()
        );
        Component { status: Status::Stalled, detail: Some(detail) }
    } else {
        match loop_problem(&view).filter(|_| leader.leads()) {
            None if !leader.leads() => {
                let follows = "it follows: the leader runs the cycles".to_owned();
                Component { status: Status::Ok, detail: Some(follows) }
            }
            None => Component { status: Status::Ok, detail: pause },
            problem => Component::unless(problem),
        }
    };
    components.insert("loop", cycle);
    for source in &view.sources {
        components.insert(source.source.as_str(), Component::unless(source_problem(source)));
    }
    if leader.shared {
        components.insert("leader", leader_health(&leader));
    }
    // A replica that follows reads neither; the leader's health tells of them.
    if leader.leads() {
        if !view.rules.is_empty() {
            components.insert("rules", Component::unless(rules_problem(&view)));
        } else if view.last_status.is_some() && !running.kubernetes {
            let unknown = format!("whether anything is wrong is UNKNOWN: {NOTHING_TO_LOOK_AT}");
            components.insert("rules", Component::unless(Some(unknown)));
        }
        // Without Charter no answer speaks of it.
        if running.charter {
            components.insert("charter", Component::unless(charter_problem(&view)));
        }
        let people = &view.people;
        let problem = people.not_notified.clone().or_else(|| people.problem.clone());
        components.insert("escalation", Component::unless(problem));
        if running.notifiers.is_empty() {
            let detail = Some(NOBODY_IS_NOTIFIED.to_owned());
            components.insert("notification", Component { status: Status::Warning, detail });
        }
        let kubernetes = || {
            let not_yet = || view.last_status.is_none().then(|| "not read yet".to_owned());
            Component::unless(people.cluster_problem.clone().or_else(not_yet))
        };
        let off = || Component { status: Status::Off, detail: None };
        components.insert("kubernetes", if running.kubernetes { kubernetes() } else { off() });
    }
    components.insert("store", Component::unless(store));
    let status = if stalled {
        Status::Stalled
    } else if components.values().all(Component::is_well) {
        Status::Ok
    } else {
        Status::Degraded
    };
    let body = Health {
        status,
        environment: running.environment.clone(),
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: context.uptime().as_secs_f64(),
        config_hash: running.hash.clone(),
        components,
    };
    let code = if stalled { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    (code, Json(body)).into_response()
}

fn leader_health(leader: &Leader) -> Component {
    let named = format!("{} leads with epoch {}", leader.holder, leader.epoch);
    match leader_problem(leader) {
        problem @ Some(_) => Component::unless(problem),
        None if leader.is_ours => {
            Component { status: Status::Ok, detail: Some(format!("this one, {named}")) }
        }
        None => Component { status: Status::Ok, detail: Some(named) },
    }
}

fn leader_problem(leader: &Leader) -> Option<String> {
    match &leader.problem {
        Some(problem) if leader.is_known() => {
            Some(format!("{} led when the store was last read; {problem}", leader.holder))
        }
        Some(problem) => Some(format!("no leader is known: {problem}")),
        None if leader.is_known() => leader.barred.clone().or_else(|| leader.clock_problem()),
        None => Some("no leader is known".to_owned()),
    }
}

fn loop_problem(view: &LoopView) -> Option<String> {
    match view.last_status {
        None => Some("no cycle has ended yet".to_owned()),
        Some(CycleStatus::Failed | CycleStatus::Error) => {
            Some(view.last_error.clone().unwrap_or_else(|| "the last cycle failed".to_owned()))
        }
        Some(CycleStatus::Healthy | CycleStatus::Completed) => view.last_error.clone(),
    }
}

/// Somebody meant it, so it is no ill health; a store that cannot tell is the store's problem.
async fn paused(context: &Context) -> Option<String> {
    let asked = context.knowledge.paused(context.handle.now());
    let pause = tokio::time::timeout(STORE_CHECK, asked).await.ok()?.ok()??;
    Some(pause.to_string())
}

fn source_problem(source: &SourceStatus) -> Option<String> {
    let missing =
        || format!("{} of {} expected series are missing", source.missing, source.expected);
    source.error.clone().or_else(|| (source.missing > 0).then(missing))
}

fn rules_problem(view: &LoopView) -> Option<String> {
    let bad: Vec<_> = view.rules.iter().filter(|rule| !rule.good).collect();
    if bad.is_empty() {
        return None;
    }
    if let Some(unread) = view
        .sources
        .iter()
        .find(|source| source.error.is_some() && source.source != Source::Alertmanager)
    {
        // One cause, said once: the source's own entry carries it.
        let are = if bad.len() == 1 { "rule is" } else { "rules are" };
        return Some(format!("{} {are} unread, see {}", bad.len(), unread.source.as_str()));
    }
    let named = bad.iter().take(NAMED).map(|rule| match &rule.problem {
        Some(problem) => format!("{}: {problem}", rule.rule),
        None => format!("{}: {} of {} series seen", rule.rule, rule.seen, rule.expected),
    });
    let named = named.collect::<Vec<_>>().join("; ");
    let more = bad.len().saturating_sub(NAMED);
    Some(if more > 0 { format!("{named}; and {more} more") } else { named })
}

fn charter_problem(view: &LoopView) -> Option<String> {
    match &view.charter {
        None => Some("not asked yet".to_owned()),
        Some(charter) => charter.state.as_ref().err().cloned(),
    }
}

async fn store_problem(context: &Context, view: &LoopView) -> Option<String> {
    let problem = match tokio::time::timeout(STORE_CHECK, context.knowledge.check()).await {
        Ok(Ok(())) => return view.store_error.clone(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("the knowledge store has not answered for {} s", STORE_CHECK.as_secs()),
    };
    context.metrics.store_error(StoreOperation::Check);
    Some(problem)
}

/// Is the loop ready? On a follower: does it take alerts in, and is a leader known?
#[utoipa::path(
    get,
    path = "/ready",
    tag = "Probes",
    responses(
        (status = 200, description = "Ready.", body = Ready),
        (status = 503, description = "Not yet, or not now; `missing` says why.", body = Ready),
    )
)]
pub async fn ready(State(context): State<Context>) -> Response {
    let (view, leader) = (context.handle.view(), context.handle.leader());
    let missing = if leader.leads() {
        missing(&context, &view)
    } else {
        missing_follower(&context, &view, &leader).await
    };
    let code = if missing.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(Ready { ready: missing.is_empty(), missing })).into_response()
}

/// What stands between the loop and being of use.
fn missing(context: &Context, view: &LoopView) -> Vec<String> {
    let now = context.handle.now();
    let mut missing = Vec::new();
    let limit = view.interval * READY_INTERVALS;
    match view.last_good_cycle {
        None => missing.push("cycle: none was healthy or completed yet".to_owned()),
        Some(at) if since(now, at) > limit => missing.push(format!(
            "cycle: the last healthy or completed one was {} s ago, the limit is {} s",
            since(now, at).as_secs(),
            limit.as_secs()
        )),
        Some(_) => {}
    }
    if let Some(problem) = charter_problem(view).filter(|_| context.running.borrow().charter) {
        missing.push(format!("charter: {problem}"));
    }
    missing
}

/// What stands between a follower and being of use.
async fn missing_follower(context: &Context, view: &LoopView, leader: &Leader) -> Vec<String> {
    let mut missing = Vec::new();
    if let Some(problem) = store_problem(context, view).await {
        missing.push(format!("store: {problem}"));
    }
    if let Some(problem) = leader_problem(leader).filter(|_| !leader.is_known()) {
        missing.push(format!("leader: {problem}"));
    }
    if let Some(problem) = leader.clock_problem() {
        missing.push(format!("clock: {problem}"));
    }
    missing
}

/// Its numbers, for Prometheus; README.md lists them.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "Probes",
    responses(
        (status = 200, description = "Prometheus' text format 0.0.4.", body = String, content_type = "text/plain"),
        (status = 421, description = "Without a token, from the daemon's own machine, by a name that is none of its names.", body = Problem),
    )
)]
pub async fn metrics(State(context): State<Context>) -> Response {
    ([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], context.metrics.gather()).into_response()
}
