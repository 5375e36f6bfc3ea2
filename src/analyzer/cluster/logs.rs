//! Which container's log shows the cause of a finding, for those who want its last lines.

use crate::domain::cluster::{ClusterReading, Container, ContainerState, Pod, Terminated};
use crate::domain::finding::{Finding, FindingKind};

/// A container's log, and which run of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogOf {
    pub namespace: String,
    pub pod: String,
    pub container: String,
    /// The run before this one: the one that ended.
    pub previous: bool,
}

/// `None`: no log would tell, for nothing has run.
#[must_use]
pub fn log_of(reading: &ClusterReading, finding: &Finding) -> Option<LogOf> {
    let is_notified = matches!(
        finding.kind,
        FindingKind::CrashLoop
            | FindingKind::OomKilled
            | FindingKind::InitFailed
            | FindingKind::ProbeFailing
            | FindingKind::JobFailed
            | FindingKind::PodFailed
    );
    if !is_notified {
        return None;
    }
    let is_its_own = |pod: &Pod| {
        finding.namespace.as_deref() == Some(&pod.namespace) && finding.pods.contains(&pod.name)
    };
    let pods = reading.cluster.pods.iter().filter(|pod| is_its_own(pod));
    let mut failing = pods.filter_map(|pod| {
        let all = pod.init_containers.iter().chain(&pod.containers);
        all.filter(|container| has_failed(container, finding.kind)).map(|c| (pod, c)).next()
    });
    failing.next().map(|(pod, container)| LogOf {
        namespace: pod.namespace.clone(),
        pod: pod.name.clone(),
        container: container.name.clone(),
        previous: finding.kind != FindingKind::ProbeFailing
            && !matches!(container.state, ContainerState::Terminated(_)),
    })
}

fn has_failed(container: &Container, kind: FindingKind) -> bool {
    let ended = |end: &Terminated| match kind {
        FindingKind::OomKilled => end.reason == "OOMKilled",
        _ => end.exit_code != 0,
    };
    match (&container.state, kind) {
        (ContainerState::Running { .. }, FindingKind::ProbeFailing) => !container.ready,
        (_, FindingKind::ProbeFailing) => false,
        (ContainerState::Terminated(end), _) => ended(end),
        // It loops even when it ends with 0.
        (
            ContainerState::Waiting { reason, .. },
            FindingKind::CrashLoop | FindingKind::InitFailed,
        ) => reason == "CrashLoopBackOff",
        (ContainerState::Waiting { .. } | ContainerState::Running { .. }, _) => {
            container.last.as_ref().is_some_and(ended)
        }
    }
}
