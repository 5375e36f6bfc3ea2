//! When each finding was first observed: what survives a restart, so that durations do not begin anew.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::sets;
use super::symptom::Who;
use crate::domain::cluster::{ClusterReading, Kind};
use crate::domain::finding::{Finding, FindingKind};
use crate::domain::time::Time;

/// Far more than a cluster shows at once; the oldest stay, for they count.
const MAX_ONSETS: usize = 10_000;

/// The first observation of each finding that is still there. Beside them, in memory alone, since when each workload wants
/// as many replicas as it does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Vec<Onset>", into = "Vec<Onset>")]
pub struct Onsets {
    known: BTreeMap<Subject, Time>,
    /// By namespace and owner.
    wishes: BTreeMap<(String, String), Wish>,
}

/// How many replicas a workload wants.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wish {
    /// At the last look.
    pub desired: u32,
    /// How many it wanted before `since`; `None`: nobody had looked.
    pub before: Option<u32>,
    /// When the number was first seen, or last seen to have risen.
    pub since: Time,
    /// When it was last seen to have risen from 0.
    pub on_since: Option<Time>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Subject {
    namespace: Option<String>,
    owner: String,
    kind: FindingKind,
    /// Missing replicas begin anew when the last one goes: how long it was degraded is not how long it is down.
    is_down: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Onset {
    #[serde(flatten)]
    subject: Subject,
    since: Time,
}

impl From<Vec<Onset>> for Onsets {
    fn from(onsets: Vec<Onset>) -> Self {
        let known = onsets.into_iter().map(|onset| (onset.subject, onset.since)).collect();
        Self { known, wishes: BTreeMap::new() }
    }
}

impl From<Onsets> for Vec<Onset> {
    fn from(onsets: Onsets) -> Self {
        onsets.known.into_iter().map(|(subject, since)| Onset { subject, since }).collect()
    }
}

impl Onsets {
    #[must_use]
    pub fn of(&self, finding: &Finding) -> Option<Time> {
        self.known.get(&subject(finding)).copied()
    }

    /// The owner had a finding of that kind.
    pub(super) fn has(&self, who: Who<'_>, kind: FindingKind) -> bool {
        let subject = |is_down| Subject {
            namespace: Some(who.namespace.to_owned()),
            owner: who.to_string(),
            kind,
            is_down,
        };
        [false, true].into_iter().any(|is_down| self.known.contains_key(&subject(is_down)))
    }

    /// Takes up what a cycle found, and forgets what is gone. What could not be looked for is not gone.
    pub fn update(&mut self, findings: &[Finding], reading: &ClusterReading) {
        self.note_wishes(reading);
        let found: BTreeMap<Subject, Time> =
            findings.iter().map(|finding| (subject(finding), finding.since)).collect();
        // A down owner was seen: that it is no longer merely degraded is known, and the reverse.
        let turned = |known: &Subject| {
            found.contains_key(&Subject { is_down: !known.is_down, ..known.clone() })
        };
        self.known.retain(|known, _| {
            !found.contains_key(known) && !turned(known) && is_unseen(known, reading)
        });
        self.known.extend(found);
        if self.known.len() > MAX_ONSETS {
            let mut times: Vec<Time> = self.known.values().copied().collect();
            times.sort_unstable();
            let newest_kept = times[MAX_ONSETS - 1];
            self.known.retain(|_, since| *since <= newest_kept);
            while self.known.len() > MAX_ONSETS {
                self.known.pop_last();
            }
        }
    }

    pub(super) fn wish(&self, who: Who<'_>) -> Option<&Wish> {
        self.wishes.get(&(who.namespace.to_owned(), who.to_string()))
    }

    /// What is wanted now, in place of what was: of a kind that could not be read nothing is known any more.
    fn note_wishes(&mut self, reading: &ClusterReading) {
        let Some(now) = reading.read_at else { return };
        let mut wanted: BTreeMap<(String, String), u32> = BTreeMap::new();
        let joined = sets::joined(reading);
        // One of several takes the place of each of them.
        for workload in sets::answering(reading).take(MAX_ONSETS).chain(&joined) {
            let who = sets::who_of(workload);
            wanted.insert((who.namespace.to_owned(), who.to_string()), workload.desired);
        }
        let before = std::mem::take(&mut self.wishes);
        let wish = |(key, desired): ((String, String), u32)| {
            let wish = match before.get(&key) {
                None => Wish { desired, before: None, since: now, on_since: None },
                Some(known) if desired > known.desired => Wish {
                    desired,
                    before: Some(known.desired),
                    since: now,
                    on_since: if known.desired == 0 { Some(now) } else { known.on_since },
                },
                Some(known) => Wish { desired, ..known.clone() },
            };
            (key, wish)
        };
        self.wishes = wanted.into_iter().map(wish).collect();
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.known.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

fn subject(finding: &Finding) -> Subject {
    Subject {
        namespace: finding.namespace.clone(),
        owner: finding.owner.clone(),
        kind: finding.kind,
        is_down: finding.kind == FindingKind::ReplicasMissing && finding.is_down(),
    }
}

/// A kind of object that it is found by, or that says whose it is (a run's cron job), could not be read, so that its
/// absence says nothing.
fn is_unseen(subject: &Subject, reading: &ClusterReading) -> bool {
    let pods_with_owners = [&[Kind::Pods], &Kind::OWNERS_OF_PODS[..]].concat();
    let kinds = match subject.kind {
        FindingKind::RolloutStuck | FindingKind::ReplicasMissing => Kind::WORKLOADS.to_vec(),
        FindingKind::JobFailed => vec![Kind::Jobs, Kind::CronJobs],
        FindingKind::ClaimPending | FindingKind::ClaimLost => {
            [&[Kind::Claims], &pods_with_owners[..]].concat()
        }
        FindingKind::NodeNotReady | FindingKind::NodePressure => vec![Kind::Nodes],
        FindingKind::CrashLoop
        | FindingKind::ImagePull
        | FindingKind::OomKilled
        | FindingKind::Pending
        | FindingKind::InitFailed
        | FindingKind::ConfigError
        | FindingKind::ProbeFailing
        | FindingKind::Evicted
        | FindingKind::PodFailed
        | FindingKind::StuckTerminating => pods_with_owners,
        // The loop's own records have their own beginning.
        FindingKind::Loop(_) => Vec::new(),
    };
    kinds.iter().any(|kind| reading.is_hidden(*kind, subject.namespace.as_deref()))
}
