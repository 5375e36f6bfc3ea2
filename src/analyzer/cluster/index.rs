//! A reading by what is asked of it: who owns a pod, what an owner has, which events are about an object.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::jobs::Jobs;
use super::onsets::Wish;
use super::sets::{self, Sets};
use super::symptom::Who;
use super::{EXPLAINS, Onsets, RECENT, failed, nodes};
use crate::domain::Labels;
use crate::domain::cluster::{
    Claim, ClusterReading, Event, Kind, Node, Pod, Workload, WorkloadKind,
};
use crate::domain::finding::FindingKind;
use crate::domain::time::{Time, since};

#[derive(Debug)]
pub(super) struct Index<'a> {
    pub reading: &'a ClusterReading,
    seen: &'a Onsets,
    pub now: Time,
    pub jobs: Jobs<'a>,
    sets: Sets<'a>,
    set_names: HashMap<Who<'a>, Vec<&'a str>>,
    workloads: BTreeMap<Who<'a>, &'a Workload>,
    pods: BTreeMap<Who<'a>, Vec<&'a Pod>>,
    /// [`failed::unreplaced`] of each owner that has any.
    unreplaced: HashMap<Who<'a>, Vec<&'a Pod>>,
    events: HashMap<(&'a str, &'a str, &'a str), Vec<&'a Event>>,
    preemptions: Vec<&'a Event>,
    claims: HashMap<(&'a str, &'a str), &'a Claim>,
    nodes: HashMap<&'a str, &'a Node>,
}

impl<'a> Index<'a> {
    /// `joined`: the workloads of [`sets::joined`].
    pub(super) fn new(
        reading: &'a ClusterReading,
        joined: &'a [Workload],
        seen: &'a Onsets,
        now: Time,
    ) -> Self {
        let cluster = &reading.cluster;
        let jobs = Jobs::new(&cluster.jobs, &cluster.cron_jobs);
        let sets = sets::by_name(reading);
        // One of several takes the place of each of them.
        let workloads = sets::answering(reading).chain(joined).map(|w| (sets::who_of(w), w));
        let workloads = workloads.collect();
        let mut pods: BTreeMap<Who, Vec<&Pod>> = BTreeMap::new();
        for pod in &cluster.pods {
            pods.entry(owner_of(pod, &jobs, &sets)).or_default().push(pod);
        }
        for own in pods.values_mut() {
            own.sort_by_key(|pod| &pod.name);
        }
        let unreplaced = pods.iter().map(|(who, pods)| (*who, failed::unreplaced(pods)));
        let unreplaced = unreplaced.filter(|(_, lost)| !lost.is_empty()).collect();
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
            sets,
            set_names: sets::names(reading),
            workloads,
            pods,
            unreplaced,
            events,
            preemptions: cluster.events.iter().map(|e| &**e).filter(is_preemption).collect(),
            claims: cluster.claims.iter().map(|c| ((&*c.namespace, &*c.name), &**c)).collect(),
            nodes: cluster.nodes.iter().map(|node| (&*node.name, &**node)).collect(),
            jobs,
        }
    }

    pub(super) fn owner_of(&self, pod: &'a Pod) -> Who<'a> {
        owner_of(pod, &self.jobs, &self.sets)
    }

    /// Its objects were all read: any other does not exist.
    pub(super) fn is_read(&self, kind: Kind) -> bool {
        self.reading.is_expected(kind, None) && !self.reading.is_hidden(kind, None)
    }

    pub(super) fn owners(&self) -> impl Iterator<Item = (Who<'a>, &[&'a Pod])> {
        self.pods.iter().map(|(who, pods)| (*who, pods.as_slice()))
    }

    pub(super) fn pods(&self, who: Who<'a>) -> &[&'a Pod] {
        self.pods.get(&who).map_or(&[], Vec::as_slice)
    }

    pub(super) fn set_names(&self, who: Who<'a>) -> &[&'a str] {
        self.set_names.get(&who).map_or(&[], Vec::as_slice)
    }

    pub(super) fn unreplaced(&self, who: Who<'a>) -> &[&'a Pod] {
        self.unreplaced.get(&who).map_or(&[], Vec::as_slice)
    }

    pub(super) fn workloads(&self) -> impl Iterator<Item = (Who<'a>, &'a Workload)> {
        self.workloads.iter().map(|(who, workload)| (*who, *workload))
    }

    pub(super) fn workload(&self, who: Who<'a>) -> Option<&'a Workload> {
        self.workloads.get(&who).copied()
    }

    /// Ready and desired replicas, where they are known. A pod of its own is its only replica; an owner of a kind that
    /// is not watched wants at least the pods that it has, and those that it has lost.
    pub(super) fn replicas(&self, who: Who<'a>) -> Option<(u32, u32)> {
        if let Some(workload) = self.workload(who) {
            let desired = workload.desired.saturating_sub(self.excused(who, workload));
            return Some((workload.ready, desired));
        }
        let ready = |pods: &[&Pod]| u32::try_from(pods.iter().filter(|pod| is_ready(pod)).count());
        let is_expected = |kind| self.reading.is_expected(kind, Some(who.namespace));
        match who.kind {
            "Deployment" if is_expected(Kind::Deployments) => None,
            "StatefulSet" if is_expected(Kind::StatefulSets) => None,
            "DaemonSet" if is_expected(Kind::DaemonSets) => None,
            "ReplicaSet" if is_expected(Kind::ReplicaSets) => None,
            "ReplicationController" if is_expected(Kind::ReplicationControllers) => None,
            "Job" | "CronJob" => None,
            "Pod" => ready(self.pods(who)).ok().map(|ready| (ready, 1)),
            // It is turned off: none of its sets wants any.
            _ if !self.set_names(who).is_empty() => Some((0, 0)),
            _ => {
                let live: Vec<&Pod> = self.running(who).filter(|p| p.delete_by.is_none()).collect();
                let desired = live.len() + self.unreplaced(who).len();
                let desired = u32::try_from(desired).ok().filter(|desired| *desired > 0)?;
                Some((ready(&live).ok()?, desired))
            }
        }
    }

    /// How many replicas of a daemon set nobody misses: those of nodes that join or are being removed, and, as long as
    /// another is ready, those of nodes that somebody works on. A pod that is not ready on any other node is missed.
    fn excused(&self, who: Who<'a>, workload: &Workload) -> u32 {
        let missing = workload.desired.saturating_sub(workload.ready) as usize;
        if workload.kind != WorkloadKind::DaemonSet || missing == 0 {
            return 0;
        }
        let comes_or_goes = |node: &&Node| node.is_being_removed || nodes::joins(node, self.now);
        let is_maintained =
            |node: &&Node| workload.ready > 0 && node.unschedulable && !nodes::is_ready(node);
        let (mut away, mut missed) = (BTreeSet::new(), 0);
        for pod in self.running(who).filter(|pod| !is_ready(pod)) {
            match self.node_of(pod).filter(|node| comes_or_goes(node) || is_maintained(node)) {
                Some(node) => _ = away.insert(&*node.name),
                None => missed += usize::from(pod.delete_by.is_none()),
            }
        }
        // Its pod there is not made yet, or is gone already.
        let served: BTreeSet<&str> = self.running(who).filter_map(|p| p.node.as_deref()).collect();
        let bare = self.nodes.values().copied().filter(comes_or_goes);
        let bare = bare.filter(|node| !served.contains(&*node.name)).count();
        let unmade = (workload.desired as usize).saturating_sub(self.running(who).count());
        let excused = (away.len() + bare.min(unmade)).min(missing.saturating_sub(missed));
        u32::try_from(excused).unwrap_or(u32::MAX)
    }

    pub(super) fn node_of(&self, pod: &Pod) -> Option<&'a Node> {
        self.nodes.get(pod.node.as_deref()?).copied()
    }

    /// The node whose kubelet made it, of a static pod.
    pub(super) fn kubelet_of(&self, who: Who<'a>) -> Option<&'a str> {
        let pod = self.pods(who).first().filter(|_| who.kind == "Pod")?;
        let owner = pod.owner.as_ref().filter(|owner| owner.kind == "Node");
        owner.map(|owner| &*owner.name)
    }

    /// What was wanted of it at earlier looks.
    pub(super) fn wish(&self, who: Who<'a>) -> Option<&'a Wish> {
        self.seen.wish(who)
    }

    /// It lacked replicas when it was last looked at.
    pub(super) fn is_known_short(&self, who: Who<'a>) -> bool {
        self.is_known(who, FindingKind::ReplicasMissing)
    }

    /// It had a finding of that kind when it was last looked at.
    pub(super) fn is_known(&self, who: Who<'a>, kind: FindingKind) -> bool {
        self.seen.has(who, kind)
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

    /// Somebody does it on purpose: works on a node, or takes it away.
    pub(super) fn is_on_purpose(&self, who: Who<'a>, kind: FindingKind) -> bool {
        let Some(node) = self.nodes.get(who.name).filter(|_| who.is_node()) else { return false };
        node.is_being_removed || (node.unschedulable && kind == FindingKind::NodeNotReady)
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

    /// All events about an object, however old they are.
    pub(super) fn events(&self, about: Who<'a>) -> &[&'a Event] {
        let about = (about.namespace, about.kind, about.name);
        self.events.get(&about).map_or(&[], Vec::as_slice)
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

/// A static pod is owned by its node, which does not answer for it: it is its own workload.
pub(super) fn owner_of<'a>(pod: &'a Pod, jobs: &Jobs<'a>, sets: &Sets<'a>) -> Who<'a> {
    let own = Who { namespace: &pod.namespace, kind: "Pod", name: &pod.name };
    match &pod.owner {
        None => own,
        Some(owner) if owner.kind == "Node" => own,
        Some(owner) => {
            let who = Who { namespace: &pod.namespace, kind: &owner.kind, name: &owner.name };
            sets::owner_of(pod, sets).or_else(|| jobs.cron_job_of(who)).unwrap_or(who)
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
