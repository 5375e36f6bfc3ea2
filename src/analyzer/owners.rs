//! Which workload a pod belongs to: what is broken on the pod is put down to the workload, since that is what can be changed.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::cluster::ClusterReading;
use crate::domain::target::Target;
use crate::domain::time::{Time, since};
use crate::domain::violation::Violation;

/// A series of a pod outlives the pod by a while.
const REMEMBERED: Duration = Duration::from_hours(1);

/// By pod; each as it was last read.
#[derive(Debug, Default)]
pub(super) struct Owners(BTreeMap<Target, (Target, Time)>);

impl Owners {
    /// A pod whose workload is not known stays as it is: it is shown, and no workload is changed for it.
    pub fn resolve<'a>(
        &mut self,
        violations: impl Iterator<Item = &'a mut Violation>,
        reading: Option<&ClusterReading>,
        now: Time,
    ) {
        self.0.retain(|_, (_, at)| since(now, *at) < REMEMBERED);
        for violation in violations {
            let Some(pod) = violation.target.as_ref().filter(|target| target.is_pod()) else {
                continue;
            };
            if let Some(owner) = reading.and_then(|reading| owner(pod, reading)) {
                self.0.insert(pod.clone(), (owner, now));
            }
            if let Some((owner, _)) = self.0.get(pod) {
                violation.target = Some(owner.clone());
            }
        }
    }
}

fn owner(pod: &Target, reading: &ClusterReading) -> Option<Target> {
    let (namespace, name) = (pod.namespace()?, pod.component());
    let found = reading.cluster.pods.iter().find(|p| p.namespace == namespace && p.name == name)?;
    let owner = found.owner.as_ref()?;
    Some(Target::kubernetes(Some(namespace), &owner.kind, &owner.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_not_taken_for_that_of_a_workload_whose_name_it_begins_with() {
        let cart = Target::kubernetes(Some("shop"), "Deployment", "cart");
        let of_another = Target::kubernetes(Some("shop"), "Pod", "cart-db-0");
        assert!(!cart.contains(&of_another), "no action on cart is for it");
        assert!(cart.overlaps(&of_another), "and nothing is done to both at once");
        let elsewhere = Target::kubernetes(Some("other"), "Pod", "cart-db-0");
        assert!(!cart.overlaps(&elsewhere));
    }
}
