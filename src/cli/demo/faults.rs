//! The demo's faults in the order they are played, what each must end in, and what the loop did about each: read
//! from the loop's own records, never from the plant.

use std::time::Duration;

use super::table::Row;
use crate::domain::action::ActionKind;
use crate::domain::cycle::CycleReport;
use crate::domain::execution::{Execution, ExecutionStatus};
use crate::domain::need::{Need, NeedReason};
use crate::domain::outcome::{Outcome, OutcomeType, PendingVerification};
use crate::domain::time::{Time, since};
use crate::domain::view::LoopView;
use crate::domain::violation::Violation;
use crate::knowledge::Knowledge;

/// How a fault must end: the last column of the reference Charter's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// These actions in this order, each with its result, and nothing else; then healed.
    Healed(&'static [(ActionKind, FaultEnd)]),
    /// One action without success, then `remedies_exhausted`.
    Exhausted(ActionKind),
    /// No call at all.
    LeftAlone,
    /// This action at most once, and nothing else.
    AtMostOnce(ActionKind),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FaultEnd {
    Success,
    NotSuccess,
}

#[derive(Debug)]
pub(super) struct Fault {
    pub name: &'static str,
    pub story: &'static str,
    /// The cause that its actions are tried for: they are fresh only in a fresh incident of it.
    pub cause: &'static str,
    pub end: End,
    /// Plant seconds to watch at least before calling it over.
    pub watch: u64,
}

/// Played so that faults of one cause stand apart: an incident ends 10 minutes after its last evidence, and throttling,
/// which outlasts its fault, comes last.
pub(super) const FAULTS: [Fault; 9] = [
    Fault {
        name: "transient_blip",
        story: "latency rises for less than 50 s and falls by itself",
        cause: "validation_latency",
        end: End::LeftAlone,
        watch: 180,
    },
    Fault {
        name: "hot_shard",
        story: "one component gets far more than its share of the load",
        cause: "system_overload",
        end: End::Healed(&[(ActionKind::RebalanceLoad, FaultEnd::Success)]),
        watch: 60,
    },
    Fault {
        name: "telemetry_gap",
        story: "all series vanish for 4 minutes while Charter is well",
        cause: "validation_latency",
        end: End::LeftAlone,
        watch: 360,
    },
    Fault {
        name: "shared_shock",
        story: "several components fail for 2 minutes and recover by themselves",
        cause: "system_overload",
        end: End::AtMostOnce(ActionKind::RebalanceLoad),
        watch: 240,
    },
    Fault {
        name: "overload",
        story: "more load arrives than three replicas can serve",
        cause: "validation_latency",
        end: End::Healed(&[(ActionKind::ScaleUp, FaultEnd::Success)]),
        watch: 60,
    },
    Fault {
        name: "bad_configuration",
        story: "a bad setting makes all components fail, latency stays normal",
        cause: "system_overload",
        end: End::Exhausted(ActionKind::RebalanceLoad),
        watch: 60,
    },
    Fault {
        name: "misconfigured_policy",
        story: "a policy rejects what it should not and reports critical violations",
        cause: "policy_misconfiguration",
        end: End::Healed(&[(ActionKind::ApplyPolicy, FaultEnd::Success)]),
        watch: 60,
    },
    Fault {
        name: "slow_leak",
        story: "one service leaks until its nodes are unhealthy",
        cause: "system_overload",
        end: End::Healed(&[
            (ActionKind::RebalanceLoad, FaultEnd::NotSuccess),
            (ActionKind::RestartService, FaultEnd::Success),
        ]),
        watch: 60,
    },
    Fault {
        name: "retry_storm",
        story: "failed requests are retried until the retries are the load",
        cause: "validation_latency",
        end: End::Healed(&[
            (ActionKind::ScaleUp, FaultEnd::NotSuccess),
            (ActionKind::ThrottleRequests, FaultEnd::Success),
        ]),
        watch: 60,
    },
];

/// A fault that has not ended after so many plant seconds will not.
const GIVE_UP: u64 = 45 * 60;

/// One fault from its injection on, as the loop's records tell it.
#[derive(Debug)]
pub(super) struct Episode<'a> {
    fault: &'a Fault,
    began: Time,
    seen: Option<Time>,
    clear: Option<Time>,
    executions: Vec<Execution>,
    outcomes: Vec<Outcome>,
    exhausted: bool,
    verification: bool,
}

impl<'a> Episode<'a> {
    pub fn begin(fault: &'a Fault, now: Time) -> Self {
        Self {
            fault,
            began: now,
            seen: None,
            clear: None,
            executions: Vec::new(),
            outcomes: Vec::new(),
            exhausted: false,
            verification: false,
        }
    }

    pub async fn look(&mut self, knowledge: &Knowledge, view: &LoopView) -> anyhow::Result<()> {
        let broken = view.violations.iter().any(Violation::counts);
        let at = view.last_update.unwrap_or(self.began);
        if broken {
            self.seen.get_or_insert(at);
            self.clear = None;
        } else if self.seen.is_some() {
            self.clear.get_or_insert(at);
        }
        // First, so that a verdict which falls between these reads is seen among the outcomes.
        self.verification = !knowledge.all::<PendingVerification>(None).await?.is_empty();
        let executions = knowledge.page::<Execution>(None, None, 50).await?.items;
        self.executions =
            executions.into_iter().filter(|e| e.started_at >= self.began).rev().collect();
        let outcomes = knowledge.page::<Outcome>(None, None, 50).await?.items;
        self.outcomes = outcomes.into_iter().filter(|o| o.judged_at >= self.began).collect();
        self.exhausted = knowledge
            .all::<Need>(Some("open"))
            .await?
            .iter()
            .any(|e| e.reason == NeedReason::RemediesExhausted && e.opened_at >= self.began);
        Ok(())
    }

    pub fn is_over(&self, now: Time, speed: f64) -> bool {
        let watched = since(now, self.began).as_secs_f64() * speed;
        if watched > GIVE_UP as f64 {
            return true;
        }
        let must_be_seen = !matches!(self.fault.end, End::LeftAlone);
        let settled =
            !self.verification && (self.clear.is_some() || (!must_be_seen && self.seen.is_none()));
        watched >= self.fault.watch as f64 && (settled || (self.exhausted && !self.verification))
    }

    pub fn row(&self, speed: f64) -> Row {
        let done = self.done();
        let plant = |at: Time| Duration::from_secs_f64(since(at, self.began).as_secs_f64() * speed);
        let steps: Vec<String> = done
            .iter()
            .map(|(action, verdict)| {
                format!("{action} {}", verdict.map_or("without a result", OutcomeType::as_str))
            })
            .collect();
        Row {
            fault: self.fault.name,
            seen_after: self.seen.map(plant),
            actions: done.iter().map(|(action, _)| action.to_string()).collect(),
            outcome: if self.exhausted {
                format!("{}; escalated remedies_exhausted", steps.join(", then "))
            } else if steps.is_empty() {
                "left alone".to_owned()
            } else {
                steps.join(", then ")
            },
            healed_after: self.clear.map(plant),
            as_expected: self.as_expected(&done),
        }
    }

    /// Every action that was sent, with its result.
    fn done(&self) -> Vec<(ActionKind, Option<OutcomeType>)> {
        self.executions
            .iter()
            .flat_map(|e| e.actions.iter().map(move |a| (e, a)))
            .map(|(execution, record)| {
                let outcome = self.outcomes.iter().find(|o| o.execution_id == execution.id);
                (record.action.kind(), outcome.map(|o| o.outcome_type))
            })
            .collect()
    }

    fn as_expected(&self, done: &[(ActionKind, Option<OutcomeType>)]) -> bool {
        let completed = self.executions.iter().all(|e| e.status == ExecutionStatus::Completed);
        let kinds: Vec<ActionKind> = done.iter().map(|(kind, _)| *kind).collect();
        completed
            && match self.fault.end {
                End::LeftAlone => kinds.is_empty(),
                End::AtMostOnce(kind) => kinds.is_empty() || kinds == [kind],
                End::Exhausted(kind) => {
                    kinds == [kind] && self.exhausted && done[0].1 != Some(OutcomeType::Success)
                }
                End::Healed(steps) => {
                    self.clear.is_some()
                        && done.len() == steps.len()
                        && done.iter().zip(steps).all(|((kind, outcome), (wanted, verdict))| {
                            let success = *outcome == Some(OutcomeType::Success);
                            kind == wanted
                                && outcome.is_some()
                                && success == (*verdict == FaultEnd::Success)
                        })
                }
            }
    }
}

/// What was learned in this cycle.
pub(super) async fn learned(
    knowledge: &Knowledge,
    report: &CycleReport,
) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    for id in &report.outcomes {
        if let Some((outcome, _)) = knowledge.get::<Outcome>(&id.to_string()).await? {
            lines.push(format!(
                "learned  {} for {} was {}: {}{}",
                outcome.action_type,
                outcome.cause,
                outcome.outcome_type.as_str(),
                outcome.reason,
                values(&outcome)
            ));
        }
    }
    Ok(lines)
}

/// What was done in this cycle, and what was handed to people.
pub(super) async fn done(
    knowledge: &Knowledge,
    report: &CycleReport,
) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    if let Some(id) = report.execution_id
        && let Some((execution, _)) = knowledge.get::<Execution>(&id.to_string()).await?
    {
        for record in &execution.actions {
            let result = record
                .error
                .as_deref()
                .unwrap_or("took effect; its result is verified after the settle time");
            lines.push(format!("did      {}: {result}", record.action));
        }
    }
    for id in &report.escalations_opened {
        if let Some((record, _)) = knowledge.get::<Need>(&id.to_string()).await? {
            lines.push(format!("asks     a person: {}: {}", record.reason.as_str(), record.detail));
        }
    }
    Ok(lines)
}

fn values(outcome: &Outcome) -> String {
    match (outcome.metric_before, outcome.metric_after) {
        (Some(before), Some(after)) => format!(" ({before:.3} → {after:.3})"),
        _ => String::new(),
    }
}
