//! The daemon's HTTP surface: webhook intake, health, metrics and the JSON API.
//!
//! ```text
//! Alertmanager ─POST─▶ intake ─▶ inbox (knowledge) ─▶ wake the loop
//! people, probes ─GET─▶ health, api ◀─ the loop's published view, history (knowledge)
//! people ─POST─▶ api::policies ─▶ decision (knowledge) ─▶ wake the loop
//! ```
//!
//! It never decides or acts. Binding ports and running [`serve`] is the daemon's.

pub mod settings;

mod access;
mod api;
pub mod capacity;
pub mod configuration;
mod connection_limiter;
pub mod description;
mod health;
mod host;
mod intake;
mod limits;
mod listen;
mod log_throttle;
mod patience;
mod reply;
pub mod tls;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;

use crate::control_loop::handle::LoopHandle;
use crate::domain::time::{Time, since};
use crate::knowledge::Knowledge;
use crate::metrics::Metrics;
use reply::ApiError;

pub use configuration::{Reloads, Running, RunningNow, Waiting, reloads};
pub use intake::{Intake, Writer};
pub use listen::{serve, serve_tls, serve_within};
pub use settings::Settings;

/// What every handler reads. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Context {
    pub handle: LoopHandle,
    pub knowledge: Knowledge,
    pub metrics: Arc<Metrics>,
    pub settings: Arc<Settings>,
    pub started_at: Time,
    /// How many times faster than life the loop runs; `None`: in the world's own time.
    pub rehearsal: Option<f64>,
    pub running: RunningNow,
    pub reloads: Reloads,
}

impl Context {
    fn uptime(&self) -> Duration {
        since(self.handle.now(), self.started_at)
    }

    /// The time of a person's word, by which the one who leads will end it: a pause of half an hour taken here by a clock
    /// that is an hour behind would be none.
    fn time_text(&self) -> Result<Time, ApiError> {
        let leader = self.handle.leader();
        match leader.clock_problem().filter(|_| !leader.leads()) {
            Some(problem) => Err(ApiError::Unavailable(format!(
                "nothing was changed: {problem}. Until then ask the one that leads, {}",
                leader.holder
            ))),
            None => Ok(self.handle.now()),
        }
    }
}

/// Health, metrics and the JSON API: what `api.port` serves.
pub fn api_router(context: Context) -> Router {
    finish(api_routes(context))
}

/// Alertmanager's webhook alone: what `alertmanager.webhook_port` serves.
pub fn webhook_router(intake: Intake) -> Router {
    finish(intake::routes(intake))
}

/// Both behind one listener, for a `webhook_port` equal to `api.port`.
pub fn combined_router(context: Context, intake: Intake) -> Router {
    finish(api_routes(context).merge(intake::routes(intake)))
}

fn api_routes(context: Context) -> Router {
    health::routes(&context).merge(api::routes(&context)).with_state(context)
}

fn finish(router: Router) -> Router {
    router.fallback(reply::unknown_path).method_not_allowed_fallback(reply::wrong_method)
}
