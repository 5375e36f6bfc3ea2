//! What is done to the world of one run, and when: read from a scenario's file, or drawn from a seed.

mod draw;
mod kinds;

use std::time::Duration;

use mape_k::charter_sandbox::faults::Fault;
use mape_k::config::Config;
use mape_k::domain::action::ActionKind;
use mape_k::domain::loop_status::Mode;
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
