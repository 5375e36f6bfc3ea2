//! The webhook with durable storage: how many alerts a second, and how long a sender waits at half the target. Cycles
//! run beside it and take in what has arrived.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::alerts::{payload, warning};
use super::daemon::Daemon;
use super::upstream::Upstream;
use super::{row, spread};

const BATCH: u64 = 100;

/// Alertmanager sends its groups side by side.
const SENDERS: u64 = 8;

const FOR: Duration = Duration::from_secs(10);

/// Below the 100,000 open alerts that the inbox keeps.
const MOST: u64 = 95_000 / BATCH;

/// 2,500 alerts a second, half of the target.
const PAUSE: Duration = Duration::from_millis(40);

/// One sample every 40 ms: 600.
const PACED: u32 = 600;

/// Often enough that the measured seconds hold several cycles.
const OFTEN: &str = "5";

/// So seldom that they hold none but the first, over an empty inbox.
const SELDOM: &str = "300";

fn batch(number: u64) -> String {
    let alerts: Vec<String> = (number * BATCH..(number + 1) * BATCH).map(warning).collect();
    payload(&alerts)
}

/// How long after `due` the batch was acknowledged.
async fn deliver(daemon: &Daemon, batch: String, due: Instant) -> Duration {
    let url = format!("http://127.0.0.1:{}/webhooks/alerts", daemon.webhook);
    let answer = daemon.http.post(url).body(batch).send().await.expect("an answer");
    assert!(answer.status().is_success(), "{}\n{}", answer.status(), daemon.log());
    answer.bytes().await.expect("its body");
    due.elapsed()
}

pub async fn throughput() {
    let upstream = Upstream::start(0);
    let daemon = Arc::new(Daemon::start(&upstream, OFTEN, "", "").await);
    let next = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let mut senders = JoinSet::new();
    for _ in 0..SENDERS {
        let (daemon, next) = (daemon.clone(), next.clone());
        senders.spawn(async move {
            let mut times = Vec::new();
            while started.elapsed() < FOR {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= MOST {
                    break;
                }
                times.push(deliver(&daemon, batch(number), Instant::now()).await);
            }
            times
        });
    }
    let times: Vec<Duration> = senders.join_all().await.into_iter().flatten().collect();
    let rate = times.len() as f64 * BATCH as f64 / started.elapsed().as_secs_f64();
    row(
        &format!("intake, {SENDERS} senders without a pause, batches of {BATCH}"),
        &format!("{rate:.0} alerts/s; a batch: {}", spread(times)),
    );
    row("RSS after it", &format!("{:.1} MB", daemon.megabytes("VmRSS")));
}

/// Each delivery leaves at its time whether or not the one before is answered, and its wait counts from then.
pub async fn at_half_the_target() {
    paced(OFTEN, "a cycle every 5 s").await;
    paced(SELDOM, "no cycle beside it").await;
}

async fn paced(interval: &str, beside: &str) {
    let upstream = Upstream::start(0);
    let daemon = Arc::new(Daemon::start(&upstream, interval, "", "").await);
    let mut deliveries = JoinSet::new();
    let mut ticks = tokio::time::interval(PAUSE);
    for number in 0..PACED {
        let batch = batch(u64::from(number));
        let due = ticks.tick().await;
        let daemon = daemon.clone();
        deliveries.spawn(async move { deliver(&daemon, batch, due).await });
    }
    let what = format!("intake at 2,500 alerts/s, batches of {BATCH}, {beside}");
    row(&what, &spread(deliveries.join_all().await));
    row("RSS after it", &format!("{:.1} MB", daemon.megabytes("VmRSS")));
}
