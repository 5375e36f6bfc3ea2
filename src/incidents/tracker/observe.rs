//! What one cycle found, taken into the incidents: opened, gone on, come back, merged, ended, forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::held::Held;
use super::{IncidentTracker, set_severity};
use crate::domain::analysis::RootCause;
use crate::domain::catalogue::{Catalogue, Tier};
use crate::domain::decision::Sev;
use crate::domain::finding::{Finding, FindingKind};
use crate::domain::incident::{
    Absence, Anchor, AtWork, Happening, Incident, IncidentStatus, Resolution,
};
use crate::domain::time::{Time, since};
use crate::incidents::incident::{opened, refresh};
use crate::incidents::severity::{FLAP, HOUR, Situation, Weighed, weigh};
use crate::incidents::title;
use crate::incidents::trend::{restart_rate, slot};

/// Ended ones are kept for so long.
const KEPT: Duration = Duration::from_secs(24 * 3600);
/// Ended ones of which people still have to be notified: over the longest week-end, and for as long as no delivery works.
const KEPT_UNTOLD: Duration = Duration::from_secs(8 * 24 * 3600);

#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    pub findings: &'a [Finding],
    pub catalogue: &'a Catalogue,
    /// Workloads all of whose unready pods are on one node, with that node.
    pub confined: &'a BTreeMap<Anchor, Anchor>,
    /// Of this cycle's analysis, the likeliest first.
    pub causes: &'a [RootCause],
    pub at_work: &'a [AtWork],
    /// Fingerprints of evidence for which an action is configured, each with why nothing is planned for it yet; empty:
    /// something is, and `at_work` says what of it.
    pub treated: &'a BTreeMap<String, String>,
    pub now: Time,
}

/// For the log and the report.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    pub weighed: Vec<Weighed>,
    /// Ids of incidents.
    pub opened: Vec<String>,
    pub returned: Vec<String>,
    pub ended: Vec<String>,
    /// Which one goes on in which: whatever names the first belongs to the second from now on.
    pub merged: Vec<(String, String)>,
}

/// But for what moves with time alone: when it was seen, how long it has lasted in words, its rate, its last log lines.
fn is_as_before(mut before: Incident, now: &Incident) -> bool {
    before.last_seen_at = now.last_seen_at;
    before.lines.clone_from(&now.lines);
    before.numbers.restart_rate = now.numbers.restart_rate;
    before.title.clone_from(&now.title);
    for (held, found) in before.findings.iter_mut().zip(&now.findings) {
        held.log_lines.clone_from(&found.log_lines);
        if held.kind == FindingKind::Violation {
            // They tell the last value.
            held.reason.clone_from(&found.reason);
            held.headline.clone_from(&found.headline);
        }
    }
    for (held, found) in before.causes.iter_mut().zip(&now.causes) {
        held.confidence = found.confidence;
    }
    before == *now
}

impl IncidentTracker {
    /// All that a cycle has found: an incident without any evidence left ends. `absence`: what it means that evidence which an
    /// incident holds is not among the findings.
    pub fn observe(
        &mut self,
        seen: &Observation<'_>,
        absence: &dyn Fn(&Finding) -> Absence,
    ) -> Observed {
        let (mut observed, present, held) = self.take_in(seen, absence);
        self.go_on_without(&present, &held, seen.now, &mut observed);
        self.set_status(seen);
        self.forget(seen.now);
        let open = self.incidents.iter().filter(|incident| incident.is_open());
        self.state.trend.note(open, self.interval, seen.now);
        observed
    }

    /// Opens or refreshes what the cycle has found, while the cycle may still find more: nothing ends.
    pub fn begin_cycle(
        &mut self,
        seen: &Observation<'_>,
        absence: &dyn Fn(&Finding) -> Absence,
    ) -> Observed {
        self.take_in(seen, absence).0
    }

    /// With the ids of the incidents that are there, and what they hold beside what was found.
    fn take_in(
        &mut self,
        seen: &Observation<'_>,
        absence: &dyn Fn(&Finding) -> Absence,
    ) -> (Observed, BTreeSet<String>, Held) {
        let now = seen.now;
        self.observed_at = Some(now);
        let mut observed = Observed::default();
        let places = self.place(seen, &mut observed);
        let held = self.held(seen, absence);
        let kept = held.kept_beside();
        let mut findings: Vec<Finding> =
            seen.findings.iter().chain(kept.iter().map(|(finding, _)| finding)).cloned().collect();
        held.recount(&mut findings[..seen.findings.len()], absence);
        let situation = Situation {
            now,
            catalogue: seen.catalogue,
            incidents: &self.incidents,
            p0_was_down: self.is_p0_down(),
        };
        let mut weighed = weigh(&findings, &situation);
        for (one, (_, said)) in weighed[seen.findings.len()..].iter_mut().zip(kept) {
            one.reason.push_str(said);
        }
        let mut groups: BTreeMap<Anchor, Vec<&Weighed>> = BTreeMap::new();
        for one in &weighed {
            let anchor = one.finding.anchor();
            groups.entry(places.get(&anchor).cloned().unwrap_or(anchor)).or_default().push(one);
        }
        let (open, ended) = self.by_anchor();
        let restarts = self.state.trend.restarts(self.interval, now);
        let mut present: BTreeSet<String> = BTreeSet::new();
        for (anchor, group) in groups {
            let past = restarts.get(&anchor).map_or(&[][..], Vec::as_slice);
            let index = match (open.get(&anchor), ended.get(&anchor)) {
                (Some(index), _) => *index,
                (None, before) => {
                    self.begin(&anchor, before.copied(), group[0], now, &mut observed)
                }
            };
            present.insert(self.incidents[index].id.clone());
            self.take_over(index, group, seen, past);
        }
        observed.weighed = weighed;
        (observed, present, held)
    }

    /// In the last cycle that could tell: what could not be read since then is open as it was.
    fn is_p0_down(&self) -> bool {
        let mut open = self.incidents.iter().filter(|incident| incident.is_open());
        open.any(|one| one.numbers.tier == Some(Tier::P0) && one.course.down_since.is_some())
    }

    /// Where the open one of each anchor stands, and the one that ended last. One that was merged has not ended by itself.
    fn by_anchor(&self) -> (BTreeMap<Anchor, usize>, BTreeMap<Anchor, usize>) {
        let (mut open, mut ended) = (BTreeMap::new(), BTreeMap::new());
        for (index, incident) in self.incidents.iter().enumerate() {
            if matches!(incident.resolution, Some(Resolution::MergedInto(_))) {
                continue;
            }
            let Some(at) = incident.ended_at else {
                open.insert(incident.anchor.clone(), index);
                continue;
            };
            let absorbed = incident.absorbed.iter().map(|other| &other.anchor);
            for anchor in absorbed.chain([&incident.anchor]) {
                let last: &mut usize = ended.entry(anchor.clone()).or_insert(index);
                if self.incidents[*last].ended_at < Some(at) {
                    *last = index;
                }
            }
        }
        (open, ended)
    }

    /// A new one, or the one that ended a moment ago.
    fn begin(
        &mut self,
        anchor: &Anchor,
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
                incident.course.has_vanished = false;
                incident.course.returns = returns;
                if incident.course.end_notified_at.is_some() {
                    // What people heard is over: how bad it was says nothing of this time.
                    incident.course.decided = None;
                }
                observed.returned.push(incident.id.clone());
                self.changed.insert(incident.id.clone());
                return index;
            }
        }
        let mut incident = opened(self.next_id(now), anchor, &first.finding, now);
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
        seen: &Observation<'_>,
        past: &[(Time, u32)],
    ) {
        let now = seen.now;
        let incident = &mut self.incidents[index];
        let before = incident.clone();
        refresh(incident, group, seen.causes, now);
        incident.numbers.restart_rate = restart_rate(past, incident.numbers.restarts, now);
        set_severity(incident, self.interval, now);
        incident.course.is_muted = false;
        // Decided before and still untold, or back after its end was told: it waits for business hours until somebody is
        // told, however mild it becomes.
        let is_back = incident.course.end_notified_at.is_some();
        let is_unnotified = incident.notified_at.is_none() && incident.course.decided.is_some();
        incident.is_queued |= incident.severity == Sev::Sev3 && (is_unnotified || is_back);
        note(incident, &before, now);
        // When nothing but the time is new, once in an interval: after a restart, when it was last seen up bounds how long
        // it is down.
        let is_another_interval =
            slot(before.last_seen_at, self.interval) != slot(now, self.interval);
        if is_another_interval || !is_as_before(before, incident) {
            self.changed.insert(incident.id.clone());
        }
    }

    /// Those of which this cycle shows nothing: ended, unless what they hold could not be read or is held back.
    fn go_on_without(
        &mut self,
        present: &BTreeSet<String>,
        held: &Held,
        now: Time,
        observed: &mut Observed,
    ) {
        let absent =
            |incident: &&mut Incident| incident.is_open() && !present.contains(&incident.id);
        for incident in self.incidents.iter_mut().filter(absent) {
            let fate = held.of(&incident.id);
            if fate.is_muted || fate.is_kept {
                if incident.course.is_muted != fate.is_muted {
                    incident.course.is_muted = fate.is_muted;
                    self.changed.insert(incident.id.clone());
                }
                continue;
            }
            let (resolution, said) = if incident.course.has_vanished {
                (Resolution::Vanished, "no longer there: nothing can show it any more")
            } else {
                (Resolution::Clear, "all of its evidence is clear")
            };
            let needs: Vec<Finding> =
                incident.findings.iter().filter(|one| one.is_need()).cloned().collect();
            for need in &needs {
                answered(incident, need, now);
            }
            incident.note(Happening::Resolved, said.to_owned(), now);
            incident.ended_at = Some(now);
            incident.resolution = Some(resolution);
            // Of one that came back unheard people know already that it is over.
            incident.end_is_due =
                incident.notified_at.is_some() && incident.course.end_notified_at.is_none();
            // What came and went, or came back, before anybody was told is told of afterwards.
            let is_unheard =
                incident.notified_at.is_none() || incident.course.end_notified_at.is_some();
            let worst = Some(incident.severity).max(incident.course.decided);
            incident.is_queued |= is_unheard && worst >= Some(Sev::Sev3);
            incident.course.down_since = None;
            incident.course.short_since = None;
            incident.course.is_raised = false;
            incident.course.is_muted = false;
            observed.ended.push(incident.id.clone());
            self.changed.insert(incident.id.clone());
        }
    }

    fn set_status(&mut self, seen: &Observation<'_>) {
        for incident in &mut self.incidents {
            let (status, doing) = if incident.is_open() {
                title::status(incident, seen.at_work, seen.treated, seen.now)
            } else {
                (IncidentStatus::Resolved, String::new())
            };
            if (incident.status, &incident.doing) != (status, &doing) {
                (incident.status, incident.doing) = (status, doing);
                self.changed.insert(incident.id.clone());
            }
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

/// What this cycle changed, for the timeline.
fn note(incident: &mut Incident, before: &Incident, now: Time) {
    let title = incident.title.clone();
    match incident.course.returns.last() {
        _ if before.findings.is_empty() => incident.note(Happening::Seen, title, now),
        Some(at) if *at == now => incident.note(Happening::Recurred, title, now),
        _ if incident.severity > before.severity => {
            let text = format!("{} instead of {}: {title}", incident.severity, before.severity);
            incident.note(Happening::Worsened, text, now);
        }
        _ => {}
    }
    let needs = |incident: &Incident| -> BTreeMap<String, Finding> {
        let needs = incident.findings.iter().filter(|finding| finding.is_need());
        needs.map(|need| (need.identity(), need.clone())).collect()
    };
    let (were, are) = (needs(before), needs(incident));
    for (_, need) in are.iter().filter(|(id, _)| !were.contains_key(*id)) {
        incident.note(Happening::Needed, format!("{}: {}", asked_for(need), need.reason), now);
    }
    for (_, need) in were.iter().filter(|(id, _)| !are.contains_key(*id)) {
        answered(incident, need, now);
    }
}

/// A need of it ended.
fn answered(incident: &mut Incident, need: &Finding, now: Time) {
    let text = format!("{} ({}): nobody is asked any more", asked_for(need), need.headline);
    incident.note(Happening::Answered, text, now);
}

fn asked_for(need: &Finding) -> &'static str {
    match need.kind {
        FindingKind::Loop(reason) => reason.as_str(),
        kind => kind.as_str(),
    }
}
