//! The composition root: builds every part, binds, spawns, supervises, and stops in order.
//!
//! The only place that spawns tasks which outlive a call: a task that ends early or panics ends the process.

mod assemble;
mod reload;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

pub use assemble::{Builder, Parts, World, assemble, assemble_in};
pub use reload::Source;

use crate::actuators::charter::SetupError;
use crate::actuators::hook::{HookError, Hooks};
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::control_loop::{self, Elector, LoopHandle, Publisher, Terms};
use crate::cycle::Background;
use crate::cycle::Cycle;
use crate::domain::speed;
use crate::knowledge::{Knowledge, StoreError};
use crate::monitor::{self, AlertmanagerSettings};
use crate::notify;
use crate::server;
use crate::server::capacity::Capacity;
use reload::{Cluster, Reloader, shown};

/// A stopping daemon that is not done by then is ended anyway: the promise is 10 s in all.
const STOP_WITHIN: Duration = Duration::from_millis(8_500);

/// For the store to move its write-ahead log into the file.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "cannot listen on {address} ({key}): {cause}. Is another process there, or is the address not of this machine?"
    )]
    Listen { address: String, key: &'static str, cause: std::io::Error },
    #[error(transparent)]
    Tls(#[from] server::tls::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Charter(#[from] SetupError),
    #[error(transparent)]
    Hook(#[from] HookError),
    #[error(transparent)]
    Monitor(#[from] monitor::Error),
    #[error(transparent)]
    Notify(#[from] notify::SetupError),
    #[error(transparent)]
    Catalogue(#[from] config::Errors),
    #[error(transparent)]
    Loop(#[from] control_loop::Error),
    #[error(
        "task {0} ended although nobody asked it to: {1}. The process ends so that it is restarted"
    )]
    Task(&'static str, String),
    #[error("stopping took longer than {} s; what was under way is recorded as it stood", STOP_WITHIN.as_secs_f64())]
    SlowStop,
}

/// A running daemon.
#[derive(Debug)]
pub struct Daemon {
    pub api: SocketAddr,
    /// Where webhooks are taken; `None` while Alertmanager is turned off.
    pub webhook: Option<SocketAddr>,
    pub handle: LoopHandle,
    pub knowledge: Knowledge,
    hooks: Arc<Hooks>,
    reloads: server::Reloads,
    stop: CancellationToken,
    tasks: Tasks,
}

impl Daemon {
    /// One whose configuration is the same whenever it is read again.
    pub async fn start(config: Config, clock: Clock) -> Result<Self, Error> {
        let again = config.clone();
        Self::start_from(config, clock, Arc::new(move || Ok((again.clone(), Vec::new())))).await
    }

    /// `source`: what a reload reads.
    pub async fn start_from(config: Config, clock: Clock, source: Source) -> Result<Self, Error> {
        let config = Arc::new(config);
        let most = connections(&config);
        let tls = config.api.tls.as_ref().map(server::tls::Tls::load).transpose()?;
        // Listening comes first: a port that is taken must be said before anything is touched.
        let api = listen(&config.api.host, config.api.port, "api.port").await?;
        let shared = one_listener(&config);
        let webhook = match &config.alertmanager {
            AlertmanagerSettings { enabled: true, webhook_host, webhook_port, .. } if !shared => {
                Some(listen(webhook_host, *webhook_port, "alertmanager.webhook_port").await?)
            }
            _ => None,
        };
        let api_address = local(&api, "api.port")?;
        let webhook_address = match &webhook {
            Some(listener) => Some(local(listener, "alertmanager.webhook_port")?),
            None => (config.alertmanager.enabled && shared).then_some(api_address),
        };
        let parts = Box::pin(assemble(&config, clock)).await?;
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        let (reloads, asked) = server::reloads();
        let (running, runs) = watch::channel(Arc::new(shown(&config)));
        let context = context(&config, clock, &parts, runs, reloads.clone());
        if let Some(address) = webhook_address {
            warn_of_the_webhook(address, &config);
        }
        let mut sorts = None;
        let router = if config.alertmanager.enabled {
            let (intake, writer) = server::Intake::new(
                &config.alertmanager,
                &config.monitor,
                config.api.rate_limit,
                parts.handle.clone(),
                parts.knowledge.clone(),
                parts.metrics.clone(),
            );
            tasks.spawn(async move {
                writer.run().await;
                ("intake writer", Ok(()))
            });
            sorts = Some(intake.clone());
            match webhook {
                Some(listener) => {
                    let router = server::webhook_router(intake);
                    let server = (most, listener, router, tls.clone());
                    spawn_server(&mut tasks, "webhook", server, &stop);
                    server::api_router(context)
                }
                None => server::combined_router(context, intake),
            }
        } else {
            server::api_router(context)
        };
        spawn_server(&mut tasks, "api", (most, api, router, tls), &stop);
        let reloader = Reloader {
            source,
            newest: config.clone(),
            in_effect: watch::Sender::new((config.clone(), clock.now())),
            builder: parts.builder,
            knowledge: parts.knowledge.clone(),
            clock,
            metrics: parts.metrics,
            renewals: parts.publisher.renewals.clone(),
            intake: sorts,
            running,
            cluster: Cluster::new(parts.watch, parts.cluster, &stop),
        };
        let until = stop.clone();
        tasks.spawn(async move {
            Box::pin(reloader.run(asked, until)).await;
            ("reload", Ok(()))
        });
        let led = (parts.elector, parts.terms);
        spawn_loop(
            &mut tasks,
            &config,
            led,
            (parts.cycle, parts.publisher, parts.background),
            stop.clone(),
        );
        tracing::info!(
            api = %api_address, tls = config.api.tls.is_some(), webhook = webhook_address.map(tracing::field::display), version = env!("CARGO_PKG_VERSION"),
            config_hash = config.hash(), interval_seconds = config.orchestrator.loop_interval.as_secs_f64(), auto_approve = config.plan.auto_approve, "mape-k started"
        );
        Ok(Self {
            api: api_address,
            webhook: webhook_address,
            handle: parts.handle,
            knowledge: parts.knowledge,
            hooks: parts.hooks,
            reloads,
            stop,
            tasks,
        })
    }

    /// Asks it to read its configuration again.
    #[must_use]
    pub fn reloads(&self) -> server::Reloads {
        self.reloads.clone()
    }

    /// Cancel it and [`Daemon::wait`] ends in order.
    #[must_use]
    pub fn stopper(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Until stopped: then an action in hand is finished, undone or recorded as unknown. An error if a task ended
    /// that nobody asked to end.
    pub async fn wait(mut self) -> Result<(), Error> {
        let early = tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            ended = self.tasks.join_next() => ended,
        };
        let mut result = match early {
            Some(Ok((name, Ok(())))) => Err(Error::Task(name, "it returned".to_owned())),
            Some(Ok((_, Err(error)))) => Err(error),
            Some(Err(join)) => Err(Error::Task("(panicked)", join.to_string())),
            None => Ok(()),
        };
        self.stop.cancel();
        let rest = async {
            while let Some(ended) = self.tasks.join_next().await {
                let ended = ended.map_err(|e| Error::Task("(panicked)", e.to_string()));
                if let Err(error) = ended.and_then(|(_, ended)| ended) {
                    result = Err(error);
                }
            }
        };
        if tokio::time::timeout(STOP_WITHIN, rest).await.is_err() {
            result = Err(Error::SlowStop);
        }
        // What a hook's command still does is recorded as unknown; it must not go on without us.
        let (closed, _) = tokio::join!(
            tokio::time::timeout(CLOSE_WITHIN, self.knowledge.close()),
            tokio::time::timeout(CLOSE_WITHIN, self.hooks.stop()),
        );
        if closed.is_err() {
            tracing::warn!(
                "the store was still busy and was not closed in order; nothing in it is lost"
            );
        }
        tracing::info!("mape-k stopped");
        result
    }
}

/// What every line of the loop's log carries while it runs faster than life.
fn rehearsing(speed: Option<f64>) -> tracing::Span {
    speed.map_or_else(tracing::Span::none, |speed| {
        tracing::warn!(
            "{}: every duration of the loop is divided by {speed}; not for production",
            speed::rehearsal(speed)
        );
        tracing::warn_span!("rehearsal", speed)
    })
}

/// A webhook that too many can reach, or not the one that should.
fn warn_of_the_webhook(address: SocketAddr, config: &Config) {
    let alertmanager = config.alertmanager.url.host_str().unwrap_or_default();
    let parsed = alertmanager.trim_matches(['[', ']']).parse::<IpAddr>();
    let is_here = alertmanager == "localhost" || parsed.is_ok_and(|ip| ip.is_loopback());
    if address.ip().is_loopback() {
        if !is_here {
            tracing::warn!(
                %address, alertmanager,
                "the webhook listens to this machine alone, and Alertmanager runs on another: its alerts do not arrive. Set alertmanager.webhook_host to an address that it reaches (0.0.0.0), and alertmanager.webhook_token"
            );
        }
    } else if config.alertmanager.webhook_token.is_none() {
        tracing::warn!(
            %address, "the webhook is open to other machines and has no token: anybody who reaches it can deliver alerts. Set alertmanager.webhook_token, or alertmanager.webhook_host to 127.0.0.1"
        );
    }
}

type Tasks = JoinSet<(&'static str, Result<(), Error>)>;

/// The election goes on until the cycle in hand has ended and what it says was sent and recorded: until then they need
/// their lease.
fn spawn_loop(
    tasks: &mut Tasks,
    config: &Config,
    (mut elector, terms): (Elector, Terms),
    (mut cycle, publisher, background): (Cycle, Publisher, Arc<Background>),
    stop: CancellationToken,
) {
    let (done, ended, sent) =
        (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
    let (ends_the_election, ends_the_background) =
        (done.clone().drop_guard(), ended.clone().drop_guard());
    let (stopping, is_sent) = (stop.clone(), sent.clone().drop_guard());
    tasks.spawn(async move {
        let _is_sent = is_sent;
        background.run(stopping, ended).await;
        ("background", Ok(()))
    });
    tasks.spawn(async move {
        elector.run(done).await;
        ("elector", Ok(()))
    });
    let (interval, gap) = (config.orchestrator.loop_interval, config.alertmanager.wake_gap);
    let span = rehearsing(config.rehearsal);
    tasks.spawn(async move {
        let _ends_the_election = ends_the_election;
        let run = control_loop::run(&mut cycle, &publisher, terms, interval, gap, stop);
        let result = Box::pin(run).instrument(span).await;
        drop(ends_the_background);
        sent.cancelled().await;
        // What was confirmed since the last cycle is in its incidents when the next process takes them up.
        control_loop::take_in_last(&mut cycle, &publisher).await;
        ("loop", result.map_err(Error::from))
    });
}

fn context(
    config: &Config,
    clock: Clock,
    parts: &Parts,
    running: server::RunningNow,
    reloads: server::Reloads,
) -> server::Context {
    server::Context {
        handle: parts.handle.clone(),
        knowledge: parts.knowledge.clone(),
        metrics: parts.metrics.clone(),
        settings: Arc::new(config.api.clone()),
        started_at: clock.now(),
        rehearsal: config.rehearsal,
        running,
        reloads,
    }
}

fn spawn_server(
    tasks: &mut Tasks,
    name: &'static str,
    (most, listener, router, tls): (usize, TcpListener, axum::Router, Option<server::tls::Tls>),
    stop: &CancellationToken,
) {
    let stop = stop.clone();
    tasks.spawn(async move {
        server::serve_within(most, listener, router, tls, stop).await;
        (name, Ok(()))
    });
}

/// Do the API and the webhook have one port?
fn one_listener(config: &Config) -> bool {
    config.alertmanager.webhook_port == config.api.port && config.api.port != 0
}

/// The connections that each listener may hold at once.
fn connections(config: &Config) -> usize {
    let two = config.alertmanager.enabled && !one_listener(config);
    let kubernetes = &config.kubernetes;
    // Each is a connection of its own: one a kind and namespace.
    let watches = kubernetes.kinds.len() * kubernetes.namespaces.len().max(1);
    let watches = if kubernetes.enabled { watches } else { 0 };
    Capacity::in_force(1 + usize::from(two), watches).connections
}

async fn listen(host: &str, port: u16, key: &'static str) -> Result<TcpListener, Error> {
    TcpListener::bind((host, port)).await.map_err(|cause| Error::Listen {
        address: format!("{host}:{port}"),
        key,
        cause,
    })
}

fn local(listener: &TcpListener, key: &'static str) -> Result<SocketAddr, Error> {
    listener.local_addr().map_err(|cause| Error::Listen {
        address: "(unknown)".to_owned(),
        key,
        cause,
    })
}
