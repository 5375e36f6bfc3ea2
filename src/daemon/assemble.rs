//! Everything of a daemon but its listeners and tasks: store, stages and loop, put together by the configuration.

use std::sync::Arc;
use std::time::Duration;

use super::Error;
use crate::actuators::charter::{Call, CallObserver, CallStatus, Charter};
use crate::actuators::hook::Hooks;
use crate::clock::Clock;
use crate::config::Config;
use crate::control_loop::{self, Elector, Heartbeat, LoopHandle, Publisher, Terms};
use crate::cycle::{
    AlertPipeline, Assessor, Background, ClusterAnalyzer, Cycle, Ids, Outside, Stages,
    check_open_work,
};
use crate::domain::target::System;
use crate::executor::{Actuators, Executor};
use crate::http::HttpTransport;
use crate::knowledge::Knowledge;
use crate::knowledge::lease::host_name;
use crate::metrics::Metrics;
use crate::monitor::Monitor;
use crate::monitor::cluster::{self, ClusterWatch, Watch, WatchTimeouts};
use crate::monitor::github::Github;
use crate::notify::{self, Notifiers};

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
    /// Sends messages, and does what else no cycle waits for, for as long as it is run.
    pub background: Arc<Background>,
    /// Whose commands end with the process.
    pub hooks: Arc<Hooks>,
    /// Makes the stages of another configuration.
    pub builder: Builder,
    /// Of the present configuration; [`Parts::cluster`] fills it.
    pub watch: Watch,
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
    pub wire: Option<Arc<dyn HttpTransport>>,
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
    let World { wire, ids, assessor } = world;
    let mut builder =
        Builder { wire, assessor, clock, metrics: metrics.clone(), observer, hooks: None };
    let (watch, driver) = watching(&config.kubernetes).await;
    let (stages, hooks, background) = builder.stages(config, watch.clone())?;
    builder.hooks = Some(hooks.clone());
    knowledge.reserve_for(config.rehearsal.is_some(), clock.now()).await?;
    check_open_work(&knowledge, clock.now()).await?;
    let mut elector = Elector::new(
        knowledge.clone(),
        format!("{} ({})", host_name(), ids.key()),
        config.orchestrator.leader_lease,
        &publisher,
        metrics.clone(),
    );
    elector.begin().await?;
    let terms = elector.terms();
    let mut cycle =
        Cycle::new(config.clone(), clock, stages, knowledge.clone(), metrics.clone(), ids);
    let term = terms.borrow().clone();
    if let Some(term) = term.filter(|_| !knowledge.is_shared()) {
        cycle.lead(term).await?;
    }
    let cluster = driver;
    Ok(Parts {
        cycle,
        publisher,
        elector,
        terms,
        handle,
        knowledge,
        metrics,
        cluster,
        background: Arc::new(background),
        hooks,
        builder,
        watch,
    })
}

/// Makes the stages of a configuration: at the start, and at each reload.
#[derive(Clone, Debug)]
pub struct Builder {
    wire: Option<Arc<dyn HttpTransport>>,
    assessor: Option<Arc<dyn Assessor>>,
    clock: Clock,
    metrics: Arc<Metrics>,
    observer: Arc<Calls>,
    /// Those of the start, whose running commands all later ones share.
    hooks: Option<Arc<Hooks>>,
}

impl Builder {
    /// Nothing is sent anywhere yet.
    pub fn stages(
        &self,
        config: &Arc<Config>,
        watch: Watch,
    ) -> Result<(Stages, Arc<Hooks>, Background), Error> {
        let Self { wire, clock, metrics, .. } = self;
        let (notifiers, github) = people_outside(wire.as_ref(), config, metrics, *clock)?;
        let outside = Outside { notifiers, github, assessor: self.assessor.clone() };
        let cluster = ClusterAnalyzer::new(config)?;
        let (people, background) = AlertPipeline::new(config, outside, *clock, metrics.clone());
        let people = Box::new(people);
        let Acting { actuators, charter, hooks } = Acting::new(self, config)?;
        let (monitor, alertmanager) = (config.monitor.clone(), config.alertmanager.clone());
        let interval = config.orchestrator.loop_interval;
        let monitor = match wire {
            Some(wire) => {
                Monitor::with_transport(wire.clone(), monitor, alertmanager, interval, *clock)?
            }
            None => Monitor::new(monitor, alertmanager, interval, *clock)?,
        };
        let executor = Executor::new(config.execute.clone(), actuators);
        let monitor = monitor.watching(watch);
        Ok((Stages { monitor, charter, executor, cluster, people }, hooks, background))
    }
}

/// The caches of the cluster, and who fills them.
pub async fn watching(settings: &cluster::settings::Settings) -> (Watch, Option<cluster::Driver>) {
    if !settings.enabled {
        return (Watch::Off, None);
    }
    match ClusterWatch::new(settings, WatchTimeouts::default()).await {
        Ok((watch, driver)) => (Watch::On(watch), Some(driver)),
        Err(error) => (Watch::broken(settings, &error), None),
    }
}

/// Who changes each system that the configuration has, for the executor; and those whom others need by themselves.
struct Acting {
    actuators: Actuators,
    charter: Option<Arc<Charter>>,
    hooks: Arc<Hooks>,
}

impl Acting {
    /// A new system is one more of these.
    fn new(builder: &Builder, config: &Config) -> Result<Self, Error> {
        let wire = builder.wire.as_ref();
        let observer = builder.observer.clone();
        let charter = config.execute.charter().map(|settings| match wire {
            Some(wire) => Charter::with_transport(wire.clone(), &settings, observer),
            None => Charter::new(&settings, observer),
        });
        let charter = charter.transpose()?.map(Arc::new);
        let settings = config.hooks.clone();
        let hooks = match wire.cloned() {
            Some(wire) => {
                Hooks::with_transport(settings, &move |_: &_, _: Option<&_>| Ok(wire.clone()))
            }
            None => Hooks::new(settings),
        }?;
        let hooks = match &builder.hooks {
            Some(before) => hooks.succeeding(before),
            None => hooks,
        };
        let hooks = Arc::new(hooks);
        let mut actuators = Actuators::new();
        if let Some(charter) = &charter {
            actuators.insert(System::Charter, charter.clone());
        }
        if !config.hooks.hooks.is_empty() {
            actuators.insert(System::Hook, hooks.clone());
        }
        Ok(Self { actuators, charter, hooks })
    }
}

/// Those who tell people, and where deployments are looked for.
fn people_outside(
    wire: Option<&Arc<dyn HttpTransport>>,
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
        environment: config.orchestrator.environment.as_deref(),
        rehearsal: config.rehearsal,
        metrics: metrics.clone(),
    };
    let settings = &config.github;
    let (notifiers, github) = match wire {
        Some(wire) => (
            Notifiers::with_transport(wire.clone(), setup)?,
            settings.enabled.then(|| Github::with_transport(wire.clone(), settings, clock)),
        ),
        None => (Notifiers::new(setup)?, settings.enabled.then(|| Github::new(settings, clock))),
    };
    Ok((notifiers, github.transpose()?))
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
