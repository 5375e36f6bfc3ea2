//! What a result will be measured on, taken from the tracker at the intent.

use super::kit::Kit;
use crate::analyzer::Tracker;
use crate::domain::CHARTER;
use crate::domain::ledger::{End, Ledger};
use crate::domain::outcome::PendingVerification;
use crate::domain::reading::Source;
use crate::domain::rule::{Measure, Rule};
use crate::domain::target::Target;
use crate::domain::time::{Time, since};
use crate::domain::verification::{Baseline, Control, Score, Unscored};
use crate::domain::violation::Violation;
use crate::knowledge::recovery::{Past, level, score};

/// Series of the control: their median does not need more.
const CONTROLS: usize = 20;

/// Completes what is known at the intent by what the series behind it have been like.
pub(super) fn measure(
    kit: &Kit,
    tracker: &Tracker,
    mut verification: PendingVerification,
    counted: &[&Violation],
    witness: Option<&Violation>,
    ledger: &Ledger,
) -> PendingVerification {
    let has_value = |v: &&&Violation| v.source.is_metrics() && !is_condition(kit, &v.rule);
    verification.measured =
        counted.iter().filter(has_value).map(|v| v.fingerprint.clone()).collect();
    let settle = since(verification.settled_at, verification.intent_at)
        .saturating_sub(kit.config.execute.policy_timeout);
    let touched: Vec<Time> =
        ledger.entries.iter().filter(|e| e.end != End::Unsent).map(|e| e.at).collect();
    verification.yardstick = witness.map(|witness| {
        match scored(kit, tracker, witness, settle, &touched, &verification.target) {
            Ok(score) => Baseline::Scored(score),
            Err(why) => Baseline::Unscored(why),
        }
    });
    verification
}

fn scored(
    kit: &Kit,
    tracker: &Tracker,
    witness: &Violation,
    settle: std::time::Duration,
    touched: &[Time],
    target: &Target,
) -> Result<Score, Unscored> {
    if witness.source == Source::Alertmanager {
        return Err(Unscored::Alert);
    }
    if witness.is_finding() || is_condition(kit, &witness.rule) {
        return Err(Unscored::Condition);
    }
    if rule_named(kit, &witness.rule).is_some_and(|r| r.increase_over().is_some()) {
        return Err(Unscored::Counter);
    }
    let trend = tracker.trend(&witness.fingerprint).ok_or(Unscored::Unread)?;
    let mut readings: Vec<(Time, f64)> = trend.readings.iter().copied().collect();
    if readings.last().is_none_or(|(at, _)| *at < witness.active_since) {
        // Only a woken cycle has read it since it began.
        readings.push(trend.latest);
    }
    let (comparison, threshold) = trend.rule.limit();
    let past = Past {
        readings: &readings,
        began_at: witness.active_since,
        comparison,
        threshold,
        settle,
        touched,
    };
    let mut kept = score(&witness.fingerprint, &past).ok_or(Unscored::Unread)?;
    if *target != Target::Charter(None) {
        kept.control = control(tracker, &witness.rule, target);
    }
    Ok(kept)
}

fn rule_named<'a>(kit: &'a Kit, name: &str) -> Option<&'a Rule> {
    kit.config.monitor.rules.iter().map(AsRef::as_ref).find(|r: &&Rule| r.name == name)
}

/// Whose value says nothing: what no longer answers it is clear.
fn is_condition(kit: &Kit, rule: &str) -> bool {
    rule_named(kit, rule).is_some_and(|r| matches!(r.measure, Measure::Condition { .. }))
}

fn control(tracker: &Tracker, rule: &str, target: &Target) -> Vec<Control> {
    let others = tracker.trends_of(rule).into_iter();
    let controls = others.filter_map(|(fp, trend)| {
        let component = trend.component.clone().filter(|c| c != CHARTER)?;
        // What cannot be read now says nothing of the level before.
        if target.covers(Some(&component)) || tracker.read_now(fp).is_none() {
            return None;
        }
        let recent: Vec<(Time, f64)> = trend.readings.iter().copied().collect();
        Some(Control { series: fp.clone(), component, before: level(&recent)? })
    });
    controls.take(CONTROLS).collect()
}
