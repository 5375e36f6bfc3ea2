//! Looks for the deployments that may be behind new incidents. GitHub down, or slow, only means that none is named yet.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use chrono::TimeDelta;
use futures::FutureExt as _;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::Background;
use crate::domain::deployment::Suspect;
use crate::domain::time::Time;
use crate::incidents::correlation;
use crate::incidents::tracker::Onset;
use crate::monitor::github::Github;

/// For all commits of all services that broke; an answer that comes later than the cycle waits is taken in by a later one.
const COMMITS_WITHIN: Duration = Duration::from_secs(60);

/// An alert waits no longer for its explanation.
const ALERT_WAITS: Duration = Duration::from_secs(2);

/// What is asked, and what was found: one slot each, the newest question in it.
#[derive(Debug, Default)]
pub(in crate::cycle) struct Questions {
    asked: watch::Sender<(u64, Vec<Onset>)>,
    answered: watch::Sender<(u64, Vec<(String, Suspect)>)>,
}

impl Questions {
    /// Asks for what is behind these; waits shortly for the answer if some of them were never asked for.
    pub async fn ask(&self, onsets: Vec<Onset>) {
        let before: BTreeSet<String> =
            self.asked.borrow().1.iter().map(|onset| onset.incident.clone()).collect();
        let is_new = onsets.iter().any(|onset| !before.contains(&onset.incident));
        let mut number = 0;
        self.asked.send_modify(|asked| {
            *asked = (asked.0 + 1, onsets);
            number = asked.0;
        });
        if is_new {
            let mut answers = self.answered.subscribe();
            let answer = answers.wait_for(|(answered, _)| *answered >= number);
            // What comes later is taken in later.
            let _ = timeout(ALERT_WAITS, answer).await;
        }
    }

    /// What was found since it was last asked.
    pub fn take(&self) -> Vec<(String, Suspect)> {
        let mut found = Vec::new();
        self.answered.send_if_modified(|answered| {
            found = std::mem::take(&mut answered.1);
            false
        });
        found
    }
}

impl Background {
    pub(super) async fn explain(&self, over: &CancellationToken) {
        let questions = &self.desk.questions;
        let mut asked = questions.asked.subscribe();
        while let Some(Ok(())) = over.run_until_cancelled(asked.changed()).await {
            let (number, onsets) = asked.borrow_and_update().clone();
            let gear = self.desk.gear();
            let Some((github, window)) = &gear.github else { continue };
            let found = AssertUnwindSafe(suspects(github, *window, &onsets)).catch_unwind();
            let Some(found) = over.run_until_cancelled(found).await else { return };
            let found = found.unwrap_or_else(|_| {
                tracing::error!("looking for deployments panicked, which is a defect: messages name no suspected deployment");
                Vec::new()
            });
            questions.answered.send_modify(|answered| {
                answered.0 = number;
                // One for each open incident at the most.
                answered.1.retain(|(incident, _)| found.iter().all(|(new, _)| new != incident));
                answered.1.extend(found);
            });
        }
    }
}

async fn suspects(github: &Github, window: Duration, onsets: &[Onset]) -> Vec<(String, Suspect)> {
    let deadline = Instant::now() + COMMITS_WITHIN;
    let (mut found, mut failed) = (Vec::new(), None);
    for onset in onsets {
        let since: Time = onset.since - TimeDelta::from_std(window).unwrap_or(TimeDelta::MAX);
        let mut commits = Vec::new();
        for path in &onset.service.gitops_paths {
            match github.commits(path, since, deadline).await {
                Ok(more) => commits.extend(more),
                Err(error) => failed = Some(error.text),
            }
        }
        let suspect = correlation::best_suspect(&onset.service, onset.since, &commits);
        found.extend(suspect.map(|suspect| (onset.incident.clone(), suspect)));
    }
    if let Some(error) = failed {
        tracing::warn!(
            error,
            "deployments could not be read: messages name no suspected deployment"
        );
    }
    found
}
