//! Writes the reports of cycles to files. The store has them all: a disk that hangs loses files, never a cycle's time.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Background;
use crate::domain::cycle::CycleReport;

/// Reports that may wait for the disk: ten minutes of cycles. Beyond it the newest stay.
const MAX_QUEUED: usize = 20;

/// A disk that takes longer is said to hang.
const SLOW: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(in crate::cycle) struct Files {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<CycleReport>,
    is_writing: bool,
    problem: Option<String>,
    /// Since the last that was written.
    dropped: usize,
}

impl Files {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// In the place of an earlier one of the same cycle that waits.
    pub fn put(&self, report: CycleReport) {
        let mut state = self.state();
        state.queue.retain(|waiting| waiting.id != report.id);
        state.queue.push_back(report);
        while state.queue.len() > MAX_QUEUED {
            state.queue.pop_front();
            state.dropped += 1;
        }
        drop(state);
        self.changed.notify_one();
    }

    pub fn problem(&self) -> Option<String> {
        self.state().problem.clone()
    }

    pub fn is_idle(&self) -> bool {
        let state = self.state();
        state.queue.is_empty() && !state.is_writing
    }

    fn next(&self) -> Option<CycleReport> {
        let mut state = self.state();
        let next = state.queue.pop_front();
        state.is_writing = next.is_some();
        next
    }

    fn note(&self, problem: Option<String>) {
        let mut state = self.state();
        if let Some(problem) = problem.as_ref().filter(|now| state.problem.as_ref() != Some(now)) {
            tracing::warn!(problem, "the cycle's report was stored but not written to its file");
        }
        if problem.is_none() && state.dropped > 0 {
            let dropped = std::mem::take(&mut state.dropped);
            tracing::warn!(
                dropped,
                "the disk did not answer in time: these reports were stored but not written to files"
            );
        }
        state.problem = problem;
    }
}

impl Background {
    /// Until `over`, and then what is queued.
    pub(super) async fn write(&self, over: &CancellationToken) {
        let queue = &self.desk.files;
        loop {
            let Some(report) = queue.next() else {
                if over.is_cancelled() {
                    return;
                }
                tokio::select! {
                    () = queue.changed.notified() => {}
                    () = over.cancelled() => {}
                }
                continue;
            };
            let gear = self.desk.gear();
            let Some(files) = &gear.files else {
                queue.note(None);
                continue;
            };
            let mut files = files.lock().await;
            let mut writing = pin!(files.write(&report));
            let written = tokio::select! {
                biased;
                written = &mut writing => written,
                () = sleep(SLOW) => {
                    queue.note(Some(format!(
                        "the folder of reports did not take one within {} s (escalation.reports_dir)",
                        SLOW.as_secs()
                    )));
                    writing.await
                }
            };
            queue.note(written.err().map(|error| error.to_string()));
        }
    }
}
