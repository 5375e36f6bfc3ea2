//! How a service stands: since when it is down or lacks replicas, and whether it flaps, by this cycle and by what is stored.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Situation, is_by_labels, service_of};
use crate::domain::catalogue::{Service, Tier};
use crate::domain::finding::{Finding, FindingKind, IncidentClass};
use crate::domain::incident::Incident;
use crate::domain::time::{Time, since};

/// What returns within so long of its end has not ended.
pub(in crate::escalation) const FLAP: Duration = Duration::from_secs(300);
pub(in crate::escalation) const HOUR: Duration = Duration::from_secs(3600);

/// Returns within an hour that make it flap.
const FLAPPING: usize = 3;

fn is_flapping(incident: &Incident, now: Time) -> bool {
    incident.course.returns.iter().filter(|at| since(now, **at) <= HOUR).count() >= FLAPPING
}

type Key<'a> = (&'a str, &'a str);

fn key(finding: &Finding) -> Key<'_> {
    (finding.namespace.as_deref().unwrap_or_default(), &finding.service)
}

/// The stored incidents by their service.
pub(super) struct Stored<'a> {
    /// By namespace and name.
    by_service: BTreeMap<&'a str, BTreeMap<&'a str, Vec<&'a Incident>>>,
    now: Time,
}

impl<'a> Stored<'a> {
    pub(super) fn of(incidents: &'a [Incident], now: Time) -> Self {
        let mut by_service: BTreeMap<&str, BTreeMap<&str, Vec<&Incident>>> = BTreeMap::new();
        for incident in incidents {
            let namespace = incident.namespace.as_deref().unwrap_or_default();
            let of_namespace = by_service.entry(namespace).or_default();
            of_namespace.entry(&incident.service).or_default().push(incident);
        }
        Self { by_service, now }
    }

    fn of_service(&self, key: Key<'_>) -> &[&'a Incident] {
        self.by_service.get(key.0).and_then(|of| of.get(key.1)).map_or(&[], Vec::as_slice)
    }

    /// The finding with the earliest time that is known of it: an object's own time may move with every restart.
    pub(super) fn settled(&self, finding: &Finding) -> Finding {
        let lasting = |incident: &&&Incident| {
            incident.ended_at.is_none_or(|ended| since(self.now, ended) <= FLAP)
        };
        let same = |held: &&Finding| {
            held.kind == finding.kind
                && held.owner == finding.owner
                && held.fingerprint == finding.fingerprint
                && held.record == finding.record
        };
        let incidents = self.of_service(key(finding)).iter().filter(lasting);
        let seen = incidents.flat_map(|incident| incident.findings.iter().filter(same));
        let earliest = seen.map(|held| held.since).min();
        let since = earliest.map_or(finding.since, |held| held.min(finding.since));
        Finding { since, ..finding.clone() }
    }

    /// When it was last seen with a ready replica, or whole.
    fn last_up(&self, key: Key<'_>) -> Option<Time> {
        let up = |incident: &&Incident| match incident.ended_at {
            Some(ended) => shows_replicas(incident).then_some(ended),
            None if incident.numbers.ready.is_some_and(|ready| ready > 0) => {
                Some(incident.last_seen_at)
            }
            None => None,
        };
        self.of_service(key).iter().filter_map(up).max()
    }

    fn last_whole(&self, key: Key<'_>) -> Option<Time> {
        let ended = self.of_service(key).iter();
        let availability = ended.filter(|incident| shows_replicas(incident));
        availability.filter_map(|incident| incident.ended_at).max()
    }

    fn open(&self, key: Key<'_>) -> impl Iterator<Item = &&'a Incident> {
        self.of_service(key).iter().filter(|incident| incident.is_open())
    }
}

fn shows_replicas(incident: &Incident) -> bool {
    incident.class == IncidentClass::Availability || incident.numbers.ready.is_some()
}

pub(super) struct Standing<'a> {
    /// `None`: in no catalogue.
    pub(super) service: Option<&'a Service>,
    pub(super) tier: Tier,
    pub(super) down_since: Option<Time>,
    /// Down or degraded.
    pub(super) short_since: Option<Time>,
    pub(super) is_flapping: bool,
}

pub(super) struct Standings<'a> {
    by_service: BTreeMap<(String, String), Standing<'a>>,
}

impl<'a> Standings<'a> {
    /// Of the findings that are not excused.
    pub(super) fn of<'f>(
        findings: impl Iterator<Item = &'f Finding>,
        stored: &Stored<'_>,
        situation: &Situation<'a>,
    ) -> Self {
        let mut groups: BTreeMap<Key<'f>, Vec<&'f Finding>> = BTreeMap::new();
        for finding in findings
            .filter(|f| is_by_labels(f.kind.class()) || f.kind.class() == IncidentClass::Node)
        {
            groups.entry(key(finding)).or_default().push(finding);
        }
        let standing = |(key, findings): (Key<'f>, Vec<&'f Finding>)| {
            let standing = Standing {
                down_since: down_since(&findings, key, stored),
                short_since: short_since(&findings, key, stored),
                is_flapping: stored.open(key).any(|i| is_flapping(i, situation.now)),
                ..bare(findings[0], situation)
            };
            ((key.0.to_owned(), key.1.to_owned()), standing)
        };
        Self { by_service: groups.into_iter().map(standing).collect() }
    }

    /// Names of the P0 services that are down, or have lacked replicas for longer than `limit`.
    pub(super) fn sick_p0(&self, now: Time, limit: Duration) -> Vec<String> {
        let sick = |standing: &Standing<'_>| {
            standing.tier == Tier::P0
                && (standing.down_since.is_some()
                    || standing.short_since.is_some_and(|at| since(now, at) > limit))
        };
        let of_p0 = self.by_service.iter().filter(|(_, standing)| sick(standing));
        of_p0.map(|((_, name), _)| name.clone()).collect()
    }

    pub(super) fn of_finding(&self, finding: &Finding, situation: &Situation<'a>) -> Standing<'a> {
        let (namespace, name) = key(finding);
        let bare = bare(finding, situation);
        match self.by_service.get(&(namespace.to_owned(), name.to_owned())) {
            Some(held)
                if finding.kind.class() != IncidentClass::Loop
                    && finding.kind != FindingKind::Violation =>
            {
                Standing {
                    down_since: held.down_since,
                    short_since: held.short_since,
                    is_flapping: held.is_flapping,
                    ..bare
                }
            }
            _ => bare,
        }
    }
}

/// Service and tier alone. What is in no catalogue but belongs to somebody who is (a node) counts as that.
fn bare<'a>(finding: &Finding, situation: &Situation<'a>) -> Standing<'a> {
    let service = service_of(finding, situation.catalogue);
    let tier = service.map(|service| service.tier).or(finding.priority);
    Standing {
        service,
        tier: tier.unwrap_or(situation.catalogue.default_tier),
        down_since: None,
        short_since: None,
        is_flapping: false,
    }
}

/// First what was stored when it was first seen down; else what the object says, but not before it was last seen up.
fn down_since(findings: &[&Finding], key: Key<'_>, stored: &Stored<'_>) -> Option<Time> {
    let down = || findings.iter().filter(|finding| finding.is_down());
    // A crash loop may be older than the moment at which the last replica went.
    let by_replicas = down().filter(|f| f.kind == FindingKind::ReplicasMissing);
    let own = by_replicas.map(|f| f.since).min().or_else(|| down().map(|f| f.since).min())?;
    let held = stored.open(key).filter_map(|incident| incident.course.down_since).min();
    Some(held.unwrap_or_else(|| stored.last_up(key).map_or(own, |up| own.max(up))))
}

fn short_since(findings: &[&Finding], key: Key<'_>, stored: &Stored<'_>) -> Option<Time> {
    let is_short = |f: &&&Finding| {
        f.is_down() || f.is_degraded() && !(f.within_rollout && f.kind.comes_with_a_rollout())
    };
    let own = findings.iter().filter(is_short).map(|finding| finding.since).min()?;
    let held = stored.open(key).filter_map(|incident| incident.course.short_since).min();
    Some(held.unwrap_or_else(|| stored.last_whole(key).map_or(own, |whole| own.max(whole))))
}
