//! The reference Charter: the system that the loop controls, for the demo, staging and tests.
//!
//! Serves the contract of the control API over a queueing plant, in real time over HTTP or in simulated time inside
//! tests. Shares no code with the client that drives it: two readings of one contract find more mistakes than one.
//!
//! ```text
//! http ─▶ service ─▶ plant ◀─ faults
//!            │         └────▶ exposition
//!            └─▶ memory (idempotency keys, fence epoch, audit)
//! ```

mod exposition;
pub mod faults;
pub mod http;
mod memory;
pub mod plant;
mod policy;
pub mod service;

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

pub use self::http::router;
use self::memory::{Audit, Keys};
use self::plant::{Plant, PlantSettings};
use self::service::{Request, Response, State};

/// Up to here a second of real time is less than an hour of plant time, worked off in a few milliseconds.
const FASTEST: f64 = 1_000.0;

/// How a Charter is run.
#[derive(Clone)]
pub struct Options {
    /// The same seed and the same calls give the same trace.
    pub seed: u64,
    /// What `/api/v1` asks for as bearer token; none: open.
    pub api_key: Option<String>,
    /// Serves `/sandbox`.
    pub sandbox: bool,
    /// Plant seconds in one second of the caller. Durations in calls are the caller's seconds.
    pub speed: f64,
    /// Honours `Idempotency-Key`; off, it behaves like a Charter that knows nothing of the header.
    pub honour_keys: bool,
    /// How many times as long replicas and instances take to come up.
    pub dead_time: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 1,
            api_key: None,
            sandbox: false,
            speed: 1.0,
            honour_keys: true,
            dead_time: 1.0,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("seed", &self.seed)
            .field("api_key", &self.api_key.as_ref().map(|_| "(set)"))
            .field("sandbox", &self.sandbox)
            .field("speed", &self.speed)
            .field("honour_keys", &self.honour_keys)
            .field("dead_time", &self.dead_time)
            .finish()
    }
}

/// Why a Charter does not start or stops serving.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("speed is {0}, wanted is more than 0 up to {FASTEST}")]
    Speed(f64),
    #[error("the API key is empty; give one, or leave it out to serve without")]
    EmptyApiKey,
    #[error("the reference Charter stopped serving HTTP: {0}")]
    Serve(#[from] std::io::Error),
}

/// Where plant time comes from.
#[derive(Debug)]
enum Clock {
    /// Read at every call; the plant is moved on to it then.
    Wall { started: Instant, started_at: DateTime<Utc> },
    /// Moves by `Charter::advance` alone.
    Simulated,
}

/// A Charter. All calls go through one lock, so they take effect one after the other.
#[derive(Debug)]
pub struct Charter {
    options: Options,
    clock: Clock,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: State,
    /// Plant time handed to the plant so far.
    advanced: Duration,
}

impl Charter {
    /// A Charter in real time, from now on.
    pub fn new(options: Options) -> Result<Self, Error> {
        Self::with_clock(options, Clock::Wall { started: Instant::now(), started_at: Utc::now() })
    }

    /// A Charter whose time moves by `advance` alone.
    pub fn simulated(options: Options) -> Result<Self, Error> {
        Self::with_clock(options, Clock::Simulated)
    }

    fn with_clock(options: Options, clock: Clock) -> Result<Self, Error> {
        if !(options.speed > 0.0 && options.speed <= FASTEST) {
            return Err(Error::Speed(options.speed));
        }
        if options.api_key.as_ref().is_some_and(String::is_empty) {
            return Err(Error::EmptyApiKey);
        }
        let size = PlantSettings::default();
        let size = PlantSettings {
            boot_seconds: size.boot_seconds * options.dead_time,
            restart_seconds: size.restart_seconds * options.dead_time,
            ..size
        };
        let state = State {
            plant: Plant::new(options.seed, size),
            keys: Keys::default(),
            audit: Audit::default(),
            highest_epoch: 0,
        };
        Ok(Self { options, clock, inner: Mutex::new(Inner { state, advanced: Duration::ZERO }) })
    }

    /// Moves the plant on by `elapsed` of plant time, a day at most, over and above what a wall clock does.
    pub fn advance(&self, elapsed: Duration) {
        let mut inner = self.lock();
        inner.state.plant.advance(elapsed);
        if matches!(self.clock, Clock::Simulated) {
            inner.advanced += elapsed;
        }
    }

    /// Answers one call.
    pub fn call(&self, request: &Request) -> Response {
        let mut inner = self.lock();
        let at = self.catch_up(&mut inner);
        service::answer(&mut inner.state, &self.options, at, request)
    }

    /// What the last audited call changed; none for a read, a refusal or a repeat.
    #[must_use]
    pub fn last_effect(&self) -> Option<String> {
        self.lock().state.audit.entries().next_back().and_then(|entry| entry.effect.clone())
    }

    /// Moves the plant on to now and returns the caller's time.
    fn catch_up(&self, inner: &mut Inner) -> DateTime<Utc> {
        match self.clock {
            Clock::Wall { started, started_at } => {
                let elapsed = started.elapsed();
                let due = elapsed.mul_f64(self.options.speed);
                inner.state.plant.advance(due.saturating_sub(inner.advanced));
                inner.advanced = due;
                started_at + elapsed
            }
            Clock::Simulated => DateTime::UNIX_EPOCH + inner.advanced.div_f64(self.options.speed),
        }
    }

    /// A panic in another call leaves a plant that is still whole enough to look at.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves a new Charter on `listener` until `shutdown` is done and the calls in hand are answered.
pub async fn serve(
    listener: tokio::net::TcpListener,
    options: Options,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Error> {
    let charter = Arc::new(Charter::new(options)?);
    axum::serve(listener, router(charter)).with_graceful_shutdown(shutdown).await?;
    Ok(())
}
