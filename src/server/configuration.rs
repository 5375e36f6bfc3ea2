//! The running configuration: shown by `GET /api/v1/config`, reloaded by `POST /-/reload`.
//!
//! Reading, checking and building is the daemon's; here is only what it is asked and what it answers.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};
use utoipa::ToSchema;

use super::Context;
use super::reply::ApiError;
use crate::domain::difference::Difference;
use crate::domain::message::NotifierName;
use crate::domain::time::Time;

/// Requests that may wait: all of them are answered by one reload.
const WAITING: usize = 64;

/// What is in effect.
#[derive(Clone, Debug, Default)]
pub struct Running {
    /// The beginning of its SHA-256, secrets left out.
    pub hash: String,
    /// In the shape of the file, secrets as `***`.
    pub config: Value,
    /// Charter is driven (`execute.charter_url`). Without it no answer speaks of it.
    pub charter: bool,
    /// The cluster is watched (`kubernetes.enabled`).
    pub kubernetes: bool,
    /// Who is notified of incidents. None: nobody is.
    pub notifiers: Vec<NotifierName>,
    /// `orchestrator.environment`.
    pub environment: Option<String>,
    /// A configuration that was accepted and is not in effect yet.
    pub waiting: Option<Waiting>,
}

/// A configuration that a reload has accepted and that is not in effect yet.
#[derive(Clone, Debug, Serialize)]
pub struct Waiting {
    pub config_hash: String,
    pub accepted_at: Time,
    pub waits_for: &'static str,
}

impl Waiting {
    /// Its key beside the sections of the configuration that is in effect.
    pub const KEY: &str = "reload_waiting";
}

/// What is in effect at any moment. The daemon writes it.
pub type RunningNow = watch::Receiver<Arc<Running>>;

/// Asks the daemon to reload. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reloads(mpsc::Sender<Asked>);

/// All who asked meanwhile get the result of one reload.
pub type Asked = Option<oneshot::Sender<Arc<Result<Reloaded, Refused>>>>;

/// The side that asks, and the side that answers.
#[must_use]
pub fn reloads() -> (Reloads, mpsc::Receiver<Asked>) {
    let (sender, asked) = mpsc::channel(WAITING);
    (Reloads(sender), asked)
}

impl Reloads {
    /// Waits for no answer. A queue that is full holds requests that will read the configuration later than now.
    pub fn ask(&self) {
        drop(self.0.try_send(None));
    }

    async fn answered(&self) -> Option<Arc<Result<Reloaded, Refused>>> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Some(answer)).await.ok()?;
        answered.await.ok()
    }
}

/// The configuration was accepted.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Reloaded {
    /// Of the configuration that was read; `/health` shows it once it is in effect.
    pub config_hash: String,
    /// What differs from the configuration that was in effect; empty when nothing does.
    pub changed: Vec<Difference>,
    /// Since when it has been in effect. `null`: it is accepted and waits.
    pub applied_at: Option<Time>,
    /// What it waits for; until then the configuration of before stays in effect. `null`: it is in effect.
    pub waits_for: Option<&'static str>,
    /// Worth knowing, no reason to refuse it.
    pub warnings: Vec<String>,
}

/// The configuration was refused. Nothing has changed: what applied before still does.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ReloadRefused)]
pub struct Refused {
    /// In one or two sentences.
    pub error: String,
    /// Every error, or every key that cannot change while the daemon runs.
    pub problems: Vec<String>,
    /// The configuration itself is valid: a restart applies it.
    pub restart_needed: bool,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.error, self.problems.join("; "))
    }
}

/// Reloads the configuration: file and environment are read again, checked, and applied whole or not at all.
///
/// It takes effect as soon as the cycle in hand has ended, and while the store fails once that works again. The answer comes
/// after at most three seconds and says in `applied_at` and `waits_for` which of the two it is. `SIGHUP` does the same.
#[utoipa::path(
    post,
    path = "/-/reload",
    tag = "Configuration",
    responses(
        (status = 200, description = "Accepted.", body = Reloaded),
        (status = 400, description = "Not valid; nothing has changed.", body = Refused),
        (status = 409, description = "Valid, and something in it cannot change while the daemon runs: restart to apply. Nothing has changed.", body = Refused),
    )
)]
pub(super) async fn reload(State(context): State<Context>) -> Result<Response, ApiError> {
    let Some(outcome) = context.reloads.answered().await else {
        return Err(ApiError::Unavailable("the daemon is stopping".to_owned()));
    };
    Ok(match &*outcome {
        Ok(reloaded) => Json(reloaded).into_response(),
        Err(refused) => {
            let restart = refused.restart_needed;
            let status = if restart { StatusCode::CONFLICT } else { StatusCode::BAD_REQUEST };
            (status, Json(refused)).into_response()
        }
    })
}

/// The configuration that is in effect, in the shape of the file.
///
/// Secrets and passwords are `***`. Files that are named by it are not part of it. While a reloaded configuration is
/// accepted and not in effect yet, `reload_waiting` says which one, since when, and what it waits for.
#[utoipa::path(
    get,
    path = "/api/v1/config",
    tag = "Configuration",
    responses((status = 200, description = "As `mape-k check-config -o json` prints it under `config`.", body = Value))
)]
pub(super) async fn config(State(context): State<Context>) -> Json<Value> {
    let running = context.running.borrow().clone();
    let mut shown = running.config.clone();
    if let Some(waiting) = &running.waiting {
        shown[Waiting::KEY] = serde_json::to_value(waiting).unwrap_or_default();
    }
    Json(shown)
}
