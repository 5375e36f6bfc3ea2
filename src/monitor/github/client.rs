//! GitHub's REST API: three calls, their bounds, and the texts of their failures.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, HeaderMap, HeaderName, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};

use super::settings::Settings;
use crate::clock::Clock;
use crate::domain::reading::{FailureKind, ReadFailure};
use crate::domain::time::{self, Time};
use crate::http::{self, Access, Answer, Endpoint, HttpTransport};
use crate::monitor::Error;
use crate::monitor::http::shorten;

/// A commit comes with its files' patches, which GitHub cuts at 1 MB; thirty of them are hardly ever large.
const MAX_ANSWER: usize = 4 << 20;

/// Files of a commit that people are shown a part of.
const MAX_FILES: usize = 30;

/// GitHub's limits are set anew every hour.
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);

/// What a refusal asks for when it names no time (GitHub: at least a minute), and how long trouble of its own is left
/// alone.
const DEFAULT_WAIT: Duration = Duration::from_secs(60);

const API_VERSION: HeaderName = HeaderName::from_static("x-github-api-version");

/// An answer, and how long GitHub wants to be left alone.
pub(super) type Told<T> = (Result<T, ReadFailure>, Option<Duration>);

pub(super) struct Client {
    endpoint: Endpoint,
    owner: String,
    repository: String,
    clock: Clock,
}

/// Not its address, which may hold a password.
impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GitHub at {}", self.endpoint.address())
    }
}

/// A commit as the list has it.
pub(super) struct Listed {
    pub sha: String,
    pub author: String,
    pub title: String,
    pub at: Time,
    pub url: String,
}

#[derive(Deserialize)]
struct ListedJson {
    sha: String,
    html_url: String,
    commit: CommitJson,
    /// The account, where the address belongs to one.
    author: Option<Account>,
}

#[derive(Deserialize)]
struct CommitJson {
    message: String,
    author: Option<Signature>,
    committer: Option<Signature>,
}

#[derive(Deserialize)]
struct Signature {
    name: String,
    date: Time,
}

#[derive(Deserialize)]
struct Account {
    login: Option<String>,
}

#[derive(Deserialize)]
struct CommitFiles {
    #[serde(default)]
    files: Vec<FileJson>,
}

#[derive(Deserialize)]
struct FileJson {
    filename: String,
}

#[derive(Deserialize)]
struct PullJson {
    number: u64,
    title: String,
    merged_at: Option<Time>,
}

impl Client {
    pub fn new(
        wire: Arc<dyn HttpTransport>,
        settings: &Settings,
        clock: Clock,
    ) -> Result<Self, Error> {
        let (Some(owner), Some(repository)) = (&settings.owner, &settings.repository) else {
            return Err(Error::NoRepository);
        };
        let access = Access {
            section: "github",
            http: settings.http.as_deref(),
            token: settings.token.as_ref(),
        };
        let endpoint = Endpoint::new(wire, settings.api_url.clone(), access);
        if !endpoint.has_sendable_token() {
            return Err(Error::Token);
        }
        let (owner, repository) = (owner.clone(), repository.clone());
        Ok(Self { endpoint, owner, repository, clock })
    }

    pub async fn commits(
        &self,
        path: &str,
        since: Time,
        count: usize,
        deadline: Instant,
    ) -> Told<Vec<Listed>> {
        let since = time::text(since);
        let count = count.to_string();
        let pairs = [("path", path), ("since", since.as_str()), ("per_page", count.as_str())];
        let asked = format!("commits of {path}");
        let (answer, wait) =
            self.ask::<Vec<ListedJson>>(&["commits"], &pairs, &asked, deadline).await;
        let commits = answer.and_then(|commits| {
            let undated = || self.failure(FailureKind::Nonsense, &asked, "a commit has no date");
            commits.into_iter().map(|one| listed(one).ok_or_else(undated)).collect()
        });
        (commits, wait)
    }

    /// The files that a commit changed, the first of them, and whether there may be more.
    pub async fn files(&self, sha: &str, deadline: Instant) -> Told<(Vec<String>, bool)> {
        let asked = format!("commit {sha}");
        // Files come in pages, with their patches.
        let count = MAX_FILES.to_string();
        let pairs = [("per_page", count.as_str())];
        let (answer, wait) =
            self.ask::<CommitFiles>(&["commits", sha], &pairs, &asked, deadline).await;
        let files = answer.map(|commit| {
            // A full page says nothing of the next.
            let has_more = commit.files.len() >= MAX_FILES;
            let files = commit.files.into_iter().take(MAX_FILES);
            (files.map(|file| shorten(&file.filename)).collect(), has_more)
        });
        (files, wait)
    }

    /// The pull request that brought a commit: the merged one, where there are several.
    pub async fn pull_request(&self, sha: &str, deadline: Instant) -> Told<Option<(u64, String)>> {
        let asked = format!("pull requests of {sha}");
        let path = ["commits", sha, "pulls"];
        let (answer, wait) = self.ask::<Vec<PullJson>>(&path, &[], &asked, deadline).await;
        let pull = answer.map(|pulls| {
            let merged = pulls.iter().find(|pull| pull.merged_at.is_some());
            merged.or(pulls.first()).map(|pull| (pull.number, shorten(&pull.title)))
        });
        (pull, wait)
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        path: &[&str],
        pairs: &[(&str, &str)],
        asked: &str,
        deadline: Instant,
    ) -> Told<T> {
        let left = deadline.saturating_duration_since(Instant::now());
        let request = self.request(path, pairs).timeout(left);
        let exchange = self.endpoint.exchange(request, MAX_ANSWER);
        let answer = match timeout_at(deadline, exchange).await {
            Err(_) | Ok(Err(http::Failure::TimedOut)) => {
                let what = "no whole answer in the time there was";
                return (Err(self.failure(FailureKind::Timeout, asked, what)), None);
            }
            Ok(Err(http::Failure::NotSent(why) | http::Failure::Broken(why))) => {
                return (Err(self.failure(FailureKind::Unreachable, asked, &why)), None);
            }
            Ok(Ok(answer)) => answer,
        };
        let wait = self.wait(&answer);
        if !answer.status.is_success() {
            // Before anything is cut: half a secret would not be found any more.
            let said = self.endpoint.hide(String::from_utf8_lossy(&answer.body).into_owned());
            let what = format!("{}: {}", answer.status, shorten(&said));
            return (Err(self.failure(FailureKind::Server, asked, &what)), wait);
        }
        let decoded = serde_json::from_slice(&answer.body).map_err(|error| {
            let what = format!("the answer is not that of GitHub's API: {error}");
            self.failure(FailureKind::Nonsense, asked, &what)
        });
        (decoded, wait)
    }

    fn request(&self, path: &[&str], pairs: &[(&str, &str)]) -> RequestBuilder {
        let own = ["repos", &self.owner, &self.repository];
        let mut url = self.endpoint.below(own.iter().chain(path).copied());
        if !pairs.is_empty() {
            url.query_pairs_mut().extend_pairs(pairs);
        }
        self.endpoint
            .request(Method::GET, url)
            .header(ACCEPT, "application/vnd.github+json")
            .header(API_VERSION, "2022-11-28")
    }

    /// How long no call may be made: what a refusal asks for, or until the limit is set anew when it is used up. A 403
    /// that says nothing of limits is a right that the token lacks, and concerns this call alone.
    fn wait(&self, answer: &Answer) -> Option<Duration> {
        let retry_after = number(&answer.headers, RETRY_AFTER.as_str()).map(Duration::from_secs);
        let used_up = number(&answer.headers, "x-ratelimit-remaining") == Some(0);
        let until_reset = number(&answer.headers, "x-ratelimit-reset").map(|reset| {
            let now = u64::try_from(self.clock.now().timestamp()).unwrap_or(0);
            // It is given in whole seconds.
            Duration::from_secs(reset.saturating_sub(now) + 1)
        });
        let is_limit = || String::from_utf8_lossy(&answer.body).contains("rate limit");
        let pauses = match answer.status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::UNAUTHORIZED => true,
            StatusCode::FORBIDDEN => is_limit(),
            status => status.is_server_error(),
        };
        let wait = if answer.status.is_success() {
            until_reset.filter(|_| used_up)
        } else {
            let named = retry_after.or(until_reset.filter(|_| used_up));
            named.or((pauses || used_up).then_some(DEFAULT_WAIT))
        };
        wait.map(|wait| wait.min(LONGEST_WAIT))
    }

    pub fn failure(&self, kind: FailureKind, asked: &str, what: &str) -> ReadFailure {
        let advice = match kind {
            FailureKind::Unreachable | FailureKind::Timeout => {
                "Check that github.api_url can be reached from here"
            }
            FailureKind::Nonsense => "Check that github.api_url is GitHub's API",
            _ => {
                "Check what it says, github.owner, github.repository, and whether github.token may read contents and \
                 pull requests"
            }
        };
        let text = format!(
            "GitHub at {}, asked for {} of {}/{}: {what}. {advice}; alerts go without deployments",
            self.endpoint.address(),
            shorten(asked),
            self.owner,
            self.repository
        );
        ReadFailure { kind, text: self.endpoint.hide(text) }
    }
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// `None`: it has no date, and nothing can be said of its time.
fn listed(one: ListedJson) -> Option<Listed> {
    let account = one.author.and_then(|account| account.login);
    let CommitJson { message, author, committer } = one.commit;
    let name = account.or_else(|| author.as_ref().map(|author| author.name.clone()));
    // When it came into the branch; a rebased commit's own date may be weeks old.
    let at = committer.or(author)?.date;
    Some(Listed {
        sha: one.sha,
        author: shorten(&name.unwrap_or_else(|| "unknown".to_owned())),
        title: shorten(message.lines().next().unwrap_or_default()),
        at,
        url: one.html_url,
    })
}
