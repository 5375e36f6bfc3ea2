//! A catalogue, findings, and a daemon's cycles as this half lives them: observe, decide, tell.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use mape_k::domain::Labels;
use mape_k::domain::catalogue::{Catalogue, KnownIssue, Service, Tier};
use mape_k::domain::decision::{Decision, Sev};
use mape_k::domain::finding::{Finding, FindingKind, FindingSeverity};
use mape_k::domain::incident::{Absence, Anchor, AtWork, Incident};
use mape_k::domain::message::{Form, Message, NotifierName, Thread};
use mape_k::domain::outbox::{GivenUp, Outgoing};
use mape_k::incidents::compose::{About, messages};
use mape_k::incidents::rules::assess;
use mape_k::incidents::settings::Settings;
use mape_k::incidents::tracker::{IncidentTracker, Observation, Observed, TrackerState};

pub type Time = DateTime<Utc>;

/// A Tuesday within business hours, UTC.
pub fn noon() -> Time {
    at("2026-03-10T12:00:00Z")
}

/// The same day, long before they begin.
pub fn night() -> Time {
    at("2026-03-10T02:00:00Z")
}

pub fn at(text: &str) -> Time {
    text.parse().expect("a time")
}

pub fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

pub fn service(name: &str, tier: Tier) -> Service {
    Service {
        name: name.to_owned(),
        namespace: "shop".to_owned(),
        selector: Labels::new(),
        tier,
        max_downtime: None,
        depends_on: Vec::new(),
        data_layer: false,
        ingress: false,
        known_issues: Vec::new(),
        runbook_url: None,
        gitops_paths: Vec::new(),
    }
}

pub fn known(matches: &str, grace: Duration) -> KnownIssue {
    KnownIssue { matches: matches.to_owned(), grace, note: "ticket 12".to_owned() }
}

/// payments P0, search P1, reports P2, toys P3.
pub fn catalogue() -> Catalogue {
    Catalogue {
        services: vec![
            service("payments", Tier::P0),
            service("search", Tier::P1),
            service("reports", Tier::P2),
            service("toys", Tier::P3),
        ],
        default_tier: Some(Tier::P3),
    }
}

pub fn with(service: Service) -> Catalogue {
    let mut catalogue = catalogue();
    catalogue.services.retain(|held| held.name != service.name);
    catalogue.services.push(service);
    catalogue
}

/// Replicas of a service's deployment.
pub fn replicas(service: &str, ready: u32, desired: u32, since: Time) -> Finding {
    Finding {
        ready: Some(ready),
        desired: Some(desired),
        severity: if ready == 0 { FindingSeverity::Critical } else { FindingSeverity::High },
        reason: format!("{ready} of {desired} replicas are ready."),
        ..finding(service, FindingKind::ReplicasMissing, since)
    }
}

pub fn finding(service: &str, kind: FindingKind, since: Time) -> Finding {
    Finding {
        kind,
        severity: FindingSeverity::Warning,
        priority: None,
        service: service.to_owned(),
        namespace: Some("shop".to_owned()),
        owner: format!("Deployment/{service}"),
        pods: vec![format!("{service}-1")],
        ready: None,
        desired: None,
        restarts: 0,
        within_rollout: false,
        data_at_risk: None,
        reason: format!("{} of {service}", kind.as_str()),
        exit_code: None,
        log_lines: Vec::new(),
        since,
        recommendation: format!("look at {service}"),
        record: None,
        fingerprint: None,
        headline: String::new(),
        anchor: None,
    }
}

/// How Slack answers in a test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Slack {
    Works,
    /// Nothing arrives; it waits in the outbox.
    BackedUp,
    /// No notifier is configured.
    Absent,
    /// Every message that is edited or answered was deleted: each is told in a new one.
    Deleted,
}

pub struct World {
    pub board: IncidentTracker,
    pub settings: Settings,
    pub catalogue: Catalogue,
    pub now: Time,
    pub slack: Slack,
    /// What it means that something is not found any more.
    pub absence: Box<dyn Fn(&Finding) -> Absence>,
    pub confined: BTreeMap<Anchor, Anchor>,
    pub at_work: Vec<AtWork>,
    /// Fingerprints of what an action is configured for, and why it waits.
    pub treated: BTreeMap<String, String>,
    /// What was stored of it so far, as text.
    pub stored: Vec<Incident>,
    pub state: String,
    sent: usize,
    pub outbox: Vec<Outgoing>,
}

/// What one cycle made of its findings.
pub struct Told {
    pub observed: Observed,
    pub decision: Option<Decision>,
    pub messages: Vec<Message>,
}

impl World {
    pub fn new(now: Time) -> Self {
        Self::of(Settings::default(), now)
    }

    pub fn of(settings: Settings, now: Time) -> Self {
        Self {
            board: IncidentTracker::restore(&settings, Vec::new(), TrackerState::default()),
            settings,
            catalogue: catalogue(),
            now,
            slack: Slack::Works,
            absence: Box::new(|_| Absence::Clear),
            confined: BTreeMap::new(),
            at_work: Vec::new(),
            treated: BTreeMap::new(),
            stored: Vec::new(),
            state: String::new(),
            sent: 0,
            outbox: Vec::new(),
        }
    }

    pub fn cycle(&mut self, findings: &[Finding]) -> Told {
        let observed = self.observe(findings);
        let case = self.board.case(&self.catalogue, false, self.now);
        let decision = case.map(|case| self.board.decide(&case, &assess(&case)));
        let messages = self.tell(decision.as_ref());
        Told { observed, decision, messages }
    }

    pub fn observe(&mut self, findings: &[Finding]) -> Observed {
        let findings: Vec<Finding> = findings.iter().map(|one| self.as_analyzed(one)).collect();
        let seen = Observation {
            findings: &findings,
            catalogue: &self.catalogue,
            confined: &self.confined,
            causes: &[],
            at_work: &self.at_work,
            treated: &self.treated,
            now: self.now,
        };
        self.board.observe(&seen, &self.absence)
    }

    /// With the tier of its service, as the analyzer says it, where a test says none.
    fn as_analyzed(&self, finding: &Finding) -> Finding {
        let services = &self.catalogue.services;
        let named = services.iter().find(|service| {
            service.name == finding.service
                && finding.namespace.as_ref() == Some(&service.namespace)
                && service.selector.is_empty()
        });
        let tier = finding.priority.or(named.map(|service| service.tier));
        Finding { priority: tier, ..finding.clone() }
    }

    pub fn tell(&mut self, decision: Option<&Decision>) -> Vec<Message> {
        let about = About {
            cycle_id: "20260310_120000",
            catalogue: &self.catalogue,
            is_partial: false,
            now: self.now,
        };
        let messages = messages(&self.board, decision, &about);
        for message in &messages {
            if self.slack == Slack::Absent {
                self.board.queued(message, &[], self.now);
                continue;
            }
            self.board.queued(message, &[NotifierName::Slack], self.now);
            self.outbox.push(Outgoing::new(
                self.sent.to_string(),
                NotifierName::Slack,
                message.clone(),
            ));
            self.sent += 1;
        }
        self.work_off();
        self.store();
        messages
    }

    /// Slack is asked to take all that waits, and the incidents hear what became of it.
    pub fn work_off(&mut self) {
        let waiting = std::mem::take(&mut self.outbox);
        for (place, mut entry) in waiting.into_iter().enumerate() {
            entry.claim(1);
            match self.slack {
                Slack::Works | Slack::Absent | Slack::Deleted => {
                    let thread = self.thread(&entry.message, place);
                    entry.delivered(Some(thread), self.now);
                }
                Slack::BackedUp => {
                    entry.failed("500".to_owned(), Duration::ZERO, self.now);
                    if entry.is_edit() {
                        entry.give_up(GivenUp::Edit, self.now);
                    }
                }
            }
            self.board.told(&entry);
            if entry.waits() {
                self.outbox.push(entry);
            }
        }
    }

    fn thread(&self, message: &Message, place: usize) -> Thread {
        match &message.form {
            Form::Edit(thread) | Form::Update(Some(thread)) | Form::Ended(Some(thread))
                if self.slack != Slack::Deleted =>
            {
                thread.clone()
            }
            _ => {
                let ts = format!("1700000000.{:04}{place:02}", self.sent);
                Thread { channel: format!("{:?}", message.channel), ts }
            }
        }
    }

    /// The incidents that people will hear of when Slack is back.
    pub fn waiting(&self) -> BTreeSet<String> {
        let incidents = self.outbox.iter().flat_map(Outgoing::incidents);
        incidents.map(str::to_owned).collect()
    }

    /// As the store holds it: changed incidents by their id, the rest as one value, both as text in between.
    fn store(&mut self) {
        for incident in self.board.take_changed() {
            let text = serde_json::to_string(&incident).expect("an incident is JSON");
            let read: Incident = serde_json::from_str(&text).expect("and back");
            self.stored.retain(|held| held.id != read.id);
            self.stored.push(read);
        }
        self.state = serde_json::to_string(self.board.state()).expect("the state is JSON");
    }

    /// The process ends, and another begins on the same store.
    pub fn restart(&mut self) {
        let state = if self.state.is_empty() {
            TrackerState::default()
        } else {
            serde_json::from_str(&self.state).expect("and back")
        };
        self.board = IncidentTracker::restore(&self.settings, self.stored.clone(), state);
        self.board.merge_restored(self.now);
    }

    pub fn pass(&mut self, duration: Duration) {
        self.now += duration;
    }

    /// `count` cycles, half a minute apart, each with the same findings; all messages of them.
    pub fn cycles(&mut self, count: u32, findings: &[Finding]) -> Vec<Message> {
        let mut messages = Vec::new();
        for _ in 0..count {
            self.pass(Duration::from_secs(30));
            messages.extend(self.cycle(findings).messages);
        }
        messages
    }

    pub fn severity_of(&self, service: &str) -> Sev {
        let mut open = self.board.incidents().iter().filter(|one| one.ended_at.is_none());
        open.find(|one| one.service == service).expect("an open incident").severity
    }
}

impl Told {
    pub fn alerts(&self) -> Vec<&Message> {
        self.messages.iter().filter(|message| message.form == Form::Alert).collect()
    }

    /// The one alert of this cycle.
    pub fn alert(&self) -> &Message {
        let alerts = self.alerts();
        assert_eq!(alerts.len(), 1, "one message: {:#?}", self.messages);
        alerts[0]
    }

    pub fn severity(&self) -> Sev {
        self.decision.as_ref().expect("a decision").severity
    }

    pub fn reason(&self) -> &str {
        &self.observed.weighed[0].reason
    }
}
