//! One run: the world, the daemon in it, and the script, from the first second to the last.

mod happens;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use mape_k::config::Config;
use mape_k::control_loop::Mode;
use mape_k::knowledge::memory::MemoryStore;
use mape_k::knowledge::{Database, Knowledge};
use mape_k::monitor::MetricsSource;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};

use super::account::Account;
use super::awaits::Awaits;
use super::daemon::{Daemon, Site, Webhook};
use super::outside::{EPOCH, Shared};
use super::prometheus::SCRAPE_SECONDS;
use super::script::{AlertmanagerTrouble, MetricsTrouble, Script, Source, WebhookTrouble};
use super::watch::Broken;

/// What came of a run.
pub struct Outcome {
    pub digest: u64,
    pub broken: Vec<Broken>,
    pub reached: BTreeSet<String>,
    /// How often each invariant was put to the test.
    pub tests: BTreeMap<u8, u64>,
    /// Charter forgot a key that it had carried back.
    pub breaches: u64,
    pub cycles: u64,
    pub tail: Vec<String>,
    pub account: Account,
    pub awaits: Awaits,
}

/// Runs a script to its end, alone on this thread.
pub fn run(script: &Script) -> Outcome {
    run_in(script, None)
}

/// The same; the process dies after so many waits of its loop, and a new one follows.
pub fn run_dying(script: &Script, at: usize) -> Outcome {
    run_in(script, Some(at))
}

thread_local! {
    /// Panics in the tasks of the run that this thread is in: the product survives some of them, a run none.
    static PANICS: Cell<u32> = const { Cell::new(0) };
}

fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            PANICS.set(PANICS.get() + 1);
            before(panic);
        }));
    });
    PANICS.set(0);
}

fn run_in(script: &Script, die_at: Option<usize>) -> Outcome {
    count_panics();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let run = Run::new(script);
        run.site.outside.lock().awaits.die_at = die_at;
        run.ended().await
    })
}

pub fn config(script: &Script) -> Config {
    let mut config = Config::default();
    config.orchestrator.mode = Mode::Staging;
    config.plan.auto_approve = script.auto_approve;
    config.orchestrator.auto_approve = script.auto_approve;
    config.knowledge.database = Database::Memory;
    config.escalation.reports_dir = None;
    let url = |text: &str| text.parse().expect("a URL");
    config.monitor.source = match script.source {
        Source::Prometheus => MetricsSource::Prometheus,
        Source::Scrape => MetricsSource::Scrape,
    };
    config.monitor.prometheus_url = Some(url("http://prometheus:9090"));
    config.monitor.scrape_url = Some(url("http://charter:8000/metrics"));
    config.alertmanager.url = url("http://alertmanager:9093");
    config.execute.charter_url = Some(url("http://charter:8000"));
    script.settings.apply(&mut config);
    config
}

struct Run<'a> {
    script: &'a Script,
    site: Site,
    replicas: Vec<Replica>,
    /// Processes started so far.
    started: u32,
    clock_off: f64,
    began: Instant,
    /// Payloads that are posted later, or again.
    posts: Vec<(Instant, Value)>,
    door: Door,
}

/// One place in which a process runs, and another one when it has ended.
#[derive(Default)]
struct Replica {
    daemon: Option<Daemon>,
    /// A process that ended is started again then.
    restart_at: Option<Instant>,
    thaw_at: Option<Instant>,
}

impl Replica {
    fn is_up(&self) -> bool {
        self.daemon.is_some() && self.thaw_at.is_none()
    }
}

/// The webhooks of whichever processes are up.
type Door = Arc<Mutex<Vec<Webhook>>>;

/// To one of them. What is not acknowledged is posted again, as Alertmanager does.
async fn deliver(door: Door, payload: Value, mut turn: usize) {
    loop {
        let webhook = {
            let webhooks = door.lock().expect("no panic before");
            let next = turn % webhooks.len().max(1);
            webhooks.get(next).cloned()
        };
        if let Some(webhook) = webhook
            && webhook.post(&payload).await
        {
            return;
        }
        turn += 1;
        sleep(Duration::from_secs(10)).await;
    }
}

impl<'a> Run<'a> {
    fn new(script: &'a Script) -> Self {
        let several = script.replicas > 1;
        let memory = if several { MemoryStore::shared() } else { MemoryStore::default() };
        let site = Site {
            outside: Shared::new(script),
            memory: Arc::new(memory),
            ids: Arc::<AtomicU64>::default(),
            config: Arc::new(config(script)),
        };
        site.outside.lock().watch.configured(script);
        let began = Instant::now();
        let replica = || Replica { restart_at: Some(began), ..Replica::default() };
        Self {
            script,
            site,
            replicas: (0..script.replicas).map(|_| replica()).collect(),
            started: 0,
            clock_off: 0.0,
            began,
            posts: Vec::new(),
            door: Door::default(),
        }
    }

    async fn ended(mut self) -> Outcome {
        let end = self.began + self.script.length();
        let mut events = self.script.events.iter().peekable();
        let mut scrape_at = self.began;
        let crashed = self.site.outside.lock().crashed.clone();
        loop {
            let event_at =
                events.peek().map(|event| self.began + Duration::from_secs_f64(event.at));
            let soonest = self
                .replicas
                .iter()
                .flat_map(|replica| [replica.restart_at, replica.thaw_at])
                .chain([event_at])
                .flatten()
                .chain(self.posts.iter().map(|(at, _)| *at))
                .fold(scrape_at, Instant::min);
            if soonest >= end {
                break;
            }
            tokio::select! {
                biased;
                () = crashed.notified() => self.bury(),
                () = sleep_until(soonest) => {}
            }
            let now = Instant::now();
            if now >= scrape_at {
                scrape_at += Duration::from_secs_f64(SCRAPE_SECONDS);
                self.observe(now);
            }
            if event_at.is_some_and(|at| now >= at)
                && let Some(event) = events.next()
            {
                self.happens(&event.what).await;
            }
            for place in 0..self.replicas.len() {
                let replica = &mut self.replicas[place];
                if replica.thaw_at.take_if(|at| now >= *at).is_some()
                    && let Some(daemon) = &replica.daemon
                {
                    self.site.outside.lock().say(&format!("daemon {} goes on", daemon.number));
                    daemon.thaw();
                }
                if replica.restart_at.take_if(|at| now >= *at).is_some() {
                    self.start(place).await;
                }
            }
            self.post(now);
        }
        sleep_until(end).await;
        for daemon in self.replicas.iter_mut().filter_map(|replica| replica.daemon.take()) {
            daemon.kill();
        }
        let settings = &self.site.config.knowledge;
        let knowledge = Knowledge::with_store(self.site.memory.clone(), settings, "simulated");
        let learned = knowledge.statistics().await.expect("the memory store reads");
        let natural = knowledge.natural().await.expect("the memory store reads").counts;
        let account = Account::of(&knowledge, &self.site.outside).await;
        let mut outside = self.site.outside.lock();
        let (now, quiet) = (outside.now(), self.script.quiet_since());
        let replayed = outside.replayed(&natural, settings.confidence_saturation_point);
        outside.ended(now, quiet.unwrap_or(now), &learned, &replayed);
        if PANICS.get() > 0 {
            outside.watch.broke(0, now, format!("{} panics", PANICS.get()));
        }
        Outcome {
            account,
            awaits: std::mem::take(&mut outside.awaits),
            digest: outside.trace.digest(),
            broken: outside.watch.broken.clone(),
            reached: outside.watch.reached.clone(),
            tests: outside.watch.tests.clone(),
            breaches: outside.watch.breaches,
            cycles: outside.watch.cycles,
            tail: outside.trace.tail().cloned().collect(),
        }
    }

    /// Prometheus scrapes, its rules are evaluated, Alertmanager posts.
    fn observe(&mut self, now: Instant) {
        let mut outside = self.site.outside.lock();
        outside.look();
        outside.scrape();
        let at = outside.now();
        outside.witness(at, self.replicas.iter().all(Replica::is_up));
        let down = outside.alerts.now(at) == Some(AlertmanagerTrouble::Down)
            || outside.metrics.now(at) == Some(MetricsTrouble::Down);
        if down {
            return;
        }
        let outside = &mut *outside;
        let payloads = outside.alertmanager.evaluate(&outside.prometheus, at, EPOCH);
        for payload in payloads {
            let late = |seconds: f64| now + Duration::from_secs_f64(seconds);
            match outside.webhook.now(at) {
                Some(WebhookTrouble::Lost) => {}
                Some(WebhookTrouble::Delayed) => self.posts.push((late(120.0), payload)),
                Some(WebhookTrouble::Duplicated) => {
                    self.posts.push((now, payload.clone()));
                    self.posts.push((late(1.0), payload));
                }
                Some(WebhookTrouble::Reordered) => {
                    let by = 60.0 * outside.chance();
                    self.posts.push((late(by), payload));
                }
                Some(WebhookTrouble::Truncated) => {
                    let mut payload = payload;
                    payload["alerts"] = json!([]);
                    payload["truncatedAlerts"] = json!(7);
                    self.posts.push((now, payload));
                }
                Some(WebhookTrouble::Storm) | None => self.posts.push((now, payload)),
            }
        }
    }

    /// Sends off what is due.
    fn post(&mut self, now: Instant) {
        let up = self.replicas.iter().filter(|replica| replica.is_up());
        let webhooks = up.filter_map(|replica| Some(replica.daemon.as_ref()?.webhook.clone()));
        *self.door.lock().expect("no panic before") = webhooks.collect();
        for (turn, (_, payload)) in self.posts.extract_if(.., |(at, _)| *at <= now).enumerate() {
            tokio::spawn(deliver(self.door.clone(), payload, turn));
        }
    }

    async fn start(&mut self, place: usize) {
        self.started += 1;
        let crashed = self.site.outside.lock().crashed.clone();
        let started = tokio::select! {
            biased;
            started = Daemon::start(&self.site, self.started, self.clock_off) => started,
            () = crashed.notified() => Err("it died of it".to_owned()),
        };
        // A process that cannot start is started again, as Kubernetes does.
        match started {
            Ok(daemon) => {
                let mut outside = self.site.outside.lock();
                outside.say(&format!("daemon {} started", self.started));
                outside.watch.started();
                self.replicas[place].daemon = Some(daemon);
            }
            Err(error) => {
                self.site.outside.lock().say(&format!("it does not start: {error}"));
                self.replicas[place].restart_at = Some(Instant::now() + Duration::from_secs(10));
            }
        }
    }

    /// Processes that have died are started again.
    fn bury(&mut self) {
        let dead = std::mem::take(&mut self.site.outside.lock().dead);
        for number in dead {
            let has =
                |replica: &Replica| replica.daemon.as_ref().is_some_and(|d| d.number == number);
            // One that was stopped is away already.
            if let Some(place) = self.replicas.iter().position(has) {
                self.crash(place);
            }
        }
    }

    fn crash(&mut self, place: usize) {
        let replica = &mut self.replicas[place];
        if let Some(daemon) = replica.daemon.take() {
            self.site.outside.lock().say(&format!("daemon {} is dead", daemon.number));
            daemon.kill();
        }
        replica.thaw_at = None;
        replica.restart_at = Some(Instant::now() + Duration::from_secs(5));
    }
}
