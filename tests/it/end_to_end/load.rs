//! A57: a thousand violations in a cycle, and a thousand alerts a second for a minute (ten seconds in every check).

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::daemon::{Daemon, Settings};
use super::target::Target;
use super::{LATER, SPEED};
use crate::fake_charter::FakeCharter;
use crate::support::alertmanager::Alertmanager;
use crate::support::eventually::eventually;
use crate::support::long::short_or_long;

const VIOLATIONS: usize = 1_000;
const BATCH: usize = 100;
/// Every check, and `make nightly`.
const BATCHES: (usize, usize) = (100, 600);

/// Of each batch: told again from the batch before, our own, ignored, and without labels. The rest is new.
const AGAIN: usize = 5;
const OWN: usize = 2;
const IGNORED: usize = 2;
const INVALID: usize = 1;
const NEW: usize = BATCH - AGAIN - OWN - IGNORED - INVALID;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a57_a_thousand_violations_and_a_thousand_alerts_a_second_with_exact_counters() {
    let charter = FakeCharter::start().await;
    let target = Target::start(0.2, 0.5, VIOLATIONS).await;
    let mut settings = Settings::scraping(&target.url, &charter.base, SPEED);
    let alertmanager = Alertmanager::start(&settings.webhook, None).await;
    settings.file["alertmanager"]["enabled"] = json!(true);
    settings.file["alertmanager"]["url"] = json!(alertmanager.server.url());
    let daemon = Daemon::start(settings, &[]).await;
    every_violation_is_seen(&daemon).await;
    every_alert_is_counted(&daemon).await;
    // And the loop is still there.
    daemon.cycles(2).await;
    every_violation_is_seen(&daemon).await;
    assert_eq!(charter.changes(), Vec::<String>::new(), "nobody has approved anything");
}

async fn every_violation_is_seen(daemon: &Daemon) {
    let took = eventually(LATER, "A57 a cycle with a thousand violations", async || {
        let cycles = daemon.list("cycles").await?;
        let newest = cycles.first().ok_or("no cycle has ended yet")?;
        let seen = newest["violations"].as_u64() >= Some(VIOLATIONS as u64);
        // The report is in the store a moment before the loop shows what it found.
        let state = daemon.get("/api/v1/state").await?;
        let shown = state["violations"].as_u64() >= Some(VIOLATIONS as u64);
        if seen && shown { Ok(newest.clone()) } else { Err(newest.to_string()) }
    })
    .await;
    println!("A57 the cycle took {} s: {}", took["duration_seconds"], took["phases"]);
    let mut components = BTreeSet::new();
    let mut after = String::new();
    loop {
        let path = format!("/api/v1/violations?source=scrape&limit=500{after}");
        let page = daemon.get(&path).await.expect("a page");
        for violation in page["items"].as_array().expect("a list") {
            components.insert(violation["component"].as_str().unwrap_or_default().to_owned());
        }
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(components.len(), VIOLATIONS, "each of them once in the API");
}

async fn every_alert_is_counted(daemon: &Daemon) {
    let batches = short_or_long(BATCHES.0, BATCHES.1);
    let mut ticker = interval(Duration::from_millis(100));
    // A batch that came late is no reason to send fewer.
    ticker.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let began = Instant::now();
    let mut slowest = Duration::ZERO;
    for number in 0..batches {
        ticker.tick().await;
        let sent = Instant::now();
        let (status, said) = daemon.webhook(batch(number)).await;
        slowest = slowest.max(sent.elapsed());
        assert_eq!(status, 200, "batch {number}: {said}");
    }
    let took = began.elapsed().as_secs_f64();
    println!(
        "A57 {} alerts in {took:.1} s: {:.0} a second, the slowest batch {:.3} s",
        batches * BATCH,
        (batches * BATCH) as f64 / took,
        slowest.as_secs_f64()
    );
    // The first batch has none before it to repeat: those are new.
    let accepted = batches * NEW + AGAIN;
    for (series, expected) in [
        ("mape_k_alerts_received_total", batches * BATCH),
        ("mape_k_alerts_total{outcome=\"accepted\"}", accepted),
        ("mape_k_alerts_total{outcome=\"duplicate\"}", (batches - 1) * AGAIN),
        ("mape_k_alerts_total{outcome=\"own\"}", batches * OWN),
        ("mape_k_alerts_total{outcome=\"ignored\"}", batches * IGNORED),
        ("mape_k_alerts_total{outcome=\"invalid\"}", batches * INVALID),
    ] {
        assert_eq!(daemon.metric(series).await, Ok(expected as f64), "{series}");
    }
    eventually(LATER, "A57 a cycle has taken in every accepted alert", async || {
        let processed = daemon.metric("mape_k_alerts_processed_total").await;
        if processed == Ok(accepted as f64) { Ok(()) } else { Err(format!("{processed:?}")) }
    })
    .await;
}

fn batch(number: usize) -> Vec<u8> {
    let alert = |name: &str, n: usize, origin: Option<&str>| {
        let mut labels =
            json!({ "alertname": name, "severity": "warning", "instance": format!("i{n:06}") });
        if let Some(origin) = origin {
            labels["origin"] = json!(origin);
        }
        json!({
            "status": "firing", "labels": labels, "annotations": { "summary": "load" },
            "startsAt": "2026-01-01T00:00:00Z", "endsAt": "0001-01-01T00:00:00Z",
        })
    };
    let first = number * NEW;
    let mut alerts: Vec<Value> = (0..NEW).map(|n| alert("Storm", first + n, None)).collect();
    alerts.extend((0..AGAIN).map(|n| match number {
        0 => alert("First", n, None),
        _ => alert("Storm", first - NEW + n, None),
    }));
    alerts.extend((0..OWN).map(|n| alert("Own", first + n, Some("mape-k"))));
    alerts.extend((0..IGNORED).map(|n| alert("Watchdog", first + n, None)));
    alerts.extend((0..INVALID).map(|_| json!({ "status": "firing", "labels": {} })));
    json!({ "version": "4", "receiver": "mape-k", "alerts": alerts }).to_string().into_bytes()
}
