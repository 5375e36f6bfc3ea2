//! What to do about a finding: the command that shows the cause, and the usual cure.

use super::symptom::{Symptom, Who};
use crate::domain::finding::FindingKind;

/// `kubelet`: the node whose kubelet made it, if it is a static pod.
pub(super) fn recommendation(
    who: Who,
    kind: FindingKind,
    symptoms: &[Symptom],
    may_undo: bool,
    kubelet: Option<&str>,
) -> String {
    let first = symptoms.first();
    let ns = who.namespace;
    let pod = first.and_then(|s| s.pods.first().copied());
    let pod_name = pod.unwrap_or("<pod>");
    let subject = first.map_or(who.name, |s| s.subject);
    let container = first.and_then(|s| s.container);
    let of_container = container.map_or_else(String::new, |name| format!(" -c {name}"));
    let target = target(who);
    let undo = match who.kind {
        "Deployment" | "StatefulSet" | "DaemonSet" if may_undo => {
            format!("; if a rollout brought it: `kubectl -n {ns} rollout undo {target}`")
        }
        _ => String::new(),
    };
    match kind {
        FindingKind::CrashLoop => format!(
            "Read why it ends: `kubectl -n {ns} logs {pod_name}{of_container} --previous`{undo}"
        ),
        FindingKind::ImagePull => format!(
            "Check image name, tag and pull secret: `kubectl -n {ns} describe pod {pod_name}`{undo}"
        ),
        FindingKind::OomKilled => format!(
            "Compare what it uses with its limit: `kubectl -n {ns} top pod {pod_name} --containers`; raise the memory limit of {target}, or mend the leak"
        ),
        FindingKind::Pending => format!(
            "See what the scheduler or kubelet waits for: `kubectl -n {ns} describe pod {pod_name}`; then free or add capacity, or mend selector, taint or volume"
        ),
        FindingKind::InitFailed => {
            format!(
                "Read why it ends: `kubectl -n {ns} logs {pod_name}{of_container}`, with `--previous` after a restart"
            )
        }
        FindingKind::ConfigError => format!(
            "Create or correct the config map, secret or key it names: `kubectl -n {ns} describe pod {pod_name}`"
        ),
        FindingKind::ProbeFailing => format!(
            "See what its probe or readiness gate waits for: `kubectl -n {ns} describe pod {pod_name}` and `kubectl -n {ns} logs {pod_name}{of_container} --tail=100`"
        ),
        FindingKind::PodFailed | FindingKind::Evicted if let Some(node) = kubelet => format!(
            "See why it ended: `kubectl -n {ns} describe pod {pod_name}`; the kubelet of {node} makes this static pod from its manifest, and to delete it here changes nothing: mend what the reason names, then move the manifest out of the kubelet's folder and back, or restart the kubelet"
        ),
        FindingKind::Evicted => format!(
            "Relieve its node or set requests to what it uses: `kubectl -n {ns} describe pod {pod_name}`, `kubectl top nodes`"
        ),
        FindingKind::PodFailed if who.kind == "Pod" => format!(
            "See why it ended: `kubectl -n {ns} describe pod {pod_name}`, `kubectl -n {ns} logs {pod_name}{of_container}`; nothing replaces a pod of its own: delete it and make it again"
        ),
        FindingKind::PodFailed if container.is_some() => format!(
            "Read why it ended: `kubectl -n {ns} logs {pod_name}{of_container}`; if a sidecar still runs in the pod, its owner waits for that one: end the sidecar, or delete the pod: `kubectl -n {ns} delete pod {pod_name}`"
        ),
        FindingKind::PodFailed => format!(
            "See why it ended, or why its node did not take it: `kubectl -n {ns} describe pod {pod_name}`; then free or add capacity, or mend the node or the pod's requests"
        ),
        FindingKind::StuckTerminating => format!(
            "Look at its node and finalizers: `kubectl -n {ns} get pod {pod_name} -o yaml`; delete it by force only when its node is known to be off: `kubectl -n {ns} delete pod {pod_name} --grace-period=0 --force`"
        ),
        FindingKind::JobFailed if pod.is_none() => format!(
            "See what it says: `kubectl -n {ns} describe job {subject}`; mend what that names (a quota, an admission webhook), and run it again if it has given up"
        ),
        FindingKind::JobFailed => format!(
            "Read why it failed: `kubectl -n {ns} describe job {subject}` and `kubectl -n {ns} logs job/{subject} --all-containers`; then run it again"
        ),
        FindingKind::RolloutStuck => format!(
            "See which pods do not start: `kubectl -n {ns} rollout status {target}`; go back: `kubectl -n {ns} rollout undo {target}`"
        ),
        FindingKind::ReplicasMissing => {
            let look = pod.map_or_else(String::new, |pod| {
                format!(" and `kubectl -n {ns} describe pod {pod}`")
            });
            format!(
                "See which replicas are missing and why: `kubectl -n {ns} describe {target}`{look}"
            )
        }
        FindingKind::ClaimPending => format!(
            "See what the provisioner says: `kubectl -n {ns} describe pvc {subject}`; check the storage class: `kubectl get storageclass`"
        ),
        FindingKind::ClaimLost => format!(
            "Do not delete the claim; find its volume: `kubectl -n {ns} describe pvc {subject}`, `kubectl get pv`; restore it from a backup if it is gone"
        ),
        FindingKind::NodeNotReady => format!(
            "Look at the node and its kubelet: `kubectl describe node {0}`; what runs there: `kubectl get pods -A --field-selector spec.nodeName={0}`",
            who.name
        ),
        FindingKind::NodePressure => format!(
            "See what presses on it: `kubectl describe node {0}`, `kubectl top node {0}`; `kubectl cordon {0}` keeps more from coming",
            who.name
        ),
        // The loop words its own.
        FindingKind::Violation | FindingKind::Loop(_) => String::new(),
    }
}

/// As kubectl names it.
fn target(who: Who) -> String {
    let kind = match who.kind {
        "Deployment" => "deploy",
        "StatefulSet" => "sts",
        "DaemonSet" => "ds",
        other => return format!("{}/{}", other.to_lowercase(), who.name),
    };
    format!("{kind}/{}", who.name)
}
