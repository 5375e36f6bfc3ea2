//! What incidents hold that a cycle does not show, where evidence has moved to, and which incidents become one.
//!
//! A cause that several targets share merges nothing: only a node with the workloads that suffer on it alone, and evidence
//! whose target became known (a pod's owner), make two incidents one.

use std::collections::{BTreeMap, BTreeSet};

use super::IncidentTracker;
use super::notified::has_said_its_news;
use super::observe::{Observation, Observed};
use crate::domain::finding::{Finding, FindingKind};
use crate::domain::incident::{
    Absence, Absorbed, Anchor, Happening, Incident, IncidentStatus, Resolution,
};
use crate::domain::time::Time;
use crate::incidents::incident::MAX_FINDINGS;

/// What became of the evidence of one incident that the cycle does not show.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fate {
    /// Some of it could not be read, or is held back.
    pub is_kept: bool,
    /// Some of it is held back by Alertmanager.
    pub is_muted: bool,
}

#[derive(Debug, Default)]
pub(super) struct Held {
    fates: BTreeMap<String, Fate>,
    /// Kept evidence of incidents of which the cycle shows something, with what is said of it.
    beside: Vec<(Finding, &'static str)>,
    /// Ready and desired, by identity, as they were last counted.
    replicas: BTreeMap<String, (Option<u32>, Option<u32>)>,
}

impl Held {
    pub fn of(&self, incident: &str) -> Fate {
        self.fates.get(incident).copied().unwrap_or_default()
    }

    /// While nobody can count the replicas of what a cycle shows they are as they were.
    pub fn recount(&self, found: &mut [Finding], absence: &dyn Fn(&Finding) -> Absence) {
        let uncounted =
            found.iter_mut().filter(|one| one.kind.is_by_labels() && one.ready.is_none());
        for finding in uncounted {
            let Some(counted) = self.replicas.get(&finding.identity()) else { continue };
            let workload = Finding { kind: FindingKind::ReplicasMissing, ..finding.clone() };
            if absence(&workload) == Absence::Unread {
                (finding.ready, finding.desired) = *counted;
            }
        }
    }

    pub fn kept_beside(&self) -> &[(Finding, &'static str)] {
        &self.beside
    }
}

impl IncidentTracker {
    /// Looks for what the open incidents hold and the cycle does not show.
    pub(super) fn held(
        &mut self,
        seen: &Observation<'_>,
        absence: &dyn Fn(&Finding) -> Absence,
    ) -> Held {
        let shown: BTreeSet<String> = seen.findings.iter().map(Finding::identity).collect();
        let anchors: BTreeSet<Anchor> = seen.findings.iter().map(Finding::anchor).collect();
        let mut held = Held::default();
        for incident in self.incidents.iter_mut().filter(|incident| incident.is_open()) {
            let is_shown = anchors_of(incident).any(|anchor| anchors.contains(anchor));
            let mut fate = Fate::default();
            let mut gone = None;
            let counted = incident.findings.iter().filter(|finding| finding.ready.is_some());
            held.replicas.extend(counted.map(|one| (one.identity(), (one.ready, one.desired))));
            for finding in incident.findings.iter().filter(|one| !shown.contains(&one.identity())) {
                let absence = absence(finding);
                match absence {
                    Absence::Unread | Absence::Muted => {
                        fate.is_kept = true;
                        fate.is_muted |= absence == Absence::Muted;
                        let said = match absence {
                            Absence::Muted => "; Alertmanager holds it back now",
                            _ => "; so it was when it could last be read",
                        };
                        if is_shown {
                            held.beside.push((finding.clone(), said));
                        }
                    }
                    Absence::Clear if finding.is_need() => {}
                    Absence::Clear => gone = gone.or(Some(false)),
                    Absence::Vanished => gone = Some(true),
                }
            }
            incident.course.has_vanished = gone.unwrap_or(incident.course.has_vanished);
            held.fates.insert(incident.id.clone(), fate);
        }
        held
    }

    /// Under which anchor's incident each anchor of this cycle goes, where that is another's. Merges what belongs together.
    pub(super) fn place(
        &mut self,
        seen: &Observation<'_>,
        observed: &mut Observed,
    ) -> BTreeMap<Anchor, Anchor> {
        let evidence = Evidence::of(seen.findings);
        self.follow_moved(&evidence);
        let absorbing = self.absorb(&evidence, seen.confined);
        self.merge_same(seen.now, observed);
        let mut places: BTreeMap<Anchor, Anchor> = absorbing;
        for incident in self.incidents.iter().filter(|incident| incident.is_open()) {
            for other in &incident.absorbed {
                places.insert(other.anchor.clone(), incident.anchor.clone());
            }
        }
        places
    }

    /// Evidence that is shown under another anchor than before takes its incident along, unless something else stays.
    fn follow_moved(&mut self, evidence: &Evidence) {
        for incident in self.incidents.iter_mut().filter(|incident| incident.is_open()) {
            let stays = anchors_of(incident).any(|anchor| evidence.since.contains_key(anchor));
            let held = incident.findings.iter().filter(|finding| !finding.is_need());
            let mut moved = held.filter_map(|held| evidence.anchors.get(&held.identity()));
            if let (false, Some(anchor)) = (stays, moved.next()) {
                self.changed.insert(incident.id.clone());
                go_under(incident, anchor.clone());
            }
        }
    }

    /// A node's incident takes in those of the workloads that suffer on that node alone, and began no earlier.
    fn absorb(
        &mut self,
        evidence: &Evidence,
        confined: &BTreeMap<Anchor, Anchor>,
    ) -> BTreeMap<Anchor, Anchor> {
        let began_later = |(workload, node): &(&Anchor, &Anchor)| {
            let began = (evidence.since.get(*workload), evidence.nodes.get(*node));
            matches!(began, (Some(workload), Some(node)) if workload >= node)
        };
        let absorbing: BTreeMap<Anchor, Anchor> = confined
            .iter()
            .filter(began_later)
            .map(|(workload, node)| (workload.clone(), node.clone()))
            .collect();
        for incident in self.incidents.iter_mut().filter(|incident| incident.is_open()) {
            if let Some(node) = absorbing.get(&incident.anchor) {
                self.changed.insert(incident.id.clone());
                go_under(incident, node.clone());
            }
        }
        absorbing
    }

    /// Of open incidents with one anchor the oldest stays, with all that the others had.
    pub(super) fn merge_same(&mut self, now: Time, observed: &mut Observed) {
        let mut oldest: BTreeMap<Anchor, usize> = BTreeMap::new();
        for index in 0..self.incidents.len() {
            let incident = &self.incidents[index];
            if !incident.is_open() {
                continue;
            }
            let Some(first) = oldest.get(&incident.anchor).copied() else {
                oldest.insert(incident.anchor.clone(), index);
                continue;
            };
            let mut merged = incident.clone();
            let into = &mut self.incidents[first];
            let is_announced =
                merged.notified_at.is_some() && merged.course.end_notified_at.is_none();
            // News is said once: in the thread where the incident goes on, or by the closing message of one that people
            // know while they know nothing of the other.
            let mut moved = merged.clone();
            has_said_its_news(if is_announced && into.notified_at.is_none() {
                &mut moved
            } else {
                &mut merged
            });
            take_in(into, &moved, now);
            close_into(&mut merged, &into.id, now);
            merged.end_is_due = is_announced;
            observed.merged.push((merged.id.clone(), into.id.clone()));
            self.changed.extend([merged.id.clone(), into.id.clone()]);
            self.incidents[index] = merged;
        }
    }
}

/// The evidence of one cycle; needs are none.
struct Evidence {
    /// By identity.
    anchors: BTreeMap<String, Anchor>,
    /// Since when each anchor shows any.
    since: BTreeMap<Anchor, Time>,
    /// Since when each node itself does.
    nodes: BTreeMap<Anchor, Time>,
}

impl Evidence {
    fn of(findings: &[Finding]) -> Self {
        let mut evidence =
            Self { anchors: BTreeMap::new(), since: BTreeMap::new(), nodes: BTreeMap::new() };
        for finding in findings.iter().filter(|finding| !finding.is_need()) {
            let anchor = finding.anchor();
            let note = |times: &mut BTreeMap<Anchor, Time>| {
                let since = times.entry(anchor.clone()).or_insert(finding.since);
                *since = (*since).min(finding.since);
            };
            note(&mut evidence.since);
            if matches!(finding.kind, FindingKind::NodeNotReady | FindingKind::NodePressure) {
                note(&mut evidence.nodes);
            }
            evidence.anchors.insert(finding.identity(), anchor);
        }
        evidence
    }
}

fn anchors_of(incident: &Incident) -> impl Iterator<Item = &Anchor> {
    incident.absorbed.iter().map(|other| &other.anchor).chain([&incident.anchor])
}

/// It goes on under another anchor; its own is one of those that it has taken in.
fn go_under(incident: &mut Incident, anchor: Anchor) {
    incident.absorbed.retain(|other| other.anchor != anchor);
    incident.absorbed.push(Absorbed {
        anchor: std::mem::replace(&mut incident.anchor, anchor),
        service: incident.service.clone(),
        namespace: incident.namespace.clone(),
        down_since: incident.course.down_since,
        short_since: incident.course.short_since,
    });
}

fn take_in(into: &mut Incident, merged: &Incident, now: Time) {
    into.since = into.since.min(merged.since);
    let known: BTreeSet<Anchor> = anchors_of(into).cloned().collect();
    let others = merged.absorbed.iter().filter(|other| !known.contains(&other.anchor));
    into.absorbed.extend(others.cloned());
    into.findings.extend(merged.findings.iter().cloned());
    into.findings.truncate(MAX_FINDINGS);
    into.causes.extend(merged.causes.iter().cloned());
    into.course.returns.extend(&merged.course.returns);
    into.course.returns.sort_unstable();
    if into.suspect.is_none() {
        into.suspect.clone_from(&merged.suspect);
    }
    let mut timeline = std::mem::take(&mut into.timeline);
    timeline.extend(merged.timeline.iter().cloned());
    timeline.sort_by_key(|entry| entry.at);
    for line in timeline {
        into.add(line);
    }
    into.note(Happening::Merged, format!("{} goes on here: {}", merged.id, merged.title), now);
}

fn close_into(merged: &mut Incident, into: &str, now: Time) {
    merged.note(Happening::Merged, format!("it goes on as {into}"), now);
    merged.ended_at = Some(now);
    merged.resolution = Some(Resolution::MergedInto(into.to_owned()));
    merged.status = IncidentStatus::Resolved;
    // What nobody has heard of it is told of the other.
    merged.is_queued = false;
    merged.course.is_muted = false;
}
