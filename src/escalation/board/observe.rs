//! What one cycle found, taken into the incidents: opened, gone on, come back, ended, forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{IncidentBoard, set_severity};
use crate::domain::catalogue::{Catalogue, Tier};
use crate::domain::cluster::{ClusterReading, Kind, UnreadObject};
use crate::domain::decision::Sev;
use crate::domain::finding::{Finding, IncidentClass};
use crate::domain::incident::{Anchor, Incident, Resolution};
use crate::domain::time::{Time, since};
use crate::escalation::incidents::{opened, refresh};
use crate::escalation::severity::{FLAP, HOUR, Situation, Weighed, weigh};
use crate::escalation::trend::{restart_rate, slot};

/// Ended ones are kept for so long; an open one that could not be seen for so long is over.
const KEPT: Duration = Duration::from_secs(24 * 3600);
/// Ended ones of which somebody still has to be told: over the longest week-end, and for as long as no delivery works.
const KEPT_UNTOLD: Duration = Duration::from_secs(8 * 24 * 3600);

#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    pub findings: &'a [Finding],
    pub catalogue: &'a Catalogue,
    /// Classes that were read whole: only there does the absence of a finding end an incident. `Loop`: the records of
    /// the loop's own escalations were read.
    pub readable: &'a BTreeSet<IncidentClass>,
    /// Where in them single objects cannot be read: nothing ends there either.
    pub hidden: &'a Hidden,
    pub now: Time,
}

/// Classes, each with a namespace of which an object cannot be read; an empty namespace stands for all of them.
pub type Hidden = BTreeSet<(IncidentClass, String)>;

impl Observation<'_> {
    /// All was read by which this evidence would be found.
    fn could_see(&self, finding: &Finding) -> bool {
        let class = finding.kind.class();
        let namespace = finding.namespace.as_deref();
        let is_hidden = |namespace: &str| self.hidden.contains(&(class, namespace.to_owned()));
        // What is broken or not the tracker says in every cycle: it keeps what it cannot read.
        class == IncidentClass::Violation
            || self.readable.contains(&class) && !is_hidden("") && !namespace.is_some_and(is_hidden)
    }

    /// All was read by which the evidence of this incident would be found.
    fn is_whole(&self, incident: &Incident) -> bool {
        incident.findings.iter().all(|finding| self.could_see(finding))
    }
}

/// For the log and the report.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    pub weighed: Vec<Weighed>,
    /// Ids of incidents.
    pub opened: Vec<String>,
    pub returned: Vec<String>,
    pub ended: Vec<String>,
}

/// The kinds by which incidents of a class are found. Whose a pod or claim is counts as well: a run belongs to its cron
/// job, and is under another name while jobs are not read. A cron job says whether a later run has succeeded. Events prove nothing missing and are not needed. `Loop` is not
/// the cluster's to say.
fn needed() -> [(IncidentClass, Vec<Kind>); 5] {
    let pods = [&[Kind::Pods], &Kind::OWNERS_OF_PODS[..]].concat();
    [
        (IncidentClass::Availability, [&pods[..], &Kind::WORKLOADS[..]].concat()),
        (IncidentClass::Volume, [&[Kind::Claims], &pods[..]].concat()),
        (IncidentClass::Memory, pods),
        (IncidentClass::Job, vec![Kind::Jobs, Kind::CronJobs]),
        (IncidentClass::Node, vec![Kind::Nodes]),
    ]
}

/// The classes whose kinds were all read: of those that the configuration asks for, at least one.
#[must_use]
pub fn readable(reading: &ClusterReading) -> BTreeSet<IncidentClass> {
    let is_whole = |kinds: &[Kind]| {
        let mut expected = kinds.iter().filter(|kind| reading.expected.contains(kind));
        // A cron job by itself shows nothing.
        expected.clone().any(|kind| *kind != Kind::CronJobs)
            && expected.all(|kind| !reading.failures.contains_key(kind))
    };
    needed().into_iter().filter(|(_, kinds)| is_whole(kinds)).map(|(class, _)| class).collect()
}

/// Where single objects cannot be read.
#[must_use]
pub fn hidden(reading: &ClusterReading) -> Hidden {
    let needed = needed();
    let of = |object: &UnreadObject| {
        let namespace = object.namespace.clone();
        let classes = needed.iter().filter(|(_, kinds)| kinds.contains(&object.kind));
        classes.map(|(class, _)| (*class, namespace.clone())).collect::<Vec<_>>()
    };
    reading.unread.iter().flat_map(of).collect()
}

/// But for what moves with time alone: when it was seen, how long it has lasted in words, its rate, its last log lines.
fn is_as_before(mut before: Incident, now: &Incident) -> bool {
    before.last_seen_at = now.last_seen_at;
    before.lines.clone_from(&now.lines);
    before.numbers.restart_rate = now.numbers.restart_rate;
    for (held, found) in before.findings.iter_mut().zip(&now.findings) {
        held.log_lines.clone_from(&found.log_lines);
    }
    before == *now
}

impl IncidentBoard {
    /// All that a cycle has found: what is not there any more ends.
    pub fn observe(&mut self, seen: &Observation<'_>) -> Observed {
        let (mut observed, present) = self.take_in(seen);
        self.end_absent(&present, seen, &mut observed);
        self.forget(seen.now);
        let open = self.incidents.iter().filter(|incident| incident.is_open());
        self.state.trend.note(open, self.interval, seen.now);
        observed
    }

    /// What is there, opened or refreshed, while the cycle may still find more: nothing ends. Answers the ids of those
    /// that are there.
    pub fn take_in(&mut self, seen: &Observation<'_>) -> (Observed, BTreeSet<String>) {
        let now = seen.now;
        self.observed_at = Some(now);
        let situation = Situation {
            now,
            catalogue: seen.catalogue,
            incidents: &self.incidents,
            p0_was_down: self.is_p0_down(),
        };
        let mut observed =
            Observed { weighed: weigh(seen.findings, &situation), ..Observed::default() };
        let weighed = std::mem::take(&mut observed.weighed);
        let mut groups: BTreeMap<Anchor, Vec<&Weighed>> = BTreeMap::new();
        for one in &weighed {
            groups.entry(one.finding.anchor()).or_default().push(one);
        }
        let (open, ended) = self.by_key();
        let restarts = self.state.trend.restarts(self.interval, now);
        let mut present: BTreeSet<String> = BTreeSet::new();
        for (key, group) in groups {
            let past = restarts.get(&key).map_or(&[][..], Vec::as_slice);
            let index = match (open.get(&key), ended.get(&key)) {
                (Some(index), _) => *index,
                (None, before) => self.begin(before.copied(), group[0], now, &mut observed),
            };
            present.insert(self.incidents[index].id.clone());
            let is_whole = seen.is_whole(&self.incidents[index]);
            self.take_over(index, group, is_whole, past, now);
        }
        observed.weighed = weighed;
        (observed, present)
    }

    /// In the last cycle that could tell: what could not be read since then is open as it was.
    fn is_p0_down(&self) -> bool {
        let mut open = self.incidents.iter().filter(|incident| incident.is_open());
        open.any(|one| one.numbers.tier == Some(Tier::P0) && one.course.down_since.is_some())
    }

    /// Where the open one of each key stands, and the one that ended last.
    fn by_key(&self) -> (BTreeMap<Anchor, usize>, BTreeMap<Anchor, usize>) {
        let (mut open, mut ended) = (BTreeMap::new(), BTreeMap::new());
        for (index, incident) in self.incidents.iter().enumerate() {
            let key = incident.anchor.clone();
            match incident.ended_at {
                None => _ = open.insert(key, index),
                Some(at) => {
                    let held: &mut usize = ended.entry(key).or_insert(index);
                    if self.incidents[*held].ended_at < Some(at) {
                        *held = index;
                    }
                }
            }
        }
        (open, ended)
    }

    /// A new one, or the one that ended a moment ago.
    fn begin(
        &mut self,
        before: Option<usize>,
        first: &Weighed,
        now: Time,
        observed: &mut Observed,
    ) -> usize {
        let ended_for =
            before.and_then(|index| self.incidents[index].ended_at).map(|at| since(now, at));
        let mut returns = Vec::new();
        if let (Some(index), Some(ended_for)) = (before, ended_for)
            && ended_for <= HOUR
        {
            returns.clone_from(&self.incidents[index].course.returns);
            returns.retain(|at| since(now, *at) <= HOUR);
            returns.push(now);
            if ended_for <= FLAP {
                let incident = &mut self.incidents[index];
                incident.ended_at = None;
                incident.resolution = None;
                incident.end_is_due = false;
                incident.course.returns = returns;
                if incident.course.end_told_at.is_some() {
                    // What people heard is over: how bad it was says nothing of this time.
                    incident.course.decided = None;
                }
                observed.returned.push(incident.id.clone());
                self.changed.insert(incident.id.clone());
                return index;
            }
        }
        let mut incident = opened(self.next_id(now), &first.finding, now);
        incident.course.returns = returns;
        observed.opened.push(incident.id.clone());
        self.changed.insert(incident.id.clone());
        self.incidents.push(incident);
        self.incidents.len() - 1
    }

    /// `INC-YYYYMMDD_HHMMSS-NNN`, counted within its second on from what is stored.
    fn next_id(&self, now: Time) -> String {
        let second = format!("INC-{}-", now.format("%Y%m%d_%H%M%S"));
        let of_this_second =
            self.incidents.iter().filter_map(|incident| incident.id.strip_prefix(&second));
        let last = of_this_second.filter_map(|number| number.parse::<u32>().ok()).max();
        format!("{second}{:03}", last.map_or(1, |last| last + 1))
    }

    fn take_over(
        &mut self,
        index: usize,
        group: Vec<&Weighed>,
        is_whole: bool,
        past: &[(Time, u32)],
        now: Time,
    ) {
        let incident = &mut self.incidents[index];
        let before = incident.clone();
        refresh(incident, group, is_whole, now);
        incident.numbers.restart_rate = restart_rate(past, incident.numbers.restarts, now);
        set_severity(incident, self.interval, now);
        // Decided before and still untold, or back after its end was told: it waits for business hours until somebody is
        // told, however mild it becomes.
        let is_back = incident.course.end_told_at.is_some();
        let is_untold = incident.told_at.is_none() && incident.course.decided.is_some();
        incident.is_queued |= incident.severity == Sev::Sev3 && (is_untold || is_back);
        // When nothing but the time is new, once in an interval: after a restart, when it was last seen up bounds how long
        // it is down.
        let is_another_interval =
            slot(before.last_seen_at, self.interval) != slot(now, self.interval);
        if is_another_interval || !is_as_before(before, incident) {
            self.changed.insert(incident.id.clone());
        }
    }

    fn end_absent(
        &mut self,
        present: &BTreeSet<String>,
        seen: &Observation<'_>,
        observed: &mut Observed,
    ) {
        let now = seen.now;
        let absent =
            |incident: &&mut Incident| incident.is_open() && !present.contains(&incident.id);
        for incident in self.incidents.iter_mut().filter(absent) {
            let is_lost = since(now, incident.last_seen_at) >= KEPT;
            if !seen.is_whole(incident) && !is_lost {
                continue;
            }
            incident.ended_at = Some(now);
            incident.resolution = Some(Resolution::Clear);
            // Of one that came back unheard people know already that it is over.
            incident.end_is_due =
                incident.told_at.is_some() && incident.course.end_told_at.is_none();
            // What came and went, or came back, before anybody was told is told of afterwards.
            let is_unheard = incident.told_at.is_none() || incident.course.end_told_at.is_some();
            let worst = Some(incident.severity).max(incident.course.decided);
            incident.is_queued |= is_unheard && worst >= Some(Sev::Sev3);
            incident.course.down_since = None;
            incident.course.short_since = None;
            incident.course.is_raised = false;
            observed.ended.push(incident.id.clone());
            self.changed.insert(incident.id.clone());
        }
    }

    fn forget(&mut self, now: Time) {
        self.incidents.retain(|incident| {
            let Some(ended) = incident.ended_at else { return true };
            let is_owed = incident.end_is_due || incident.is_queued;
            since(now, ended) < if is_owed { KEPT_UNTOLD } else { KEPT }
        });
        self.state.fallbacks.retain(|told| since(now, told.at) < super::FALLBACK_EVERY);
    }
}
