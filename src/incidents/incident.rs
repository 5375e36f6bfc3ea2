//! One incident: which findings make it, its numbers, when these are worse than others, and what a message shows of it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::severity::Weighed;
use super::title::title;
use super::words::{clause, of_owner};
use crate::domain::analysis::RootCause;
use crate::domain::catalogue::Tier;
use crate::domain::decision::Sev;
use crate::domain::finding::{Finding, FindingKind};
use crate::domain::incident::{
    Absorbed, Anchor, Incident, IncidentStatus, Numbers, RankedCause, Resolution,
};
use crate::domain::time::Time;
use sha2::{Digest, Sha256};

/// Findings kept with an incident, the worst first: workloads of one service times kinds, more than a message shows.
pub(super) const MAX_FINDINGS: usize = 50;

/// More causes of one incident are guesses.
const MAX_CAUSES: usize = 5;

/// Restarts within the trend's window by which a higher rate must differ: one more or less is chance.
const RESTARTS_NOISE: f64 = 3.0;
const RATE_UP: f64 = 1.5;

/// A new one, empty: [`refresh`] fills it.
pub(super) fn opened(id: String, anchor: &Anchor, finding: &Finding, now: Time) -> Incident {
    Incident {
        id,
        anchor: anchor.clone(),
        title: String::new(),
        status: IncidentStatus::Open,
        doing: String::new(),
        absorbed: Vec::new(),
        service: finding.service.clone(),
        namespace: finding.namespace.clone(),
        class: finding.kind.class(),
        since: finding.since,
        opened_at: now,
        last_seen_at: now,
        ended_at: None,
        resolution: None,
        severity: Sev::Sev4,
        causes: Vec::new(),
        numbers: Numbers::default(),
        findings: Vec::new(),
        lines: Vec::new(),
        timeline: Vec::new(),
        thread: None,
        notified_at: None,
        notified_severity: None,
        notified: BTreeMap::new(),
        updated_at: None,
        edited_at: None,
        is_queued: false,
        end_is_due: false,
        suspect: None,
        course: crate::domain::incident::IncidentHistory::default(),
    }
}

/// The open incident in which this one goes on: itself, or the one that it was merged into.
pub(super) fn going_on<'a>(incidents: &'a [Incident], id: &str) -> Option<&'a Incident> {
    let by_id = |id: &str| incidents.iter().find(|one| one.id == id);
    let mut incident = by_id(id)?;
    // Each was merged into an older one, so that this ends.
    while let Some(Resolution::MergedInto(older)) = &incident.resolution {
        incident = by_id(older)?;
    }
    incident.is_open().then_some(incident)
}

/// Takes over what this cycle found of it. Its severity is set by the board.
pub(super) fn refresh(
    incident: &mut Incident,
    mut weighed: Vec<&Weighed>,
    causes: &[RootCause],
    now: Time,
) {
    weighed.sort_by_key(|w| (Reverse((w.severity, w.finding.severity)), w.finding.kind));
    incident.last_seen_at = now;
    incident.numbers = numbers(&weighed, incident.numbers.restart_rate);
    let earliest = weighed.iter().map(|w| w.finding.since).min();
    incident.since = earliest.map_or(incident.since, |at| at.min(incident.since));
    name_after_own(incident, &weighed);
    rank(incident, &weighed, causes);
    let course = &mut incident.course;
    course.base = weighed.iter().map(|w| w.severity).max();
    course.is_excused = weighed.iter().all(|w| w.is_excused);
    course.down_since = weighed.iter().filter(|w| w.finding.is_down()).find_map(|w| w.down_since);
    course.short_since = weighed
        .iter()
        .filter(|w| w.finding.is_down() || w.finding.is_degraded())
        .find_map(|w| w.short_since);
    weighed.truncate(MAX_FINDINGS);
    incident.findings = weighed.iter().map(|w| w.finding.clone()).collect();
    incident.lines = weighed.iter().map(|w| line(w)).collect();
    incident.title = title(incident);
}

/// Its service is that of its own anchor's evidence; other anchors are absorbed for as long as they show any.
fn name_after_own(incident: &mut Incident, weighed: &[&Weighed]) {
    let by_kind = |w: &&&Weighed| (w.finding.is_need(), w.finding.kind == FindingKind::Violation);
    let own = weighed.iter().filter(|w| w.finding.anchor() == incident.anchor).min_by_key(by_kind);
    if let Some(own) = own {
        incident.service.clone_from(&own.finding.service);
        incident.namespace.clone_from(&own.finding.namespace);
    }
    let mut absorbed: BTreeMap<Anchor, Absorbed> = BTreeMap::new();
    for w in weighed.iter().filter(|w| w.finding.anchor() != incident.anchor) {
        let anchor = w.finding.anchor();
        let other = absorbed.entry(anchor.clone()).or_insert_with(|| Absorbed {
            anchor,
            service: w.finding.service.clone(),
            namespace: w.finding.namespace.clone(),
            down_since: None,
            short_since: None,
        });
        other.down_since = other.down_since.or(w.down_since);
        other.short_since = other.short_since.or(w.short_since);
    }
    incident.absorbed = absorbed.into_values().collect();
}

/// What the analysis says of its evidence; a cycle that says nothing changes nothing. A cause is as old as its evidence.
fn rank(incident: &mut Incident, weighed: &[&Weighed], causes: &[RootCause]) {
    let since: BTreeMap<String, Time> =
        weighed.iter().map(|w| (w.finding.fingerprint(), w.finding.since)).collect();
    let of = |cause: &RootCause| {
        let began = cause.evidence.iter().filter_map(|fp| since.get(fp)).min()?;
        Some(RankedCause {
            cause: cause.cause.clone(),
            confidence: cause.confidence,
            since: *began,
        })
    };
    let mut ranked: Vec<RankedCause> = causes.iter().filter_map(of).collect();
    if ranked.is_empty() {
        return;
    }
    ranked.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    ranked.truncate(MAX_CAUSES);
    incident.causes = ranked;
}

fn line(weighed: &Weighed) -> String {
    let found = clause(&weighed.finding.reason);
    let owner = &weighed.finding.owner;
    if found.is_empty() {
        format!("{}. {owner}", weighed.reason)
    } else {
        format!("{}. {}", weighed.reason, of_owner(owner, found))
    }
}

/// Of the evidence that nothing excuses; of everything when all of it is excused.
fn numbers(weighed: &[&Weighed], restart_rate: Option<f64>) -> Numbers {
    let all_excused = weighed.iter().all(|w| w.is_excused);
    let counting = || weighed.iter().filter(|w| all_excused || !w.is_excused);
    let replicas = counting().filter_map(|w| Some((w.finding.ready?, w.finding.desired?)));
    let worst = replicas.min_by(|(ready, desired), (other, of)| {
        // By the share that is ready.
        let (left, right) =
            (u64::from(*ready) * u64::from(*of), u64::from(*other) * u64::from(*desired));
        left.cmp(&right).then(ready.cmp(other))
    });
    let pods: BTreeSet<&str> =
        counting().flat_map(|w| w.finding.pods.iter().map(String::as_str)).collect();
    let mut restarts: BTreeMap<&str, u32> = BTreeMap::new();
    for w in counting() {
        // Two findings of one owner tell the same restarts.
        let held = restarts.entry(w.finding.owner.as_str()).or_default();
        *held = (*held).max(w.finding.restarts);
    }
    Numbers {
        ready: worst.map(|(ready, _)| ready),
        desired: worst.map(|(_, desired)| desired),
        pods: u32::try_from(pods.len()).unwrap_or(u32::MAX),
        tier: weighed.iter().map(|w| w.tier).max(),
        restarts: restarts.values().fold(0, |sum, one| sum.saturating_add(*one)),
        restart_rate,
    }
}

/// Which number is worse than before, in words; none: it is not worse.
pub(super) fn worse(now: &Numbers, before: &Numbers, window_hours: f64) -> Option<String> {
    if let (Some(ready), Some(was)) = (now.ready, before.ready) {
        let missing = |numbers: &Numbers| {
            numbers.desired.unwrap_or_default().saturating_sub(numbers.ready.unwrap_or_default())
        };
        // A service that was scaled down and lacks less than before is not worse.
        if ready < was && missing(now) >= missing(before) {
            return Some(format!("{ready} ready, before {was}"));
        }
    }
    if now.pods > before.pods {
        return Some(format!("{} pods, before {}", now.pods, before.pods));
    }
    if let (Some(tier), Some(was)) = (now.tier, before.tier)
        && tier > was
    {
        return Some(format!("now {}, before {}", tier.as_str(), was.as_str()));
    }
    let (rate, was) = (now.restart_rate?, before.restart_rate?);
    (rate >= was * RATE_UP && (rate - was) * window_hours >= RESTARTS_NOISE)
        .then(|| format!("{rate:.0} restarts an hour, before {was:.0}"))
}

/// A hash of all that a message shows of it and that is no time: when it differs, something changed.
pub(super) fn content_hash(incident: &Incident) -> String {
    let mut text = format!("{} {}", incident.severity, incident.ended_at.is_some());
    for finding in &incident.findings {
        let Finding { kind, severity, owner, pods, ready, desired, exit_code, .. } = finding;
        // Names of pods change with each replacement; their number is what matters.
        let _ = write!(
            text,
            "|{kind:?} {severity:?} {owner} {} {ready:?} {desired:?} {exit_code:?}",
            pods.len()
        );
    }
    if let Some(suspect) = &incident.suspect {
        text.push_str(&suspect.commit.sha);
    }
    let mut content_hash = String::with_capacity(16);
    // Sixteen digits are far more than the few states of one incident need.
    for byte in &Sha256::digest(text.as_bytes())[..8] {
        let _ = write!(content_hash, "{byte:02x}");
    }
    content_hash
}

pub(super) fn tier(incident: &Incident) -> Tier {
    incident.numbers.tier.unwrap_or(Tier::P3)
}
