//! Which targets may not have an unverified action at once: those of which one contains the other, and direct neighbours
//! in the service catalogue, whatever systems they are of. Not further: what needs a neighbour is nobody's neighbour.

use std::borrow::Cow;

use crate::domain::Labels;
use crate::domain::catalogue::{Catalogue, Service};
use crate::domain::cluster::ClusterReading;
use crate::domain::target::Target;
use crate::planner::PlanInput;

/// May an action on `target` not go beside an unverified one on `other`? In words, where that is; empty: right there.
pub(super) fn overlap(
    input: &PlanInput<'_>,
    other: &Target,
    target: &Target,
) -> Option<Cow<'static, str>> {
    if other.overlaps(target) {
        return Some("".into());
    }
    let (ours, theirs) = (service(input, target)?, service(input, other)?);
    if ours.name == theirs.name {
        // What two systems know by one name is one service.
        let twice = target.system() != other.system();
        return twice.then(|| format!(" on {other}, which is the same service").into());
    }
    let neighbours = [(ours, theirs), (theirs, ours)];
    let needs = neighbours.into_iter().find(|(one, other)| one.depends_on.contains(&other.name));
    needs
        .map(|(one, needed)| format!(" on {other}: {} depends on {}", one.name, needed.name).into())
}

fn service<'a>(input: &PlanInput<'a>, target: &Target) -> Option<&'a Service> {
    of(input.catalogue, input.cluster, target)
}

/// The service that a target belongs to: by its labels where Kubernetes has it, else by the component's name.
fn of<'a>(
    catalogue: &'a Catalogue,
    cluster: Option<&ClusterReading>,
    target: &Target,
) -> Option<&'a Service> {
    let Target::Kubernetes { namespace, kind, name } = target else {
        return catalogue.named(target.component());
    };
    let namespace = namespace.as_deref()?;
    let cluster = cluster.map(|reading| &reading.cluster);
    let workload = cluster.into_iter().flat_map(|c| &c.workloads).find(|w| {
        w.namespace == namespace && w.name == *name && w.kind.as_str().eq_ignore_ascii_case(kind)
    });
    let pod = cluster
        .into_iter()
        .flat_map(|c| &c.pods)
        .find(|p| kind == "pod" && p.namespace == namespace && p.name == *name);
    let owner = pod.and_then(|pod| pod.owner.as_ref()).map(|owner| owner.name.as_str());
    let labels = workload.map(|w| &w.labels).or(pod.map(|p| &p.labels));
    let none = Labels::new();
    catalogue.service_of(namespace, owner.unwrap_or(name), labels.unwrap_or(&none))
}
