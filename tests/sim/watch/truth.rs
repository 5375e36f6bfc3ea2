//! What the loop claims, held against what is true in the simulation: that it acts on fresh data, and that it does act,
//! or tells somebody, in time (invariants 7 and 12).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use mape_k::domain::Cause;
use mape_k::domain::cycle::{CandidateResult, CycleReport, Trigger};
use mape_k::domain::execution::Execution;
use mape_k::domain::need::NeedReason as Reason;
use mape_k::domain::policy::Approval;
use mape_k::domain::reading::Source as Read;
use mape_k::domain::time::since;

use crate::outside::Outside;
use crate::prometheus::{Prometheus, SCRAPE_SECONDS};
use crate::script::{AlertmanagerTrouble, CharterTrouble, MetricsTrouble};

/// A shipped rule as this simulation reads it.
struct Rule {
    name: &'static str,
    expression: &'static str,
    above: f64,
    /// What a daemon that scrapes by itself needs to see: it remembers for itself what came before a gap.
    series: &'static str,
    /// Where what is over for long still counts for the rule: what is broken just now.
    just_now: &'static str,
}

const RULES: [Rule; 3] = [
    Rule {
        name: "validation_latency",
        expression: "max by (validation_type) (westworld_charter_validation_latency_seconds{quantile=\"0.95\"})",
        above: 1.0,
        series: "westworld_charter_validation_latency_seconds{quantile=\"0.95\"}",
        just_now: "max by (validation_type) (westworld_charter_validation_latency_seconds{quantile=\"0.95\"})",
    },
    Rule {
        name: "failure_rate",
        expression: "westworld_charter_failure_rate",
        above: 0.10,
        series: "westworld_charter_failure_rate",
        just_now: "westworld_charter_failure_rate",
    },
    Rule {
        name: "critical_policy_violations",
        expression: "sum by (policy_id) (increase(westworld_charter_policy_violations_total{severity=\"critical\"}[300s]))",
        above: 0.0,
        series: "westworld_charter_policy_violations_total{severity=\"critical\"}",
        just_now: "sum by (policy_id) (increase(westworld_charter_policy_violations_total{severity=\"critical\"}[75s]))",
    },
];

/// A series is expected when any of the last so many scrapes that could be read whole showed it: the ten cycles of the
/// daemon, which begins anew with every process.
const EXPECTED_FOR: usize = 20;

/// Two polls of 30 s, the cycle's deadline of 10 s, and this simulation's own 15 s between two looks.
const FRESH: f64 = 85.0;

/// One second for each of a cycle's reads and writes while the store is slow.
const SLOW_STORE: f64 = 40.0;

/// Deadline of the sources, a policy's time and as much for its undo, temporary ones and a look, each with its reads.
const LONGEST_CYCLE: f64 = 240.0;

/// Three occurrences in scheduled cycles, then three cycles, and the two scrapes until it shows.
const ATTENDED: f64 = 30.0 * 7.0 + 2.0 * SCRAPE_SECONDS;

/// However often a guard closes, somebody hears of it by then.
const TOLD: f64 = 1800.0;

#[derive(Default)]
pub struct Truth {
    /// By rule: when it could last be read whole, and how many series it had whenever it could.
    whole: BTreeMap<&'static str, Whole>,
    /// When queries were last answered, in time and without skew.
    answered: f64,
    alerts_answered: f64,
    /// By rule: since when it is broken.
    broken: BTreeMap<&'static str, f64>,
    /// When something last stood in the loop's way.
    hindered: f64,
    /// When a guard last held something back.
    held: f64,
    /// When a cycle last ended.
    reported: f64,
    pub frozen: f64,
    /// Intents of this cycle.
    cited: Vec<Citation>,
}

#[derive(Default)]
struct Whole {
    at: f64,
    series: VecDeque<usize>,
}

impl Whole {
    /// How many series there are, where that is enough.
    fn enough(&self, seen: &Prometheus, expression: &str, now: f64) -> Option<usize> {
        let there = seen.instant(expression, now).iter().filter(|(_, v)| !v.is_nan()).count();
        let most = self.series.iter().max().copied().unwrap_or(0);
        (there > 0 && there as f64 >= most as f64 * 0.8).then_some(there)
    }
}

/// What an intent went by, and what could truly be read then.
struct Citation {
    at: f64,
    evidence: Vec<String>,
    rules: BTreeSet<&'static str>,
    /// Alertmanager answered, and alerts named these rules.
    alerts: bool,
    named: BTreeSet<String>,
}

impl Truth {
    pub fn is_broken(&self) -> bool {
        !self.broken.is_empty()
    }

    /// A new process knows of no series yet.
    pub fn started(&mut self) {
        self.whole.values_mut().for_each(|whole| whole.series.clear());
    }
}

impl Outside {
    /// Does the daemon's source of metrics show what is new?
    fn exported(&mut self, now: f64) -> bool {
        if self.changes.now(now) == Some(CharterTrouble::Down) {
            return false;
        }
        match self.metrics.now(now) {
            Some(MetricsTrouble::Down) => false,
            Some(MetricsTrouble::Stale) => self.watch.scrapes(),
            _ => true,
        }
    }

    /// Does it answer in time, and by a clock like ours?
    fn answers(&mut self, now: f64) -> bool {
        match self.metrics.now(now) {
            Some(MetricsTrouble::Down | MetricsTrouble::Slow) => false,
            Some(MetricsTrouble::Skewed) => self.watch.scrapes(),
            _ => true,
        }
    }

    /// Every scrape: what is true now.
    pub fn witness(&mut self, now: f64, alive: bool) {
        let trouble = self.metrics.now(now);
        let direct = self.watch.scrapes();
        let exported = self.exported(now);
        let mut broken = Vec::new();
        let seen = if direct { &self.scraped } else { &self.prometheus };
        for rule in RULES {
            let whole = self.watch.truth.whole.entry(rule.name).or_default();
            let wanted = if direct { rule.series } else { rule.expression };
            let there = whole.enough(seen, wanted, now).filter(|_| exported);
            let Some(there) = there else { continue };
            whole.at = now;
            whole.series.push_back(there);
            if whole.series.len() > EXPECTED_FOR {
                whole.series.pop_front();
            }
            let rows = seen.instant(rule.just_now, now);
            if rows.iter().any(|(_, value)| *value > rule.above) {
                broken.push(rule.name);
            }
        }
        if self.answers(now) {
            self.watch.truth.answered = now;
        }
        let alerts_down = self.alerts.now(now) == Some(AlertmanagerTrouble::Down);
        if !alerts_down {
            self.watch.truth.alerts_answered = now;
        }
        let wall = self.daemon_wall();
        let paused = self.watch.pause.as_ref().is_some_and(|(pause, _)| pause.holds(wall));
        let store = self.store.now(now).is_some();
        let charter = self.changes.now(now).is_some();
        if trouble.is_some() || alerts_down || paused || store || charter || !alive {
            self.watch.truth.hindered = now;
        }
        let begun = &mut self.watch.truth.broken;
        begun.retain(|rule, _| broken.contains(rule));
        for rule in broken {
            begun.entry(rule).or_insert(now);
        }
        self.attended(now);
    }

    /// Invariant 7: of the violations that a new intent cites, at least 80 % come from rules whose series could truly be
    /// read whole within the last two polls, by a source that answered in this cycle, or of which an alert fires at an
    /// Alertmanager that answered.
    ///
    /// Judged at the end of the cycle, as of the intent: a violation is stored after what was done about it.
    pub(super) fn well_informed(&mut self, now: f64, execution: &Execution) {
        if execution.cause.0 == Cause::SCALE_BACK {
            return;
        }
        let slow = if self.store.now(now).is_some() { SLOW_STORE } else { 0.0 };
        let fresh = |at: f64| now - at <= FRESH + slow;
        let (exported, answers) = (self.exported(now), self.answers(now));
        let alerts = self.alerts.now(now) != Some(AlertmanagerTrouble::Down);
        self.scrape_directly();
        let direct = self.watch.scrapes();
        let seen = if direct { &self.scraped } else { &self.prometheus };
        let truth = &self.watch.truth;
        // At the last scrapes, or in this moment.
        let rules = RULES.iter().filter(|rule| {
            let wanted = if direct { rule.series } else { rule.expression };
            (answers || fresh(truth.answered))
                && truth.whole.get(rule.name).is_some_and(|whole| {
                    fresh(whole.at) || exported && whole.enough(seen, wanted, now).is_some()
                })
        });
        let policy = self.watch.policies.get(&execution.policy_id.to_string());
        let citation = Citation {
            at: now,
            evidence: policy.map(|policy| policy.evidence.clone()).unwrap_or_default(),
            rules: rules.map(|rule| rule.name).collect(),
            alerts: alerts || fresh(truth.alerts_answered),
            named: self.alertmanager.named(now),
        };
        self.watch.truth.cited.push(citation);
    }

    /// What was cited since the last cycle. A violation that no cycle lived to store is known to nobody any more.
    pub(super) fn held_to_citations(&mut self) {
        for citation in std::mem::take(&mut self.watch.truth.cited) {
            let known: Vec<_> = citation
                .evidence
                .iter()
                .filter_map(|fingerprint| self.watch.violations.get(fingerprint))
                .map(|v| (v.violation.rule.clone(), v.violation.source))
                .collect();
            let read = |(rule, source): &&(String, Read)| match source {
                Read::Alertmanager => citation.alerts,
                // An alert says so in the place of a reading that cannot.
                _ => {
                    citation.rules.contains(rule.as_str())
                        || citation.alerts && citation.named.contains(rule)
                }
            };
            let good = known.iter().filter(read).count();
            if citation.evidence.is_empty() || (good as f64) < known.len() as f64 * 0.8 {
                let what = format!("cited what could not be read: {good} of {known:?} could");
                self.watch.broke(7, citation.at, what);
            }
            if !known.is_empty() {
                self.watch.tested(7);
            }
        }
    }

    /// Invariant 12: a cycle ends within its bound, whatever is slow and however many alerts come.
    pub(super) fn cycle_bounded(&mut self, now: f64, report: &CycleReport) {
        self.watch.tested(12);
        self.watch.truth.reported = now;
        let frozen = std::mem::take(&mut self.watch.truth.frozen);
        if report.duration_seconds > LONGEST_CYCLE + frozen {
            let what = format!("cycle {} took {:.0} s", report.id, report.duration_seconds);
            self.watch.broke(12, now, what);
        }
        if report.trigger == Trigger::Scheduled
            && report.candidates.iter().any(|c| matches!(c.verdict, CandidateResult::Held { .. }))
        {
            self.watch.truth.held = now;
        }
    }

    /// Invariant 12: what has truly been broken for long, with readable data and nothing in the way, has an action that
    /// is not judged yet or a page, and cycles end; if guards are open within three cycles of becoming plannable, if they keep closing
    /// within half an hour.
    fn attended(&mut self, now: f64) {
        let truth = &mut self.watch.truth;
        let last = truth.reported.max(truth.hindered);
        if now - last > LONGEST_CYCLE {
            truth.reported = now;
            self.watch.broke(12, now, format!("no cycle has ended since {last:.0} s"));
        }
        let truth = &self.watch.truth;
        let ripe = |from: f64, limit: f64| now - from.max(truth.hindered) > limit;
        let due: Vec<(&'static str, f64)> = truth
            .broken
            .iter()
            .filter(|(_, from)| ripe(**from, TOLD) || ripe(from.max(truth.held), ATTENDED))
            .map(|(rule, from)| (*rule, *from))
            .collect();
        for (rule, from) in due {
            self.watch.tested(12);
            let of_rule = |fingerprint: &String| {
                self.watch.violations.get(fingerprint).is_some_and(|v| v.violation.rule == rule)
            };
            let told = self.watch.open().any(|e| match e.reason {
                Reason::Storm | Reason::Breaker | Reason::Blind => true,
                _ => e.evidence.iter().any(of_rule),
            });
            // A person heard of it and said no; that holds for an hour, and then it begins anew.
            let wall = self.daemon_wall();
            let refused = self.watch.policies.values().any(|policy| {
                policy.approval == Approval::Rejected
                    && policy.decided_at.is_some_and(|at| since(wall, at).as_secs() < 3600)
                    && policy.evidence.iter().any(of_rule)
            });
            let in_hand = !self.watch.verifications.is_empty();
            // And one whose data are missing was called that, which holds for as long.
            let missing = self
                .watch
                .open()
                .any(|e| e.reason == Reason::DataMissing && e.subject.contains(rule));
            if refused || missing {
                self.watch.truth.broken.insert(rule, now);
            } else if !told && !in_hand {
                let what =
                    format!("{rule} is broken since {from:.0} s, and nobody acts or was told");
                self.watch.broke(12, now, what);
                self.watch.truth.broken.insert(rule, now);
            }
        }
    }
}
