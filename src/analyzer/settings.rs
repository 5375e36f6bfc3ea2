//! The `analyze` section of the configuration with its defaults, and loop.md's fixed times of tracking.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::domain::speed::divided;
use crate::domain::target::Systems;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settings {
    pub pattern_history_limit: usize,
    pub algorithms: Algorithms,
    pub flapping: Flapping,
    /// `orchestrator.loop_interval`: occurrences and onsets are measured in it.
    #[serde(skip)]
    pub interval: Duration,
    /// `monitor.poll_interval`: a sample older than two of them is stale.
    #[serde(skip)]
    pub poll_interval: Duration,
    /// `monitor.min_coverage`.
    #[serde(skip)]
    pub min_coverage: f64,
    /// A series unseen for this long is forgotten and its violation closed as vanished (loop.md; not a key).
    #[serde(skip)]
    pub forget_after: Duration,
    /// All series of a rule missing for this long: escalation `data_missing` (loop.md; not a key).
    #[serde(skip)]
    pub missing_after: Duration,
    /// A rule never seen since the start for this long: likewise (loop.md; not a key).
    #[serde(skip)]
    pub never_seen_after: Duration,
    /// Occurrences behind a cause are counted within the larger of this and four intervals (loop.md; not a key).
    #[serde(skip)]
    pub occurrence_window: Duration,
    /// Which components are whose, by the whole configuration.
    #[serde(skip)]
    pub systems: Arc<Systems>,
}

divided!(Settings {
    algorithms, flapping, interval, poll_interval, forget_after, missing_after, never_seen_after, occurrence_window,
} unchanged { pattern_history_limit, min_coverage, systems });

impl Settings {
    /// A sample older than this says nothing about the present.
    #[must_use]
    pub fn stale_after(&self) -> Duration {
        self.poll_interval * 2
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            pattern_history_limit: 100,
            algorithms: Algorithms::default(),
            flapping: Flapping::default(),
            interval: Duration::from_secs(30),
            poll_interval: Duration::from_secs(30),
            min_coverage: 0.8,
            forget_after: Duration::from_secs(600),
            missing_after: Duration::from_secs(300),
            never_seen_after: Duration::from_secs(600),
            occurrence_window: Duration::from_secs(300),
            systems: Arc::default(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Algorithms {
    pub temporal: Temporal,
    pub spatial: Spatial,
    pub causal: Causal,
    pub frequency: Frequency,
    pub sustained: Sustained,
}

divided!(Algorithms { temporal, spatial, causal, frequency, sustained } unchanged {});

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Temporal {
    pub enabled: bool,
    pub sensitivity: f64,
    #[serde(serialize_with = "crate::domain::time::seconds")]
    pub window: Duration,
    pub min_onsets: usize,
}

divided!(Temporal { window } unchanged { enabled, sensitivity, min_onsets });

impl Default for Temporal {
    fn default() -> Self {
        Self { enabled: true, sensitivity: 0.85, window: Duration::from_secs(60), min_onsets: 3 }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Spatial {
    pub enabled: bool,
    pub sensitivity: f64,
    pub min_violations: usize,
}

divided!(Spatial {} unchanged { enabled, sensitivity, min_violations });

impl Default for Spatial {
    fn default() -> Self {
        Self { enabled: true, sensitivity: 0.80, min_violations: 3 }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Causal {
    pub enabled: bool,
    pub sensitivity: f64,
    pub correlation_threshold: f64,
    /// The rule whose worst value is the charter-wide latency.
    pub latency: String,
    /// The rule whose series are the components' failure rates.
    pub failure: String,
    /// Points kept, one per scheduled cycle.
    pub window: usize,
    pub min_points: usize,
}

divided!(Causal {} unchanged {
    enabled, sensitivity, correlation_threshold, latency, failure,
    // Counted in points, not in time.
    window, min_points,
});

impl Default for Causal {
    fn default() -> Self {
        Self {
            enabled: true,
            sensitivity: 0.75,
            correlation_threshold: 0.8,
            latency: "validation_latency".to_owned(),
            failure: "failure_rate".to_owned(),
            window: 20,
            min_points: 12,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Frequency {
    pub enabled: bool,
    pub sensitivity: f64,
    /// More onsets than this inside the window.
    pub anomaly_threshold: usize,
    #[serde(serialize_with = "crate::domain::time::seconds")]
    pub window: Duration,
}

divided!(Frequency { window } unchanged { enabled, sensitivity, anomaly_threshold });

impl Default for Frequency {
    fn default() -> Self {
        Self {
            enabled: true,
            sensitivity: 0.70,
            anomaly_threshold: 8,
            window: Duration::from_secs(300),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sustained {
    pub enabled: bool,
    pub sensitivity: f64,
    /// Scheduled cycles in which it must have been broken …
    pub cycles: usize,
    /// … of so many last ones.
    pub of: usize,
}

divided!(Sustained {} unchanged { enabled, sensitivity, cycles, of });

impl Default for Sustained {
    fn default() -> Self {
        Self { enabled: true, sensitivity: 0.75, cycles: 3, of: 4 }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Flapping {
    pub returns: usize,
    #[serde(serialize_with = "crate::domain::time::seconds")]
    pub window: Duration,
    /// Counts as active until clear for this long.
    #[serde(serialize_with = "crate::domain::time::seconds")]
    pub clear: Duration,
    /// Back within this long of clearing is no new onset.
    #[serde(serialize_with = "crate::domain::time::seconds")]
    pub quiet: Duration,
}

divided!(Flapping { window, clear, quiet } unchanged { returns });

impl Default for Flapping {
    fn default() -> Self {
        Self {
            returns: 3,
            window: Duration::from_secs(600),
            clear: Duration::from_secs(600),
            quiet: Duration::from_secs(300),
        }
    }
}
