//! A reading by what is asked of it: who owns a pod, what an owner has, which events are about an object.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::jobs::Jobs;
use super::symptom::Who;
use super::{EXPLAINS, Onsets, RECENT, nodes};
use crate::domain::Labels;
use crate::domain::cluster::{
    Claim, ClusterReading, Event, Kind, Node, Pod, Workload, WorkloadKind,
};
use crate::domain::time::{Time, since};

#[derive(Debug)]
pub(super) struct Index<'a> {
    pub reading: &'a ClusterReading,
    seen: &'a Onsets,
    pub now: Time,
    pub jobs: Jobs<'a>,
    workloads: BTreeMap<Who<'a>, &'a Workload>,
    pods: BTreeMap<Who<'a>, Vec<&'a Pod>>,
    events: HashMap<(&'a str, &'a str, &'a str), Vec<&'a Event>>,
    preemptions: Vec<&'a Event>,
    claims: HashMap<(&'a str, &'a str), &'a Claim>,
    nodes: HashMap<&'a str, &'a Node>,
}

impl<'a> Index<'a> {
    pub(super) fn new(reading: &'a ClusterReading, seen: &'a Onsets, now: Time) -> Self {
        let cluster = &reading.cluster;
        let jobs = Jobs::new(&cluster.jobs);
        let workloads = cluster.workloads.iter().map(|w| (who_of(w), &**w)).collect();
        let mut pods: BTreeMap<Who, Vec<&Pod>> = BTreeMap::new();
        for pod in &cluster.pods {
            pods.entry(owner_of(pod, &jobs)).or_default().push(pod);
        }
        for own in pods.values_mut() {
            own.sort_by_key(|pod| &pod.name);
        }
        let is_preemption = |event: &&Event| {
            let is_recent = event.last_at.is_some_and(|at| since(now, at) <= RECENT);
            event.reason == "Preempted" && is_recent
        };
        let mut events: HashMap<_, Vec<&Event>> = HashMap::new();
        for event in &cluster.events {
            let about = (&*event.namespace, &*event.about.kind, &*event.about.name);
            events.entry(about).or_default().push(event);
        }
        Self {
            reading,
            seen,
            now,
            workloads,
            pods,
            events,
            preemptions: cluster.events.iter().map(|e| &**e).filter(is_preemption).collect(),
            claims: cluster.claims.iter().map(|c| ((&*c.namespace, &*c.name), &**c)).collect(),
            nodes: cluster.nodes.iter().map(|node| (&*node.name, &**node)).collect(),
            jobs,
        }
    }

    pub(super) fn owner_of(&self, pod: &'a Pod) -> Who<'a> {
        owner_of(pod, &self.jobs)
    }

    /// Its objects are all there: what is not among them does not exist.
    pub(super) fn is_read(&self, kind: Kind) -> bool {
        self.is_expected(kind) && !self.reading.failures.contains_key(&kind)
    }

    fn is_expected(&self, kind: Kind) -> bool {
        self.reading.expected.contains(&kind)
    }

    pub(super) fn owners(&self) -> impl Iterator<Item = (Who<'a>, &[&'a Pod])> {
        self.pods.iter().map(|(who, pods)| (*who, pods.as_slice()))
    }

    pub(super) fn pods(&self, who: Who<'a>) -> &[&'a Pod] {
        self.pods.get(&who).map_or(&[], Vec::as_slice)
    }

    pub(super) fn workloads(&self) -> impl Iterator<Item = (Who<'a>, &'a Workload)> {
        self.workloads.iter().map(|(who, workload)| (*who, *workload))
    }

    pub(super) fn workload(&self, who: Who<'a>) -> Option<&'a Workload> {
        self.workloads.get(&who).copied()
    }

    /// Ready and desired replicas, where they are known. A pod of its own is its only replica; an owner of a kind that
    /// is not watched (a replica set of its own, a custom resource) wants at least the pods that it has.
    pub(super) fn replicas(&self, who: Who<'a>) -> Option<(u32, u32)> {
        if let Some(workload) = self.workload(who) {
            let desired = workload.desired.saturating_sub(self.in_maintenance(who, workload));
            return Some((workload.ready, desired));
        }
        let ready = |pods: &[&Pod]| u32::try_from(pods.iter().filter(|pod| is_ready(pod)).count());
        match who.kind {
            "Deployment" if self.is_expected(Kind::Deployments) => None,
            "StatefulSet" if self.is_expected(Kind::StatefulSets) => None,
            "DaemonSet" if self.is_expected(Kind::DaemonSets) => None,
            "Job" | "CronJob" => None,
            "Pod" => ready(self.pods(who)).ok().map(|ready| (ready, 1)),
            _ => {
                let live: Vec<&Pod> = self.running(who).filter(|p| p.delete_by.is_none()).collect();
                let desired = u32::try_from(live.len()).ok().filter(|desired| *desired > 0)?;
                Some((ready(&live).ok()?, desired))
            }
        }
    }

    /// A daemon set's pods that are away with a node that somebody works on: they are not missing as long as another is
    /// ready.
    fn in_maintenance(&self, who: Who<'a>, workload: &Workload) -> u32 {
        if workload.kind != WorkloadKind::DaemonSet || workload.ready == 0 {
            return 0;
        }
        let is_away = |pod: &&Pod| {
            let node = pod.node.as_deref().and_then(|name| self.nodes.get(name));
            !is_ready(pod) && node.is_some_and(|node| node.unschedulable && !nodes::is_ready(node))
        };
        let nodes: BTreeSet<&str> =
            self.running(who).filter(is_away).filter_map(|pod| pod.node.as_deref()).collect();
        u32::try_from(nodes.len()).unwrap_or(u32::MAX)
    }

    /// It lacked replicas when it was last looked at.
    pub(super) fn is_known_short(&self, who: Who<'a>) -> bool {
        self.seen.is_short(who)
    }

    /// All replicas that it should have are ready: what other pods of it left behind is past.
    pub(super) fn is_complete(&self, who: Who<'a>) -> bool {
        self.replicas(who).is_some_and(|(ready, desired)| ready >= desired)
    }

    /// Restarts of all containers of its pods so far.
    pub(super) fn restarts(&self, who: Who<'a>) -> u32 {
        self.pods(who)
            .iter()
            .flat_map(|pod| pod.init_containers.iter().chain(&pod.containers))
            .fold(0, |sum, container| sum.saturating_add(container.restarts))
    }

    /// Of the owner and, where the owner is not read or leaves them out, of its pods.
    pub(super) fn labels(&self, who: Who<'a>) -> Labels {
        let mut labels = self.pods(who).first().map(|pod| pod.labels.clone()).unwrap_or_default();
        let own = match who.kind {
            "PersistentVolumeClaim" => {
                self.claims.get(&(who.namespace, who.name)).map(|claim| &claim.labels)
            }
            "Job" | "CronJob" => self.jobs.labels(who),
            _ => self.workload(who).map(|workload| &workload.labels),
        };
        labels.extend(own.into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())));
        labels
    }

    /// A claim of its pods, or the one that it is, that has lost its volume.
    pub(super) fn lost_claim(&self, who: Who<'a>) -> Option<&'a str> {
        let own = (who.kind == "PersistentVolumeClaim").then_some(who.name);
        let mounted = self.running(who).flat_map(|pod| pod.claims.iter().map(String::as_str));
        mounted
            .chain(own)
            .filter(|name| {
                self.claims.get(&(who.namespace, name)).is_some_and(|c| c.phase == "Lost")
            })
            .min()
    }

    /// A node of its pods that is not ready.
    pub(super) fn dark_node(&self, who: Who<'a>) -> Option<&'a str> {
        self.running(who).filter_map(|pod| self.dark_node_of(pod)).min()
    }

    /// Its node, when that is not ready.
    pub(super) fn dark_node_of(&self, pod: &Pod) -> Option<&'a str> {
        let node = self.nodes.get(pod.node.as_deref()?)?;
        (!nodes::is_ready(node)).then_some(&*node.name)
    }

    /// Its pods that are not over.
    fn running(&self, who: Who<'a>) -> impl Iterator<Item = &'a Pod> {
        let pods = self.pods(who).iter().copied();
        pods.filter(|pod| !matches!(&*pod.phase, "Failed" | "Succeeded"))
    }

    /// Nobody is to be placed on it: it is being maintained.
    pub(super) fn is_cordoned(&self, who: Who<'a>) -> bool {
        who.is_node() && self.nodes.get(who.name).is_some_and(|node| node.unschedulable)
    }

    /// The newest event about an object that is young enough to explain its present state.
    pub(super) fn event(
        &self,
        about: Who<'a>,
        wanted: impl Fn(&Event) -> bool,
    ) -> Option<&'a Event> {
        self.events
            .get(&(about.namespace, about.kind, about.name))?
            .iter()
            .filter(|event| event.last_at.is_some_and(|at| since(self.now, at) <= EXPLAINS))
            .filter(|event| wanted(event))
            .max_by_key(|event| event.last_at)
            .copied()
    }

    /// [`Self::event`] about this very pod, not about a namesake before it.
    pub(super) fn pod_event(
        &self,
        pod: &'a Pod,
        wanted: impl Fn(&Event) -> bool,
    ) -> Option<&'a Event> {
        let about = Who { namespace: &pod.namespace, kind: "Pod", name: &pod.name };
        let is_own = |event: &Event| event.about_uid.is_empty() || event.about_uid == pod.uid;
        self.event(about, |event| is_own(event) && wanted(event))
    }

    /// The scheduler's events of the last hour about pods that it took away for others.
    pub(super) fn preemptions(&self) -> impl Iterator<Item = &'a Event> {
        self.preemptions.iter().copied()
    }

    /// The newest warnings about a pod that is not ready, the newest first. A kubelet writes some of them once only: all
    /// that came since it is not ready count, up to an hour.
    pub(super) fn pod_warnings(&self, pod: &'a Pod) -> Vec<&'a Event> {
        let about = (&*pod.namespace, "Pod", &*pod.name);
        let begin = not_ready_since(pod);
        let explains = |event: &Event| {
            event.last_at.is_some_and(|at| {
                let age = since(self.now, at);
                age <= EXPLAINS || age <= RECENT && begin.is_none_or(|begin| at >= begin)
            })
        };
        let mut warnings: Vec<&Event> = self
            .events
            .get(&about)
            .map_or(&[][..], Vec::as_slice)
            .iter()
            .copied()
            .filter(|event| event.is_warning && explains(event))
            .filter(|event| event.about_uid.is_empty() || event.about_uid == pod.uid)
            .collect();
        warnings.sort_by(|a, b| {
            b.last_at
                .cmp(&a.last_at)
                .then_with(|| (&a.reason, &a.message).cmp(&(&b.reason, &b.message)))
        });
        warnings
    }
}

pub(super) fn who_of(workload: &Workload) -> Who<'_> {
    Who { namespace: &workload.namespace, kind: workload.kind.as_str(), name: &workload.name }
}

/// A static pod is owned by its node, which does not answer for it: it stands for itself.
fn owner_of<'a>(pod: &'a Pod, jobs: &Jobs<'a>) -> Who<'a> {
    let own = Who { namespace: &pod.namespace, kind: "Pod", name: &pod.name };
    match &pod.owner {
        None => own,
        Some(owner) if owner.kind == "Node" => own,
        Some(owner) => {
            let who = Who { namespace: &pod.namespace, kind: &owner.kind, name: &owner.name };
            jobs.cron_job_of(who).unwrap_or(who)
        }
    }
}

/// What the kubelet has ended may still say that it is ready. What says nothing of it is as ready as its containers.
pub(super) fn is_ready(pod: &Pod) -> bool {
    if matches!(&*pod.phase, "Failed" | "Succeeded") {
        return false;
    }
    match pod.conditions.iter().find(|c| c.name == "Ready") {
        Some(ready) => ready.status == Some(true),
        None => !pod.containers.is_empty() && pod.containers.iter().all(|c| c.ready),
    }
}

/// Since when it is not ready; `None`: it does not say.
pub(super) fn not_ready_since(pod: &Pod) -> Option<Time> {
    let ready = pod.conditions.iter().find(|c| c.name == "Ready");
    ready.and_then(|c| c.since).or(pod.created_at)
}
