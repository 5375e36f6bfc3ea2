//! R04: what hangs delays neither the cycles nor what people must hear.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mape_k::control_loop::once;
use mape_k::domain::cycle::Trigger;
use mape_k::http::{Connections, Failure, Http, HttpTransport};
use mape_k::knowledge::{Knowledge, Settings};
use reqwest::{Client, Request, Response, Url};
use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::faulty::{Disk, Faulty};
use super::town::Town;
use crate::notify::fake_slack::{Asked, Reply};
use crate::support::eventually::eventually;

/// The network, in which one server never answers.
#[derive(Debug)]
struct Hanging(Http, &'static str);

#[async_trait]
impl HttpTransport for Hanging {
    fn client(&self) -> &Client {
        self.0.client()
    }

    async fn send(&self, request: Request) -> Result<Response, Failure> {
        if request.url().host_str() == Some(self.1) {
            std::future::pending::<()>().await;
        }
        self.0.send(request).await
    }
}

async fn town(hangs: &'static str) -> Town {
    let mut town = Town::new().await;
    let anywhere = Url::parse("http://localhost").expect("a URL");
    let http = Http::reaching(&anywhere, None, Connections::default()).expect("a client");
    town.wire = Some(Arc::new(Hanging(http, hangs)));
    town.deployment("payments", 0, 2, 3);
    town
}

/// R04 says 5 s.
const LEAVES_WITHIN: Duration = Duration::from_secs(50);

/// The store hangs when the cycle begins: nothing is decided or done, and the SEV-1 leaves all the same.
#[tokio::test]
async fn r04_a_sev_1_leaves_although_the_store_hangs() {
    let town = town("nobody.invalid").await;
    let store = Arc::new(Faulty::default());
    let knowledge = Knowledge::with_store(store.clone(), &Settings::default(), "the test's");
    let mut running = town.start_on(knowledge).await;
    store.be(Disk::Hangs);
    let began = Instant::now();
    let stop = CancellationToken::new();
    let left = async {
        while town.slack.count() == 0 {
            assert!(began.elapsed() < LEAVES_WITHIN * 3, "it left");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let (cycle, publisher) = (&mut running.parts.cycle, &running.parts.publisher);
    let mut cycle = Box::pin(once(cycle, publisher, Trigger::Scheduled, &stop));
    tokio::select! {
        () = left => {}
        report = &mut cycle => {
            let error = report.expect("no panic").error.expect("it says why");
            assert!(error.contains("no answer within"), "{error}");
        }
    }
    drop(cycle);
    let posted: Vec<String> = town.posted().iter().map(Asked::shown).collect();
    assert!(posted.iter().any(|text| text.contains("payments")), "{posted:#?}");
    println!("a SEV-1 left {:?} after its cycle began; the store hangs", began.elapsed());
}

/// And so does one that begins while it hangs: the cycles go on.
#[tokio::test]
async fn r04_a_second_sev_1_leaves_although_the_store_still_hangs() {
    let town = town("nobody.invalid").await;
    town.catalogue(&json!([{"name": "payments", "namespace": "shop", "tier": "P0"},
                           {"name": "search", "namespace": "shop", "tier": "P0"}]));
    let store = Arc::new(Faulty::default());
    let knowledge = Knowledge::with_store(store.clone(), &Settings::default(), "the test's");
    let mut running = town.start_on(knowledge).await;
    store.be(Disk::Hangs);
    let stop = CancellationToken::new();
    let began = Instant::now();
    for service in ["payments", "search"] {
        town.deployment(service, 0, 2, 3);
        let is_named = |asked: &Asked| asked.shown().contains(service);
        while !town.posted().iter().any(is_named) {
            assert!(began.elapsed() < LEAVES_WITHIN * 6, "{service} left");
            let (cycle, publisher) = (&mut running.parts.cycle, &running.parts.publisher);
            let cycle = once(cycle, publisher, Trigger::Scheduled, &stop);
            let report = tokio::time::timeout(LEAVES_WITHIN * 3, cycle).await;
            let report = report.expect("the cycle ends").expect("no panic");
            println!("a cycle took {:.1} s", report.duration_seconds);
        }
        println!("{service} left {:?} after the store began to hang", began.elapsed());
    }
}

#[tokio::test]
async fn r04_cycles_do_not_wait_for_a_slack_or_a_github_that_hangs() {
    let mut town = town("github.invalid").await;
    town.catalogue(&json!([{"name": "payments", "namespace": "shop", "tier": "P0",
                            "gitops_paths": ["deploy/payments"]}]));
    let github = &mut town.loops.config.github;
    github.enabled = true;
    github.api_url = "http://github.invalid".parse().expect("a URL");
    (github.owner, github.repository) = (Some("acme".to_owned()), Some("shop".to_owned()));
    town.slack.always(Reply::Never);
    let mut running = town.start().await;
    let stop = CancellationToken::new();
    let began = Instant::now();
    for _ in 0..3 {
        let (cycle, publisher) = (&mut running.parts.cycle, &running.parts.publisher);
        let report = once(cycle, publisher, Trigger::Scheduled, &stop).await.expect("a cycle");
        assert!(report.notification_result.is_none_or(|result| result.pending));
    }
    println!("three cycles took {:?}, and both hang", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(300), "ten times their interval");
    // It is in the outbox, whatever becomes of this process.
    running.stop().await;
    town.slack.always(Reply::Fine);
    town.slack.asked();
    let mut running = town.start().await;
    running.later(61).await;
    assert_eq!(town.posted().len(), 1);
}

/// Files whose readers wait until the test ends: a disk that hangs.
struct Pipes(Vec<PathBuf>);

impl Pipes {
    fn make(paths: &[PathBuf]) -> Self {
        for path in paths {
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            let made = std::process::Command::new("mkfifo").arg(path).status().expect("mkfifo");
            assert!(made.success());
        }
        Self(paths.to_vec())
    }
}

impl Drop for Pipes {
    fn drop(&mut self) {
        for path in &self.0 {
            // A reader that waits goes on when somebody writes; without one this fails at once.
            let mut options = std::fs::OpenOptions::new();
            let _ = options.write(true).custom_flags(O_NONBLOCK).open(path);
        }
    }
}

const O_NONBLOCK: i32 = 0o4000;

#[tokio::test]
async fn r04_a_disk_of_reports_that_hangs_delays_neither_telling_nor_healing() {
    let town = Town::new().await;
    town.loops.latency(1.5);
    town.deployment("payments", 0, 2, 3);
    let pipes = Pipes::make(&[
        town.logs().join("cycle_20260101_000000.json"),
        town.logs().join("incidents/backup_20260101_000000_SEV-1.json"),
    ]);
    let stop = CancellationToken::new();
    let began = Instant::now();
    let mut running = town.start().await;
    let (mut is_told, mut is_healed) = (false, false);
    while !(is_told && is_healed) {
        let (cycle, publisher) = (&mut running.parts.cycle, &running.parts.publisher);
        let report = once(cycle, publisher, Trigger::Scheduled, &stop).await.expect("a cycle");
        is_healed |= report.execution_id.is_some();
        is_told |= town.posted().iter().any(|told| told.shown().contains("payments"));
        assert!(began.elapsed() < Duration::from_secs(300), "told: {is_told}, healed: {is_healed}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("told and healed within {:?}, and the disk hangs", began.elapsed());
    assert_eq!(town.loops.changes().len(), 1);
    // Slack refuses what comes next: it waits in the outbox, with no file.
    town.slack.always(Reply::Status(500, "away"));
    town.deployment("search", 0, 2, 30);
    eventually(Duration::from_secs(60), "the disk is said to hang", async || {
        let (cycle, publisher) = (&mut running.parts.cycle, &running.parts.publisher);
        let report = once(cycle, publisher, Trigger::Scheduled, &stop).await.expect("a cycle");
        assert!(report.duration_seconds < 20.0, "ten times what a slow cycle takes");
        let problem = running.view().people.problem.clone();
        problem.filter(|text| text.contains("reports_dir")).ok_or("not yet")
    })
    .await;
    assert!(town.files("").is_empty() || town.files("") == ["cycle_20260101_000000.json"]);
    drop(pipes);
    running.stop().await;
}
