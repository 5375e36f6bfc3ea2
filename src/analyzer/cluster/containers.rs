//! Containers of a pod that is to run: what they wait for, how they end, whether their probes pass.

use super::index::{Index, not_ready_since};
use super::pods::started_to_start;
use super::symptom::{Symptom, Who};
use super::{PATIENCE, RECENT, STARTING, bounded};
use crate::domain::cluster::{Container, ContainerState, Event, Pod, Terminated};
use crate::domain::finding::FindingKind;
use crate::domain::time::{Time, since};

/// From so many restarts on, a container that runs without being ready is between two crashes of a loop.
const LOOP_RESTARTS: u32 = 3;

/// After running for so long the kubelet forgets the crashes before (it resets the back-off).
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
    // Once the pod is initialized, what still runs among its init containers is a sidecar, a container as any other.
    let is_initialized =
        pod.conditions.iter().any(|c| c.name == "Initialized" && c.status == Some(true));
    let init = pod.init_containers.iter().map(|container| (container, !is_initialized));
    for (container, is_init) in init.chain(pod.containers.iter().map(|c| (c, false))) {
        let look = Look { index, who, pod, container, is_init };
        symptoms.extend(look.state());
        symptoms.extend(look.out_of_memory());
    }
}

/// A pod that failed and will not be restarted: only how it ended can be told.
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

impl<'a> Look<'_, 'a> {
    fn state(&self) -> Option<Symptom<'a>> {
        match &self.container.state {
            ContainerState::Waiting { reason, message } => self.waiting(reason, message),
            ContainerState::Terminated(end) if end.exit_code == 0 => None,
            ContainerState::Terminated(end) if self.is_init => Some(self.symptom(
                FindingKind::InitFailed,
                &Self::ended(end),
                Some(end),
                end.finished_at,
            )),
            // A first crash is restarted at once; a container that stays down loops or is the job's matter.
            ContainerState::Terminated(end) => {
                self.loops(end).then(|| self.crash_loop("between two restarts", Some(end)))
            }
            ContainerState::Running { since: at } => self.running(*at),
        }
    }

    fn waiting(&self, reason: &str, message: &str) -> Option<Symptom<'a>> {
        let words = format!("{reason}, {message}");
        match reason {
            "CrashLoopBackOff" => Some(self.crash_loop(&words, self.container.last.as_ref())),
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
                is_due.then(|| self.symptom(FindingKind::ImagePull, &words, None, at))
            }
            "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
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
            // The kubelet restarts it when the probe's allowance is used up; until then it may take its time.
            Some(event) if is_probe(event, "Startup") => {
                self.container.restarts == 0 && ran_for.is_some_and(|time| time < LOOP_FORGOTTEN)
            }
            Some(event) if is_probe(event, "Liveness") => false,
            _ => ran_for.is_some_and(|time| time < STARTING),
        };
        if is_starting {
            return None;
        }
        let words = unhealthy.map_or_else(
            || "runs and is not ready; no event says why".to_owned(),
            |event| format!("runs and is not ready, {}", event.message),
        );
        let last = self.container.last.as_ref();
        Some(self.symptom(FindingKind::ProbeFailing, &words, last, not_ready_since(self.pod)))
    }

    fn loops(&self, end: &Terminated) -> bool {
        let is_recent = end.finished_at.is_none_or(|at| since(self.index.now, at) < LOOP_FORGOTTEN);
        self.container.restarts >= LOOP_RESTARTS && end.exit_code != 0 && is_recent
    }

    fn crash_loop(&self, words: &str, end: Option<&Terminated>) -> Symptom<'a> {
        let kind = if self.is_init { FindingKind::InitFailed } else { FindingKind::CrashLoop };
        let mut words = words.to_owned();
        if let Some(end) = end {
            words = format!("{words}; {}", Self::ended(end));
        }
        // A container that its probe kills crashes without a fault of its own to be found in its log.
        if let Some(event) = self.index.pod_event(self.pod, |e| {
            e.reason == "Unhealthy" && (is_probe(e, "Liveness") || is_probe(e, "Startup"))
        }) {
            words = format!("{words}; {}", event.message);
        }
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
            let words = format!("{}{now}", Self::ended(end));
            self.symptom(FindingKind::OomKilled, &words, Some(end), end.finished_at)
        })
    }

    /// Without number and time, which change with every restart while nothing else does.
    fn ended(end: &Terminated) -> String {
        let message =
            if end.message.is_empty() { String::new() } else { format!(": {}", end.message) };
        format!("it ended with exit code {} ({}){message}", end.exit_code, end.reason)
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
