//! How a service stands: since when it is down or lacks replicas, and whether it flaps, by this cycle and by what is stored.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Situation, service_of};
use crate::domain::catalogue::{Service, Tier};
use crate::domain::finding::{Finding, FindingKind, IncidentClass};
use crate::domain::incident::{Absorbed, Incident, IncidentHistory, Resolution};
use crate::domain::time::{Time, since};

/// What returns within so long of its end has not ended.
pub(in crate::incidents) const FLAP: Duration = Duration::from_secs(600);
pub(in crate::incidents) const HOUR: Duration = Duration::from_secs(3600);

/// Returns within an hour that make it flap.
const FLAPPING: usize = 3;

fn is_flapping(incident: &Incident, now: Time) -> bool {
    incident.course.returns.iter().filter(|at| since(now, **at) <= HOUR).count() >= FLAPPING
}

/// By namespace and name.
type Key = (String, String);

fn key(finding: &Finding) -> Key {
    (finding.namespace.clone().unwrap_or_default(), finding.service.clone())
}

/// What is known of a service's past, by one incident.
struct Past<'a> {
    incident: &'a Incident,
    down_since: Option<Time>,
    short_since: Option<Time>,
    /// It is the incident's own, not one that was absorbed.
    is_own: bool,
}

/// The stored incidents by their services.
pub(super) struct Stored<'a> {
    by_service: BTreeMap<Key, Vec<Past<'a>>>,
    /// The earliest time that is known of each finding.
    since: BTreeMap<String, Time>,
}

impl<'a> Stored<'a> {
    pub(super) fn of(incidents: &'a [Incident], now: Time) -> Self {
        let mut stored = Self { by_service: BTreeMap::new(), since: BTreeMap::new() };
        for incident in incidents {
            if incident.ended_at.is_none_or(|ended| since(now, ended) <= FLAP) {
                for finding in &incident.findings {
                    let earliest = stored.since.entry(finding.identity()).or_insert(finding.since);
                    *earliest = (*earliest).min(finding.since);
                }
            }
            // One that was merged goes on elsewhere.
            if matches!(incident.resolution, Some(Resolution::MergedInto(_))) {
                continue;
            }
            let mut add = |namespace: &Option<String>, service: &str, past: Past<'a>| {
                let key = (namespace.clone().unwrap_or_default(), service.to_owned());
                stored.by_service.entry(key).or_default().push(past);
            };
            let IncidentHistory { down_since, short_since, .. } = incident.course;
            let own = Past { incident, down_since, short_since, is_own: true };
            add(&incident.namespace, &incident.service, own);
            for other in incident.absorbed.iter().filter(|_| incident.is_open()) {
                let Absorbed { down_since, short_since, .. } = *other;
                let past = Past { incident, down_since, short_since, is_own: false };
                add(&other.namespace, &other.service, past);
            }
        }
        stored
    }

    fn of_service(&self, key: &Key) -> &[Past<'a>] {
        self.by_service.get(key).map_or(&[], Vec::as_slice)
    }

    /// The finding with the earliest time that is known of it: an object's own time may move with every restart.
    pub(super) fn settled(&self, finding: &Finding) -> Finding {
        let held = self.since.get(&finding.identity()).copied().unwrap_or(finding.since);
        Finding { since: held.min(finding.since), ..finding.clone() }
    }

    /// When it was last seen with a ready replica, or whole.
    fn last_up(&self, key: &Key) -> Option<Time> {
        let up = |past: &Past<'_>| {
            let incident = past.incident;
            match incident.ended_at {
                _ if !past.is_own => None,
                Some(ended) => shows_replicas(incident).then_some(ended),
                None if incident.numbers.ready.is_some_and(|ready| ready > 0) => {
                    Some(incident.last_seen_at)
                }
                None => None,
            }
        };
        self.of_service(key).iter().filter_map(up).max()
    }

    fn last_whole(&self, key: &Key) -> Option<Time> {
        let own = self.of_service(key).iter().filter(|past| past.is_own).map(|past| past.incident);
        own.filter(|incident| shows_replicas(incident)).filter_map(|one| one.ended_at).max()
    }

    fn open(&self, key: &Key) -> impl Iterator<Item = &Past<'a>> {
        self.of_service(key).iter().filter(|past| past.incident.is_open())
    }
}

fn shows_replicas(incident: &Incident) -> bool {
    incident.class == IncidentClass::Availability || incident.numbers.ready.is_some()
}

pub(super) struct ServiceHealth<'a> {
    /// `None`: in no catalogue.
    pub(super) service: Option<&'a Service>,
    pub(super) tier: Tier,
    /// In no catalogue, and nothing says what it counts as.
    pub(super) is_unranked: bool,
    pub(super) down_since: Option<Time>,
    /// Down or degraded.
    pub(super) short_since: Option<Time>,
    pub(super) is_flapping: bool,
}

pub(super) struct ServicesHealth<'a> {
    by_service: BTreeMap<Key, ServiceHealth<'a>>,
}

impl<'a> ServicesHealth<'a> {
    /// Of the findings that are not excused.
    pub(super) fn of<'f>(
        findings: impl Iterator<Item = &'f Finding>,
        stored: &Stored<'_>,
        situation: &Situation<'a>,
    ) -> Self {
        let mut groups: BTreeMap<Key, Vec<&'f Finding>> = BTreeMap::new();
        for finding in findings.filter(|finding| is_of_the_cluster(finding)) {
            groups.entry(key(finding)).or_default().push(finding);
        }
        let standing = |(key, findings): (Key, Vec<&'f Finding>)| {
            let standing = ServiceHealth {
                down_since: down_since(&findings, &key, stored),
                short_since: short_since(&findings, &key, stored),
                is_flapping: stored
                    .open(&key)
                    .any(|past| is_flapping(past.incident, situation.now)),
                ..bare(findings[0], situation)
            };
            (key, standing)
        };
        Self { by_service: groups.into_iter().map(standing).collect() }
    }

    /// Names of the P0 services that are down, or have lacked replicas for longer than `limit`.
    pub(super) fn sick_p0(&self, now: Time, limit: Duration) -> Vec<String> {
        let sick = |standing: &ServiceHealth<'_>| {
            standing.tier == Tier::P0
                && (standing.down_since.is_some()
                    || standing.short_since.is_some_and(|at| since(now, at) > limit))
        };
        let of_p0 = self.by_service.iter().filter(|(_, standing)| sick(standing));
        of_p0.map(|((_, name), _)| name.clone()).collect()
    }

    pub(super) fn of_finding(
        &self,
        finding: &Finding,
        situation: &Situation<'a>,
    ) -> ServiceHealth<'a> {
        let bare = bare(finding, situation);
        match self.by_service.get(&key(finding)) {
            Some(held) if is_of_the_cluster(finding) => ServiceHealth {
                down_since: held.down_since,
                short_since: held.short_since,
                is_flapping: held.is_flapping,
                ..bare
            },
            _ => bare,
        }
    }
}

fn is_of_the_cluster(finding: &Finding) -> bool {
    !finding.is_need() && finding.kind != FindingKind::Violation
}

/// Service and tier alone. What is in no catalogue but belongs to somebody who is (a node) counts as that.
fn bare<'a>(finding: &Finding, situation: &Situation<'a>) -> ServiceHealth<'a> {
    let service = service_of(finding, situation.catalogue);
    let tier = service.map(|service| service.tier).or(finding.priority);
    let tier = tier.or(situation.catalogue.default_tier);
    ServiceHealth {
        service,
        tier: tier.unwrap_or(Tier::P3),
        is_unranked: tier.is_none(),
        down_since: None,
        short_since: None,
        is_flapping: false,
    }
}

/// First what was stored when it was first seen down; else what the object says, but not before it was last seen up.
fn down_since(findings: &[&Finding], key: &Key, stored: &Stored<'_>) -> Option<Time> {
    let down = || findings.iter().filter(|finding| finding.is_down());
    // A crash loop may be older than the moment at which the last replica went.
    let by_replicas = down().filter(|f| f.kind == FindingKind::ReplicasMissing);
    let own = by_replicas.map(|f| f.since).min().or_else(|| down().map(|f| f.since).min())?;
    let held = stored.open(key).filter_map(|past| past.down_since).min();
    Some(held.unwrap_or_else(|| stored.last_up(key).map_or(own, |up| own.max(up))))
}

fn short_since(findings: &[&Finding], key: &Key, stored: &Stored<'_>) -> Option<Time> {
    let is_short = |f: &&&Finding| {
        f.is_down() || f.is_degraded() && !(f.within_rollout && f.kind.comes_with_a_rollout())
    };
    let own = findings.iter().filter(is_short).map(|finding| finding.since).min()?;
    let held = stored.open(key).filter_map(|past| past.short_since).min();
    Some(held.unwrap_or_else(|| stored.last_whole(key).map_or(own, |whole| own.max(whole))))
}
