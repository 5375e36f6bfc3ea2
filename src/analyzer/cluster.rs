//! Findings: what is wrong in the cluster, by the objects' own state, one for each owner and kind. Pure.
//!
//! The present state decides; an event only explains it. From a kind that could not be read nothing is concluded: its
//! objects count neither as there nor as gone. Leaves out how bad a finding is for the service (`escalation`), and the
//! reading itself (`monitor::cluster`). docs/FINDINGS.md says each kind for people.
//!
//! Severity, the first line that fits:
//!
//! | severity | when |
//! |---|---|
//! | critical | the owner is down (0 ready of at least 1 desired), or a claim is lost |
//! | info | replicas missing, pending or a probe failing while a rollout is under way, within its deadline and within `maxUnavailable`; or a cordoned node is not ready; or of a node that is being removed |
//! | high | the owner is degraded; or it crashes, fails at its start, cannot be started, has ended for good, has failed as a job, is stuck in its rollout, or is a node that is not ready |
//! | warning | all else: nothing is missing yet; or of a pod of its own, beside what runs its service |

mod advice;
mod cause;
mod containers;
mod failed;
mod health;
mod index;
mod jobs;
mod logs;
mod missing;
mod nodes;
mod onsets;
mod pods;
mod sets;
mod symptom;
mod there;
mod vocabulary;
mod volumes;
mod workloads;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub use health::health;
pub use logs::{LogOf, log_of};
pub use onsets::Onsets;
pub use there::confined;
pub(super) use there::owners;
pub use vocabulary::unknown_words;

use crate::domain::Labels;
use crate::domain::catalogue::{Catalogue, Service, Tier};
use crate::domain::cluster::{ClusterReading, Pod, RestartPolicy};
use crate::domain::finding::{Finding, FindingKind, FindingSeverity};
use crate::domain::time::Time;
use index::Index;
use symptom::{Symptom, Who};

/// So long a new pod is only starting: the "few seconds" that every pod is pending and not ready, with room for a slow
/// node.
const STARTING: Duration = Duration::from_secs(60);

/// So long an image may be pulled, a volume attached, a claim bound, a node join.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// An event explains the present for so long: what lasts is written again every few minutes (a kubelet may write 25
/// events about a pod at once, then one in 5 minutes).
const EXPLAINS: Duration = Duration::from_secs(10 * 60);

/// What ended longer ago and runs again is long past.
const RECENT: Duration = Duration::from_secs(60 * 60);

/// After its grace the kubelet still has to unmount volumes and report; then a pod that is still there is stuck.
const TERMINATION_MARGIN: Duration = Duration::from_secs(2 * 60);

/// Pods named in a finding; a message has no room for more. Their number stands in the reason.
const MAX_PODS: usize = 20;

/// Characters of a reason: two sentences, and a line of a message.
const MAX_REASON: usize = 500;

/// What is wrong, in the order of namespace, owner and kind.
#[must_use]
pub fn findings(
    reading: &ClusterReading,
    catalogue: &Catalogue,
    seen: &Onsets,
    now: Time,
) -> Vec<Finding> {
    let joined = sets::joined(reading);
    let index = Index::new(reading, &joined, seen, now);
    let mut symptoms = Vec::new();
    pods::look(&index, &mut symptoms);
    symptoms.retain(|symptom| !nodes::excuses(&index, symptom));
    workloads::look(&index, &mut symptoms);
    jobs::look(&index, &mut symptoms);
    jobs::look_for_refused(&index, &mut symptoms);
    volumes::look(&index, &mut symptoms);
    nodes::look(&index, &mut symptoms);

    let served = served(&index, catalogue);
    let mut groups: BTreeMap<(Who, FindingKind), Vec<Symptom>> = BTreeMap::new();
    for symptom in symptoms {
        groups.entry((symptom.who, symptom.kind)).or_default().push(symptom);
    }
    groups
        .into_iter()
        .map(|((who, kind), symptoms)| {
            let mut finding = finding(&index, catalogue, &served, who, kind, &symptoms);
            let first_seen = seen.of(&finding).unwrap_or(now);
            finding.since = finding.since.min(first_seen).min(now);
            finding
        })
        .collect()
}

fn finding<'a>(
    index: &Index<'a>,
    catalogue: &Catalogue,
    served: &BTreeMap<&str, bool>,
    who: Who<'a>,
    kind: FindingKind,
    symptoms: &[Symptom],
) -> Finding {
    let (mut ready, mut desired) = index.replicas(who).unzip();
    let within_rollout =
        index.workload(who).is_some_and(|workload| workloads::is_within_rollout(index, workload));
    let service = if who.is_node() { None } else { service(index, catalogue, who) };
    // Beside what runs the service, a pod of its own (a test, a migration) is not the service.
    let is_one_shot =
        || index.pods(who).iter().all(|pod| pod.restart_policy != RestartPolicy::Always);
    let is_aside = who.kind == "Pod"
        && ready == Some(0)
        && service.is_some_and(|own| {
            let by_a_workload = served.get(&*own.name);
            own.name != who.name && by_a_workload.is_some_and(|by| *by || is_one_shot())
        });
    if is_aside {
        (ready, desired) = (None, None);
    }
    let kubelet = index.kubelet_of(who);
    let may_undo = symptoms.iter().all(|s| workloads::may_undo(index, who, &s.pods));
    let pods: BTreeSet<&str> = symptoms.iter().flat_map(|s| s.pods.iter().copied()).collect();
    let mut finding = Finding {
        kind,
        severity: FindingSeverity::Warning,
        priority: if who.is_node() {
            highest_tier(index, catalogue, who.name)
        } else {
            service.map(|service| service.tier)
        },
        service: service.map_or_else(|| who.name.to_owned(), |service| service.name.clone()),
        namespace: (!who.is_node()).then(|| who.namespace.to_owned()),
        owner: who.to_string(),
        pods: pods.into_iter().take(MAX_PODS).map(str::to_owned).collect(),
        ready,
        desired,
        restarts: index.restarts(who),
        within_rollout,
        data_at_risk: None,
        reason: reason(kind, symptoms),
        exit_code: symptoms.iter().find_map(|s| s.exit_code),
        log_lines: Vec::new(),
        since: symptoms.iter().filter_map(|s| s.since).min().unwrap_or(index.now),
        recommendation: advice::recommendation(who, kind, symptoms, may_undo, kubelet),
        record: None,
        fingerprint: None,
        headline: String::new(),
        anchor: None,
    };
    finding.severity = severity(&finding, index.is_on_purpose(who, kind));
    if is_aside && kubelet.is_none() && kind != FindingKind::ClaimLost {
        finding.severity = finding.severity.min(FindingSeverity::Warning);
    }
    if !is_aside && service.is_some_and(|service| service.data_layer) {
        finding.data_at_risk = data_at_risk(index, who, &finding);
    }
    finding
}

/// A node matters as much as the service that matters most of those with a pod on it.
fn highest_tier(index: &Index<'_>, catalogue: &Catalogue, node: &str) -> Option<Tier> {
    let on_it =
        index.owners().filter(|(_, pods)| pods.iter().any(|pod| pod.node.as_deref() == Some(node)));
    on_it.filter_map(|(who, _)| Some(service(index, catalogue, who)?.tier)).max()
}

/// The catalogue's service that the owner belongs to, by the labels of the owner and of its pods.
fn service<'a, 'c>(
    index: &Index<'a>,
    catalogue: &'c Catalogue,
    who: Who<'a>,
) -> Option<&'c Service> {
    let labels: Labels = index.labels(who);
    catalogue.service_of(who.namespace, who.name, &labels)
}

/// Services that somebody runs. `true`: a workload, or an owner whose kind is not watched and that has a ready pod. `false`: only
/// a ready pod that nobody owns, with which others may be the service together.
fn served<'c>(index: &Index<'_>, catalogue: &'c Catalogue) -> BTreeMap<&'c str, bool> {
    let workloads = index.workloads().filter(|(_, workload)| workload.desired > 0);
    let workloads = workloads.map(|(who, _)| who);
    let is_ready = |(who, pods): &(Who, &[&Pod])| {
        !matches!(who.kind, "Job" | "CronJob") && pods.iter().any(|pod| index::is_ready(pod))
    };
    let ready = index.owners().filter(is_ready).map(|(who, _)| who);
    let mut served = BTreeMap::new();
    for who in workloads.chain(ready) {
        if let Some(service) = service(index, catalogue, who) {
            *served.entry(&*service.name).or_default() |= who.kind != "Pod";
        }
    }
    served
}

/// Of a data layer: a lost claim at any time, a node that is not ready once replicas are away, or may be.
fn data_at_risk<'a>(index: &Index<'a>, who: Who<'a>, finding: &Finding) -> Option<String> {
    if let Some(claim) = index.lost_claim(who) {
        return Some(format!("the claim {claim} of its pods is lost"));
    }
    let is_short = finding.is_down() || finding.is_degraded() || finding.ready.is_none();
    let node = is_short.then(|| index.dark_node(who)).flatten();
    node.map(|node| format!("the node {node} of its pods is not ready"))
}

/// The rule of this module's head.
fn severity(finding: &Finding, is_on_purpose: bool) -> FindingSeverity {
    use FindingKind as Kind;
    if finding.is_down() || finding.kind == Kind::ClaimLost {
        return FindingSeverity::Critical;
    }
    let is_the_rollouts = finding.within_rollout && finding.kind.comes_with_a_rollout();
    if is_the_rollouts || is_on_purpose {
        return FindingSeverity::Info;
    }
    if finding.is_degraded() {
        return FindingSeverity::High;
    }
    match finding.kind {
        Kind::CrashLoop
        | Kind::ImagePull
        | Kind::InitFailed
        | Kind::ConfigError
        | Kind::JobFailed
        | Kind::PodFailed
        | Kind::RolloutStuck
        | Kind::NodeNotReady => FindingSeverity::High,
        Kind::OomKilled
        | Kind::Pending
        | Kind::ProbeFailing
        | Kind::Evicted
        | Kind::StuckTerminating
        | Kind::ReplicasMissing
        | Kind::ClaimPending
        | Kind::ClaimLost
        | Kind::NodePressure
        | Kind::Violation
        | Kind::Loop(_) => FindingSeverity::Warning,
    }
}

/// The first symptom in words, and how many there are.
fn reason(kind: FindingKind, symptoms: &[Symptom]) -> String {
    let first = symptoms.first().map_or("", |s| s.words.as_str());
    let noun = match kind {
        FindingKind::JobFailed => "jobs",
        FindingKind::ClaimPending | FindingKind::ClaimLost => "claims",
        _ => "pods",
    };
    let subjects: BTreeSet<&str> = symptoms.iter().map(|s| s.subject).collect();
    let total = if subjects.len() > 1 {
        format!(" {} {noun} in all.", subjects.len())
    } else {
        String::new()
    };
    let room = MAX_REASON - total.chars().count();
    format!("{}{total}", bounded(first, room))
}

/// Text of the API server, on one line and no longer than `most` characters.
fn bounded(text: &str, most: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= most {
        return line;
    }
    let mut cut: String = line.chars().take(most.saturating_sub(1)).collect();
    cut.push('…');
    cut
}
