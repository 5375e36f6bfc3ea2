//! The incidents: what is open, who was notified of what, what is due. Held in memory, made of what is stored.
//!
//! In each cycle, in this order:
//!
//! 1. `observe` the cycle's findings, violations and needs among them, whatever failed; `absence` says what became of
//!    evidence that is not among them, so that what could not be read or is held back ends nothing.
//! 2. `wanting_suspects`, `suspect` for each whose commits could be read (`correlation::best_suspect`).
//! 3. `case`; `None`: there is nothing to decide. Otherwise an assessment of it (`rules::assess`), then `decide`, or
//!    `decide_blindly` when that failed.
//! 4. `take_changed` and `state` to be stored: an incident has its id before anybody is notified.
//! 5. `compose::messages`, `queued` for each, and later what became of its delivery.
//! 6. `take_changed` and `state` again, `trend` for the report.
//!
//! Bound: one incident for each anchor with a finding, so by what the cluster and the rules hold; ended ones for a day.
//! Leaves out the texts (`compose`) and the delivery.

mod held;
mod notified;
mod observe;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::correlation;
use super::incident::{self, tier, worse};
use super::rules::{self, Assessment, Case, CaseIncident};
use super::settings::{BusinessHours, Settings};
use super::severity::catalogued;
use super::title;
use super::trend::{Heading, Trend, TrendAnalysis, window_hours};
use crate::domain::catalogue::{Catalogue, Service};
use crate::domain::decision::{Decision, Sev};
use crate::domain::deployment::Suspect;
use crate::domain::finding::Finding;
use crate::domain::incident::{Anchor, Happening, Incident, TimelineEntry};
use crate::domain::time::{Time, since};

pub use observe::{Observation, Observed};

/// People are notified of the same services no more often when nothing could be assessed.
const FALLBACK_EVERY: Duration = Duration::from_secs(30 * 60);

/// For so long after its beginning a deployment is looked for.
const SUSPECT_WITHIN: Duration = Duration::from_secs(30 * 60);

/// Letters of one line of a timeline.
const TIMELINE_TEXT: usize = 400;

/// Why an incident is part of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Nobody has been notified yet.
    New,
    Worse,
    /// People were notified that it was resolved.
    Back,
    /// Nobody was notified for `escalation.repeat_after`.
    Repeat,
}

/// What is stored beside the incidents: one value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrackerState {
    trend: Trend,
    /// The sets of services that people were notified of without an assessment, within the last 30 minutes.
    fallbacks: Vec<FallbackNotified>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct FallbackNotified {
    services: BTreeSet<String>,
    at: Time,
}

/// An incident whose beginning may be held against commits.
#[derive(Clone, Debug, PartialEq)]
pub struct Onset {
    pub incident: String,
    pub service: Service,
    pub since: Time,
}

#[derive(Clone, Debug)]
pub struct IncidentTracker {
    interval: Duration,
    repeat_after: Duration,
    hours: BusinessHours,
    incidents: Vec<Incident>,
    changed: BTreeSet<String>,
    state: TrackerState,
    observed_at: Option<Time>,
    /// The services of a decision without assessment, until its message is delivered.
    blind_decision: Option<BTreeSet<String>>,
}

impl IncidentTracker {
    /// `incidents`: all that are open, and those that ended within the last 24 hours or whose end nobody was notified of.
    #[must_use]
    pub fn restore(settings: &Settings, mut incidents: Vec<Incident>, state: TrackerState) -> Self {
        // In the order in which they began, as without a restart: it is the order in which they are told.
        incidents.sort_by(|a, b| (a.opened_at, &a.id).cmp(&(b.opened_at, &b.id)));
        Self {
            interval: settings.interval,
            repeat_after: settings.repeat_after,
            hours: settings.business_hours.clone(),
            incidents,
            changed: BTreeSet::new(),
            state,
            observed_at: None,
            blind_decision: None,
        }
    }

    /// What was stored as it is to be read now: by this clock, with a title each, and one for each anchor.
    pub fn merge_restored(&mut self, now: Time) -> Vec<(String, String)> {
        for incident in &mut self.incidents {
            incident.not_after(now);
        }
        self.state.fallbacks.retain(|told| told.at <= now);
        for incident in self.incidents.iter_mut().filter(|incident| incident.title.is_empty()) {
            incident.title = title::title(incident);
        }
        let mut observed = Observed::default();
        self.merge_same(now, &mut observed);
        observed.merged
    }

    /// Open ones, and ended ones that are kept.
    #[must_use]
    pub fn incidents(&self) -> &[Incident] {
        &self.incidents
    }

    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    #[must_use]
    pub fn incident(&self, id: &str) -> Option<&Incident> {
        self.incidents.iter().find(|incident| incident.id == id)
    }

    /// The open one in which it goes on: itself, or what it was merged into. Whatever is stored under its id belongs there.
    #[must_use]
    pub fn going_on(&self, id: &str) -> Option<&Incident> {
        incident::going_on(&self.incidents, id)
    }

    /// The open one about this, or that has taken it in.
    #[must_use]
    pub fn open_at(&self, anchor: &Anchor) -> Option<&Incident> {
        let absorbs = |one: &Incident| one.absorbed.iter().any(|other| other.anchor == *anchor);
        let mut open = self.incidents.iter().filter(|incident| incident.is_open());
        open.find(|one| one.anchor == *anchor || absorbs(one))
    }

    /// Adds a line to an incident's timeline. What an incident before it came to, or what it says already, is left out.
    pub fn note(&mut self, incident: &str, what: Happening, text: &str, at: Time) {
        let Some(held) = self.incidents.iter_mut().find(|held| held.id == incident) else { return };
        let text: String = text.chars().take(TIMELINE_TEXT).collect();
        let line = TimelineEntry { at, what, text, is_due: what.is_news() };
        if at >= held.opened_at && held.add(line) {
            self.changed.insert(held.id.clone());
        }
    }

    /// Those that must be stored since this was last asked.
    #[must_use]
    pub fn take_changed(&mut self) -> Vec<Incident> {
        let changed = std::mem::take(&mut self.changed);
        self.incidents.iter().filter(|incident| changed.contains(&incident.id)).cloned().collect()
    }

    /// What is stored beside them.
    #[must_use]
    pub fn state(&self) -> &TrackerState {
        &self.state
    }

    #[must_use]
    pub fn trend(&self, now: Time) -> TrendAnalysis {
        self.state.trend.analysis(self.interval, now)
    }

    /// New incidents of services whose part of the repository is known, and behind which no deployment was found yet.
    #[must_use]
    pub fn wanting_suspects(&self, catalogue: &Catalogue, now: Time) -> Vec<Onset> {
        let wants = |incident: &&Incident| {
            let is_new = since(now, incident.opened_at) <= SUSPECT_WITHIN;
            incident.is_open() && incident.suspect.is_none() && is_new
        };
        let onset = |incident: &Incident| {
            let service = catalogued_as(incident, catalogue)?;
            (!service.gitops_paths.is_empty()).then(|| Onset {
                incident: incident.id.clone(),
                service: service.clone(),
                since: incident.since,
            })
        };
        self.incidents.iter().filter(wants).filter_map(onset).collect()
    }

    pub fn suspect(&mut self, incident: &str, suspect: Suspect, now: Time) {
        let interval = self.interval;
        if let Some(held) = self.incidents.iter_mut().find(|held| held.id == incident) {
            held.suspect = Some(suspect);
            set_severity(held, interval, now);
            self.changed.insert(held.id.clone());
        }
    }

    /// What there is to decide: the incidents that are new, worse or due.
    #[must_use]
    pub fn case(&self, catalogue: &Catalogue, is_partial: bool, now: Time) -> Option<Case> {
        let due = self.incidents.iter().filter_map(|one| Some((one, self.why(one, now)?)));
        let case = self.case_of(due, catalogue, is_partial, now);
        (!case.incidents.is_empty()).then_some(case)
    }

    pub(super) fn case_of<'a>(
        &self,
        incidents: impl Iterator<Item = (&'a Incident, Why)>,
        catalogue: &Catalogue,
        is_partial: bool,
        at: Time,
    ) -> Case {
        let trend = self.trend(at);
        let headings: BTreeMap<&str, Heading> =
            trend.incidents.iter().map(|of| (of.incident.as_str(), of.heading)).collect();
        let mut incidents: Vec<CaseIncident> = incidents
            .map(|(incident, why)| CaseIncident {
                why,
                tier: tier(incident),
                service: catalogued_as(incident, catalogue).cloned(),
                heading: headings.get(incident.id.as_str()).copied(),
                incident: incident.clone(),
            })
            .collect();
        incidents.sort_by(|a, b| {
            let rank = |one: &CaseIncident| std::cmp::Reverse((one.incident.severity, one.tier));
            rank(a).cmp(&rank(b)).then_with(|| a.incident.service.cmp(&b.incident.service))
        });
        Case { at, is_partial, incidents }
    }

    fn why(&self, incident: &Incident, now: Time) -> Option<Why> {
        if !incident.is_open() || incident.course.is_muted {
            return None;
        }
        let (severity, course) = (incident.severity, &incident.course);
        let Some(notified_at) = incident.notified_at else {
            // What nobody is told of is decided once for each severity; the rest stays due until somebody is told.
            let is_decided = course.decided.is_some_and(|decided| decided >= severity);
            return (!is_decided || self.may_tell(severity, now)).then_some(Why::New);
        };
        if !self.may_tell(severity, now) {
            return None;
        }
        if course.end_notified_at.is_some() {
            return Some(Why::Back);
        }
        if incident.notified_severity.is_none_or(|told| severity > told)
            || self.has_worse_numbers(incident, now)
        {
            return Some(Why::Worse);
        }
        // What this cycle could not see is not said to go on.
        let is_seen = self.observed_at.is_some_and(|at| incident.last_seen_at >= at);
        (is_seen && since(now, notified_at) >= self.repeat_after).then_some(Why::Repeat)
    }

    /// Than people last heard; at most once an interval, as the trend looks at it.
    fn has_worse_numbers(&self, incident: &Incident, now: Time) -> bool {
        let last_heard = incident.notified_at.max(incident.updated_at);
        let told = incident.course.notified_numbers.as_ref();
        !incident.course.is_excused
            && last_heard.is_none_or(|at| since(now, at) >= self.interval)
            && told.is_some_and(|told| {
                worse(&incident.numbers, told, window_hours(self.interval)).is_some()
            })
    }

    /// SEV-1 and SEV-2 at any time, SEV-3 in business hours, SEV-4 never.
    pub(super) fn may_tell(&self, severity: Sev, now: Time) -> bool {
        match severity {
            Sev::Sev1 | Sev::Sev2 => true,
            Sev::Sev3 => self.hours.is_open(now),
            Sev::Sev4 => false,
        }
    }

    /// Never milder than the worst of its incidents is by the table.
    #[must_use]
    pub fn decide(&mut self, case: &Case, assessment: &Assessment) -> Decision {
        let worst = case.incidents.iter().map(|one| one.incident.severity).max();
        let severity = worst.map_or(assessment.severity, |worst| worst.max(assessment.severity));
        self.mark_decided(case);
        let services: BTreeSet<&str> =
            case.incidents.iter().map(|one| one.incident.service.as_str()).collect();
        Decision {
            severity,
            confidence: assessment.confidence.min(100),
            should_notify: self.may_tell(severity, case.at),
            affected_services: services.into_iter().map(str::to_owned).collect(),
            root_cause: assessment.root_cause.clone(),
            impact: assessment.impact.clone(),
            actions: assessment.actions.clone(),
            channel: severity.channel(),
            is_fallback: false,
            incidents: case.incidents.iter().map(|one| one.incident.id.clone()).collect(),
        }
    }

    /// The conservative decision, when there is no assessment: people are notified of the same services once in 30 minutes.
    #[must_use]
    pub fn decide_blindly(
        &mut self,
        findings: &[Finding],
        case: Option<&Case>,
        now: Time,
    ) -> Decision {
        let mut decision = rules::fallback(findings);
        let services: BTreeSet<String> = decision.affected_services.iter().cloned().collect();
        self.state.fallbacks.retain(|told| since(now, told.at) < FALLBACK_EVERY);
        decision.should_notify = self.state.fallbacks.iter().all(|told| told.services != services);
        if let Some(case) = case {
            decision.incidents = case.incidents.iter().map(|one| one.incident.id.clone()).collect();
        }
        self.blind_decision = decision.should_notify.then_some(services);
        decision
    }

    fn mark_decided(&mut self, case: &Case) {
        for one in &case.incidents {
            let waits = one.incident.severity == Sev::Sev3 && !self.may_tell(Sev::Sev3, case.at);
            let Some(held) = self.incidents.iter_mut().find(|held| held.id == one.incident.id)
            else {
                continue;
            };
            held.course.decided = Some(held.severity);
            held.is_queued |= waits && held.notified_at.is_none();
            self.changed.insert(held.id.clone());
        }
    }
}

pub(super) fn catalogued_as<'a>(
    incident: &Incident,
    catalogue: &'a Catalogue,
) -> Option<&'a Service> {
    let is_stranger = incident.findings.iter().any(|finding| finding.kind.is_by_labels())
        && incident.findings.iter().all(|finding| finding.priority.is_none());
    if is_stranger {
        return None;
    }
    catalogued(&incident.service, incident.namespace.as_deref(), catalogue)
}

/// By the table, with the deployment behind it, and one more than when people were notified while a number is worse than then.
fn set_severity(incident: &mut Incident, interval: Duration, now: Time) {
    let course = &mut incident.course;
    let base = course.base.unwrap_or(incident.severity);
    if course.is_excused {
        course.baseline = None;
        course.is_raised = false;
        incident.severity = base;
        return;
    }
    let tier = incident.numbers.tier.unwrap_or(crate::domain::catalogue::Tier::P3);
    let severity = correlation::raised(base, tier, incident.suspect.as_ref());
    let (before, was) = course.baseline.get_or_insert((incident.numbers, severity));
    if before.restart_rate.is_none() {
        before.restart_rate = incident.numbers.restart_rate;
    }
    let is_time = course.is_raised
        || since(now, incident.notified_at.unwrap_or(incident.opened_at)) >= interval;
    course.is_raised =
        is_time && worse(&incident.numbers, before, window_hours(interval)).is_some();
    incident.severity = if course.is_raised { severity.max(was.raised()) } else { severity };
}

/// The number that became worse, while its severity is raised for it.
pub(super) fn raised_by(incident: &Incident, interval: Duration) -> Option<String> {
    let (before, _) = incident.course.baseline.as_ref()?;
    incident.course.is_raised.then(|| worse(&incident.numbers, before, window_hours(interval)))?
}
