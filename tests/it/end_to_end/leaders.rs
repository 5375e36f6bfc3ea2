//! S03 on real processes: two daemons over one PostgreSQL and one Charter. Whatever becomes of the one that leads, there
//! are never two that write, no acknowledged alert is lost, and the other takes over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mape_k::knowledge::{self, Database, Knowledge};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::charter::Charter;
use super::daemon::Daemon;
use super::kills::{Way, settings};
use super::stack::STAGING;
use super::{LATER, SOON};
use crate::support::eventually::eventually;
use crate::support::long::short_or_long;
use crate::support::ports::free_port;
use crate::support::postgres::{address, database};
use crate::support::proxy::Proxy;

/// The shortest there may be, so that a pause is many of them.
const LEASE: Duration = Duration::from_secs(2);
/// Every check, and `make nightly`.
const PAUSE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(45));
/// Two lease times are the promise; the time-out is ten times that.
const TAKEN_OVER: Duration = LEASE.saturating_mul(20);
const ALERT_EVERY: Duration = Duration::from_millis(200);

struct Replica {
    daemon: Daemon,
    to_postgres: Proxy,
    to_charter: Proxy,
    way: Way,
}

impl Replica {
    async fn start(charter: &Charter, url: &str) -> Self {
        let way = Way::to(charter).await;
        let to_charter = Proxy::to(way.url.trim_start_matches("http://").to_owned()).await;
        let (host, name) =
            url.split_once('@').and_then(|(_, rest)| rest.split_once('/')).expect("a URL");
        let to_postgres = Proxy::to(host.to_owned()).await;
        let mut settings = settings(charter, &way);
        let file = &mut settings.file;
        file["execute"]["charter_url"] = json!(format!("http://{}", to_charter.address));
        file["knowledge"]["database"] = json!("postgres");
        file["knowledge"]["postgres_url"] =
            json!(format!("postgres://postgres@{}/{name}", to_postgres.address));
        file["orchestrator"]["leader_lease"] = json!(LEASE.as_secs());
        file["alertmanager"]["enabled"] = json!(true);
        // Its list is not read here: nobody is there.
        file["alertmanager"]["url"] = json!(format!("http://127.0.0.1:{}", free_port()));
        let daemon = Daemon::start(settings, &STAGING).await;
        Self { daemon, to_postgres, to_charter, way }
    }

    async fn leads(&self, within: Duration, what: &str) -> u64 {
        eventually(within, what, async || {
            let state = self.daemon.get("/api/v1/state").await?;
            let epoch = state["leader"]["epoch"].as_u64().filter(|_| state["leading"] == true);
            epoch.ok_or_else(|| state["leader"].to_string())
        })
        .await
    }

    /// It runs cycles.
    async fn goes_on(&self) {
        let cycles = async || {
            let state = self.daemon.get("/api/v1/state").await?;
            state["iteration"].as_u64().ok_or_else(|| state.to_string())
        };
        let before = cycles().await.expect("its state");
        eventually(SOON, "three more cycles", async || match cycles().await? {
            now if now >= before + 3 => Ok(()),
            now => Err(format!("{now} after {before}")),
        })
        .await;
    }

    /// It is of use, and shows that the one with this epoch leads.
    async fn follows(&self, epoch: u64) {
        eventually(SOON, "the other one follows", async || {
            let state = self.daemon.get("/api/v1/state").await?;
            let ready = self.daemon.ask("/ready").await?;
            let leader = &state["leader"];
            let follows = state["leading"] == false && leader["epoch"].as_u64() == Some(epoch);
            if follows && ready.0 == 200 { Ok(()) } else { Err(format!("{leader} {ready:?}")) }
        })
        .await;
    }
}

/// Alerts that somebody was told are kept.
type Acknowledged = Arc<Mutex<BTreeSet<String>>>;

struct Pair {
    charter: Charter,
    url: String,
    /// Leads at first.
    first: Replica,
    second: Replica,
    epoch: u64,
    acknowledged: Acknowledged,
    senders: Vec<JoinHandle<()>>,
}

impl Pair {
    /// Both run, the first one acts, and both are sent alerts from here on.
    async fn start() -> Self {
        let charter = Charter::start().await;
        let url = database().await;
        let first = Replica::start(&charter, &url).await;
        let epoch = first.leads(SOON, "the first one leads").await;
        let second = Replica::start(&charter, &url).await;
        second.follows(epoch).await;
        let acknowledged = Acknowledged::default();
        let senders = [&first, &second]
            .into_iter()
            .enumerate()
            .map(|(n, replica)| {
                tokio::spawn(send(n, replica.daemon.settings.webhook.clone(), acknowledged.clone()))
            })
            .collect();
        let pair = Self { charter, url, first, second, epoch, acknowledged, senders };
        pair.acts(pair.epoch, 3).await;
        pair
    }

    /// So many more changes are made by the one with this epoch.
    async fn acts(&self, epoch: u64, more: usize) {
        let made = async || {
            let changes = changes(&self.charter).await;
            changes.iter().filter(|c| c.epoch == epoch && c.status < 300).count()
        };
        let goal = made().await + more;
        eventually(LATER, &format!("{more} changes with epoch {epoch}"), async || {
            let made = made().await;
            if made >= goal { Ok(()) } else { Err(made) }
        })
        .await;
    }

    /// What must hold however it went.
    async fn ends_well(mut self) {
        for sender in self.senders.drain(..) {
            sender.abort();
        }
        let changes = changes(&self.charter).await;
        let mut highest = 0;
        let mut effects: BTreeMap<&str, usize> = BTreeMap::new();
        let mut by_epoch: BTreeMap<u64, usize> = BTreeMap::new();
        let mut late = 0;
        for change in &changes {
            if change.status >= 300 && change.code == "stale_epoch" {
                late += 1;
                continue;
            }
            assert!(change.epoch >= highest, "{} wrote after {highest}: {change:?}", change.epoch);
            highest = change.epoch;
            *by_epoch.entry(change.epoch).or_default() += 1;
            *effects.entry(&change.key).or_default() += usize::from(change.took_effect);
        }
        let twice: Vec<_> = effects.iter().filter(|(_, n)| **n > 1).collect();
        assert!(twice.is_empty(), "took effect more than once: {twice:?}");
        let settings = knowledge::Settings {
            database: Database::Postgres,
            postgres_url: Some(address(&self.url)),
            ..knowledge::Settings::default()
        };
        let knowledge = Knowledge::open(&settings).await.expect("the store");
        let kept: BTreeSet<String> = knowledge
            .inbox()
            .await
            .expect("the inbox")
            .into_iter()
            .map(|a| a.fingerprint)
            .collect();
        let acknowledged = self.acknowledged.lock().expect("whole").clone();
        let lost: Vec<_> = acknowledged.difference(&kept).collect();
        println!(
            "S03 changes by epoch {by_epoch:?}, {late} refused as late; {} alerts acknowledged, {} kept",
            acknowledged.len(),
            kept.len()
        );
        assert!(acknowledged.len() > 20, "{}", acknowledged.len());
        assert!(lost.is_empty(), "acknowledged and not there: {lost:?}");
    }
}

/// One alert after the other, each of its own; a replica that does not answer in time has acknowledged nothing.
async fn send(replica: usize, webhook: String, acknowledged: Acknowledged) {
    let http =
        reqwest::Client::builder().timeout(Duration::from_secs(3)).build().expect("a client");
    for n in 0.. {
        let fingerprint = format!("kept-{replica}-{n}");
        let severity = if n % 10 == 0 { "critical" } else { "warning" };
        let alert = json!({"status": "firing", "fingerprint": fingerprint, "annotations": {},
            "labels": {"alertname": "Kept", "severity": severity, "n": fingerprint},
            "startsAt": "2026-01-01T00:00:00Z", "endsAt": "0001-01-01T00:00:00Z"});
        let payload = json!({"version": "4", "receiver": "mape-k", "alerts": [alert]});
        let answer = http.post(&webhook).json(&payload).send().await;
        if answer.is_ok_and(|answer| answer.status() == 200) {
            acknowledged.lock().expect("whole").insert(fingerprint);
        }
        tokio::time::sleep(ALERT_EVERY).await;
    }
}

#[derive(Debug)]
struct Change {
    key: String,
    epoch: u64,
    status: u64,
    code: String,
    took_effect: bool,
}

/// Every changing call that reached Charter, in order.
async fn changes(charter: &Charter) -> Vec<Change> {
    let audit = charter.audit().await;
    let changing = audit
        .iter()
        .filter(|call| call["method"] == "POST" && call["path"] != "/api/v1/policies/validate");
    changing
        .map(|call| {
            let text = |key: &str| call[key].as_str().unwrap_or_default().to_owned();
            let epoch = text("epoch").parse();
            Change {
                key: text("key"),
                epoch: epoch.unwrap_or_else(|_| panic!("a change without an epoch: {call}")),
                status: call["status"].as_u64().unwrap_or_default(),
                code: if call["status"] == 409 && call["effect"].is_null() {
                    stale(call)
                } else {
                    String::new()
                },
                took_effect: !call["effect"].is_null(),
            }
        })
        .collect()
}

/// The audit keeps no answers: what is refused with 409 is late, or a rollback of what is over.
fn stale(call: &Value) -> String {
    let rollback = call["path"].as_str().is_some_and(|path| path.ends_with("/rollback"));
    if rollback { String::new() } else { "stale_epoch".to_owned() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s03_a_leader_paused_for_many_leases_in_the_middle_of_acting_writes_nothing_more() {
    let mut pair = Pair::start().await;
    tokio::time::timeout(LATER, pair.first.way.sent.notified()).await.expect("a change sets out");
    pair.first.daemon.process().signal("STOP");
    let began = Instant::now();
    let next = pair.second.leads(TAKEN_OVER, "S03 paused: taken over").await;
    assert!(next > pair.epoch);
    pair.acts(next, 1).await;
    tokio::time::sleep_until(began + short_or_long(PAUSE.0, PAUSE.1)).await;
    pair.first.daemon.process().signal("CONT");
    pair.first.follows(next).await;
    // In so long it may have tried all that it has remedies for; what counts is that it goes on.
    pair.second.goes_on().await;
    pair.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s03_a_leader_killed_in_the_middle_of_acting_is_followed_by_the_other() {
    let mut pair = Pair::start().await;
    tokio::time::timeout(LATER, pair.first.way.sent.notified()).await.expect("a change sets out");
    pair.first.daemon.kill();
    let next = pair.second.leads(TAKEN_OVER, "S03 killed: taken over").await;
    pair.acts(next, 1).await;
    pair.first.daemon.start_again(&STAGING).await;
    pair.first.follows(next).await;
    pair.acts(next, 3).await;
    pair.ends_well().await;
}

/// What it had sent to the database arrives when the way works again: late, and refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s03_a_leader_cut_off_from_the_database_stops_and_follows_when_it_is_back() {
    let pair = Pair::start().await;
    pair.first.to_postgres.cut();
    let next = pair.second.leads(TAKEN_OVER, "S03 cut off from the database: taken over").await;
    eventually(SOON, "the one that is cut off knows that it may not act", async || {
        let (ready, missing) = pair.first.daemon.ask("/ready").await?;
        let metrics = pair.first.daemon.metric("mape_k_leader").await?;
        if ready == 503 && metrics == 0.0 { Ok(()) } else { Err(missing.to_string()) }
    })
    .await;
    pair.acts(next, 3).await;
    pair.first.to_postgres.heal();
    pair.first.follows(next).await;
    pair.acts(next, 3).await;
    pair.ends_well().await;
}

/// Another one would reach it no better as far as anybody knows; it says so, and goes on when Charter answers again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s03_a_leader_cut_off_from_charter_stays_the_leader_says_so_and_does_nothing() {
    let pair = Pair::start().await;
    pair.first.to_charter.cut();
    eventually(SOON, "its health names Charter", async || {
        let health = pair.first.daemon.get("/health").await?;
        let charter = health["components"]["charter"]["status"] == "degraded";
        if health["status"] == "degraded" && charter { Ok(()) } else { Err(health.to_string()) }
    })
    .await;
    eventually(LATER, "people are told that its hands are tied", async || {
        let open = pair.first.daemon.list("needs?open=true").await?;
        let told = open.iter().any(|e| e["reason"] == "hands_tied");
        if told { Ok(()) } else { Err(format!("{} open", open.len())) }
    })
    .await;
    let state = pair.first.daemon.get("/api/v1/state").await.expect("a state");
    assert_eq!(
        (&state["leading"], state["leader"]["epoch"].as_u64()),
        (&json!(true), Some(pair.epoch))
    );
    pair.second.follows(pair.epoch).await;
    pair.first.to_charter.heal();
    pair.acts(pair.epoch, 3).await;
    pair.ends_well().await;
}
