//! The reload of the configuration while the daemon runs.
//!
//! ```text
//! SIGHUP, POST /-/reload ─▶ read again ─▶ valid? ─▶ can it change? ─▶ stages ─▶ the loop, between two cycles
//!                                          └─ no: what was in effect stays so, and the answer says so
//! ```
//! All or nothing: what fails before the last step has changed nothing.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Error;
use super::assemble::{Builder, watching};
use crate::clock::Clock;
use crate::config::{Config, Errors, Problem, Warning};
use crate::control_loop::Renewals;
use crate::cycle::Renewal;
use crate::domain::difference::Difference;
use crate::domain::time::Time;
use crate::knowledge::Knowledge;
use crate::metrics::Metrics;
use crate::monitor::cluster::{Driver, Watch};
use crate::server::configuration::{Asked, Refused, Reloaded};
use crate::server::{Intake, Running, Waiting};

/// Reads file and environment again, as the start did.
pub type Source = Arc<dyn Fn() -> Result<(Config, Vec<Warning>), Errors> + Send + Sync>;

/// Sections and keys that are read once, at the start: what is built of them is shared by everything that runs.
const AT_START: [&str; 11] = [
    // Listeners, with what they ask of callers.
    "api",
    "alertmanager.enabled",
    "alertmanager.webhook_host",
    "alertmanager.webhook_port",
    "alertmanager.webhook_path",
    "alertmanager.max_body_bytes",
    // The store; approvals are stored with their end.
    "knowledge",
    "plan.approval_ttl",
    "orchestrator.leader_lease",
    // The log.
    "logging",
    "orchestrator.log_level",
];

/// An answer waits so long for the configuration to take effect.
const APPLIED_WITHIN: Duration = Duration::from_secs(3);

/// The configuration that is in effect, and since when.
type InEffect = (Arc<Config>, Time);

pub(super) struct Reloader {
    pub source: Source,
    /// The newest that was accepted.
    pub newest: Arc<Config>,
    pub in_effect: watch::Sender<InEffect>,
    pub builder: Builder,
    pub knowledge: Knowledge,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
    pub renewals: Renewals,
    /// `None`: no webhooks are taken.
    pub intake: Option<Intake>,
    pub running: watch::Sender<Arc<Running>>,
    pub cluster: Cluster,
}

/// Who watches the cluster for the newest configuration.
pub(super) struct Cluster {
    watch: Watch,
    /// Each ends one watching; the last is that of `watch`, and the loop may still use one of before.
    watched: Vec<CancellationToken>,
    /// Ends the watching that a renewal began which the loop may not have taken yet.
    untaken: Option<CancellationToken>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Cluster {
    /// `stop`: of the process.
    pub fn new(watch: Watch, driver: Option<Driver>, stop: &CancellationToken) -> Self {
        let (stop, tasks) = (stop.clone(), JoinSet::new());
        let mut cluster =
            Self { watch: Watch::Off, watched: Vec::new(), untaken: None, stop, tasks };
        cluster.change(watch, driver);
        cluster
    }

    fn change(&mut self, watch: Watch, driver: Option<Driver>) {
        self.watch = watch;
        let watched = self.stop.child_token();
        if let Some(driver) = driver {
            let stopped = watched.clone();
            self.tasks.spawn(async move {
                // A defect there must not end the healing: the caches grow old, which every cycle says.
                let run = AssertUnwindSafe(driver.run(stopped));
                if run.catch_unwind().await.is_err() {
                    tracing::error!(
                        "watching the cluster panicked: mape-k sees nothing of Kubernetes from now on. Restart it, and please report this"
                    );
                }
            });
        }
        self.watched.retain(|before| !before.is_cancelled());
        self.watched.push(watched);
    }

    /// A renewal was offered, maybe in place of one that is never taken: nobody uses what that one began to watch.
    fn offered(&mut self, is_changed: bool, has_replaced: bool) {
        let mut untaken = self.untaken.take().filter(|_| has_replaced);
        if is_changed {
            untaken.iter().for_each(CancellationToken::cancel);
            untaken = self.watched.last().cloned();
        }
        self.untaken = untaken;
    }

    /// What ends the watching that the loop needs no more once it uses the present one.
    fn before(&self) -> Vec<CancellationToken> {
        let (_, before) = self.watched.split_last().expect("the first is made with it");
        before.to_vec()
    }
}

impl Reloader {
    /// Answers until `stop`.
    pub async fn run(mut self, mut asked: mpsc::Receiver<Asked>, stop: CancellationToken) {
        loop {
            let first = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(first) = asked.recv() => first,
            };
            // This reading answers everybody who asked before it.
            let rest = std::iter::from_fn(|| asked.try_recv().ok());
            let waiting: Vec<Asked> = std::iter::once(first).chain(rest).collect();
            let outcome = Arc::new(self.reload().await);
            self.say(&outcome);
            for answer in waiting.into_iter().flatten() {
                // The caller may have gone away.
                drop(answer.send(outcome.clone()));
            }
            while self.cluster.tasks.try_join_next().is_some() {}
        }
        while self.cluster.tasks.join_next().await.is_some() {}
    }

    fn say(&self, outcome: &Result<Reloaded, Refused>) {
        match outcome {
            Ok(reloaded) => {
                self.metrics.reloaded(self.clock.now());
                for warning in &reloaded.warnings {
                    tracing::warn!(%warning, "the configuration is accepted with a warning");
                }
                let changed: Vec<String> =
                    reloaded.changed.iter().map(ToString::to_string).collect();
                let (config_hash, changed) = (&reloaded.config_hash, changed.join("; "));
                if let Some(waits_for) = reloaded.waits_for {
                    tracing::warn!(
                        config_hash,
                        changed,
                        "the configuration is reloaded and not in effect yet: it waits for {waits_for}"
                    );
                } else if changed.is_empty() {
                    tracing::info!(
                        config_hash,
                        "the configuration was read again and differs in nothing from the one in effect"
                    );
                } else {
                    tracing::info!(
                        config_hash,
                        changed,
                        "the configuration is reloaded and in effect"
                    );
                }
            }
            Err(refused) => {
                self.metrics.reload_refused();
                tracing::error!(
                    problems = refused.problems.join("; "),
                    config_hash = self.newest.hash(),
                    "{}",
                    refused.error
                );
            }
        }
    }

    async fn reload(&mut self) -> Result<Reloaded, Refused> {
        if let Some(speed) = self.newest.rehearsal {
            // Whether a configuration fits a speed is found out at the start.
            return Err(restart(vec![format!("mape-k run --speed {speed}")]));
        }
        let source = self.source.clone();
        // Files may lie on a disk that hangs.
        let read = tokio::task::spawn_blocking(move || source()).await;
        let read = read.map_err(|error| invalid(vec![format!("reading it failed: {error}")]))?;
        let (config, warnings) = read.map_err(|errors| invalid(of(&errors)))?;
        let (config, warnings) =
            (Arc::new(config), warnings.iter().map(ToString::to_string).collect());
        let changed = self.in_effect.borrow().0.differences(&config);
        let fixed: Vec<&Difference> =
            changed.iter().filter(|one| is_read_at_start(&one.key)).collect();
        if !fixed.is_empty() {
            return Err(restart(fixed.iter().map(ToString::to_string).collect()));
        }
        if *config != *self.newest {
            let renewal = self.build(&config).await.map_err(|error| match error {
                Error::Catalogue(errors) => invalid(of(&errors)),
                error => invalid(vec![error.to_string()]),
            })?;
            let is_changed = config.kubernetes != self.newest.kubernetes;
            self.newest = config;
            let has_replaced = self.renewals.offer(renewal);
            self.cluster.offered(is_changed, has_replaced);
        }
        let applied_at = self.applied().await;
        let waits_for = applied_at.is_none().then(|| self.renewals.wait_for());
        Ok(Reloaded { config_hash: self.newest.hash(), changed, applied_at, waits_for, warnings })
    }

    /// Since when the newest is in effect; `None`, and shown as waiting, when the loop does not take it soon.
    async fn applied(&self) -> Option<Time> {
        let is_newest = |(config, _): &InEffect| Arc::ptr_eq(config, &self.newest);
        let mut in_effect = self.in_effect.subscribe();
        if let Ok(Ok(now)) = timeout(APPLIED_WITHIN, in_effect.wait_for(is_newest)).await {
            return Some(now.1);
        }
        let waiting = Waiting {
            config_hash: self.newest.hash(),
            accepted_at: self.clock.now(),
            waits_for: self.renewals.wait_for(),
        };
        self.running.send_modify(|running| {
            // Not once the loop has taken it after all.
            if !is_newest(&self.in_effect.borrow()) {
                Arc::make_mut(running).waiting = Some(waiting);
            }
        });
        None
    }

    /// The last that can fail comes first.
    async fn build(&mut self, config: &Arc<Config>) -> Result<Renewal, Error> {
        let is_watched = config.kubernetes == self.newest.kubernetes;
        let (watch, driver) = if is_watched {
            (self.cluster.watch.clone(), None)
        } else {
            watching(&config.kubernetes).await
        };
        // What runs beside the cycles runs on, with what the new stages bring for it.
        let (stages, _, _) = self.builder.stages(config, watch.clone())?;
        // A list of 5,000 pods is not asked for because a threshold changed.
        if !is_watched {
            self.cluster.change(watch, driver);
        }
        let before = self.cluster.before();
        let (intake, running, metrics) =
            (self.intake.clone(), self.running.clone(), self.metrics.clone());
        let (in_effect, clock) = (self.in_effect.clone(), self.clock);
        let taken = config.clone();
        let on_taken = Box::new(move || {
            // Not before: a renewal that a newer one replaces is never taken, and the loop goes on with its watch.
            before.iter().for_each(CancellationToken::cancel);
            if let Some(intake) = intake {
                intake.renew(&taken.alertmanager, &taken.monitor);
            }
            metrics.drives_charter(taken.execute.charter_url.is_some());
            in_effect.send_replace((taken.clone(), clock.now()));
            let before = running.send_replace(Arc::new(shown(&taken)));
            if before.waiting.is_some() {
                let config_hash = taken.hash();
                tracing::info!(config_hash, "the configuration that waited is in effect");
            }
        });
        Ok(Renewal { config: config.clone(), stages, knowledge: self.knowledge.clone(), on_taken })
    }
}

/// What the API says of the configuration that is in effect.
pub fn shown(config: &Config) -> Running {
    Running {
        hash: config.hash(),
        config: config.to_json(),
        charter: config.execute.charter_url.is_some(),
        kubernetes: config.kubernetes.enabled,
        notifiers: config.notifiers(),
        environment: config.orchestrator.environment.clone(),
        waiting: None,
    }
}

fn is_read_at_start(key: &str) -> bool {
    let is_below = |rest: &str| rest.is_empty() || rest.starts_with(['.', '[', ' ']);
    AT_START.iter().any(|start| key.strip_prefix(start).is_some_and(is_below))
}

fn restart(keys: Vec<String>) -> Refused {
    Refused {
        error: "The configuration was not reloaded, and the one of before stays in effect: these keys cannot change while the daemon runs. Restart the daemon to apply it, or set them back and reload.".to_owned(),
        problems: keys,
        restart_needed: true,
    }
}

fn invalid(problems: Vec<String>) -> Refused {
    Refused {
        error: "The configuration was not reloaded, and the one of before stays in effect: the new one is not valid. Correct it and reload; `mape-k check-config` checks it too.".to_owned(),
        problems,
        restart_needed: false,
    }
}

fn of(errors: &Errors) -> Vec<String> {
    let file = errors.file.as_ref().map(|file| format!("{}: ", file.display())).unwrap_or_default();
    errors.problems.iter().map(|problem: &Problem| format!("{file}{problem}")).collect()
}
