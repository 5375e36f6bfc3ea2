//! When each finding was first observed: what survives a restart, so that durations do not begin anew.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::symptom::Who;
use crate::domain::cluster::{ClusterReading, Kind};
use crate::domain::finding::{Finding, FindingKind};
use crate::domain::time::Time;

/// Far more than a cluster shows at once; the oldest stay, for they count.
const MAX_ONSETS: usize = 10_000;

/// The first observation of each finding that is still there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Vec<Onset>", into = "Vec<Onset>")]
pub struct Onsets(BTreeMap<Subject, Time>);

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
        Self(onsets.into_iter().map(|onset| (onset.subject, onset.since)).collect())
    }
}

impl From<Onsets> for Vec<Onset> {
    fn from(onsets: Onsets) -> Self {
        onsets.0.into_iter().map(|(subject, since)| Onset { subject, since }).collect()
    }
}

impl Onsets {
    #[must_use]
    pub fn of(&self, finding: &Finding) -> Option<Time> {
        self.0.get(&subject(finding)).copied()
    }

    /// The owner lacked replicas, some or all.
    pub(super) fn is_short(&self, who: Who<'_>) -> bool {
        let subject = |is_down| Subject {
            namespace: Some(who.namespace.to_owned()),
            owner: who.to_string(),
            kind: FindingKind::ReplicasMissing,
            is_down,
        };
        [false, true].into_iter().any(|is_down| self.0.contains_key(&subject(is_down)))
    }

    /// Takes up what a cycle found, and forgets what is gone. What could not be looked for is not gone.
    pub fn update(&mut self, findings: &[Finding], reading: &ClusterReading) {
        let found: BTreeMap<Subject, Time> =
            findings.iter().map(|finding| (subject(finding), finding.since)).collect();
        // A down owner was seen: that it is no longer merely degraded is known, and the reverse.
        let turned = |known: &Subject| {
            found.contains_key(&Subject { is_down: !known.is_down, ..known.clone() })
        };
        self.0.retain(|known, _| {
            !found.contains_key(known) && !turned(known) && is_unseen(known, reading)
        });
        self.0.extend(found);
        if self.0.len() > MAX_ONSETS {
            let mut times: Vec<Time> = self.0.values().copied().collect();
            times.sort_unstable();
            let newest_kept = times[MAX_ONSETS - 1];
            self.0.retain(|_, since| *since <= newest_kept);
            while self.0.len() > MAX_ONSETS {
                self.0.pop_last();
            }
        }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
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
    let kinds: &[Kind] = match subject.kind {
        FindingKind::RolloutStuck | FindingKind::ReplicasMissing => {
            &[Kind::Deployments, Kind::StatefulSets, Kind::DaemonSets]
        }
        FindingKind::JobFailed => &[Kind::Jobs],
        FindingKind::ClaimPending | FindingKind::ClaimLost => {
            &[Kind::Claims, Kind::Pods, Kind::Jobs]
        }
        FindingKind::NodeNotReady | FindingKind::NodePressure => &[Kind::Nodes],
        FindingKind::CrashLoop
        | FindingKind::ImagePull
        | FindingKind::OomKilled
        | FindingKind::Pending
        | FindingKind::InitFailed
        | FindingKind::ConfigError
        | FindingKind::ProbeFailing
        | FindingKind::Evicted
        | FindingKind::PodFailed
        | FindingKind::StuckTerminating => &[Kind::Pods, Kind::Jobs],
        // The loop's own records have their own beginning.
        FindingKind::Loop(_) => &[],
    };
    kinds.iter().any(|kind| reading.failures.contains_key(kind))
}
