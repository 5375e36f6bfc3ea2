//! When each finding was first observed: what survives a restart, so that durations do not begin anew.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::sets;
use super::symptom::Who;
use crate::domain::cluster::ClusterReading;
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
            let is_unseen = known.kind.is_hidden(reading, known.namespace.as_deref());
            !found.contains_key(known) && !turned(known) && is_unseen
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
