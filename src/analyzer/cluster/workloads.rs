//! Deployments, stateful sets, daemon sets, and sets without a deployment: replicas that are missing, and rollouts that do not get on.

use std::time::Duration;

use super::cause::{in_parentheses, joined};
use super::index::{Index, is_ready, not_ready_since};
use super::missing::Ailing;
use super::sets::who_of;
use super::symptom::{Symptom, Who};
use super::{PATIENCE, STARTING, TERMINATION_MARGIN, failed, missing, nodes};
use crate::domain::cluster::{Kind, Pod, Workload, WorkloadKind};
use crate::domain::finding::FindingKind;
use crate::domain::time::{Time, after, since};

/// Of a workload that has none of its own: a deployment's default.
const PROGRESS_DEADLINE: Duration = Duration::from_secs(600);

enum Rollout {
    /// None, or a paused one: what is missing is missing.
    None,
    Going,
    Stuck {
        words: String,
        since: Option<Time>,
    },
}

pub(super) fn look<'a>(index: &Index<'a>, symptoms: &mut Vec<Symptom<'a>>) {
    let mut ailing = Ailing::new();
    for symptom in symptoms.iter() {
        for pod in &symptom.pods {
            ailing.entry((symptom.who.namespace, pod)).or_insert_with(|| symptom.words.clone());
        }
    }
    let is_ailing = |pod: &Pod| ailing.contains_key(&(&*pod.namespace, &*pod.name));
    for (who, workload) in index.workloads().filter(|(_, workload)| workload.desired > 0) {
        let symptom = |kind, pods, words, since| Symptom {
            who,
            kind,
            subject: &workload.name,
            pods,
            container: None,
            words,
            exit_code: None,
            since,
        };
        let pods: Vec<&str> = not_ready(index, who).map(|pod| &*pod.name).collect();
        if let Rollout::Stuck { words, since } = rollout(index, workload) {
            symptoms.push(symptom(FindingKind::RolloutStuck, pods.clone(), words, since));
        }
        if is_missing_some(index, who, workload, is_ailing) {
            let unreplaced = workload.desired as usize;
            let unreplaced = unreplaced.saturating_sub(live(index, who).count());
            let failed = symptoms.len();
            failed::of_workload(index, who, unreplaced, symptoms);
            let failed = symptoms.get(failed).map(|symptom| &*symptom.words);
            let since = missing_since(index, who, workload);
            let why = missing::why(index, who, workload, failed, &ailing, since);
            let words = missing_words(index, who, workload, pods.len(), &why);
            symptoms.push(symptom(FindingKind::ReplicasMissing, pods, words, since));
        }
    }
}

/// A rollout is under way, and takes no more away than it may, and not everything. It excuses nothing that was missing
/// before it.
pub(super) fn is_within_rollout<'a>(index: &Index<'a>, workload: &'a Workload) -> bool {
    !index.is_known_short(who_of(workload))
        && workload.ready > 0
        && workload.desired.saturating_sub(workload.ready) <= workload.max_unavailable
        && matches!(rollout(index, workload), Rollout::Going)
}

fn rollout<'a>(index: &Index<'a>, workload: &'a Workload) -> Rollout {
    if workload.paused {
        return Rollout::None;
    }
    match workload.kind {
        WorkloadKind::Deployment if workload.progress_deadline.is_some() => {
            deployment_rollout(workload)
        }
        _ => rollout_by_pods(index, workload),
    }
}

/// The controller keeps the deadline itself, and says `NewReplicaSetAvailable` from a rollout's end to the next one.
fn deployment_rollout(workload: &Workload) -> Rollout {
    match workload.conditions.iter().find(|c| c.name == "Progressing") {
        Some(progressing) if progressing.status == Some(false) => Rollout::Stuck {
            words: format!(
                "{}. {} of {} replicas are of the new revision.",
                joined(&[&stopped(&progressing.reason), &progressing.message], ": "),
                workload.updated,
                workload.desired
            ),
            since: progressing.since,
        },
        Some(progressing) if progressing.reason == "NewReplicaSetAvailable" => Rollout::None,
        Some(progressing) if progressing.status == Some(true) => Rollout::Going,
        None if workload.updated < workload.desired => Rollout::Going,
        _ => Rollout::None,
    }
}

fn stopped(reason: &str) -> String {
    format!("The rollout does not get on{}", in_parentheses(&[reason]))
}

/// Without a deadline of its own a rollout would excuse for ever: by when its pods came and went. A pod of the old
/// revision that a partition or `OnDelete` keeps is none of the rollout's.
fn rollout_by_pods<'a>(index: &Index<'a>, workload: &'a Workload) -> Rollout {
    let is_stateful = workload.kind == WorkloadKind::StatefulSet;
    let is_complete = workload.updated >= workload.to_update;
    // A stateful set says itself when it has left the old revision, and under a partition it never does.
    let is_over = if is_stateful { !workload.is_between_revisions } else { is_complete };
    if is_over || workload.to_update == 0 {
        return Rollout::None;
    }
    let who = who_of(workload);
    let deadline = workload.progress_deadline.unwrap_or(PROGRESS_DEADLINE);
    let is_young = |pod: &Pod| pod.created_at.is_some_and(|at| since(index.now, at) <= deadline);
    let is_leaving = index
        .pods(who)
        .iter()
        .any(|pod| pod.delete_by.is_some_and(|by| index.now <= after(by, TERMINATION_MARGIN)));
    let newest = live(index, who)
        .filter(|pod| !is_of_old_revision(workload, pod))
        .max_by_key(|pod| pod.created_at);
    let is_moving = !is_complete && (is_leaving || newest.is_some_and(is_young));
    if is_moving && not_ready(index, who).all(is_young) {
        return Rollout::Going;
    }
    // With as many new pods as there are to be, one that was ready since is not the rollout's matter any more.
    let is_its = |pod: &Pod| {
        !is_complete
            || pod
                .created_at
                .zip(not_ready_since(pod))
                .is_some_and(|(made, at)| since(at, made) <= deadline)
    };
    match newest {
        Some(pod) if workload.updated > 0 && !is_ready(pod) && !is_young(pod) && is_its(pod) => {
            Rollout::Stuck {
                words: format!(
                    "The rollout does not get on: {} of {} replicas are of the new revision, and the newest pod, {}, has not become ready in {} s.",
                    workload.updated,
                    workload.desired,
                    pod.name,
                    deadline.as_secs()
                ),
                since: pod.created_at.map(|at| after(at, deadline)),
            }
        }
        _ => Rollout::None,
    }
}

/// Its label names another revision than the one that is rolled out. A daemon set makes every pod anew.
fn is_of_old_revision(workload: &Workload, pod: &Pod) -> bool {
    let revision = pod.labels.get("controller-revision-hash");
    workload.kind == WorkloadKind::StatefulSet
        && !workload.update_revision.is_empty()
        && revision.is_some_and(|revision| *revision != workload.update_revision)
}

/// To go back may help the pods that show it: a rollout brought them, or could have.
pub(super) fn may_undo<'a>(index: &Index<'a>, who: Who<'a>, pods: &[&str]) -> bool {
    let Some(workload) = index.workload(who) else { return true };
    let is_old = |pod: &&Pod| pods.contains(&&*pod.name) && is_of_old_revision(workload, pod);
    !workload.paused && workload.to_update > 0 && !index.pods(who).iter().any(is_old)
}

fn is_missing_some<'a>(
    index: &Index<'a>,
    who: Who<'a>,
    workload: &'a Workload,
    is_ailing: impl Fn(&Pod) -> bool,
) -> bool {
    let desired = index.replicas(who).map_or(workload.desired, |(_, desired)| desired);
    let missing = desired.saturating_sub(workload.ready) as usize;
    // An excuse keeps a finding from beginning, and ends none.
    if missing == 0 || index.is_known_short(who) {
        return missing > 0;
    }
    if workload.ready >= wanted_for_a_while(index, who, workload, desired) {
        return false;
    }
    // Down is down, rollout or not; only what was never up may wait for its nodes.
    if workload.ready == 0 {
        return !comes_with_its_nodes(index, who, workload, is_ailing);
    }
    if is_within_rollout(index, workload) {
        return false;
    }
    // Scaled up, or replaced a moment ago, or on a node that joins: what is missing is just starting.
    let mut starting = not_ready(index, who)
        .filter(|pod| is_young(index, pod) || nodes::awaits_its_node(index, pod))
        .filter(|pod| !is_ailing(pod))
        .count();
    // A stateful set makes one pod after the other.
    if workload.kind == WorkloadKind::StatefulSet && starting > 0 {
        starting += (desired as usize).saturating_sub(live(index, who).count());
    }
    if starting >= missing {
        return false;
    }
    // Its controller has not yet seen the wish for more; all it was asked for before is there.
    let is_unseen_wish = workload.generation > workload.observed_generation
        && index.is_read(Kind::Pods)
        && live(index, who).count() >= workload.ready as usize
        && not_ready(index, who).next().is_none();
    !is_unseen_wish
}

/// How many of `desired` have been wanted for longer than pods take to start. Of a workload that is new, none; of one whose
/// number was raised, as many as before.
fn wanted_for_a_while<'a>(
    index: &Index<'a>,
    who: Who<'a>,
    workload: &'a Workload,
    desired: u32,
) -> u32 {
    let is_a_moment_ago = |at: Time| since(index.now, at) < STARTING;
    if is_refused(workload) {
        return desired;
    }
    if workload.created_at.is_some_and(is_a_moment_ago) {
        return 0;
    }
    match index.wish(who).map(|wish| (wish, is_a_moment_ago(wish.since))) {
        Some((wish, _)) if workload.desired > wish.desired => wish.desired.min(desired),
        Some((_, false)) => desired,
        Some((wish, true)) if wish.before.is_some() => wish.before.unwrap_or(desired).min(desired),
        // Nobody has looked before: as far as the objects tell.
        Some(_) | None if was_off(index, who, workload, STARTING) => 0,
        Some(_) | None => desired,
    }
}

/// It is new, or was scaled up from zero, and all its pods wait for nodes that join or that an autoscaler makes: it has the
/// patience that those have.
fn comes_with_its_nodes<'a>(
    index: &Index<'a>,
    who: Who<'a>,
    workload: &'a Workload,
    is_ailing: impl Fn(&Pod) -> bool,
) -> bool {
    let is_recent = |at: Time| since(index.now, at) < PATIENCE;
    let was_off = || match index.wish(who) {
        Some(wish) if wish.desired == 0 || wish.on_since.is_some_and(is_recent) => true,
        Some(wish) if wish.before.is_some() || !is_recent(wish.since) => false,
        // Nobody has looked before: as far as the objects tell.
        Some(_) | None => was_off(index, who, workload, PATIENCE),
    };
    let mut pods = live(index, who).peekable();
    !is_refused(workload)
        && (workload.created_at.is_some_and(is_recent) || was_off())
        && pods.peek().is_some()
        && pods.all(|pod| nodes::awaits_its_node(index, pod) && !is_ailing(pod))
}

/// Its controller cannot make pods: a quota or an admission webhook refuses them.
fn is_refused(workload: &Workload) -> bool {
    workload.conditions.iter().any(|c| c.name == "ReplicaFailure" && c.status == Some(true))
}

/// It was scaled up from zero within this time: none of its pods is older and none leaves, or there is none because its
/// controller has not seen the wish yet, and no rollout has taken others away. While pods cannot be read, its own word has
/// to do.
fn was_off<'a>(index: &Index<'a>, who: Who<'a>, workload: &'a Workload, within: Duration) -> bool {
    let is_recent = |at: Option<Time>| at.is_some_and(|at| since(index.now, at) < within);
    if workload.ready > 0 || is_replacing(workload) {
        return false;
    }
    if !index.is_read(Kind::Pods) {
        let unavailable = workload.conditions.iter().find(|c| c.name == "Available");
        return is_recent(unavailable.filter(|c| c.status == Some(false)).and_then(|c| c.since));
    }
    match index.pods(who) {
        [] => workload.generation > workload.observed_generation && workload.updated == 0,
        pods => pods.iter().all(|pod| {
            is_recent(pod.created_at) && pod.delete_by.is_none() && pod.phase != "Failed"
        }),
    }
}

/// A rollout that has not ended: its controller says `NewReplicaSetAvailable` of the last one.
fn is_replacing(workload: &Workload) -> bool {
    let progressing = workload.conditions.iter().find(|c| c.name == "Progressing");
    let is_rolling = progressing.is_some_and(|c| c.reason != "NewReplicaSetAvailable");
    is_rolling || (workload.kind == WorkloadKind::StatefulSet && workload.is_between_revisions)
}

fn is_young(index: &Index, pod: &Pod) -> bool {
    pod.created_at.is_some_and(|at| since(index.now, at) < STARTING)
}

fn missing_words<'a>(
    index: &Index<'a>,
    who: Who<'a>,
    workload: &'a Workload,
    pods: usize,
    why: &str,
) -> String {
    let (ready, desired) = index.replicas(who).unwrap_or((workload.ready, workload.desired));
    let not_ready = match pods {
        0 => String::new(),
        1 => ", 1 pod is not".to_owned(),
        pods => format!(", {pods} pods are not"),
    };
    let why = if why.is_empty() { String::new() } else { format!(" {why}.") };
    format!("{ready} of {desired} replicas of {who} are ready{not_ready}.{why}")
}

/// Down: since the last of its pods went; degraded: since the first did. Else by its own condition.
fn missing_since<'a>(index: &Index<'a>, who: Who<'a>, workload: &'a Workload) -> Option<Time> {
    let pods = not_ready(index, who).map(not_ready_since);
    let by_pods = if workload.ready > 0 {
        pods.flatten().min()
    } else if live(index, who).count() >= workload.desired as usize
        && live(index, who).all(|pod| !is_ready(pod))
    {
        pods.flatten().max()
    } else {
        None
    };
    let unavailable =
        workload.conditions.iter().find(|c| c.name == "Available" && c.status == Some(false));
    by_pods.or_else(|| unavailable.and_then(|c| c.since))
}

/// Those that count as replicas: neither over nor on their way out.
fn live<'i, 'a>(index: &'i Index<'a>, who: Who<'a>) -> impl Iterator<Item = &'a Pod> + use<'i, 'a> {
    index
        .pods(who)
        .iter()
        .copied()
        .filter(|pod| pod.delete_by.is_none() && !matches!(&*pod.phase, "Failed" | "Succeeded"))
}

pub(super) fn not_ready<'i, 'a>(
    index: &'i Index<'a>,
    who: Who<'a>,
) -> impl Iterator<Item = &'a Pod> + use<'i, 'a> {
    live(index, who).filter(|pod| !is_ready(pod))
}
