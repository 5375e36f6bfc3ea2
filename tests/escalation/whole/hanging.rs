//! R04: what hangs delays neither the cycles nor what people must hear.

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

#[tokio::test]
async fn r04_a_sev_1_leaves_although_charter_answers_nothing() {
    for (hangs, charter) in [("charter.invalid", true), ("nobody.invalid", false)] {
        let mut town = town(hangs).await;
        if charter {
            town.loops.config.execute.charter_url =
                Some("http://charter.invalid".parse().expect("a URL"));
            town.loops.config.execute.timeout_seconds = Duration::from_secs(60);
        }
        let mut running = town.start().await;
        let began = Instant::now();
        let stop = CancellationToken::new();
        let left = async {
            while town.slack.count() == 0 {
                assert!(began.elapsed() < LEAVES_WITHIN, "it left");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            began.elapsed()
        };
        let (cycle, publisher) = (&mut running.parts.cycle, &running.parts.publisher);
        let mut cycle = Box::pin(once(cycle, publisher, Trigger::Scheduled, &stop));
        let took = tokio::select! {
            took = left => took,
            _ = &mut cycle => {
                assert!(!charter, "the cycle waits for Charter");
                began.elapsed()
            }
        };
        drop(cycle);
        if !charter {
            running.settle().await;
        }
        assert!(!town.posted().is_empty());
        println!("a SEV-1 left {took:?} after its cycle began; Charter hangs: {charter}");
    }
}

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
