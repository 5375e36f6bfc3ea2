//! Analyze: which violations are active and which began, the five detectors, and the root causes behind them.
//!
//! Pure: readings, history and time arrive as values. [`Tracker`] folds snapshots into what is active; [`analyze`]
//! reads it and says what is wrong and why.

mod alerts;
mod broken;
pub mod cluster;
mod coverage;
mod detectors;
mod fleet;
mod found;
mod owners;
mod root_cause;
mod series;
pub mod settings;
mod tracked;
mod tracking;
mod trends;

use uuid::Uuid;

pub use alerts::alert_fingerprint;
pub use found::{Found, There};
pub use settings::Settings;
pub use tracking::{Changes, Tracker};
pub use trends::Trend;

use crate::domain::analysis::{Analysis, Pattern, RootCause};
use crate::domain::time::Time;

/// Active violations at which the overall confidence's second term is full.
const FULL_AT: f64 = 30.0;

/// What the tracker's present state means.
#[must_use]
pub fn analyze(tracker: &Tracker, id: Uuid, cycle_id: &str, now: Time) -> Analysis {
    let patterns = detectors::detect(tracker, now);
    let root_causes = root_cause::root_causes(tracker, &patterns, now);
    let violations = tracker.active().filter(|v| !v.is_finding()).count();
    Analysis {
        id,
        cycle_id: cycle_id.to_owned(),
        at: now,
        violations,
        confidence: overall_confidence(&patterns, violations),
        recommendations: root_causes.iter().map(recommendation).collect(),
        patterns,
        root_causes,
    }
}

/// 0.7 · mean(pattern confidence) + 0.3 · min(1, n/30): shown and stored, gates nothing.
#[must_use]
pub fn overall_confidence(patterns: &[Pattern], violations: usize) -> f64 {
    let mean = if patterns.is_empty() {
        0.0
    } else {
        patterns.iter().map(|p| p.confidence).sum::<f64>() / patterns.len() as f64
    };
    0.7 * mean + 0.3 * (violations as f64 / FULL_AT).min(1.0)
}

fn recommendation(root: &RootCause) -> String {
    if root.cause.is_unknown() {
        return format!(
            "Look at {}: what is wrong there names no cause, so no action is known",
            root.component
        );
    }
    format!(
        "Treat {} at {} (confidence {:.2}, {} occurrences)",
        root.cause, root.component, root.confidence, root.occurrences
    )
}
