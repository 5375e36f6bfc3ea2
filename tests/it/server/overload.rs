//! S12: more alerts than the store can take: 503 in bounded time, never a 200 that is not stored.

use std::collections::BTreeMap;

use mape_k::knowledge::{Knowledge, Settings as KnowledgeSettings};
use reqwest::StatusCode;
use sqlx::Connection;
use tokio::time::Instant;

use super::intake::hold;
use super::{ANSWER_WITHIN, Setup, Surface, from_address, read};
use crate::support::eventually::eventually;
use crate::support::ledger::Ledger;

/// More small requests than the 256 there is room for, fewer than the 512 connections.
const SENDERS: usize = 300;

/// Fewer than the 128 connections that one address may hold.
const OF_ONE: usize = 100;

async fn offer(surface: &Surface, body: Vec<u8>) -> (StatusCode, String) {
    offer_by(&surface.http, surface, body).await
}

async fn offer_by(
    http: &reqwest::Client,
    surface: &Surface,
    body: Vec<u8>,
) -> (StatusCode, String) {
    let request = http.post(surface.url("/webhooks/alerts")).body(body);
    let answer = request.send().await.expect("an answer in bounded time");
    let again = answer.headers().contains_key("retry-after");
    let (status, said) = read(answer).await;
    let said = said["error"].as_str().unwrap_or_default().to_owned();
    match status {
        StatusCode::OK => {}
        StatusCode::SERVICE_UNAVAILABLE => assert!(again, "503 without Retry-After: {said}"),
        status => panic!("{status} {said}"),
    }
    (status, said)
}

#[tokio::test]
async fn s12_more_than_a_slow_store_can_take_is_a_503_and_a_200_is_always_stored() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("knowledge.db");
    let settings = KnowledgeSettings { sqlite_path: path.clone(), ..KnowledgeSettings::default() };
    let knowledge = Knowledge::open(&settings).await.expect("a store");
    let surface = Setup { knowledge, ..Setup::default() }.serve().await;
    let mut ledger = Ledger::default();

    let holder = hold(&path).await;
    let began = Instant::now();
    let machines: Vec<reqwest::Client> = (2..).take(SENDERS / OF_ONE).map(from_address).collect();
    let offers = (0..SENDERS).map(|number| {
        let (_, body) = ledger.payload();
        offer_by(&machines[number / OF_ONE], &surface, body)
    });
    let mut said = BTreeMap::new();
    for (status, text) in futures::future::join_all(offers).await {
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "nothing can be stored");
        *said.entry(text).or_insert(0) += 1;
    }
    println!("{SENDERS} payloads in {:.1} s: {said:#?}", began.elapsed().as_secs_f64());
    let rejected = async |reason: &str| {
        surface.metric(&format!("mape_k_intake_rejections_total{{reason=\"{reason}\"}}")).await
    };
    let (too_much, failed) = (rejected("too_much").await, rejected("store_failed").await);
    assert!(too_much > 0 && failed > 0, "{too_much} {failed}");
    assert_eq!(too_much + failed, SENDERS as u64);

    holder.close().await.expect("let go");
    eventually(ANSWER_WITHIN, "the store takes alerts again", async || {
        let (number, body) = ledger.payload();
        let (status, said) = offer(&surface, body).await;
        if status == StatusCode::OK {
            ledger.acknowledged(number);
            return Ok(());
        }
        Err(said)
    })
    .await;
    // What was refused is sent again, all at once, and finds room.
    for _ in 0..3 {
        let sent: Vec<(usize, Vec<u8>)> = (0..50).map(|_| ledger.payload()).collect();
        let offers =
            sent.into_iter().map(async |(number, body)| (number, offer(&surface, body).await));
        for (number, (status, said)) in futures::future::join_all(offers).await {
            assert_eq!(status, StatusCode::OK, "{said}");
            ledger.acknowledged(number);
        }
    }
    ledger.check(&surface.knowledge).await;
    surface.stop().await;
}
