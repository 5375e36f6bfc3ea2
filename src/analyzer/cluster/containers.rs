//! Containers of a pod that is to run: what they wait for, how they end, whether their probes pass.

use super::cause::{ended, hook_error, joined, pull_error};
use super::index::{Index, is_ready, not_ready_since};
use super::pods::started_to_start;
use super::symptom::{Symptom, Who};
use super::{PATIENCE, RECENT, STARTING, bounded};
use crate::domain::cluster::{Container, ContainerState, Event, Pod, RestartPolicy, Terminated};
use crate::domain::finding::FindingKind;
use crate::domain::time::{Time, since};

/// From so many restarts on, a container that runs without being ready is between two crashes of a loop.
const LOOP_RESTARTS: u32 = 3;

/// After running for so long the kubelet forgets the crashes before (it resets the back-off): what ends later does not
/// loop.
const LOOP_FORGOTTEN: std::time::Duration = std::time::Duration::from_secs(10 * 60);

/// Characters of the server's words on one container; a kubelet quotes whole responses.
const MAX_WORDS: usize = 300;

struct Look<'i, 'a> {
    index: &'i Index<'a>,
    who: Who<'a>,
    pod: &'a Pod,
    container: &'a Container,
    /// It has to succeed before the others start.
    is_init: bool,
}

pub(super) fn look<'a>(
    index: &Index<'a>,
    who: Who<'a>,
    pod: &'a Pod,
    symptoms: &mut Vec<Symptom<'a>>,
) {
    // Once the pod is initialized, a sidecar among its init containers is a container as any other.
    let is_initialized =
        pod.conditions.iter().any(|c| c.name == "Initialized" && c.status == Some(true));
    let init = pod.init_containers.iter().map(|container| {
        let is_sidecar = container.restart_policy == RestartPolicy::Always;
        (container, !(is_initialized && is_sidecar))
    });
    for (container, is_init) in init.chain(pod.containers.iter().map(|c| (c, false))) {
        let look = Look { index, who, pod, container, is_init };
        // What a pod needed to become ready matters no more once it is.
        if !(is_init && is_ready(pod)) {
            symptoms.extend(look.state());
        }
        symptoms.extend(look.out_of_memory());
    }
}

/// A pod that failed and will not be restarted: only how it ended is known.
pub(super) fn look_at_the_dead<'a>(
    index: &Index<'a>,
    who: Who<'a>,
    pod: &'a Pod,
    symptoms: &mut Vec<Symptom<'a>>,
) {
    for container in pod.init_containers.iter().chain(&pod.containers) {
        let look = Look { index, who, pod, container, is_init: false };
        symptoms.extend(look.out_of_memory());
    }
}

/// It has done what it is there for, and is not started again.
pub(super) fn is_done(container: &Container) -> bool {
    let is_through =
        matches!(&container.state, ContainerState::Terminated(end) if end.exit_code == 0);
    is_through && container.restart_policy != RestartPolicy::Always
}

/// What the pod is there for is done, whatever still runs beside it.
pub(super) fn is_pod_done(pod: &Pod) -> bool {
    let mut main = pod.containers.iter().filter(|container| container.is_main).peekable();
    main.peek().is_some() && main.all(is_done)
}

/// The kubelet restarts a container when its startup probe's allowance is used up; until then it may take its time.
pub(super) fn is_starting<'a>(index: &Index<'a>, pod: &'a Pod) -> bool {
    let event = index.pod_event(pod, |event| event.reason == "Unhealthy");
    let is_probed = event.is_some_and(|event| is_probe(event, "Startup"));
    let starts = |container: &Container| match container.state {
        ContainerState::Running { since: Some(at) } => {
            !container.ready && container.restarts == 0 && since(index.now, at) < LOOP_FORGOTTEN
        }
        _ => false,
    };
    is_probed && pod.containers.iter().any(starts)
}

impl<'a> Look<'_, 'a> {
    fn state(&self) -> Option<Symptom<'a>> {
        match &self.container.state {
            ContainerState::Waiting { reason, message } => self.waiting(reason, message),
            ContainerState::Terminated(end) if end.exit_code == 0 => None,
            ContainerState::Terminated(end) if self.is_init => Some(self.symptom(
                FindingKind::InitFailed,
                &format!("it {}", ended(end)),
                Some(end),
                end.finished_at,
            )),
            ContainerState::Terminated(end)
                if self.container.restart_policy == RestartPolicy::Never =>
            {
                self.failed(end)
            }
            // A first crash is restarted at once; one that is not keeps its pod from being ready.
            ContainerState::Terminated(end) => {
                self.loops(end).then(|| self.crash_loop("between two restarts", Some(end)))
            }
            ContainerState::Running { since: at } => self.running(*at),
        }
    }

    /// Its pod lasts for as long as another container runs, and nobody else would tell.
    fn failed(&self, end: &Terminated) -> Option<Symptom<'a>> {
        let is_settled = end.finished_at.is_none_or(|at| since(self.index.now, at) > STARTING);
        let is_missed = self.container.is_main && end.reason != "OOMKilled" && is_settled;
        is_missed.then(|| {
            let words = format!("it {} and is not started again", ended(end));
            self.symptom(FindingKind::PodFailed, &words, Some(end), end.finished_at)
        })
    }

    fn waiting(&self, reason: &str, message: &str) -> Option<Symptom<'a>> {
        let words = joined(&[reason, message], ", ");
        match reason {
            "CrashLoopBackOff" | "PostStartHookError" => {
                Some(self.crash_loop(&words, self.container.last.as_ref()))
            }
            "ImagePullBackOff"
            | "ErrImagePull"
            | "InvalidImageName"
            | "ErrImageNeverPull"
            | "ImageInspectError"
            | "RegistryUnavailable"
            | "SignatureValidationFailed" => {
                let ended = self.container.last.as_ref().and_then(|end| end.finished_at);
                let at = started_to_start(self.pod).max(ended);
                let is_due = at.is_none_or(|at| since(self.index.now, at) >= PATIENCE);
                is_due.then(|| {
                    let said = pull_error(self.index, self.pod, message);
                    let words = said.map_or(words, |error| joined(&[reason, error], ", "));
                    self.symptom(FindingKind::ImagePull, &words, None, at)
                })
            }
            "CreateContainerConfigError"
            | "CreateContainerError"
            | "RunContainerError"
            | "PreCreateHookError"
            | "PreStartHookError" => {
                let at = started_to_start(self.pod);
                Some(self.symptom(FindingKind::ConfigError, &words, None, at))
            }
            _ => None,
        }
    }

    fn running(&self, at: Option<Time>) -> Option<Symptom<'a>> {
        // A running init container is at work; a ready container is well, whatever events say of it.
        if self.is_init || self.container.ready || self.pod.phase != "Running" {
            return None;
        }
        if let Some(end) = self.container.last.as_ref().filter(|end| self.loops(end)) {
            return Some(self.crash_loop("running between two crashes", Some(end)));
        }
        let unhealthy = self.index.pod_event(self.pod, |event| event.reason == "Unhealthy");
        let ran_for = at.map(|at| since(self.index.now, at));
        let is_starting = match unhealthy {
            Some(event) if is_probe(event, "Startup") => is_starting(self.index, self.pod),
            Some(event) if is_probe(event, "Liveness") => false,
            _ => ran_for.is_some_and(|time| time < STARTING),
        };
        if is_starting {
            return None;
        }
        let words = unhealthy.map_or_else(
            || "runs and is not ready; no event says why".to_owned(),
            |event| joined(&["runs and is not ready", &event.message], ", "),
        );
        let last = self.container.last.as_ref();
        Some(self.symptom(FindingKind::ProbeFailing, &words, last, not_ready_since(self.pod)))
    }

    /// The restarts are of the pod's whole life: they are of now only when it is young, when it has not been ready for
    /// some minutes, or when the kubelet says that it backs off.
    fn loops(&self, end: &Terminated) -> bool {
        let now = self.index.now;
        // What a node's restart swept away did not crash.
        let is_crash = end.exit_code != 0
            && !matches!(&*end.reason, "Unknown" | "ContainerStatusUnknown")
            && end.finished_at.is_none_or(|at| since(now, at) < LOOP_FORGOTTEN);
        let is_quick = match (end.started_at, end.finished_at) {
            (Some(from), Some(to)) => since(to, from) < LOOP_FORGOTTEN,
            _ => true,
        };
        let is_within = |at: Option<Time>, limit| at.is_none_or(|at| since(now, at) <= limit);
        let is_of_now = || {
            is_within(self.pod.created_at, RECENT)
                || !is_within(not_ready_since(self.pod), PATIENCE)
                || self.index.pod_event(self.pod, |event| event.reason == "BackOff").is_some()
        };
        self.container.restarts >= LOOP_RESTARTS && is_crash && is_quick && is_of_now()
    }

    fn crash_loop(&self, words: &str, end: Option<&Terminated>) -> Symptom<'a> {
        let kind = if self.is_init { FindingKind::InitFailed } else { FindingKind::CrashLoop };
        let end_words = end.map(|end| format!("it {}", ended(end))).unwrap_or_default();
        // A container that its probe or its hook kills crashes without a fault of its own to be found in its log.
        let probe = self.index.pod_event(self.pod, |e| {
            e.reason == "Unhealthy" && (is_probe(e, "Liveness") || is_probe(e, "Startup"))
        });
        let probe = probe.map_or("", |event| event.message.as_str());
        let hook = hook_error(self.index, self.pod).unwrap_or_default();
        let words = joined(&[words, &end_words, probe, &hook], "; ");
        self.symptom(kind, &words, end, not_ready_since(self.pod))
    }

    /// Only the kernel's own word counts: 137 alone is also an eviction or a probe's kill.
    fn out_of_memory(&self) -> Option<Symptom<'a>> {
        let (end, is_over) = match &self.container.state {
            ContainerState::Terminated(end) if end.exit_code == 0 => return None,
            ContainerState::Terminated(end) => (end, false),
            ContainerState::Waiting { .. } | ContainerState::Running { .. } => {
                (self.container.last.as_ref()?, true)
            }
        };
        // Of a pod that failed only one that nothing replaces is still there to be told of.
        let is_over = is_over || (self.pod.phase == "Failed" && self.who.kind != "Pod");
        let is_past =
            is_over && end.finished_at.is_some_and(|at| since(self.index.now, at) > RECENT);
        (end.reason == "OOMKilled" && !is_past).then(|| {
            let now = if self.container.ready { "; it runs again" } else { "" };
            let words = format!("it {}{now}", ended(end));
            self.symptom(FindingKind::OomKilled, &words, Some(end), end.finished_at)
        })
    }

    fn symptom(
        &self,
        kind: FindingKind,
        words: &str,
        end: Option<&Terminated>,
        since: Option<Time>,
    ) -> Symptom<'a> {
        let role = if self.is_init { "init container" } else { "container" };
        Symptom {
            who: self.who,
            kind,
            subject: &self.pod.name,
            pods: vec![&self.pod.name],
            container: Some(&self.container.name),
            words: format!(
                "{}, {role} {}: {}.",
                self.pod.name,
                self.container.name,
                bounded(words, MAX_WORDS).trim_end_matches('.')
            ),
            exit_code: end.map(|end| end.exit_code),
            since,
        }
    }
}

fn is_probe(event: &Event, probe: &str) -> bool {
    event.message.contains(&format!("{probe} probe "))
}
