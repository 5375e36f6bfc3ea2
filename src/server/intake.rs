//! Alertmanager's webhook: every alert of a payload is stored before its 200, and all that a sender can cost is bounded.
//!
//! It stores, counts and wakes; what an alert means is the cycle's business, which reads everything afresh. Decoding and
//! the classes of alerts are the monitor's pure functions, so that the webhook and the cycle never disagree.

mod body;
mod sort;
mod writer;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot, watch};
use utoipa::{OpenApi, ToSchema};

use super::access;
use super::host;
use super::limits::{Limits, peer};
use super::log_throttle::LogThrottle;
use super::reply::{ApiError, Problem};
use crate::control_loop::handle::LoopHandle;
use crate::knowledge::Knowledge;
use crate::metrics::Metrics;
use crate::metrics::labels::{IntakeRejection, WakeReason, WebhookStatus};
use crate::monitor::alerts::Routing;
use crate::monitor::{self, AlertmanagerSettings};

use body::{BodyError, Budget};
use writer::Delivery;
pub use writer::Writer;

/// From the head of a request to the end of its body. Alertmanager itself gives up on a webhook after seconds.
const BODY_TIME: Duration = Duration::from_secs(10);

/// From decoded to stored. A store that takes longer is as good as failed: the sender tries again.
const STORE_TIME: Duration = Duration::from_secs(10);

/// The bodies held in memory at once, in bodies of the largest size: 64 MiB with the shipped `max_body_bytes`.
const LARGEST_BODIES: usize = 16;

/// What the smallest request counts for, as a part of the largest, so that the number of requests is bounded too: 256.
const SMALLEST_PART: usize = 16;

/// Requests that the webhook takes for each one of `api.rate_limit`: 12,000 a second with the shipped 500. The intake was
/// measured to carry 9,500 to 12,700 alerts a second, so that not even a route that groups by every label, one alert to
/// a request, is held up by this before it is by the store.
const RATE_FACTOR: NonZeroU32 = NonZeroU32::new(24).unwrap();

/// The answer to a browser or a proxy where no token proves who sends.
const FORBIDDEN: &str = "a browser or a proxy sent this (Origin, Sec-Fetch-Site, X-Forwarded-For, Forwarded, Via or the like), and without alertmanager.webhook_token only Alertmanager itself may deliver alerts: configure alertmanager.webhook_token and send it as Authorization: Bearer <token>";

/// Decoded payloads that wait for the writer; each holds its room until it is stored, whether or not its sender still
/// waits, so this never fills first.
const QUEUE: usize = 1024;

/// The receiving end of the webhook. Cheap to clone; [`Writer`] ends when all clones are gone.
#[derive(Clone, Debug)]
pub struct Intake {
    sources: watch::Sender<Arc<Sources>>,
    handle: LoopHandle,
    metrics: Arc<Metrics>,
    budget: Budget,
    limits: Arc<Limits>,
    too_often: Arc<LogThrottle>,
    deliveries: mpsc::Sender<Delivery>,
}

/// By which alerts are sorted; a reload changes it.
#[derive(Debug)]
struct Sources {
    settings: AlertmanagerSettings,
    monitor: monitor::Settings,
}

impl Sources {
    fn of(settings: &AlertmanagerSettings, monitor: &monitor::Settings) -> Arc<Self> {
        Arc::new(Self { settings: settings.clone(), monitor: monitor.clone() })
    }
}

impl Intake {
    /// The intake and the one task that stores for it, which the caller has to run.
    /// `rate_limit` is `api.rate_limit`, of which the webhook has its multiple.
    #[must_use]
    pub fn new(
        settings: &AlertmanagerSettings,
        monitor: &monitor::Settings,
        rate_limit: NonZeroU32,
        handle: LoopHandle,
        knowledge: Knowledge,
        metrics: Arc<Metrics>,
    ) -> (Self, Writer) {
        let (sender, deliveries) = mpsc::channel(QUEUE);
        let budget = Budget::new(settings.max_body_bytes.saturating_mul(LARGEST_BODIES));
        let writer = Writer {
            deliveries,
            knowledge,
            handle: handle.clone(),
            metrics: metrics.clone(),
            notified_full: false,
        };
        let intake = Self {
            sources: watch::Sender::new(Sources::of(settings, monitor)),
            handle,
            metrics,
            budget,
            limits: Arc::new(Limits::new(rate_limit.saturating_mul(RATE_FACTOR))),
            too_often: Arc::default(),
            deliveries: sender,
        };
        (intake, writer)
    }

    /// Sorts by another configuration from the next request on. Its path and the memory for bodies stay as they are.
    pub fn renew(&self, settings: &AlertmanagerSettings, monitor: &monitor::Settings) {
        self.sources.send_replace(Sources::of(settings, monitor));
    }

    /// Takes in one request; returns once all of its alerts are stored.
    async fn take(&self, request: Request) -> Result<(), Refusal> {
        let sources = self.sources.borrow().clone();
        let Sources { settings, monitor } = &*sources;
        if let Some(token) = &settings.webhook_token
            && !access::carries(request.headers(), token)
        {
            self.limits.failure(&request).map_err(|_| Refusal::TooOften)?;
            return Err(Refusal::Unauthorized);
        }
        if settings.webhook_token.is_some() {
            access::keeps_its_connection(&request);
        }
        // After the token: nobody else's requests from that address hold up who has it.
        self.limits.request(&request).map_err(|_| Refusal::TooOften)?;
        if settings.webhook_token.is_none() && host::is_of_browser_or_proxy(request.headers()) {
            return Err(Refusal::Forbidden);
        }
        let max = settings.max_body_bytes;
        // For a length that is only said nothing is set aside: it is charged as it arrives.
        let least = max.div_ceil(SMALLEST_PART);
        let mut room = self.budget.take(peer(&request), least).ok_or(Refusal::TooMuch)?;
        let read = body::read(request.into_body(), max, BODY_TIME, &mut room).await;
        let body = read.map_err(|error| match error {
            BodyError::NoRoom => Refusal::TooMuch,
            BodyError::TooLarge => Refusal::TooLarge { max },
            BodyError::TooSlow => Refusal::TooSlow,
            BodyError::Broken(cause) => Refusal::Malformed(format!("the body broke off: {cause}")),
        })?;
        let routing = Routing { settings, scope: &monitor.scope, rules: &monitor.rules };
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

/// Why nothing of a request was stored.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("this needs the header Authorization: Bearer <alertmanager.webhook_token>")]
    Unauthorized,
    #[error("{FORBIDDEN}")]
    Forbidden,
    #[error("{0}")]
    Malformed(String),
    #[error(
        "the payload is larger than alertmanager.max_body_bytes ({max}); lower max_alerts of the receiver"
    )]
    TooLarge { max: usize },
    /// Answered 503: Alertmanager repeats after 5xx alone, and a 408 would lose the alerts.
    #[error("the payload did not arrive within {} s; try again", BODY_TIME.as_secs())]
    TooSlow,
    #[error(
        "the payloads that are being read or wait for the store fill the memory that is set aside for them, or this address's share of it; try again"
    )]
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
            Self::Forbidden => (IntakeRejection::Forbidden, WebhookStatus::Forbidden),
            Self::Malformed(_) => (IntakeRejection::Malformed, WebhookStatus::BadRequest),
            Self::TooLarge { .. } => (IntakeRejection::TooLarge, WebhookStatus::TooLarge),
            Self::TooSlow => (IntakeRejection::TooSlow, WebhookStatus::Unavailable),
            Self::TooMuch => (IntakeRejection::TooMuch, WebhookStatus::Unavailable),
            Self::TooOften => (IntakeRejection::TooOften, WebhookStatus::Unavailable),
            Self::Store(_) => (IntakeRejection::StoreFailed, WebhookStatus::Unavailable),
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let text = refusal.to_string();
        match refusal {
            Refusal::Unauthorized => Self::Unauthorized(text),
            Refusal::Forbidden => Self::Forbidden(FORBIDDEN),
            Refusal::Malformed(_) => Self::Body(text, StatusCode::BAD_REQUEST),
            Refusal::TooLarge { .. } => Self::TooLarge(text),
            Refusal::TooSlow | Refusal::TooMuch | Refusal::TooOften | Refusal::Store(_) => {
                Self::Unavailable(text)
            }
        }
    }
}

/// The payload is stored.
#[derive(Debug, Serialize, ToSchema)]
struct Stored {
    /// `ok`
    status: &'static str,
}

/// Alertmanager's webhook payload, version 4. What is unknown is tolerated, and one bad alert costs only itself.
// For the description alone: the decoder is the monitor's, and takes more than Alertmanager sends.
#[derive(ToSchema)]
#[allow(dead_code, reason = "a description of somebody else's format")]
struct Payload {
    /// Each with `labels`, `startsAt` and, if it has them, `status`, `annotations`, `endsAt` and `fingerprint`; what is
    /// anything else is counted and left out.
    #[schema(value_type = Vec<Value>)]
    alerts: (),
    /// The receiver that sent it: by it the cycle knows which alerts are routed here.
    receiver: Option<String>,
    /// Alerts that Alertmanager left out; above 0 its API is read at once.
    #[serde(rename = "truncatedAlerts")]
    #[schema(maximum = 18_446_744_073_709_551_615_u64)]
    truncated_alerts: Option<u64>,
}

/// The path is the configuration's, so that route and description meet in the default of it alone.
#[derive(OpenApi)]
#[openapi(paths(receive))]
pub(super) struct Described;

pub(super) fn routes(intake: Intake) -> Router {
    let path = intake.sources.borrow().settings.webhook_path.clone();
    Router::new()
        .route(&path, post(receive))
        // The limit is the configuration's and is held while reading.
        .layer(DefaultBodyLimit::disable())
        .with_state(intake)
}

/// Takes alerts in: each is stored before the 200, and a critical one wakes the loop.
///
/// Served on `alertmanager.webhook_port` (5000) at `alertmanager.webhook_path`. What may work when tried again is answered
/// 503, which Alertmanager repeats, never 408 or 429, after which it drops the alerts.
#[utoipa::path(
    post,
    path = "/webhooks/alerts",
    tag = "Alerts",
    servers((url = "http://localhost:5000", description = "alertmanager.webhook_port")),
    security((), ("webhook_token" = [])),
    request_body = Payload,
    responses(
        (status = 200, description = "All that can be used is stored.", body = Stored),
        (status = 400, description = "No JSON object with `alerts`.", body = Problem),
        (status = 401, description = "`alertmanager.webhook_token` is set, and this is not it.", body = Problem),
        (status = 403, description = "A browser or a proxy sent it, and no `alertmanager.webhook_token` is set.", body = Problem),
        (status = 413, description = "Larger than `alertmanager.max_body_bytes`.", body = Problem),
        (status = 503, description = "Too many, too slow, or the store failed: try again.", body = Problem, headers(("Retry-After" = u64, description = "Seconds."))),
    )
)]
async fn receive(State(intake): State<Intake>, request: Request) -> Response {
    let Err(refusal) = intake.take(request).await else {
        intake.metrics.webhook_answered(WebhookStatus::Ok);
        return Json(Stored { status: "ok" }).into_response();
    };
    let (reason, status) = refusal.reason();
    intake.metrics.intake_rejected(reason);
    intake.metrics.webhook_answered(status);
    if matches!(refusal, Refusal::TooOften) {
        if let Some(requests) = intake.too_often.count(Instant::now()) {
            tracing::warn!(requests, error = %refusal, "webhook requests were turned away");
        }
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
