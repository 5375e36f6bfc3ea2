//! What an object of Kubernetes allows: that the watch caches have it, its owner's label, and that it is not protected.
//!
//! Labels of namespaces are not read, and a namespace's `off` would be absolute: so that nobody's is overlooked, `auto`
//! counts as `suggest`, and every action waits for a person (`HookSpec::asks`).

use super::Subject;
use crate::domain::Labels;
use crate::domain::cluster::{ACT_LABEL, Cluster, ClusterReading, Kind, Owner};
use crate::domain::cycle::Hold;
use crate::domain::guard::{Guard, GuardReading};
use crate::domain::target::Target;
use crate::planner::PlanInput;

/// A pod's replica set, its deployment, and one that Kubernetes does not have yet.
const OWNERS: usize = 3;

/// What the caches have of an object.
#[derive(Default)]
struct Object<'a> {
    act: Option<&'a str>,
    owner: Option<&'a Owner>,
    is_critical: bool,
    /// The kubelet of a node made it from a file there, and makes it again.
    is_mirror: bool,
}

/// The target's object with the nearest label; `None`: the target is none of Kubernetes'.
fn found<'a>(
    input: &PlanInput<'a>,
    subject: &Subject<'_>,
) -> Option<Result<Object<'a>, (Hold, String)>> {
    let target = subject.action.target();
    let Target::Kubernetes { namespace, kind, name } = &target else { return None };
    let Some(reading) = input.cluster else {
        let detail = "Kubernetes is not watched, so its guards cannot be asked about the target";
        return Some(Err((Hold::ClusterUnreadable, detail.to_owned())));
    };
    let Some(watched) = kind_of(kind) else {
        let detail = format!("no {kind} is ever watched, so nothing is known of {target}");
        return Some(Err((Hold::TargetMissing, detail)));
    };
    let namespace = namespace.as_deref();
    Some(match object(&reading.cluster, namespace, watched, name) {
        _ if reading.read_at.is_none() => Err(unreadable(reading, watched, &target)),
        Some(object) => nearest(reading, namespace, object),
        None if reading.is_hidden(watched, namespace) => Err(unreadable(reading, watched, &target)),
        None if reading.is_expected(watched, namespace) => {
            Err((Hold::TargetMissing, format!("the watch caches have no {target}")))
        }
        None => {
            let kinds = watched.as_str();
            let detail = format!("{kinds} are not watched there, so nothing is known of {target}");
            Err((Hold::TargetMissing, detail))
        }
    })
}

fn unreadable(reading: &ClusterReading, kind: Kind, target: &Target) -> (Hold, String) {
    let failure = reading.failures.get(&kind).map(|failure| failure.text.clone());
    let detail = failure.unwrap_or_else(|| format!("the state of {target} is not known"));
    (Hold::ClusterUnreadable, detail)
}

/// The object with its own label, or that of the nearest of those that made it.
fn nearest<'a>(
    reading: &'a ClusterReading,
    namespace: Option<&str>,
    mut object: Object<'a>,
) -> Result<Object<'a>, (Hold, String)> {
    let mut above = object.owner;
    for _ in 0..OWNERS {
        if object.act.is_some() {
            break;
        }
        let Some(owner) = above else { break };
        // Who is of a kind that nobody watches has no label that anybody could read.
        let Some(kind) = kind_of(&owner.kind.to_lowercase()) else { break };
        match self::object(&reading.cluster, namespace, kind, &owner.name) {
            Some(next) => {
                object.act = next.act;
                above = next.owner;
            }
            None if reading.is_hidden(kind, namespace) => {
                let detail = format!(
                    "its owner, {} {}, cannot be read, and so its label mape-k.io/act",
                    owner.kind, owner.name
                );
                return Err((Hold::ClusterUnreadable, detail));
            }
            None => break,
        }
    }
    Ok(object)
}

pub(super) fn read(input: &PlanInput<'_>, subject: &Subject<'_>) -> GuardReading {
    match found(input, subject) {
        None => GuardReading::passed(Guard::Kubernetes, "the target is not in Kubernetes"),
        Some(Ok(_)) => {
            let detail = format!("the watch caches have {}", subject.action.target());
            GuardReading::passed(Guard::Kubernetes, detail)
        }
        Some(Err((hold, detail))) => GuardReading::held(Guard::Kubernetes, hold, detail),
    }
}

/// The nearest label counts. A word that is none of the three was meant to say something: nothing is done.
pub(super) fn opt_in(input: &PlanInput<'_>, subject: &Subject<'_>) -> GuardReading {
    let passed = |detail: &str| GuardReading::passed(Guard::OptIn, detail);
    let held = |hold, detail| GuardReading::held(Guard::OptIn, hold, detail);
    let object = match found(input, subject) {
        None => return passed("the target is not in Kubernetes"),
        Some(Err((why, _))) => return held(why, "its label cannot be read".to_owned()),
        Some(Ok(object)) => object,
    };
    match object.act {
        None => passed("no label mape-k.io/act: a person approves"),
        Some("suggest") => passed("mape-k.io/act is suggest: a person approves"),
        Some("auto") => passed(
            "mape-k.io/act is auto; labels of namespaces are not read, so a person approves all the same",
        ),
        Some("off") => held(Hold::OptedOut, "mape-k.io/act is off".to_owned()),
        Some(word) => {
            let detail = format!(
                "mape-k.io/act is {word:?}, none of off, suggest and auto, and so counts as off"
            );
            held(Hold::OptedOut, detail)
        }
    }
}

pub(super) fn protected(input: &PlanInput<'_>, subject: &Subject<'_>) -> GuardReading {
    let held = |detail| GuardReading::held(Guard::Protected, Hold::Protected, detail);
    let passed = |detail: &str| GuardReading::passed(Guard::Protected, detail);
    let Some(found) = found(input, subject) else {
        return passed("the target is not in Kubernetes");
    };
    let target = subject.action.target();
    if let Some(namespace) = target.namespace() {
        if input.settings.guardrails.kubernetes.protects(namespace) {
            let detail = format!(
                "namespace {namespace} is one of guardrails.kubernetes.protected_namespaces"
            );
            return held(detail);
        }
        if input.cluster.and_then(|r| r.own_namespace.as_deref()) == Some(namespace) {
            return held(format!("namespace {namespace} is that of mape-k itself"));
        }
    }
    match found {
        Ok(object) if object.is_critical => {
            held(format!("{target} has a priority class of the system"))
        }
        Ok(object) if object.is_mirror => {
            held(format!("the kubelet makes {target} from a file of its node"))
        }
        Ok(_) => passed("it is not protected"),
        Err((why, _)) => {
            GuardReading::held(Guard::Protected, why, "it is not known whether it is protected")
        }
    }
}

fn kind_of(kind: &str) -> Option<Kind> {
    Some(match kind {
        "deployment" => Kind::Deployments,
        "statefulset" => Kind::StatefulSets,
        "daemonset" => Kind::DaemonSets,
        "replicaset" => Kind::ReplicaSets,
        "replicationcontroller" => Kind::ReplicationControllers,
        "pod" => Kind::Pods,
        "node" => Kind::Nodes,
        "job" => Kind::Jobs,
        "cronjob" => Kind::CronJobs,
        "persistentvolumeclaim" | "claim" => Kind::Claims,
        _ => return None,
    })
}

fn object<'a>(
    cluster: &'a Cluster,
    namespace: Option<&str>,
    kind: Kind,
    name: &str,
) -> Option<Object<'a>> {
    let here = |of: &str, called: &str| namespace == Some(of) && called == name;
    let act = |labels: &'a Labels| labels.get(ACT_LABEL).map(String::as_str);
    match kind {
        Kind::Pods => {
            let pod = cluster.pods.iter().find(|pod| here(&pod.namespace, &pod.name))?;
            let owner = pod.owner.as_ref();
            Some(Object {
                act: act(&pod.labels),
                owner,
                is_critical: pod.is_critical,
                is_mirror: owner.is_some_and(|owner| owner.kind == "Node"),
            })
        }
        Kind::Deployments
        | Kind::StatefulSets
        | Kind::DaemonSets
        | Kind::ReplicaSets
        | Kind::ReplicationControllers => {
            let of_kind = |called: &str| kind_of(&called.to_lowercase()) == Some(kind);
            let mut all = cluster.workloads.iter();
            let workload = all.find(|w| here(&w.namespace, &w.name) && of_kind(w.kind.as_str()))?;
            Some(Object {
                act: act(&workload.labels),
                owner: workload.owner.as_ref(),
                is_critical: workload.is_critical,
                is_mirror: false,
            })
        }
        Kind::Nodes => {
            let node =
                cluster.nodes.iter().find(|node| namespace.is_none() && node.name == name)?;
            Some(Object { act: node.act.as_deref(), ..Object::default() })
        }
        Kind::Jobs => {
            let job = cluster.jobs.iter().find(|job| here(&job.namespace, &job.name))?;
            Some(Object { act: act(&job.labels), owner: job.owner.as_ref(), ..Object::default() })
        }
        Kind::CronJobs => {
            let job = cluster.cron_jobs.iter().find(|job| here(&job.namespace, &job.name))?;
            Some(Object { act: job.act.as_deref(), ..Object::default() })
        }
        Kind::Claims => {
            let claim = cluster.claims.iter().find(|claim| here(&claim.namespace, &claim.name))?;
            Some(Object { act: act(&claim.labels), ..Object::default() })
        }
        Kind::Events => None,
    }
}
