//! Commits of a path by GitHub's API: what is asked, what comes of it, how seldom, and what happens when it is down.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use chrono::TimeDelta;
use mape_k::clock::Clock;
use mape_k::domain::reading::FailureKind;
use mape_k::domain::secret::Secret;
use mape_k::monitor::github::Github;
use mape_k::monitor::github::settings::Settings;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::messages::at;
use super::soon;

const TOKEN: &str = "ghp_not-for-anybody";

/// GitHub: answers by path, counts what it is asked.
#[derive(Clone)]
struct FakeGithub {
    url: String,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    asked: Vec<(String, HeaderMap)>,
    answers: BTreeMap<String, Value>,
    /// Answers everything, when there is one.
    refusal: Option<(u16, Vec<(&'static str, String)>)>,
    headers: Vec<(&'static str, String)>,
    hangs: bool,
    /// Paths that end so are answered with a 403 that has nothing to do with limits.
    forbidden: Option<&'static str>,
}

impl FakeGithub {
    /// With one commit of `apps/payments`, a quarter of an hour before [`at`]`(0)`.
    async fn start() -> Self {
        let inner = Arc::new(Mutex::new(Inner::default()));
        let router = Router::new().fallback(answer).with_state(inner.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/api/v3", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let fake = Self { url, inner };
        fake.answers("commits", &json!([commit("1a2b3c4d", -900)]));
        fake.answers(
            "commits/1a2b3c4d",
            &json!({ "files": [
                { "filename": "apps/payments/deploy.yaml", "patch": "@@ -1 +1 @@" },
                { "filename": "apps/payments/values.yaml" },
            ]}),
        );
        fake.answers(
            "commits/1a2b3c4d/pulls",
            &json!([
                { "number": 800, "title": "An attempt", "merged_at": null },
                { "number": 812, "title": "Use the new gateway", "merged_at": at(-900) },
            ]),
        );
        fake
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().expect("no panic")
    }

    fn answers(&self, path: &str, body: &Value) {
        self.inner().answers.insert(format!("/api/v3/repos/acme/gitops/{path}"), body.clone());
    }

    fn refuses(&self, status: u16, headers: Vec<(&'static str, String)>) {
        self.inner().refusal = Some((status, headers));
    }

    fn asked(&self) -> Vec<String> {
        let asked = std::mem::take(&mut self.inner().asked);
        asked.into_iter().map(|(uri, _)| uri).collect()
    }

    fn client(&self) -> Github {
        let settings = Settings {
            enabled: true,
            api_url: self.url.parse().expect("a URL"),
            token: Some(Secret::new(TOKEN.to_owned())),
            owner: Some("acme".to_owned()),
            repository: Some("gitops".to_owned()),
            ..Settings::default()
        };
        Github::new(&settings, Clock::starting_at(at(0))).expect("settings that can ask")
    }
}

async fn answer(State(inner): State<Arc<Mutex<Inner>>>, uri: Uri, headers: HeaderMap) -> Response {
    let (response, hangs) = {
        let mut inner = inner.lock().expect("no panic");
        let quoted = headers.get("authorization").cloned();
        inner.asked.push((uri.to_string(), headers));
        let forbidden = inner.forbidden.is_some_and(|end| uri.path().ends_with(end));
        let mut response = match (&inner.refusal, inner.answers.get(uri.path())) {
            (Some((status, _)), _) => {
                let status = StatusCode::from_u16(*status).expect("a status");
                (status, format!("no, {quoted:?}")).into_response()
            }
            (None, Some(_)) if forbidden => {
                (StatusCode::FORBIDDEN, "Resource not accessible by personal access token")
                    .into_response()
            }
            (None, Some(body)) => axum::Json(body.clone()).into_response(),
            (None, None) => StatusCode::NOT_FOUND.into_response(),
        };
        let refusal = inner.refusal.iter().flat_map(|(_, headers)| headers);
        for (name, value) in refusal.chain(&inner.headers) {
            response.headers_mut().insert(*name, value.parse().expect("a header"));
        }
        (response, inner.hangs)
    };
    if hangs { std::future::pending().await } else { response }
}

fn commit(sha: &str, second: i64) -> Value {
    json!({
        "sha": sha,
        "html_url": format!("https://github.example/acme/gitops/commit/{sha}"),
        "commit": {
            "message": "Use the new gateway\n\nBecause the old one is slow.",
            "author": { "name": "Ada Lovelace", "date": at(second - 86_400) },
            "committer": { "name": "GitHub", "date": at(second) },
        },
        "author": { "login": "ada" },
    })
}

#[tokio::test]
async fn b29_a_commit_has_its_sha_author_pull_request_and_files() {
    let github = FakeGithub::start().await;
    let commits = github.client().commits("apps/payments", at(-86_400), soon()).await;
    let commits = commits.expect("an answer");
    let [commit] = commits.as_slice() else { panic!("one commit was expected: {commits:#?}") };
    assert_eq!((commit.sha.as_str(), commit.author.as_str()), ("1a2b3c4d", "ada"));
    assert_eq!(commit.title, "Use the new gateway");
    assert_eq!(commit.at, at(-900), "when it came into the branch");
    assert_eq!(commit.pull_request, Some((812, "Use the new gateway".to_owned())));
    assert_eq!(commit.files, ["apps/payments/deploy.yaml", "apps/payments/values.yaml"]);
    assert!(commit.url.ends_with("/1a2b3c4d"));
    let headers = github.inner().asked[0].1.clone();
    assert_eq!(headers["authorization"], format!("Bearer {TOKEN}"));
    assert_eq!(headers["accept"], "application/vnd.github+json");
    assert_eq!(headers["x-github-api-version"], "2022-11-28");
    assert!(headers["user-agent"].to_str().expect("text").starts_with("mape-k/"));
    let asked = github.asked();
    assert_eq!(
        asked[0],
        "/api/v3/repos/acme/gitops/commits?path=apps%2Fpayments&since=2026-11-21T02%3A50%3A12Z&per_page=10"
    );
    assert_eq!(asked.len(), 3);
}

#[tokio::test]
async fn b29_of_a_commit_with_very_many_files_the_first_are_known_and_that_there_are_more() {
    let github = FakeGithub::start().await;
    let client = github.client();
    let of = async |count: usize, sha: &str| {
        let files: Vec<Value> =
            (0..count).map(|n| json!({ "filename": format!("a/{n}") })).collect();
        github.answers("commits", &json!([commit(sha, -900)]));
        github.answers(&format!("commits/{sha}"), &json!({ "files": files }));
        let commits = client.commits(sha, at(-86_400), soon()).await.expect("an answer");
        (commits[0].files.len(), commits[0].has_more_files)
    };
    assert_eq!(of(29, "few").await, (29, false));
    assert_eq!(of(300, "many").await, (30, true));
}

#[tokio::test]
async fn b29_a_path_that_nobody_touched_has_no_commits() {
    let github = FakeGithub::start().await;
    github.answers("commits", &json!([]));
    assert_eq!(github.client().commits("apps/web", at(-86_400), soon()).await, Ok(Vec::new()));
}

#[tokio::test]
async fn b29_what_is_known_is_not_asked_again() {
    let github = FakeGithub::start().await;
    let client = github.client();
    for second in 0..5 {
        client.commits("apps/payments", at(second - 86_400), soon()).await.expect("an answer");
    }
    assert_eq!(github.asked().len(), 3);
    // A longer window is another question; the commit itself is known for ever.
    client.commits("apps/payments", at(-90_000), soon()).await.expect("an answer");
    assert_eq!(github.asked().len(), 1);
    // The cached list keeps to the window that is asked for.
    assert_eq!(client.commits("apps/payments", at(-60), soon()).await, Ok(Vec::new()));
    assert!(github.asked().is_empty());
}

#[tokio::test]
async fn b29_without_its_details_a_commit_is_still_one() {
    let github = FakeGithub::start().await;
    github.inner().answers.retain(|path, _| path.ends_with("/commits"));
    let commits = github.client().commits("apps/payments", at(-86_400), soon()).await;
    let commits = commits.expect("an answer");
    assert_eq!(commits[0].sha, "1a2b3c4d");
    assert!(commits[0].pull_request.is_none() && commits[0].files.is_empty());
}

#[tokio::test]
async fn b29_a_right_that_the_token_lacks_costs_only_what_it_is_for() {
    let github = FakeGithub::start().await;
    github.inner().forbidden = Some("/pulls");
    let client = github.client();
    let commits = client.commits("apps/payments", at(-86_400), soon()).await.expect("the list");
    assert_eq!(commits[0].files.len(), 2);
    assert!(commits[0].pull_request.is_none());
    assert!(client.commits("apps/web", at(-86_400), soon()).await.is_ok(), "others are asked on");
}

#[tokio::test]
async fn b29_many_commits_are_bounded_and_so_are_the_calls_of_a_minute() {
    let github = FakeGithub::start().await;
    let many: Vec<Value> = (0..40).map(|n| commit(&format!("sha{n}"), -n)).collect();
    github.answers("commits", &json!(many));
    let client = github.client();
    for path in 0..100 {
        // The last ones are refused by our own bound.
        let _ = client.commits(&format!("apps/{path}"), at(-86_400), soon()).await;
        if let Ok(commits) = client.commits(&format!("apps/{path}"), at(-86_400), soon()).await {
            assert!(commits.len() <= 10);
        }
    }
    let asked = github.asked().len();
    assert!(asked <= 60, "{asked} calls");
}

#[tokio::test]
async fn b29_a_rate_limit_that_is_used_up_means_no_call_until_it_is_set_anew() {
    let github = FakeGithub::start().await;
    let reset = (at(0) + TimeDelta::seconds(1_800)).timestamp().to_string();
    github.inner().headers =
        vec![("x-ratelimit-remaining", "0".to_owned()), ("x-ratelimit-reset", reset)];
    let client = github.client();
    let commits = client.commits("apps/payments", at(-86_400), soon()).await.expect("the list");
    assert!(commits[0].files.is_empty(), "the list was the last that the limit allowed");
    assert_eq!(github.asked().len(), 1);
    let error = client.commits("apps/web", at(-86_400), soon()).await.expect_err("no call");
    assert!(error.text.contains("rate limit"), "{error}");
    assert!(github.asked().is_empty());
}

#[tokio::test]
async fn b29_a_refusal_to_serve_so_many_is_honoured_and_tells_no_secret() {
    for (status, headers) in [
        (429, vec![("retry-after", "60".to_owned())]),
        (403, vec![("x-ratelimit-remaining", "0".to_owned())]),
        (500, Vec::new()),
    ] {
        let github = FakeGithub::start().await;
        github.refuses(status, headers);
        let client = github.client();
        let error = client.commits("apps/payments", at(-86_400), soon()).await.expect_err("no");
        assert_eq!(error.kind, FailureKind::Server);
        assert!(error.text.contains(&status.to_string()), "{error}");
        assert!(error.text.contains("acme/gitops") && !error.text.contains(TOKEN), "{error}");
        assert_eq!(github.asked().len(), 1);
        client.commits("apps/web", at(-86_400), soon()).await.expect_err("still no");
        assert!(github.asked().is_empty());
    }
}

#[tokio::test]
async fn b29_github_down_is_an_error_within_the_time_there_was() {
    let github = FakeGithub::start().await;
    github.inner().hangs = true;
    let began = Instant::now();
    let deadline = began + Duration::from_millis(300);
    let error = github.client().commits("apps/payments", at(-86_400), deadline).await;
    let error = error.expect_err("no answer");
    assert_eq!(error.kind, FailureKind::Timeout);
    assert!(began.elapsed() < Duration::from_secs(3), "ten times the deadline");
    let nobody = FakeGithub { url: "http://127.0.0.1:9".to_owned(), inner: github.inner.clone() };
    let error = nobody.client().commits("apps/payments", at(-86_400), soon()).await;
    assert_eq!(error.expect_err("nobody listens").kind, FailureKind::Unreachable);
}

#[tokio::test]
async fn b29_an_answer_of_somebody_else_is_an_error() {
    let github = FakeGithub::start().await;
    for body in [json!({ "hello": 1 }), json!([{ "sha": "1" }]), json!("text")] {
        github.answers("commits", &body);
        let error = github.client().commits("apps/payments", at(-86_400), soon()).await;
        assert_eq!(error.expect_err("nonsense").kind, FailureKind::Nonsense);
    }
}

#[test]
fn github_without_a_repository_is_refused_with_what_to_give() {
    let error = Github::new(&Settings::default(), Clock::starting_at(at(0))).expect_err("refused");
    assert!(error.to_string().contains("GITHUB_REPO_OWNER"));
}
