//! What a verdict will be measured on, taken from the tracker at the intent.

use std::collections::BTreeSet;

use super::Cycle;
use crate::domain::CHARTER;
use crate::domain::action::Scope;
use crate::domain::ledger::{End, Ledger};
use crate::domain::outcome::Judging;
use crate::domain::reading::Source;
use crate::domain::rule::{Measure, Rule};
use crate::domain::time::{Time, since};
use crate::domain::verification::{Control, Score, Unscored, Yardstick};
use crate::domain::violation::Violation;
use crate::knowledge::recovery::{Past, level, score};

/// Series of the control: their median does not need more.
const CONTROLS: usize = 20;

impl Cycle {
    /// Completes what is known at the intent by what the series behind it have been like.
    pub(super) fn measure(
        &self,
        mut judging: Judging,
        counted: &[&Violation],
        witness: Option<&Violation>,
        ledger: &Ledger,
    ) -> Judging {
        let remembered = |v: &&&Violation| {
            v.source != Source::Alertmanager && self.tracker.trend(&v.fingerprint).is_some()
        };
        let measured: BTreeSet<String> =
            counted.iter().filter(remembered).map(|v| v.fingerprint.clone()).collect();
        judging.measured = measured;
        let settle = since(judging.settled_at, judging.intent_at)
            .saturating_sub(self.config.execute.policy_timeout);
        let touched: Vec<Time> =
            ledger.entries.iter().filter(|e| e.end != End::Unsent).map(|e| e.at).collect();
        judging.yardstick =
            witness.map(|witness| match self.scored(witness, settle, &touched, &judging.scope) {
                Ok(score) => Yardstick::Scored(score),
                Err(why) => Yardstick::Unscored(why),
            });
        judging
    }

    fn scored(
        &self,
        witness: &Violation,
        settle: std::time::Duration,
        touched: &[Time],
        scope: &Scope,
    ) -> Result<Score, Unscored> {
        if witness.source == Source::Alertmanager {
            return Err(Unscored::Alert);
        }
        let rule = self.config.monitor.rules.iter().find(|r| r.name == witness.rule);
        if rule.is_some_and(|r| matches!(r.measure, Measure::Condition { .. })) {
            return Err(Unscored::Condition);
        }
        if rule.is_some_and(|r| Rule::increase_over(r).is_some()) {
            return Err(Unscored::Counter);
        }
        let trend = self.tracker.trend(&witness.fingerprint).ok_or(Unscored::Unread)?;
        let readings: Vec<(Time, f64)> = trend.readings.iter().copied().collect();
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
        if *scope != Scope::Charter {
            kept.control = self.control(&witness.rule, scope);
        }
        Ok(kept)
    }

    fn control(&self, rule: &str, scope: &Scope) -> Vec<Control> {
        let others = self.tracker.trends_of(rule).into_iter();
        let controls = others.filter_map(|(fp, trend)| {
            let component = trend.component.clone().filter(|c| c != CHARTER)?;
            if scope.covers(Some(&component)) {
                return None;
            }
            let recent: Vec<(Time, f64)> = trend.readings.iter().copied().collect();
            Some(Control { series: fp.clone(), component, before: level(&recent)? })
        });
        controls.take(CONTROLS).collect()
    }
}
