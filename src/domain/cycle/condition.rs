//! What may be said of the whole after a cycle: nothing is wrong, something is, or nobody can know. Pages, status and
//! health all say it from here, so that none of them says what another denies.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{CycleReport, CycleStatus};
use crate::domain::decision::Sev;
use crate::domain::incident::Incident;
use crate::domain::legible;

/// The condition in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ConditionState)]
pub enum State {
    /// Everything was read, and nothing is wrong.
    Clear,
    Wrong,
    /// Not everything could be read, or there is nothing to look at; nothing of what was read is wrong.
    Unknown,
}

/// What is wrong, and what nobody can know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Condition {
    pub state: State,
    /// What is wrong, a phrase for each kind of evidence.
    pub wrong: Vec<String>,
    /// Why it is not known whether more is wrong.
    pub unknown: Vec<String>,
}

/// An incident that is open when a cycle ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OpenIncident {
    pub id: String,
    pub severity: Sev,
    /// The trouble and its target.
    pub title: String,
    /// Whether anybody was notified of it, in words.
    pub notification: String,
}

impl Incident {
    /// The trouble and its target, also of a record of an earlier version, which has no title.
    #[must_use]
    pub fn title(&self) -> String {
        if self.title.is_empty() {
            format!("{} of {}", self.class.as_str(), legible::name(&self.service))
        } else {
            self.title.clone()
        }
    }
}

impl OpenIncident {
    #[must_use]
    pub fn of(incident: &Incident, has_notifier: bool) -> Self {
        Self {
            id: incident.id.clone(),
            severity: incident.severity,
            title: incident.title(),
            notification: incident.notification(has_notifier),
        }
    }
}

/// How the cluster was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClusterRead {
    /// The part of it that could not be read.
    pub problem: Option<String>,
}

pub const NOTHING_TO_LOOK_AT: &str = "there is no rule and no cluster to look at (monitor.metrics, monitor.queries, kubernetes.enabled)";

impl CycleReport {
    #[must_use]
    pub fn condition(&self) -> Condition {
        let (wrong, unknown) = (self.wrong(), self.unknown());
        let state = match (wrong.is_empty(), unknown.is_empty()) {
            (false, _) => State::Wrong,
            (true, false) => State::Unknown,
            (true, true) => State::Clear,
        };
        Condition { state, wrong, unknown }
    }

    /// Those that the report leaves out among them.
    #[must_use]
    pub fn finding_count(&self) -> usize {
        self.findings_total.max(self.findings.len())
    }

    fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.violations > 0 {
            wrong.push(format!("{} active", counted(self.violations, "violation")));
        }
        let alerts = self.basis.as_ref().map_or(0, |basis| basis.alerts_total);
        if alerts > 0 {
            wrong.push(format!(
                "{} that may be firing, on which no action is based",
                counted(alerts, "alert")
            ));
        }
        let findings = self.finding_count();
        if findings > 0 {
            wrong.push(format!("{} of the cluster", counted(findings, "finding")));
        }
        if let Some(worst) = self.incidents.iter().max_by_key(|incident| incident.severity) {
            wrong.push(format!(
                "{} open, the worst {}: {}, {}",
                counted(self.incidents_open, "incident"),
                worst.severity,
                worst.id,
                worst.title
            ));
        } else if let Some(open) = self.basis.as_ref().map(|basis| basis.open_total)
            && open > 0
        {
            let (needs, verb) =
                (counted(open, "open need"), if open == 1 { "asks" } else { "ask" });
            wrong.push(format!("{needs} that {verb} for a person"));
        }
        wrong
    }

    fn unknown(&self) -> Vec<String> {
        let mut unknown = Vec::new();
        match &self.basis {
            None => unknown.push("the cycle broke off before it had read anything".to_owned()),
            Some(basis) => {
                let sources = basis.sources.iter();
                let unread = sources.filter_map(|read| Some((read.source, read.error.as_ref()?)));
                let before = unknown.len();
                for (source, error) in unread {
                    unknown.push(format!("{} could not be read: {error}", source.as_str()));
                }
                let bad = basis.rules - basis.rules_good.min(basis.rules);
                // A source that is away is the reason of all its rules.
                if bad > 0 && unknown.len() == before {
                    let problems = basis.rule_problems.join("; ");
                    let of = counted(basis.rules, "rule");
                    unknown.push(format!("{bad} of {of} could not be read well: {problems}"));
                }
                if let Some(error) = &basis.charter_error {
                    unknown.push(format!("Charter did not answer: {error}"));
                }
                if basis.rules == 0 && self.cluster.is_none() {
                    unknown.push(NOTHING_TO_LOOK_AT.to_owned());
                }
            }
        }
        if let Some(problem) = self.cluster.as_ref().and_then(|read| read.problem.as_ref()) {
            unknown.push(format!("the cluster could not be read whole: {problem}"));
        }
        if self.status == CycleStatus::Failed && unknown.is_empty() {
            unknown.extend(self.error.clone());
        }
        unknown
    }
}

fn counted(n: usize, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}
