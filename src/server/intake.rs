//! Alertmanager's webhook: every alert of a payload is stored before its 200, and all that a sender can cost is bounded.
//!
//! It stores, counts and wakes; what an alert means is the cycle's business, which reads everything afresh. Decoding and
//! the classes of alerts are the monitor's pure functions, so that the webhook and the cycle never disagree.

mod body;
mod sort;
mod writer;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::json;
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::access;
use super::limits::Limits;
use super::reply::ApiError;
use super::settings::RATE_LIMIT;
use crate::control_loop::handle::LoopHandle;
use crate::knowledge::Knowledge;
use crate::metrics::Metrics;
use crate::metrics::labels::{IntakeRejection, WakeReason, WebhookStatus};
use crate::monitor::alerts::Routing;
use crate::monitor::{self, AlertmanagerSettings};

use body::BodyError;
use writer::Delivery;
pub use writer::Writer;

/// From the head of a request to the end of its body. Alertmanager itself gives up on a webhook after seconds.
const BODY_TIME: Duration = Duration::from_secs(10);

/// From decoded to stored. A store that takes longer is as good as failed: the sender tries again.
const STORE_TIME: Duration = Duration::from_secs(10);

/// The bodies held in memory at once, in bodies of the largest size: 64 MiB with the shipped `max_body_bytes`.
const LARGEST_BODIES: usize = 16;

/// What the smallest request counts for, so that the number of requests is bounded too: 256 with the shipped limit.
const SMALLEST_CHARGE: usize = 256 * 1024;

/// Decoded payloads that wait for the writer; each holds its room until it is stored, whether or not its sender still
/// waits, so this never fills first.
const QUEUE: usize = 1024;

/// The receiving end of the webhook. Cheap to clone; [`Writer`] ends when all clones are gone.
#[derive(Clone, Debug)]
pub struct Intake {
    settings: Arc<AlertmanagerSettings>,
    monitor: Arc<monitor::Settings>,
    handle: LoopHandle,
    metrics: Arc<Metrics>,
    room: Arc<Semaphore>,
    limits: Arc<Limits>,
    deliveries: mpsc::Sender<Delivery>,
}

impl Intake {
    /// The intake and the one task that stores for it, which the caller has to run.
    #[must_use]
    pub fn new(
        settings: &AlertmanagerSettings,
        monitor: &monitor::Settings,
        handle: LoopHandle,
        knowledge: Knowledge,
        metrics: Arc<Metrics>,
    ) -> (Self, Writer) {
        let (sender, deliveries) = mpsc::channel(QUEUE);
        let room =
            settings.max_body_bytes.saturating_mul(LARGEST_BODIES).min(Semaphore::MAX_PERMITS);
        let writer = Writer {
            deliveries,
            knowledge,
            handle: handle.clone(),
            metrics: metrics.clone(),
            told_full: false,
        };
        let intake = Self {
            settings: Arc::new(settings.clone()),
            monitor: Arc::new(monitor.clone()),
            handle,
            metrics,
            room: Arc::new(Semaphore::new(room)),
            limits: Arc::new(Limits::new(RATE_LIMIT)),
            deliveries: sender,
        };
        (intake, writer)
    }

    /// Takes so many requests a second from one address instead of the default.
    #[must_use]
    pub fn with_rate_limit(self, requests_per_second: NonZeroU32) -> Self {
        Self { limits: Arc::new(Limits::new(requests_per_second)), ..self }
    }

    /// Takes in one request; returns once all of its alerts are stored.
    async fn take(&self, request: Request) -> Result<(), Refusal> {
        self.limits.request(&request).map_err(|_| Refusal::TooOften)?;
        if let Some(token) = &self.settings.webhook_token
            && !access::carries(request.headers(), token)
        {
            self.limits.failure(&request).map_err(|_| Refusal::TooOften)?;
            return Err(Refusal::Unauthorized);
        }
        let (parts, body) = request.into_parts();
        let max = self.settings.max_body_bytes;
        let charge = charge(&parts.headers, max);
        let room =
            self.room.clone().try_acquire_many_owned(charge).map_err(|_| Refusal::TooMuch)?;
        let body = body::read(body, max, BODY_TIME).await.map_err(|error| match error {
            BodyError::TooLarge => Refusal::TooLarge { max },
            BodyError::TooSlow => Refusal::TooSlow,
            BodyError::Broken(cause) => Refusal::Malformed(format!("the body broke off: {cause}")),
        })?;
        let routing = Routing {
            settings: &self.settings,
            scope: &self.monitor.scope,
            rules: &self.monitor.rules,
        };
        let sorted = sort::sort(&body, routing, self.handle.now())
            .map_err(|error| Refusal::Malformed(error.to_string()))?;
        drop(body);
        self.metrics.alerts_received(sorted.received());
        let (answer, answered) = oneshot::channel();
        self.deliveries
            .try_send(sorted.into_delivery(room, answer))
            .map_err(|_| Refusal::TooMuch)?;
        match tokio::time::timeout(STORE_TIME, answered).await {
            Ok(Ok(stored)) => stored.map_err(Refusal::Store),
            Ok(Err(_)) => Err(Refusal::Store("the daemon is stopping".to_owned())),
            Err(_) => Err(Refusal::Store(format!(
                "the knowledge store has not answered for {} s",
                STORE_TIME.as_secs()
            ))),
        }
    }
}

/// How much room a request takes before it is read: what it says, within what it may have.
fn charge(headers: &HeaderMap, max: usize) -> u32 {
    let named = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let charge = named.unwrap_or(max).clamp(SMALLEST_CHARGE.min(max), max);
    u32::try_from(charge).unwrap_or(u32::MAX)
}

/// Why nothing of a request was stored.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("this needs the header Authorization: Bearer <alertmanager.webhook_token>")]
    Unauthorized,
    #[error("{0}")]
    Malformed(String),
    #[error(
        "the payload is larger than alertmanager.max_body_bytes ({max}); lower max_alerts of the receiver"
    )]
    TooLarge { max: usize },
    #[error("the payload did not arrive within {} s", BODY_TIME.as_secs())]
    TooSlow,
    #[error("too many payloads are being stored; try again")]
    TooMuch,
    /// Answered 503 and never 429, which Alertmanager takes for final and drops the alerts.
    #[error(
        "too many requests from one address, or without the token: over api.rate_limit; try again"
    )]
    TooOften,
    #[error("the alerts could not be stored: {0}")]
    Store(String),
}

impl Refusal {
    fn reason(&self) -> (IntakeRejection, WebhookStatus) {
        match self {
            Self::Unauthorized => (IntakeRejection::Unauthorized, WebhookStatus::Unauthorized),
            Self::Malformed(_) => (IntakeRejection::Malformed, WebhookStatus::BadRequest),
            Self::TooLarge { .. } => (IntakeRejection::TooLarge, WebhookStatus::TooLarge),
            Self::TooSlow => (IntakeRejection::TooSlow, WebhookStatus::TooSlow),
            Self::TooMuch | Self::TooOften => {
                (IntakeRejection::TooMuch, WebhookStatus::Unavailable)
            }
            Self::Store(_) => (IntakeRejection::StoreFailed, WebhookStatus::Unavailable),
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let text = refusal.to_string();
        match refusal {
            Refusal::Unauthorized => Self::Unauthorized(text),
            Refusal::Malformed(_) => Self::Body(text, StatusCode::BAD_REQUEST),
            Refusal::TooLarge { .. } => Self::TooLarge(text),
            Refusal::TooSlow => Self::TooSlow(text),
            Refusal::TooMuch | Refusal::TooOften | Refusal::Store(_) => Self::Unavailable(text),
        }
    }
}

pub(super) fn routes(intake: Intake) -> Router {
    Router::new()
        .route(&intake.settings.webhook_path, post(receive))
        // The limit is the configuration's and is held while reading.
        .layer(DefaultBodyLimit::disable())
        .with_state(intake)
}

async fn receive(State(intake): State<Intake>, request: Request) -> Response {
    let Err(refusal) = intake.take(request).await else {
        intake.metrics.webhook_answered(WebhookStatus::Ok);
        return Json(json!({"status": "ok"})).into_response();
    };
    let (reason, status) = refusal.reason();
    intake.metrics.intake_rejected(reason);
    intake.metrics.webhook_answered(status);
    if matches!(refusal, Refusal::TooOften) {
        // The counter tells; a line for each would let whoever sends too much fill the log.
        tracing::debug!(error = %refusal, "a webhook request was turned away");
    } else {
        tracing::warn!(error = %refusal, "a webhook request was turned away");
    }
    if reason == IntakeRejection::TooLarge {
        // Its alerts are known to Alertmanager's list, which the cycle reads.
        intake.metrics.woken(WakeReason::OversizePayload);
        intake.handle.wake();
    }
    ApiError::from(refusal).into_response()
}
