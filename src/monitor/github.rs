//! Deployments: the commits that touch a service's part of the repository, by GitHub's API.
//!
//! What is asked, how often, and what is remembered; the calls are `client`'s. Which commit may be behind an incident
//! is the escalation's business. GitHub down is an error here and no reason not to tell people.

mod client;
pub mod settings;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use self::client::{Client, Listed};
use self::settings::Settings;
use super::Error;
use crate::clock::Clock;
use crate::domain::deployment::Commit;
use crate::domain::reading::{FailureKind, ReadFailure};
use crate::domain::time::Time;
use crate::http::{HttpTransport, network};

/// Of one path: a service that is deployed more often than that in a day has its newest shown.
const MAX_COMMITS: usize = 10;

/// A list is asked for again after this: shorter than the time between a deployment and its first victims.
const LIST_AGE: Duration = Duration::from_secs(5 * 60);

/// Paths remembered: those of the services that are broken now.
const MAX_PATHS: usize = 200;

/// Commits remembered with files and pull request, which never change: ten of twenty services.
const MAX_DETAILS: usize = 200;

/// Calls in a minute, a cycle or two: a path with ten new commits takes 21. Below GitHub's 900 points a minute by far.
const MAX_CALLS: u32 = 60;
const CALLS_IN: Duration = Duration::from_secs(60);

/// While GitHub is away nobody waits for it again for so long.
const PAUSE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct Github {
    client: Client,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    lists: BTreeMap<String, List>,
    details: BTreeMap<String, Details>,
    /// Not called before then, and why.
    held: Option<(Instant, ReadFailure)>,
    minute: Instant,
    calls: u32,
    /// Counts uses, so that the least recent are forgotten.
    uses: u64,
}

#[derive(Debug)]
struct List {
    asked_at: Instant,
    since: Time,
    commits: Vec<Commit>,
}

#[derive(Clone, Debug, Default)]
struct Details {
    files: Vec<String>,
    has_more_files: bool,
    pull_request: Option<(u64, String)>,
    used: u64,
}

impl Github {
    pub fn new(settings: &Settings, clock: Clock) -> Result<Self, Error> {
        Self::with_transport(network(&settings.api_url, settings.http.as_deref())?, settings, clock)
    }

    /// The same by another way than the network.
    pub fn with_transport(
        wire: Arc<dyn HttpTransport>,
        settings: &Settings,
        clock: Clock,
    ) -> Result<Self, Error> {
        let state = State {
            lists: BTreeMap::new(),
            details: BTreeMap::new(),
            held: None,
            minute: Instant::now(),
            calls: 0,
            uses: 0,
        };
        Ok(Self { client: Client::new(wire, settings, clock)?, state: Mutex::new(state) })
    }

    /// The commits since then that touch a path, the newest first, at most ten; with pull request and files where GitHub
    /// could be asked for them.
    pub async fn commits(
        &self,
        path: &str,
        since: Time,
        deadline: Instant,
    ) -> Result<Vec<Commit>, ReadFailure> {
        if let Some(known) = self.known(path, since) {
            return Ok(known);
        }
        self.may_call(path)?;
        let listed = self.client.commits(path, since, MAX_COMMITS, deadline).await;
        let listed = self.noted(listed)?;
        let mut commits = Vec::with_capacity(listed.len());
        for one in listed.into_iter().take(MAX_COMMITS) {
            // Without them it is still a commit with its author; the next list asks for them again.
            let details = match self.details(&one, deadline).await {
                Ok(details) => details,
                Err((details, error)) => {
                    tracing::warn!(%error, sha = one.sha, "a commit is shown without all of its details");
                    details
                }
            };
            commits.push(commit(one, details));
        }
        self.remember(path, since, &commits);
        Ok(commits)
    }

    /// Files and pull request of a commit, or what of them could be had and what stood in the way.
    async fn details(
        &self,
        one: &Listed,
        deadline: Instant,
    ) -> Result<Details, (Details, ReadFailure)> {
        {
            let mut state = self.state();
            let used = state.next_use();
            if let Some(known) = state.details.get_mut(&one.sha) {
                known.used = used;
                return Ok(known.clone());
            }
        }
        let mut details = Details::default();
        let files = async {
            self.may_call(&one.sha)?;
            self.noted(self.client.files(&one.sha, deadline).await)
        };
        match files.await {
            Ok((files, has_more)) => (details.files, details.has_more_files) = (files, has_more),
            Err(error) => return Err((details, error)),
        }
        let pull_request = async {
            self.may_call(&one.sha)?;
            self.noted(self.client.pull_request(&one.sha, deadline).await)
        };
        match pull_request.await {
            Ok(pull_request) => details.pull_request = pull_request,
            Err(error) => return Err((details, error)),
        }
        let mut state = self.state();
        details.used = state.next_use();
        state.details.insert(one.sha.clone(), details.clone());
        while state.details.len() > MAX_DETAILS {
            let least = state.details.iter().min_by_key(|(_, details)| details.used);
            let Some(sha) = least.map(|(sha, _)| sha.clone()) else { break };
            state.details.remove(&sha);
        }
        Ok(details)
    }

    fn known(&self, path: &str, since: Time) -> Option<Vec<Commit>> {
        let state = self.state();
        let list = state.lists.get(path)?;
        let is_fresh = list.asked_at.elapsed() < LIST_AGE && list.since <= since;
        is_fresh.then(|| list.commits.iter().filter(|c| c.at >= since).cloned().collect())
    }

    fn remember(&self, path: &str, since: Time, commits: &[Commit]) {
        let mut state = self.state();
        let list = List { asked_at: Instant::now(), since, commits: commits.to_vec() };
        state.lists.insert(path.to_owned(), list);
        while state.lists.len() > MAX_PATHS {
            let oldest = state.lists.iter().min_by_key(|(_, list)| list.asked_at);
            let Some(path) = oldest.map(|(path, _)| path.clone()) else { break };
            state.lists.remove(&path);
        }
    }

    /// Counts a call that is about to be made, or says why none may be.
    fn may_call(&self, asked: &str) -> Result<(), ReadFailure> {
        let now = Instant::now();
        let mut state = self.state();
        if let Some((_, why)) = state.held.as_ref().filter(|(until, _)| now < *until) {
            return Err(why.clone());
        }
        if now.duration_since(state.minute) >= CALLS_IN {
            (state.minute, state.calls) = (now, 0);
        }
        if state.calls >= MAX_CALLS {
            let what = format!("not asked: {MAX_CALLS} calls in a minute are our own bound");
            return Err(self.client.failure(FailureKind::Server, asked, &what));
        }
        state.calls += 1;
        Ok(())
    }

    /// Takes note of how long GitHub wants to be left alone, or must be.
    fn noted<T>(&self, (result, wait): client::Told<T>) -> Result<T, ReadFailure> {
        let wait = wait.or_else(|| match &result {
            Err(failure) => {
                let away = [FailureKind::Unreachable, FailureKind::Timeout];
                away.contains(&failure.kind).then_some(PAUSE)
            }
            Ok(_) => None,
        });
        if let Some(wait) = wait {
            let why = result.as_ref().err().cloned().unwrap_or_else(|| {
                self.client.failure(
                    FailureKind::Server,
                    "anything",
                    "not asked: its rate limit is used up until it is set anew",
                )
            });
            self.state().held = Some((Instant::now() + wait, why));
        }
        result
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next_use(&mut self) -> u64 {
        self.uses += 1;
        self.uses
    }
}

fn commit(one: Listed, details: Details) -> Commit {
    Commit {
        sha: one.sha,
        author: one.author,
        title: one.title,
        at: one.at,
        pull_request: details.pull_request,
        files: details.files,
        has_more_files: details.has_more_files,
        url: one.url,
    }
}
