//! One process of the simulation: the shipped loop and intake on the simulated network, store and clock.

use std::future::Future;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use mape_k::clock::Clock;
use mape_k::config::Config;
use mape_k::control_loop;
use mape_k::cycle::Ids;
use mape_k::daemon::{World, assemble_in};
use mape_k::knowledge::Knowledge;
use mape_k::knowledge::memory::MemoryStore;
use mape_k::server;
use serde_json::Value;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::outside::{Shared, at_wall};
use super::store::Disk;
use super::wire::Network;

/// For a stop in order.
const GRACE: Duration = Duration::from_secs(60);

pub struct Daemon {
    pub number: u32,
    /// The loop, and what stores for its intake.
    tasks: Vec<JoinHandle<()>>,
    pub webhook: Webhook,
    pub knowledge: Knowledge,
    stop: CancellationToken,
    frozen: Arc<Ice>,
}

/// Where it takes alerts in.
#[derive(Clone)]
pub struct Webhook(axum::Router);

impl Webhook {
    /// Alertmanager's POST; true when it is acknowledged.
    pub async fn post(&self, payload: &Value) -> bool {
        let request = Request::post("/webhooks/alerts")
            .header("content-type", "application/json")
            .body(Body::from(payload.to_string()))
            .expect("a request");
        self.0.clone().oneshot(request).await.expect("an answer").status().is_success()
    }
}

/// What lasts longer than a process.
#[derive(Clone)]
pub struct Site {
    pub outside: Shared,
    pub memory: Arc<MemoryStore>,
    pub ids: Arc<AtomicU64>,
    pub config: Arc<Config>,
}

impl Daemon {
    /// Starts it with a wall clock that is so much off.
    pub async fn start(site: &Site, number: u32, clock_off: f64) -> Result<Self, String> {
        let disk =
            Disk { memory: site.memory.clone(), outside: site.outside.clone(), daemon: number };
        let knowledge = Knowledge::with_store(Arc::new(disk), &site.config.knowledge, "simulated");
        let network = Network { outside: site.outside.clone(), daemon: number };
        let world = World {
            wire: Some(Arc::new(network)),
            ids: Ids::Counted(site.ids.clone()),
            ..World::default()
        };
        let now = site.outside.lock().now();
        let clock = Clock::starting_at(at_wall(now + clock_off));
        let parts = assemble_in(world, knowledge.clone(), &site.config, clock)
            .await
            .map_err(|error| error.to_string())?;
        let settings = &site.config;
        let (intake, writer) = server::Intake::new(
            &settings.alertmanager,
            &settings.monitor,
            // By the machine's own clock, which is none of the simulation's.
            NonZeroU32::MAX,
            parts.handle,
            knowledge.clone(),
            parts.metrics.clone(),
        );
        let stop = CancellationToken::new();
        let frozen = Arc::new(Ice::default());
        let (interval, gap) = (settings.orchestrator.loop_interval, settings.alertmanager.wake_gap);
        let (publisher, terms, mut elector) = (parts.publisher, parts.terms, parts.elector);
        let (mut cycle, stopping) = (parts.cycle, stop.clone());
        let run = async move {
            let run = control_loop::run(&mut cycle, &publisher, terms, interval, gap, stopping);
            Box::pin(run).await
        };
        let outside = site.outside.clone();
        let (done, loop_ended) = (CancellationToken::new(), CancellationToken::new());
        let election = done.clone();
        let (background, stopping, ended_loop) =
            (parts.background, stop.clone(), loop_ended.clone());
        let background = async move {
            background.run(stopping, ended_loop).await;
            done.cancel();
        };
        let run = async move {
            let ended = run.await;
            loop_ended.cancel();
            let mut outside = outside.lock();
            outside.say(&format!("daemon {number} ended: {ended:?}"));
            outside.dies(number);
        };
        let tasks = vec![
            tokio::spawn(Freezable {
                inner: Box::pin(run),
                ice: frozen.clone(),
                watched: Some((site.outside.clone(), number)),
            }),
            tokio::spawn(Freezable {
                inner: Box::pin(writer.run()),
                ice: frozen.clone(),
                watched: None,
            }),
            tokio::spawn(Freezable {
                inner: Box::pin(async move { elector.run(election).await }),
                ice: frozen.clone(),
                watched: None,
            }),
            tokio::spawn(Freezable {
                inner: Box::pin(background),
                ice: frozen.clone(),
                watched: None,
            }),
        ];
        let webhook = Webhook(server::webhook_router(intake));
        Ok(Self { number, tasks, webhook, knowledge, stop, frozen })
    }

    /// Nothing of it runs on, wherever it was.
    pub fn kill(self) {
        for task in self.tasks {
            task.abort();
        }
    }

    /// In order, and killed when it takes too long, as Kubernetes does.
    pub async fn stop(mut self) {
        self.frozen.thaw();
        self.stop.cancel();
        // The loop; the election ends with it.
        let (run, election) = (self.tasks.remove(0), self.tasks.remove(1));
        let aborts = [run.abort_handle(), election.abort_handle()];
        let in_order = async move {
            run.await.expect("the loop stops in order");
            election.await.expect("the election ends with it");
        };
        if timeout(GRACE, in_order).await.is_err() {
            aborts.iter().for_each(AbortHandle::abort);
        }
        self.kill();
    }

    pub fn freeze(&self) {
        self.frozen.0.store(true, Ordering::Relaxed);
    }

    pub fn thaw(&self) {
        self.frozen.thaw();
    }
}

/// Whether a process stands still, and whom to wake when it goes on.
#[derive(Default)]
struct Ice(AtomicBool, Mutex<Vec<Waker>>);

impl Ice {
    fn thaw(&self) {
        self.0.store(false, Ordering::Relaxed);
        for waker in self.1.lock().expect("no panic before").drain(..) {
            waker.wake();
        }
    }
}

/// A task of a process that may stand still.
struct Freezable<F> {
    inner: Pin<Box<F>>,
    ice: Arc<Ice>,
    /// Where its waits are counted.
    watched: Option<(Shared, u32)>,
}

impl<F: Future<Output = ()>> Future for Freezable<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.ice.0.load(Ordering::Relaxed) {
            self.ice.1.lock().expect("no panic before").push(context.waker().clone());
            return Poll::Pending;
        }
        let polled = self.inner.as_mut().poll(context);
        if polled.is_pending()
            && let Some((outside, daemon)) = &self.watched
            && outside.lock().awaited(*daemon)
        {
            // What is left of it is dropped as soon as anybody looks.
            self.ice.0.store(true, Ordering::Relaxed);
        }
        polled
    }
}
