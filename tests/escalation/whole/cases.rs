//! What goes through the whole daemon: restarts, a catalogue that changes, an assessor that hangs, deployments, secrets.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use mape_k::domain::cycle::{CycleReport, CycleStatus};
use mape_k::domain::decision::Sev;
use mape_k::domain::secret::Secret;
use serde_json::json;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::town::{Bad, TOKEN, Town};
use crate::notify::fake_slack::Reply;

#[tokio::test]
async fn b04_an_assessor_that_hangs_or_panics_is_replaced_too() {
    for bad in [Bad::Hangs, Bad::Panics] {
        let mut town = Town::new().await;
        town.loops.config.escalation.timeout = Duration::from_millis(200);
        town.assessor = Some(Arc::new(bad));
        town.deployment("payments", 0, 2, 3);
        let report = town.start().await.cycle().await;
        assert!(report.escalation_decision.expect("a decision").is_fallback);
        assert_eq!(report.status, CycleStatus::Completed, "warned, and gone on with");
        assert_eq!(town.posted().len(), 1);
    }
}

#[tokio::test]
async fn b22_a_tier_that_changes_in_the_file_takes_effect_in_the_next_cycle() {
    let town = Town::new().await;
    town.deployment("mailer", 1, 2, 10);
    let mut running = town.start().await;
    let before = running.cycle().await.escalation_decision.expect("a decision");
    assert_eq!((before.severity, before.should_notify), (Sev::Sev4, false), "P2 and degraded");
    town.catalogue(&json!([{"name": "mailer", "namespace": "shop", "tier": "P0"}]));
    let after = running.cycle().await.escalation_decision.expect("a decision");
    assert_eq!((after.severity, after.should_notify), (Sev::Sev1, true), "P0 for over two minutes");
    town.catalogue(&json!([{"name": "mailer", "namespace": "shop", "tier": "P9"}]));
    running.cycle().await;
    let problem = running.view().people.problem.clone().expect("it is refused, and health says so");
    assert!(problem.contains("tier"), "{problem}");
}

#[tokio::test]
async fn b28_after_a_restart_nothing_is_told_again_and_the_end_goes_into_the_same_thread() {
    let town = Town::new().await;
    town.deployment("payments", 0, 2, 3);
    let mut running = town.start().await;
    let first = running.cycle().await.escalation_decision.expect("a decision");
    assert_eq!(town.posted().len(), 1);
    running.stop().await;

    let mut running = town.start().await;
    let again = running.cycle().await;
    assert_eq!(again.escalation_decision, None, "told before the restart");
    assert!(town.posted().is_empty());
    let known = running.view().people.incidents.clone();
    assert_eq!(vec![known[0].id.clone()], first.incidents);
    let thread = known[0].thread.clone().expect("a thread");

    town.deployment("payments", 2, 2, 0);
    let over = |report: &CycleReport| report.findings.is_empty();
    running.cycle_until("it is over", over).await;
    let told = town.posted();
    assert_eq!(told.len(), 1, "its end");
    assert_eq!(told[0].body["thread_ts"], thread.ts);
    running.stop().await;
}

#[tokio::test]
async fn b28_a_cluster_that_is_no_longer_looked_at_is_not_told_to_be_well() {
    let mut town = Town::new().await;
    town.deployment("payments", 0, 2, 3);
    let mut running = town.start().await;
    running.cycle().await;
    assert_eq!(town.posted().len(), 1);
    running.stop().await;
    town.loops.config.kubernetes.enabled = false;
    let mut running = town.start().await;
    running.cycle().await;
    let told = town.posted();
    let [end] = &told[..] else { panic!("its evidence is gone, once: {told:#?}") };
    let said = format!("{}\n{}", end.text(), end.shown());
    assert!(said.contains("No longer there") && said.contains("That is no recovery"), "{said}");
    assert!(!said.contains("Resolved"), "nobody knows that it is over: {said}");
    assert!(running.view().people.incidents.is_empty());
}

#[tokio::test]
async fn b29_a_commit_fifteen_minutes_before_is_named_and_an_unreachable_github_stops_nothing() {
    let github = MockServer::start().await;
    let sha = "0123456789abcdef0123456789abcdef01234567";
    let at = (Utc::now() - TimeDelta::minutes(25)).to_rfc3339();
    let commit = json!({"sha": sha, "html_url": "https://github.com/acme/shop/commit/0123456789",
        "commit": {"message": "Search: new index\n\nmore", "author": {"name": "Ada", "date": at},
                   "committer": {"name": "Ada", "date": at}},
        "author": {"login": "ada"}});
    let answers = [
        ("/repos/acme/shop/commits", json!([commit])),
        (
            "/repos/acme/shop/commits/0123456789abcdef0123456789abcdef01234567",
            json!({"sha": sha, "files": [{"filename": "deploy/search/values.yaml"}]}),
        ),
        (
            "/repos/acme/shop/commits/0123456789abcdef0123456789abcdef01234567/pulls",
            json!([{"number": 42, "title": "New index", "merged_at": at}]),
        ),
    ];
    for (at, body) in answers {
        let answer = ResponseTemplate::new(200).set_body_json(body);
        Mock::given(method("GET")).and(path(at)).respond_with(answer).mount(&github).await;
    }
    let shown = |url: String| async move {
        let mut town = Town::new().await;
        town.catalogue(&json!([{"name": "search", "namespace": "shop", "tier": "P1",
                                "gitops_paths": ["deploy/search"]}]));
        let config = &mut town.loops.config.github;
        config.enabled = true;
        config.api_url = url.parse().expect("a URL");
        config.owner = Some("acme".to_owned());
        config.repository = Some("shop".to_owned());
        config.window = Duration::from_hours(24);
        town.deployment("search", 0, 2, 10);
        let report = town.start().await.cycle().await;
        let decision = report.escalation_decision.expect("a decision");
        assert_eq!(decision.severity, Sev::Sev2, "P1 down beyond its five minutes");
        let told = town.posted();
        assert_eq!(told.len(), 1, "people are told");
        told[0].shown()
    };
    let named = Box::pin(shown(github.uri())).await;
    for word in ["0123456789", "by ada", "#42", "deploy/search/values.yaml"] {
        assert!(named.contains(word), "{word} in {named}");
    }
    let without = Box::pin(shown("http://127.0.0.1:1".to_owned())).await;
    assert!(!without.contains("0123456789"), "{without}");
}

/// What was logged, as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("no panic")).into_owned()
    }

    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(move || log.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }
}

#[tokio::test]
async fn b31_a_cluster_that_cannot_be_read_is_logged_with_its_cycle_its_phase_and_its_cause() {
    let log = Log::default();
    let _guard = log.listen();
    let mut town = Town::new().await;
    town.api.down();
    let report = town.start().await.cycle().await;
    let text = log.text();
    let line = text.lines().find(|line| line.contains("so nothing is reported as healthy"));
    let line: serde_json::Value = serde_json::from_str(line.expect("it is said")).expect("JSON");
    let fields = &line["fields"];
    assert_eq!(fields["cycle"], report.id);
    assert_eq!(fields["phase"], "k8s-analyzer");
    let error = fields["error"].as_str().expect("a cause");
    assert!(error.contains("refused") && error.contains("127.0.0.1"), "the whole chain: {error}");
}

fn files_under(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries =
        std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    entries
        .flat_map(|entry| {
            let path = entry.path();
            if path.is_dir() { files_under(&path) } else { vec![path] }
        })
        .collect()
}

#[tokio::test]
async fn b26_the_token_appears_in_no_log_no_file_and_no_answer() {
    let log = Log::default();
    let _guard = log.listen();
    let mut town = Town::new().await;
    town.loops.config.github.token = Some(Secret::new("ghp_of-the-test".to_owned()));
    town.deployment("payments", 0, 2, 3);
    // As a proxy that quotes what it was sent.
    town.slack.always(Reply::Quote);
    let mut running = town.start().await;
    let report = running.cycle().await;
    assert!(!report.notification_result.expect("a result").success);
    running.stop().await;
    let files = files_under(town.folder.path());
    assert!(files.iter().any(|file| file.to_string_lossy().contains("backup_")), "{files:?}");
    let mut looked = 0;
    for file in files.iter().filter(|file| !file.ends_with("kubeconfig")) {
        let bytes = std::fs::read(file).expect("a file");
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(TOKEN) && !text.contains("ghp_of"), "{}", file.display());
        looked += 1;
    }
    assert!(looked >= 3, "store, report and backup: {files:?}");
    assert!(!log.text().contains(TOKEN), "the log");
}
