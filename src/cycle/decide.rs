//! Decides: what is known of Charter's past, and with everything else of this cycle the plan and its check.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use uuid::Uuid;

use super::act::ExecutionResult;
use super::cluster::ClusterAssessment;
use super::kit::Kit;
use super::observe::Seen;
use super::recall::Recalled;
use super::timeline::Decisions;
use crate::analyzer::{Changes, Tracker};
use crate::domain::Cause;
use crate::domain::analysis::RootCause;
use crate::domain::charter::{CharterView, CommitteeStatus};
use crate::domain::cycle::Trigger;
use crate::domain::execution::{Execution, ExecutionStatus};
use crate::domain::fleet::Fleet;
use crate::domain::rule::Rule;
use crate::domain::target::System;
use crate::domain::time::{Time, since};
use crate::domain::violation::Violation;
use crate::planner::{self, Plan, PlanInput, Resize};

/// Charter's own measure of what it serves: throttling is computed from it.
const SERVED_METRIC: &str = "westworld_charter_throughput_ops_per_sec";

/// Good cycles over which the served rate is averaged.
const SERVED_OVER: usize = 5;

/// A rate older than so many intervals says nothing of the present load.
const SERVED_FRESH: u32 = 10;

/// Safe to lose in a restart.
#[derive(Debug, Default)]
pub(super) struct Decide {
    replicas: Option<u32>,
    last_resize: Option<Resize>,
    recovering_since: Option<Time>,
    served: VecDeque<(Time, f64)>,
    quiet_since: Option<Time>,
    /// For the timelines of incidents.
    pub decisions: Decisions,
}

/// What the plan is made of, beside the seen and the recalled.
pub(super) struct Case<'a> {
    pub looked: &'a ClusterAssessment,
    pub changes: &'a Changes,
    pub root_causes: &'a [RootCause],
    pub active: &'a BTreeMap<&'a str, &'a Violation>,
    pub fleets: &'a BTreeMap<System, Fleet>,
    /// The incident in which each violation lies, by fingerprint.
    pub incidents: &'a BTreeMap<String, String>,
}

impl Decide {
    /// The plan, and what its own check found broken. A broken plan keeps only what people must be notified of.
    pub fn plan(
        &self,
        kit: &Kit,
        seen: &Seen,
        recalled: &Recalled,
        case: &Case<'_>,
        new_id: &mut dyn FnMut() -> Uuid,
    ) -> (Plan, Vec<String>) {
        let now = seen.snapshot.at;
        let root_causes = visible(case.root_causes, case.active, seen.snapshot.is_blind());
        let lead = kit.lead_now();
        let input = PlanInput {
            now,
            settings: &kit.config.plan,
            pause: recalled.pause.as_ref(),
            lead: &lead,
            ledger: &recalled.ledger,
            fleets: case.fleets,
            rules: &case.changes.rules,
            root_causes: &root_causes,
            violations: case.active,
            statistics: &recalled.statistics,
            treatments: &recalled.treatments,
            incidents: case.incidents,
            policies: &recalled.policies,
            verifications: &recalled.verifications,
            blocked: &recalled.blocked,
            undone: &recalled.aftermath.undone,
            charter: &seen.charter,
            cluster: case.looked.reading.as_ref(),
            catalogue: &case.looked.catalogue,
            last_resize: self.last_resize.as_ref(),
            recovering_since: self.recovering_since,
            served_rate: self.served_rate(now, kit.config.orchestrator.loop_interval),
            surplus: recalled.surplus.as_ref(),
            quiet_since: self.quiet_since,
            scoped: !kit.config.monitor.scope.is_empty(),
        };
        let plan = planner::plan(&input, new_id);
        let refused = planner::check(&input, &plan);
        (plan, refused)
    }

    /// By other rules nobody knows whether all was quiet, and of another Charter nothing is known.
    pub fn renewed(&mut self, is_same_charter: bool) {
        self.quiet_since = None;
        if !is_same_charter {
            *self = Self::default();
        }
    }

    /// What later cycles need of this one.
    pub fn remember(&mut self, seen: &Seen, changes: &Changes, tracker: &Tracker) {
        let now = seen.snapshot.at;
        self.saw_charter(&seen.charter, now);
        if let Some(rate) = served(seen, changes).filter(|_| seen.trigger == Trigger::Scheduled) {
            self.served.push_back((now, rate));
            while self.served.len() > SERVED_OVER {
                self.served.pop_front();
            }
        }
        let all_good = changes.rules.iter().all(|r| r.good || r.problem.is_none());
        let calm = all_good && !tracker.active().any(|v| v.counts() && !v.is_finding());
        self.quiet_since = self.quiet_since.or(Some(now)).filter(|_| calm);
    }

    /// What could not be scaled back is not tried again at once, for nothing is wrong: another quiet time first. `None`:
    /// nobody knows what became of what was done.
    pub fn after(&mut self, carried: Option<&ExecutionResult>) {
        let is_well = |e: &Execution| {
            e.status == ExecutionStatus::Completed || e.cause.0 != Cause::SCALE_BACK
        };
        let is_quiet = carried.is_some_and(|c| c.execution().is_none_or(is_well));
        self.quiet_since = self.quiet_since.filter(|_| is_quiet);
    }

    pub fn resized_at(&self) -> Option<Time> {
        self.last_resize.as_ref().map(|resize| resize.at)
    }

    /// Sees changes of Charter's size, ours or another's, and since when it recovers.
    pub fn saw_charter(&mut self, charter: &CharterView, now: Time) {
        let Ok(state) = &charter.state else { return };
        if self.replicas.is_some_and(|known| known != state.replicas) {
            self.last_resize = Some(Resize { at: now });
        }
        self.replicas = Some(state.replicas);
        if state.status == CommitteeStatus::Recovering {
            self.recovering_since.get_or_insert(now);
        } else {
            self.recovering_since = None;
        }
    }

    /// The mean over the last good cycles; unknown before the first, and when the last is long ago.
    fn served_rate(&self, now: Time, interval: Duration) -> Option<f64> {
        let fresh = |at: Time| since(now, at) <= interval * SERVED_FRESH;
        let rates: Vec<f64> =
            self.served.iter().filter(|(at, _)| fresh(*at)).map(|(_, rate)| *rate).collect();
        (!rates.is_empty()).then(|| rates.iter().sum::<f64>() / rates.len() as f64)
    }
}

/// What may be planned for. Without the metrics alerts alone may confirm what nobody can measure any more: only what the
/// cluster itself shows in this cycle is known then.
fn visible<'a>(
    root_causes: &'a [RootCause],
    active: &BTreeMap<&str, &Violation>,
    blind: bool,
) -> Cow<'a, [RootCause]> {
    if !blind {
        return Cow::Borrowed(root_causes);
    }
    let is_seen =
        |fp: &String| active.get(fp.as_str()).is_some_and(|v| v.is_finding() && v.confirmed);
    let seen = root_causes.iter().filter(|root| root.evidence.iter().any(is_seen));
    Cow::Owned(seen.cloned().collect())
}

/// The sum over the components, if that rule was read well.
fn served(seen: &Seen, changes: &Changes) -> Option<f64> {
    let is_served = |rule: &Rule| rule.metric_name() == SERVED_METRIC;
    let reading = seen.snapshot.readings.iter().find(|r| is_served(&r.rule))?;
    let good = changes.rules.iter().any(|s| s.rule == reading.rule.name && s.good);
    let points = reading.points.as_ref().ok().filter(|_| good)?;
    Some(points.iter().map(|p| p.value).sum())
}
