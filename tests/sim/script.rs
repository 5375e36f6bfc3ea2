//! What is done to the world of one run, and when: read from a scenario's file, or drawn from a seed.

mod kinds;

use std::time::Duration;

use mape_k::charter_sandbox::faults::Fault;
use mape_k::config::Config;
use mape_k::domain::action::ActionKind;
use mape_k::domain::standing::Mode;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

pub use kinds::kinds;

/// Everything that is done to one run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    pub seed: u64,
    pub hours: f64,
    /// Plant: a multiple of the time that replicas and instances need to come up.
    #[serde(default = "once")]
    pub dead_time: f64,
    /// Does Charter honour idempotency keys?
    #[serde(default = "yes")]
    pub honours_keys: bool,
    /// Does the loop approve what a person need not?
    #[serde(default = "yes")]
    pub auto_approve: bool,
    #[serde(default)]
    pub source: Source,
    /// Processes on one store; from two on they elect who leads.
    #[serde(default = "alone")]
    pub replicas: u32,
    #[serde(default)]
    pub settings: Settings,
    pub events: Vec<Event>,
}

/// What an operator has set otherwise than shipped.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    pub mode: Option<Mode>,
    pub forbidden: Vec<ActionKind>,
    /// `plan.scaling.max_replicas`.
    pub most_replicas: Option<u32>,
    /// `plan.give_back.after`, in seconds.
    pub give_back: Option<u64>,
    /// `plan.guardrails.storm` told from so few components on: the plant has three.
    pub storm_from: Option<usize>,
}

impl Settings {
    pub fn apply(&self, config: &mut Config) {
        let rails = &mut config.plan.guardrails;
        rails.mode = self.mode.unwrap_or(rails.mode);
        rails.forbidden_actions.extend(&self.forbidden);
        config.execute.rails.observe = rails.mode == Mode::Observe;
        config.execute.rails.suggest = rails.mode == Mode::Suggest;
        config.execute.rails.forbidden.clone_from(&rails.forbidden_actions);
        let scaling = &mut config.plan.scaling;
        scaling.max_replicas = self.most_replicas.unwrap_or(scaling.max_replicas);
        config.plan.give_back.after = self.give_back.map(Duration::from_secs);
        if let Some(components) = self.storm_from {
            let storm = &mut config.plan.guardrails.storm;
            (storm.min_components, storm.min_sick) = (components, 2);
        }
    }

    /// Most keep what is shipped.
    fn drawn(rng: &mut StdRng) -> Self {
        let mode = match rng.random_range(0..20) {
            0 => Some(Mode::Observe),
            1 => Some(Mode::Suggest),
            _ => None,
        };
        let all = [ActionKind::ScaleUp, ActionKind::RebalanceLoad, ActionKind::ThrottleRequests];
        let forbidden = if rng.random_bool(0.1) { vec![pick(rng, &all)] } else { Vec::new() };
        let most_replicas = rng.random_bool(0.15).then(|| rng.random_range(3..6));
        let give_back = rng.random_bool(0.25).then(|| rng.random_range(300..1200));
        let storm_from = rng.random_bool(0.2).then_some(3);
        Self { mode, forbidden, most_replicas, give_back, storm_from }
    }
}

fn once() -> f64 {
    1.0
}

fn yes() -> bool {
    true
}

fn alone() -> u32 {
    1
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    #[default]
    Prometheus,
    Scrape,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Event {
    /// Seconds from the start.
    pub at: f64,
    #[serde(flatten)]
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "do")]
pub enum What {
    /// A fault of the plant; what is not given is the fault's default.
    Plant {
        fault: Fault,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        component: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        magnitude: Option<f64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seconds: Option<f64>,
    },
    /// All faults of the plant end, as if somebody had mended their causes.
    Mend,
    Metrics {
        trouble: MetricsTrouble,
        seconds: f64,
    },
    Webhook {
        trouble: WebhookTrouble,
        seconds: f64,
    },
    Alertmanager {
        trouble: AlertmanagerTrouble,
        seconds: f64,
    },
    Charter {
        trouble: CharterTrouble,
        seconds: f64,
    },
    Store {
        trouble: StoreTrouble,
        seconds: f64,
    },
    Daemon {
        /// Which of the replicas.
        #[serde(default)]
        replica: usize,
        trouble: DaemonTrouble,
    },
    Person {
        act: Act,
    },
    /// Somebody else changes Charter.
    Foreign {
        change: Change,
    },
}

impl What {
    fn jumps(&self) -> f64 {
        match self {
            Self::Daemon { trouble: DaemonTrouble::ClockJump { seconds }, .. } => *seconds,
            _ => 0.0,
        }
    }

    fn lasts(&self) -> f64 {
        match self {
            Self::Metrics { seconds, .. }
            | Self::Webhook { seconds, .. }
            | Self::Alertmanager { seconds, .. }
            | Self::Charter { seconds, .. }
            | Self::Store { seconds, .. }
            | Self::Daemon {
                trouble: DaemonTrouble::Freeze { seconds } | DaemonTrouble::CutOff { seconds },
                ..
            } => *seconds,
            Self::Plant { .. }
            | Self::Mend
            | Self::Daemon { .. }
            | Self::Person { .. }
            | Self::Foreign { .. } => 0.0,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricsTrouble {
    Down,
    /// Answers after the cycle's deadline.
    Slow,
    /// Half of the series are missing.
    Partial,
    /// It answers what it last saw and sees nothing new.
    Stale,
    Nan,
    /// Charter's counters begin again at zero.
    CounterReset,
    /// Its clock is 45 s off.
    Skewed,
}

impl MetricsTrouble {
    pub const ALL: [Self; 7] = [
        Self::Down,
        Self::Slow,
        Self::Partial,
        Self::Stale,
        Self::Nan,
        Self::CounterReset,
        Self::Skewed,
    ];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookTrouble {
    Duplicated,
    Reordered,
    Delayed,
    Truncated,
    Lost,
    /// A thousand times the alerts.
    Storm,
}

impl WebhookTrouble {
    pub const ALL: [Self; 6] = [
        Self::Duplicated,
        Self::Reordered,
        Self::Delayed,
        Self::Truncated,
        Self::Lost,
        Self::Storm,
    ];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertmanagerTrouble {
    Down,
    /// It begins again with an empty list.
    Restarted,
}

impl AlertmanagerTrouble {
    pub const ALL: [Self; 2] = [Self::Down, Self::Restarted];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CharterTrouble {
    Down,
    /// A change is made and its answer lost.
    LosesReplies,
    /// A change is made well after the caller has given up.
    ActsLate,
    /// 500 without any effect.
    Fails,
    /// 503 without any effect.
    Unavailable,
    /// 502 from a gateway, with the effect.
    BadGateway,
    /// 409 to every change.
    Conflicts,
    Slow,
    /// It says yes and does nothing.
    Lies,
    /// It forgets the keys it has seen.
    ForgetsKeys,
}

impl CharterTrouble {
    pub const ALL: [Self; 10] = [
        Self::Down,
        Self::LosesReplies,
        Self::ActsLate,
        Self::Fails,
        Self::Unavailable,
        Self::BadGateway,
        Self::Conflicts,
        Self::Slow,
        Self::Lies,
        Self::ForgetsKeys,
    ];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreTrouble {
    /// Nothing can be read or written.
    Down,
    /// Reads work, writes do not.
    Full,
    /// Writes are made and reported as failed.
    LosesReplies,
    Slow,
}

impl StoreTrouble {
    pub const ALL: [Self; 4] = [Self::Down, Self::Full, Self::LosesReplies, Self::Slow];
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum DaemonTrouble {
    /// Its future is dropped where it stands, and a new one starts on the same store.
    Crash,
    /// The same in its next so many calls from now, to Charter or the store: before the call or after it.
    CrashAtCall { calls: u32, after: bool },
    /// It stops in order and starts again.
    Restart,
    /// It stands still while time goes on.
    Freeze { seconds: f64 },
    /// It cannot reach the store.
    CutOff { seconds: f64 },
    /// The wall clock that all replicas will be started with is off by so much more, and they are started anew.
    ClockJump { seconds: f64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    Pause,
    Resume,
    /// Whatever waits for a decision is allowed.
    Approve,
    Reject,
}

impl Act {
    pub const ALL: [Self; 4] = [Self::Pause, Self::Resume, Self::Approve, Self::Reject];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    ScaleUp,
    ScaleDown,
    Restart,
    /// Rolls back whatever is in force.
    Rollback,
}

impl Change {
    pub const ALL: [Self; 4] = [Self::ScaleUp, Self::ScaleDown, Self::Restart, Self::Rollback];
}

impl Script {
    /// Hours in which nothing happens to a daemon as shipped.
    pub fn quiet(seed: u64, hours: f64) -> Self {
        Self {
            seed,
            hours,
            dead_time: once(),
            honours_keys: yes(),
            auto_approve: yes(),
            source: Source::default(),
            replicas: alone(),
            settings: Settings::default(),
            events: Vec::new(),
        }
    }

    /// Hours full of trouble, the same for the same seed.
    pub fn drawn(seed: u64, hours: f64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut script = Self {
            seed,
            hours,
            dead_time: if rng.random_bool(0.2) { 3.0 } else { 1.0 },
            honours_keys: rng.random_bool(0.7),
            auto_approve: rng.random_bool(0.8),
            source: if rng.random_bool(0.25) { Source::Scrape } else { Source::Prometheus },
            replicas: if rng.random_bool(0.3) { 2 } else { 1 },
            settings: Settings::drawn(&mut rng),
            events: Vec::new(),
        };
        let mut draw = Draw { rng, events: Vec::new(), replicas: script.replicas as usize };
        // Time for a first cycle in peace: what is broken before it has no onset.
        let mut at = 120.0;
        // The last hour is quiet, so that what was begun can come to its end.
        let end = hours * 3600.0 - 3600.0;
        loop {
            at += draw.rng.random_range(60.0..1800.0);
            if at > end {
                break;
            }
            draw.anything(at);
            // Troubles like company: what is hard is two at once.
            while draw.rng.random_bool(0.5) {
                let near = at + draw.rng.random_range(0.0..180.0);
                draw.anything(near);
            }
        }
        draw.events.retain(|event| event.at < end);
        // What was off is put right, and the daemons are started anew with it.
        let off: f64 = draw.events.iter().map(|event| event.what.jumps()).sum();
        let right = DaemonTrouble::ClockJump { seconds: -off };
        let right = (off != 0.0).then_some(What::Daemon { replica: 0, trouble: right });
        let last = [What::Mend, What::Person { act: Act::Resume }].into_iter().chain(right);
        draw.events.extend(last.map(|what| Event { at: end, what }));
        script.events = draw.events;
        script.events.sort_by(|a, b| a.at.total_cmp(&b.at));
        script
    }

    /// Since when the input is constant: the last event and the last trouble are over, and what was broken is mended.
    pub fn quiet_since(&self) -> Option<f64> {
        let mended = self.events.iter().rfind(|e| e.what == What::Mend)?.at;
        let last = self.events.iter().rfind(|e| matches!(e.what, What::Plant { .. }));
        if last.is_some_and(|fault| fault.at > mended) {
            return None;
        }
        let over = |event: &Event| event.at + event.what.lasts();
        Some(self.events.iter().map(over).fold(mended, f64::max))
    }

    pub fn length(&self) -> Duration {
        Duration::from_secs_f64(self.hours * 3600.0)
    }
}

/// A script being drawn.
struct Draw {
    rng: StdRng,
    events: Vec<Event>,
    replicas: usize,
}

impl Draw {
    fn push(&mut self, at: f64, what: What) {
        self.events.push(Event { at, what });
    }

    fn later(&mut self, at: f64, seconds: std::ops::Range<f64>) -> f64 {
        at + self.rng.random_range(seconds)
    }

    fn anything(&mut self, at: f64) {
        match self.rng.random_range(0..20) {
            0..8 => self.incident(at),
            8..10 => {
                let (trouble, seconds) =
                    (pick(&mut self.rng, &MetricsTrouble::ALL), self.lasting());
                self.push(at, What::Metrics { trouble, seconds });
            }
            10..12 => {
                let (trouble, seconds) =
                    (pick(&mut self.rng, &WebhookTrouble::ALL), self.lasting());
                self.push(at, What::Webhook { trouble, seconds });
            }
            12 => {
                let trouble = pick(&mut self.rng, &AlertmanagerTrouble::ALL);
                let seconds = self.lasting();
                self.push(at, What::Alertmanager { trouble, seconds });
            }
            _ => self.in_the_way(at),
        }
    }

    /// A fault, somebody who decides, often somebody who mends it, and often what gets into the way of its remedy.
    fn incident(&mut self, at: f64) {
        let fault = pick(&mut self.rng, &Fault::ALL);
        self.push(at, What::Plant { fault, component: None, magnitude: None, seconds: None });
        let act = if self.rng.random_bool(0.8) { Act::Approve } else { Act::Reject };
        let decided = self.later(at, 60.0..400.0);
        self.push(decided, What::Person { act });
        if self.rng.random_bool(0.6) {
            let mended = self.later(at, 300.0..2400.0);
            self.push(mended, What::Mend);
        }
        if self.rng.random_bool(0.5) {
            let near = self.later(at, 20.0..150.0);
            self.in_the_way(near);
        }
    }

    /// What gets into the way of an action.
    fn in_the_way(&mut self, at: f64) {
        let seconds = self.lasting();
        let what = match self.rng.random_range(0..8) {
            0..3 => What::Charter { trouble: pick(&mut self.rng, &CharterTrouble::ALL), seconds },
            3 => {
                let trouble = pick(&mut self.rng, &StoreTrouble::ALL);
                What::Store { trouble, seconds: seconds / 4.0 }
            }
            4..6 => return self.daemon(at),
            6 => What::Person { act: pick(&mut self.rng, &Act::ALL) },
            _ => What::Foreign { change: pick(&mut self.rng, &Change::ALL) },
        };
        self.push(at, what);
    }

    fn daemon(&mut self, at: f64) {
        let rng = &mut self.rng;
        let replica = rng.random_range(0..self.replicas);
        let trouble = match rng.random_range(0..9) {
            0 => DaemonTrouble::Crash,
            1..4 => DaemonTrouble::CrashAtCall {
                calls: rng.random_range(0..60),
                after: rng.random_bool(0.5),
            },
            4 => DaemonTrouble::Restart,
            5..7 => DaemonTrouble::Freeze { seconds: rng.random_range(10.0..90.0) },
            7 => DaemonTrouble::CutOff { seconds: rng.random_range(5.0..120.0) },
            // Often by so little that metrics can still be believed; and for a while only.
            _ => {
                let most = if rng.random_bool(0.5) { 25.0 } else { 3600.0 };
                let seconds = rng.random_range(-most..most);
                let back = DaemonTrouble::ClockJump { seconds: -seconds };
                let put_right = at + rng.random_range(300.0..1800.0);
                self.push(put_right, What::Daemon { replica, trouble: back });
                DaemonTrouble::ClockJump { seconds }
            }
        };
        self.push(at, What::Daemon { replica, trouble });
    }

    fn lasting(&mut self) -> f64 {
        self.rng.random_range(20.0..600.0)
    }
}

fn pick<T: Copy>(rng: &mut StdRng, from: &[T]) -> T {
    *from.choose(rng).expect("something to choose from")
}
