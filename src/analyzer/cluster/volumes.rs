//! Volume claims that are lost, or that a pod waits for.

use std::collections::HashMap;

use super::PATIENCE;
use super::cause::joined;
use super::index::Index;
use super::symptom::{Symptom, Who};
use crate::domain::cluster::{Claim, Pod};
use crate::domain::finding::FindingKind;
use crate::domain::time::{Time, since};

type Mounts<'a> = HashMap<(&'a str, &'a str), Vec<(Who<'a>, &'a Pod)>>;

pub(super) fn look<'a>(index: &Index<'a>, symptoms: &mut Vec<Symptom<'a>>) {
    let mut mounts: Mounts = HashMap::new();
    for pod in &index.reading.cluster.pods {
        let is_over = pod.delete_by.is_some() || matches!(&*pod.phase, "Failed" | "Succeeded");
        for claim in pod.claims.iter().filter(|_| !is_over) {
            let who = index.owner_of(pod);
            mounts.entry((&pod.namespace, claim)).or_default().push((who, pod));
        }
    }
    for claim in &index.reading.cluster.claims {
        let users = mounts.get(&(&*claim.namespace, &*claim.name)).map_or(&[][..], Vec::as_slice);
        let (kind, words, at) = match claim.phase.as_str() {
            "Lost" => (
                FindingKind::ClaimLost,
                format!("The claim {} has lost its volume.", claim.name),
                None,
            ),
            "Pending" => match pending(index, claim, users) {
                Some((words, at)) => (FindingKind::ClaimPending, words, at),
                None => continue,
            },
            _ => continue,
        };
        let own =
            Who { namespace: &claim.namespace, kind: "PersistentVolumeClaim", name: &claim.name };
        symptoms.push(Symptom {
            who: users.iter().map(|(who, _)| *who).min().unwrap_or(own),
            kind,
            subject: &claim.name,
            pods: users.iter().map(|(_, pod)| &*pod.name).collect(),
            container: None,
            words,
            exit_code: None,
            since: at,
        });
    }
}

/// A claim may wait for its first pod as long as it likes; with a pod that waits for it, or a warning that it cannot be
/// had, it may not.
fn pending(index: &Index, claim: &Claim, users: &[(Who, &Pod)]) -> Option<(String, Option<Time>)> {
    let about =
        Who { namespace: &claim.namespace, kind: "PersistentVolumeClaim", name: &claim.name };
    let is_own = |at: Option<Time>| at >= claim.created_at;
    let event = index.event(about, |event| event.is_warning && is_own(event.last_at));
    // It is waited for from when both are there.
    let first_user = users.iter().filter_map(|(_, pod)| pod.created_at).min();
    let at = claim.created_at.max(first_user);
    let is_due = at.is_none_or(|at| since(index.now, at) > PATIENCE);
    (is_due && (!users.is_empty() || event.is_some())).then(|| {
        let why = event.map_or_else(
            || "no event says why".to_owned(),
            |event| joined(&[&event.reason, &event.message], ", "),
        );
        let class = match claim.storage_class.as_str() {
            "" => "no storage class".to_owned(),
            class => format!("storage class {class}"),
        };
        let unbound = format!("The claim {} is not bound ({class})", claim.name);
        (format!("{}.", joined(&[&unbound, &why], ": ")), at)
    })
}
