//! The messages of one cycle: one alert for all that is due, what was missed, ends, brief updates, edits.
//!
//! Decides words, not whether: that is the board's. How they look is the notifier's.

use std::collections::BTreeMap;
use std::time::Duration;

use super::correlation;
use super::rules;
use super::tracker::{IncidentTracker, Why, catalogued_as, raised_by};
use super::words::listed;
use crate::domain::catalogue::Catalogue;
use crate::domain::decision::{Decision, Sev};
use crate::domain::finding::FindingKind;
use crate::domain::incident::{Incident, Resolution};
use crate::domain::message::{Entry, Form, Message, Thread};
use crate::domain::time::{Time, since};

/// Lines and recommendations of one incident, and names in a title: what is read at a glance.
const MAX_LINES: usize = 10;
const MAX_RECOMMENDATIONS: usize = 3;
const MAX_NAMES: usize = 5;

/// For so long an Alertmanager is sent the end of an incident.
const ENDS_TOLD_FOR: Duration = Duration::from_secs(15 * 60);

/// Read where no service's runbook is given.
const FINDINGS_PAGE: &str = "docs/FINDINGS.md";
const NEEDS_PAGE: &str = "docs/OPERATIONS.md#needs-what-they-mean-what-to-do";

#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    pub cycle_id: &'a str,
    pub catalogue: &'a Catalogue,
    pub is_partial: bool,
    pub now: Time,
}

/// The messages of this cycle, in the order in which they are sent.
#[must_use]
pub fn messages(
    board: &IncidentTracker,
    decision: Option<&Decision>,
    about: &About<'_>,
) -> Vec<Message> {
    let composer = Composer { board, about };
    let mut messages = Vec::new();
    let mut alerted: Vec<String> = Vec::new();
    if let Some(decision) = decision.filter(|decision| decision.should_notify) {
        let alert = composer.alert(decision);
        alerted.extend(alert.entries.iter().map(|entry| entry.incident.clone()));
        messages.push(alert);
    }
    let missed = board.missed(about.now);
    if !missed.is_empty() {
        let title = format!("Resolved before anybody was notified: {}", titles(&missed));
        messages.push(composer.told(Form::Summary, title, &missed));
    }
    for (thread, ended) in board.ends(about.now) {
        for (how, ended) in by_end(&ended) {
            let title = format!("{how}: {}", titles(&ended));
            messages.push(composer.told(Form::Ended(thread.clone()), title, &ended));
        }
    }
    for (thread, changed) in board.updates(&alerted, about.now) {
        let title = format!("Changed: {}", titles(&changed));
        messages.push(composer.told(Form::Update(thread), title, &changed));
    }
    for (thread, shown) in board.edits(about.now) {
        messages.push(composer.edit(thread, &shown));
    }
    messages
}

/// What an Alertmanager is sent in each cycle: every incident that people were notified of, unless Alertmanager itself
/// holds back all of its evidence, and the end of those that ended lately, so that one lost request is made up for.
#[must_use]
pub fn standing(board: &IncidentTracker, catalogue: &Catalogue, now: Time) -> Vec<Entry> {
    let about = About { cycle_id: "", catalogue, is_partial: false, now };
    let composer = Composer { board, about: &about };
    let lasts = |one: &&Incident| {
        one.notified_at.is_some()
            && one.ended_at.map_or(!one.course.is_muted, |at| since(now, at) < ENDS_TOLD_FOR)
    };
    board.incidents().iter().filter(lasts).map(|one| composer.entry(one)).collect()
}

struct Composer<'a> {
    board: &'a IncidentTracker,
    about: &'a About<'a>,
}

impl Composer<'_> {
    fn alert(&self, decision: &Decision) -> Message {
        // What is decided never to be told is in the log; what was not assessed is all told.
        let mut listed: Vec<&Incident> = decision
            .incidents
            .iter()
            .filter_map(|id| self.board.incident(id))
            .filter(|incident| decision.is_fallback || incident.severity > Sev::Sev4)
            .collect();
        listed.sort_by_key(|incident| std::cmp::Reverse(incident.severity));
        let title = if decision.is_fallback {
            let services = decision.affected_services.iter().map(String::as_str);
            format!(
                "{}: not assessed: {}",
                decision.severity,
                super::words::listed(services, MAX_NAMES)
            )
        } else {
            title(decision.severity, &listed)
        };
        Message {
            form: Form::Alert,
            severity: decision.severity,
            channel: decision.channel,
            title,
            root_cause: decision.root_cause.clone(),
            impact: decision.impact.clone(),
            actions: decision.actions.clone(),
            confidence: decision.confidence,
            ..self.bare(Form::Alert, &listed)
        }
    }

    /// The first message as it would be written now.
    fn edit(&self, thread: Thread, shown: &[&Incident]) -> Message {
        let open: Vec<&Incident> = shown.iter().copied().filter(|one| one.is_open()).collect();
        if open.is_empty() {
            let parts: Vec<String> = by_end(shown)
                .into_iter()
                .map(|(how, ended)| format!("{how}: {}", titles(&ended)))
                .collect();
            let title = parts.join("; ");
            return self.told(Form::Edit(thread), title, shown);
        }
        let severity = open.iter().map(|one| one.severity).max().unwrap_or(Sev::Sev4);
        let message = self.told(Form::Edit(thread), title(severity, &open), shown);
        Message { severity, channel: severity.channel(), ..message }
    }

    /// With what the rules say of those that are still open.
    fn told(&self, form: Form, title: String, incidents: &[&Incident]) -> Message {
        let bare = Message { title, ..self.bare(form, incidents) };
        let open = incidents.iter().copied().filter(|one| one.is_open());
        let case = self.board.case_of(
            open.map(|one| (one, Why::Repeat)),
            self.about.catalogue,
            self.about.is_partial,
            self.about.now,
        );
        if case.incidents.is_empty() {
            return bare;
        }
        let assessment = rules::assess(&case);
        Message {
            root_cause: assessment.root_cause,
            impact: assessment.impact,
            actions: assessment.actions,
            confidence: assessment.confidence,
            ..bare
        }
    }

    fn bare(&self, form: Form, incidents: &[&Incident]) -> Message {
        // An end is told as what people had been told it was.
        let known_as = |one: &&Incident| {
            if one.is_open() { one.severity } else { one.notified_severity.unwrap_or(one.severity) }
        };
        let severity = incidents.iter().map(known_as).max().unwrap_or(Sev::Sev4);
        Message {
            form,
            severity,
            channel: severity.channel(),
            at: self.about.now,
            cycle_id: self.about.cycle_id.to_owned(),
            title: String::new(),
            root_cause: String::new(),
            impact: String::new(),
            actions: Vec::new(),
            // That a finding is gone is read, not guessed.
            confidence: 100,
            is_partial: self.about.is_partial,
            entries: incidents.iter().map(|incident| self.entry(incident)).collect(),
        }
    }

    fn entry(&self, incident: &Incident) -> Entry {
        let service = catalogued_as(incident, self.about.catalogue);
        let runbook = service.and_then(|service| service.runbook_url.clone());
        let page = || {
            let kind = incident.findings.first()?.kind;
            Some(match kind {
                FindingKind::Loop(_) => NEEDS_PAGE.to_owned(),
                kind => format!("{FINDINGS_PAGE}#{}", kind.as_str()),
            })
        };
        let mut recommendations: Vec<String> = Vec::new();
        for finding in &incident.findings {
            let is_new = !recommendations.contains(&finding.recommendation);
            if is_new && !finding.recommendation.is_empty() {
                recommendations.push(finding.recommendation.clone());
            }
        }
        recommendations.truncate(MAX_RECOMMENDATIONS);
        Entry {
            incident: incident.id.clone(),
            service: incident.service.clone(),
            class: incident.class,
            severity: incident.severity,
            namespace: incident.namespace.clone(),
            since: incident.since,
            ended_at: incident.ended_at,
            news: incident
                .timeline
                .iter()
                .filter(|line| line.is_due)
                .map(|line| line.text.clone())
                .collect(),
            findings: self.lines(incident),
            recommendations,
            runbook_url: runbook.or_else(page),
            deployment: incident
                .suspect
                .as_ref()
                .map(|suspect| correlation::in_words(suspect, incident.since)),
        }
    }

    fn lines(&self, incident: &Incident) -> Vec<String> {
        let mut lines: Vec<String> = incident.lines.iter().take(MAX_LINES).cloned().collect();
        if incident.lines.len() > MAX_LINES {
            lines.push(format!("… and {} more", incident.lines.len() - MAX_LINES));
        }
        if let Some(what) = raised_by(incident, self.board.interval()) {
            lines.push(format!("Worse than when it began: {what}"));
        }
        if incident.resolution == Some(Resolution::Vanished) {
            lines.push(VANISHED.to_owned());
        }
        lines
    }
}

const VANISHED: &str = "Nothing shows it any more: its object was deleted or scaled to zero, its rule was removed, or its source \
                        is turned off. That is no recovery";

fn title(severity: Sev, incidents: &[&Incident]) -> String {
    match incidents {
        [one] => {
            let again = match (one.course.end_notified_at, one.notified_at) {
                (Some(_), _) => " again",
                (None, Some(_)) => " still",
                (None, None) => "",
            };
            let doing = if one.doing.is_empty() { "" } else { "; " };
            format!("{severity}{again}: {}{doing}{}", one.title, one.doing)
        }
        many => format!("{severity}: {} incidents: {}", many.len(), titles(many)),
    }
}

/// By how they came to their end, in words.
fn by_end<'a>(ended: &[&'a Incident]) -> BTreeMap<String, Vec<&'a Incident>> {
    let mut by_end: BTreeMap<String, Vec<&Incident>> = BTreeMap::new();
    for incident in ended {
        let how = match &incident.resolution {
            Some(Resolution::MergedInto(other)) => format!("Merged into {other}"),
            Some(Resolution::Vanished) => "No longer there".to_owned(),
            Some(Resolution::Clear) | None => "Resolved".to_owned(),
        };
        by_end.entry(how).or_default().push(incident);
    }
    by_end
}

fn titles(incidents: &[&Incident]) -> String {
    listed(incidents.iter().map(|incident| incident.title.as_str()), MAX_NAMES)
}
