//! The composition root: builds every part, binds, spawns, supervises, and stops in order.
//!
//! The only place that spawns tasks which outlive a call: a task that ends early or panics ends the process.

use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::actuators::charter::{Call, CallObserver, CallStatus, Charter, SetupError};
use crate::actuators::hook::{HookError, Hooks};
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::control_loop::{self, Elector, Heartbeat, LoopHandle, Publisher, Terms};
use crate::cycle::{Assessor, Cycle, Ids, Outside, People, Stages, Watch, check_open_work};
use crate::domain::speed;
use crate::domain::target::System;
use crate::executor::{Actuators, Executor};
use crate::knowledge::{Knowledge, StoreError};
use crate::metrics::Metrics;
use crate::monitor::cluster::{self, ClusterWatch, Patience};
use crate::monitor::github::Github;
use crate::monitor::{self, AlertmanagerSettings, Monitor};
use crate::notify::{self, Notifiers};
use crate::server;
use crate::server::capacity::Capacity;
use crate::wire::Wire;

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

/// Everything of a daemon but its listeners: what `run --once` and `demo` need too.
#[derive(Debug)]
pub struct Parts {
    /// Leads already where the store is this process's alone.
    pub cycle: Cycle,
    pub publisher: Publisher,
    pub elector: Elector,
    pub terms: Terms,
    pub handle: LoopHandle,
    pub knowledge: Knowledge,
    pub metrics: Arc<Metrics>,
    /// Keeps the view of Kubernetes current for as long as it is run; `None`: it is not looked at.
    pub cluster: Option<cluster::Driver>,
}

/// Opens the store, puts it in order and builds the loop.
pub async fn assemble(config: &Arc<Config>, clock: Clock) -> Result<Parts, Error> {
    let knowledge = Knowledge::open(&config.knowledge).await?;
    Box::pin(assemble_in(World::default(), knowledge, config, clock)).await
}

/// What a loop meets; by default the world itself.
#[derive(Debug, Default)]
pub struct World {
    /// Instead of the network.
    pub wire: Option<Arc<dyn Wire>>,
    pub ids: Ids,
    /// Instead of the rules.
    pub assessor: Option<Arc<dyn Assessor>>,
}

/// The same on a store that is open already.
pub async fn assemble_in(
    world: World,
    knowledge: Knowledge,
    config: &Arc<Config>,
    clock: Clock,
) -> Result<Parts, Error> {
    let metrics = Metrics::of(clock.now(), config.execute.charter_url.is_some());
    let (publisher, handle) = control_loop::channel(clock);
    let observer = Calls { metrics: metrics.clone(), heartbeat: publisher.heartbeat.clone() };
    let observer = Arc::new(observer);
    let (monitor, alertmanager) = (config.monitor.clone(), config.alertmanager.clone());
    let interval = config.orchestrator.loop_interval;
    let (watch, driver) = if config.kubernetes.enabled {
        match ClusterWatch::new(&config.kubernetes, Patience::default()).await {
            Ok((watch, driver)) => (Watch::On(watch), Some(driver)),
            Err(error) => (Watch::Broken(error.to_string()), None),
        }
    } else {
        (Watch::Off, None)
    };
    let (notifiers, github) = people_outside(world.wire.as_ref(), config, &metrics, clock)?;
    let outside = Outside { notifiers, github, assessor: world.assessor, watch };
    let people = Box::new(People::new(config, outside)?);
    let (charter, actuators) = actuators(world.wire.as_ref(), config, observer)?;
    let monitor = match world.wire {
        Some(wire) => Monitor::over(wire, monitor, alertmanager, interval, clock)?,
        None => Monitor::new(monitor, alertmanager, interval, clock)?,
    };
    let executor = Executor::new(config.execute.clone(), actuators);
    knowledge.reserve_for(config.rehearsal.is_some(), clock.now()).await?;
    check_open_work(&knowledge, clock.now()).await?;
    let mut elector = Elector::new(
        knowledge.clone(),
        format!("{} ({})", host(), world.ids.key()),
        config.orchestrator.leader_lease,
        &publisher,
        metrics.clone(),
    );
    elector.begin().await?;
    let terms = elector.terms();
    let mut cycle = Cycle::new(
        config.clone(),
        clock,
        Stages { monitor, charter, executor, people },
        knowledge.clone(),
        metrics.clone(),
        world.ids,
    );
    let term = terms.borrow().clone();
    if let Some(term) = term.filter(|_| !knowledge.is_shared()) {
        cycle.lead(term).await?;
    }
    Ok(Parts { cycle, publisher, elector, terms, handle, knowledge, metrics, cluster: driver })
}

/// Who changes each system that the configuration has.
fn actuators(
    wire: Option<&Arc<dyn Wire>>,
    config: &Config,
    observer: Arc<dyn CallObserver>,
) -> Result<(Option<Arc<Charter>>, Actuators), Error> {
    let mut actuators = Actuators::new();
    let charter = config.execute.charter().map(|settings| match wire {
        Some(wire) => Charter::over(wire.clone(), &settings, observer),
        None => Charter::new(&settings, observer),
    });
    let charter = charter.transpose()?.map(Arc::new);
    if let Some(charter) = &charter {
        actuators.insert(System::Charter, charter.clone());
    }
    if !config.hooks.hooks.is_empty() {
        actuators.insert(System::Hook, Arc::new(Hooks::new(config.hooks.clone())?));
    }
    Ok((charter, actuators))
}

/// Those who tell people, and where deployments are looked for.
fn people_outside(
    wire: Option<&Arc<dyn Wire>>,
    config: &Config,
    metrics: &Arc<Metrics>,
    clock: Clock,
) -> Result<(Notifiers, Option<Github>), Error> {
    let setup = notify::Setup {
        slack: &config.slack,
        notify: &config.notify,
        alertmanager_url: &config.alertmanager.url,
        interval: config.orchestrator.loop_interval,
        reports_dir: config.escalation.reports_dir.as_deref(),
        rehearsal: config.rehearsal,
        metrics: metrics.clone(),
    };
    let settings = &config.github;
    let (notifiers, github) = match wire {
        Some(wire) => (
            Notifiers::over(wire.clone(), setup)?,
            settings.enabled.then(|| Github::over(wire.clone(), settings, clock)),
        ),
        None => (Notifiers::new(setup)?, settings.enabled.then(|| Github::new(settings, clock))),
    };
    Ok((notifiers, github.transpose()?))
}

/// The name of this machine, by which people find who leads.
fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "a host without a name".to_owned() } else { name.to_owned() }
}

/// Every call to Charter moves the heartbeat and is measured.
#[derive(Debug)]
struct Calls {
    metrics: Arc<Metrics>,
    heartbeat: Heartbeat,
}

impl CallObserver for Calls {
    fn on_call(&self, call: Call, status: CallStatus, took: Duration) {
        self.heartbeat.beat();
        self.metrics.charter_call(call, status, took);
    }
}

/// A running daemon.
#[derive(Debug)]
pub struct Daemon {
    pub api: SocketAddr,
    /// Where webhooks are taken; `None` while Alertmanager is turned off.
    pub webhook: Option<SocketAddr>,
    pub handle: LoopHandle,
    pub knowledge: Knowledge,
    stop: CancellationToken,
    tasks: JoinSet<(&'static str, Result<(), Error>)>,
}

impl Daemon {
    pub async fn start(config: Config, clock: Clock) -> Result<Self, Error> {
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
        let context = server::Context {
            handle: parts.handle.clone(),
            knowledge: parts.knowledge.clone(),
            metrics: parts.metrics.clone(),
            settings: Arc::new(config.api.clone()),
            started_at: clock.now(),
            rehearsal: config.rehearsal,
            charter: config.execute.charter_url.is_some(),
        };
        if let Some(address) = webhook_address {
            warn_of_the_webhook(address, &config);
        }
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
        let (interval, gap) = (config.orchestrator.loop_interval, config.alertmanager.wake_gap);
        let (stopped, cycle, publisher) = (stop.clone(), parts.cycle, parts.publisher);
        if let Some(cluster) = parts.cluster {
            let stopped = stop.clone();
            tasks.spawn(async move {
                // A defect there must not end the healing: the caches grow old, which every cycle says.
                if AssertUnwindSafe(cluster.run(stopped.clone())).catch_unwind().await.is_err() {
                    tracing::error!(
                        "watching the cluster panicked: it is blind there until it is restarted"
                    );
                    stopped.cancelled().await;
                }
                ("cluster", Ok(()))
            });
        }
        // Not before the cycle in hand has ended: until then it needs its lease.
        let done = CancellationToken::new();
        let (ended_loop, mut elector, terms) = (done.clone(), parts.elector, parts.terms);
        tasks.spawn(async move {
            elector.run(done).await;
            ("elector", Ok(()))
        });
        let span = rehearsing(config.rehearsal);
        tasks.spawn(async move {
            let _ends_the_election = ended_loop.drop_guard();
            let run = control_loop::run(cycle, publisher, terms, interval, gap, stopped);
            ("loop", Box::pin(run).instrument(span).await.map_err(Error::from))
        });
        tracing::info!(
            api = %api_address, tls = config.api.tls.is_some(), webhook = webhook_address.map(tracing::field::display), version = env!("CARGO_PKG_VERSION"),
            interval_seconds = interval.as_secs_f64(), auto_approve = config.plan.auto_approve, "mape-k started"
        );
        Ok(Self {
            api: api_address,
            webhook: webhook_address,
            handle: parts.handle,
            knowledge: parts.knowledge,
            stop,
            tasks,
        })
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
        if tokio::time::timeout(CLOSE_WITHIN, self.knowledge.close()).await.is_err() {
            tracing::warn!("the store was still busy and was not closed; nothing of it is lost");
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
                "webhooks are taken from this machine alone, and Alertmanager is on another: what it sends does not arrive. Set alertmanager.webhook_host to an address that it reaches (0.0.0.0), and alertmanager.webhook_token"
            );
        }
    } else if config.alertmanager.webhook_token.is_none() {
        tracing::warn!(
            %address, "the webhook is open to other machines and has no token: whoever reaches it can deliver alerts. Set alertmanager.webhook_token, or alertmanager.webhook_host to 127.0.0.1"
        );
    }
}

fn spawn_server(
    tasks: &mut JoinSet<(&'static str, Result<(), Error>)>,
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
