//! S01, S02 on the real process: killed with SIGKILL again and again under load, mostly while a change is on its way, and
//! started on the same store. Whatever was in flight takes effect once at most, is known to the journal, and ends.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use mape_k::actuators::charter::Prior;
use mape_k::domain::execution::{ActionState, Execution, ExecutionStatus};
use mape_k::executor::undo_key;
use mape_k::knowledge::{self, Knowledge};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::charter::Charter;
use super::daemon::{Daemon, Settings};
use super::stack::STAGING;
use super::{LATER, SPEED};
use crate::support::alertmanager::Alertmanager;
use crate::support::eventually::eventually;
use crate::support::long::short_or_long;

/// Every check, and `make nightly`.
const KILLS: (usize, usize) = (12, 50);
const SEED: u64 = 20_261_122;
/// Rules, each with a cause of its own: five for each remedy, of which an incident tries three times what does not help.
/// So the kills meet every remedy, and do not run out of them.
const CAUSES: usize = 25;
/// How long the way to Charter takes at most, and the way back.
const WAY_MS: u64 = 150;
/// A call's time-out: twice the whole way, so that what has not arrived by then never does.
const TIMEOUT: Duration = Duration::from_millis(4 * WAY_MS);

/// A slow way to Charter: what it has taken in arrives, whether its sender lives or not.
pub(super) struct Way {
    pub url: String,
    /// A change has set out.
    pub sent: Arc<Notify>,
    server: JoinHandle<()>,
}

impl Drop for Way {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[derive(Clone)]
struct Relay {
    to: String,
    http: reqwest::Client,
    sent: Arc<Notify>,
}

impl Way {
    pub async fn to(charter: &Charter) -> Self {
        let sent = Arc::new(Notify::new());
        let relay = Relay { to: charter.url(), http: reqwest::Client::new(), sent: sent.clone() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let app = Router::new().fallback(pass_on).with_state(relay);
        let server = tokio::spawn(async move {
            axum::serve(listener, app).await.expect("the relay serves");
        });
        Self { url, sent, server }
    }
}

async fn pass_on(State(relay): State<Relay>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.expect("a small body");
    let changes = head.method == Method::POST && !head.uri.path().ends_with("/validate");
    // On its own: this handler ends with the connection of a daemon that was killed.
    let way = tokio::spawn(async move {
        let delay = async || {
            if changes {
                let millis = rand::random_range(0..WAY_MS);
                tokio::time::sleep(Duration::from_millis(millis)).await;
            }
        };
        if changes {
            relay.sent.notify_one();
        }
        delay().await;
        let url = format!("{}{}", relay.to, head.uri.path());
        let sent = relay.http.request(head.method, url).headers(head.headers).body(body);
        let answer = sent.send().await.expect("the reference Charter answers");
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body: Bytes = answer.bytes().await.expect("a body");
        delay().await;
        (status, headers, body)
    });
    match way.await {
        Ok(answer) => answer.into_response(),
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}

/// The shipped configuration, everything in it that paces or bounds the loop set so that it acts about once a second.
pub(super) fn settings(charter: &Charter, way: &Way) -> Settings {
    let mut settings = Settings::scraping(&charter.url(), &way.url, SPEED * 8.0);
    let file = &mut settings.file;
    file["monitor"]["metrics"] = (0..CAUSES)
        .map(|n| {
            json!({"name": format!("sick_{n}"), "metric": "westworld_charter_committee_size",
                   "comparison": "gt", "threshold": 0, "severity": "critical", "component": "charter",
                   "cause": format!("cause_{n}")})
        })
        .collect();
    // No restart: nothing at Charter tells whether one took effect, so its ground would wait for a person to the end.
    let remedies = [
        json!({"action": "apply_policy", "policy_set": "baseline"}),
        json!({"action": "throttle_requests", "rate_limit": 900, "duration_seconds": 2}),
        json!({"action": "scale_up"}),
        json!({"action": "rebalance_load", "strategy": "least_loaded"}),
        json!({"action": "scale_down", "replicas": 3}),
    ];
    file["plan"]["strategies"] = (0..CAUSES)
        .map(|n| (format!("cause_{n}"), json!([remedies[n % remedies.len()]])))
        .collect::<serde_json::Map<String, Value>>()
        .into();
    file["plan"]["cost_model"] = json!({"throttle_requests": 0.1, "rebalance_load": 0.12,
        "apply_policy": 0.14, "scale_up": 0.16, "scale_down": 0.18});
    for settle in file["execute"]["settle"].as_object_mut().expect("settle times").values_mut() {
        *settle = json!(0.05);
    }
    file["execute"]["timeout_seconds"] = json!(TIMEOUT.as_secs_f64());
    // One that ended just before a kill is judged so much later.
    file["execute"]["policy_timeout"] = json!(4);
    let guardrails = &mut file["guardrails"];
    guardrails["actions_per_incident"] = json!(100);
    guardrails["failures_per_remedy"] = json!(100);
    guardrails["cooldown"] = json!({"shortest": 0.01, "longest": 0.02, "opposite": 0.01});
    guardrails["budget"] = json!({"per_hour": 1000, "per_target_per_hour": 1000});
    guardrails["breaker"] =
        json!({"degradations": 100, "of": 100, "ineffective": 100, "open_for": 0.1});
    guardrails["storm"]["min_components"] = json!(100);
    settings
}

/// Critical alerts without end, each told again and again, also while nobody listens.
fn alerts(webhook: String) -> JoinHandle<()> {
    tokio::spawn(async move {
        let http = reqwest::Client::new();
        for n in 0_usize.. {
            let rule = format!("sick_{}", n / 3 % CAUSES);
            let alert = json!({"status": "firing", "fingerprint": rule, "annotations": {},
                "labels": {"alertname": "Sick", "severity": "critical", "rule": rule},
                "startsAt": "2026-01-01T00:00:00Z", "endsAt": "0001-01-01T00:00:00Z"});
            let payload = json!({"version": "4", "receiver": "mape-k", "alerts": [alert]});
            // Killed meanwhile, or not there yet: as Alertmanager would, it is sent again.
            http.post(&webhook).json(&payload).send().await.ok();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
}

/// What the journal holds at the moment of a kill.
async fn journal(settings: &Settings) -> Vec<Execution> {
    let path = settings.folder().join("data/knowledge.db");
    let store = knowledge::Settings { sqlite_path: path, ..knowledge::Settings::default() };
    let knowledge = Knowledge::open(&store).await.expect("the store after a kill");
    let executions = knowledge.all::<Execution>(None).await.expect("a readable store");
    knowledge.close().await;
    executions
}

fn is_running(execution: &Execution) -> bool {
    matches!(execution.status, ExecutionStatus::Pending | ExecutionStatus::InProgress)
}

fn in_state(executions: &[Execution], states: &[ActionState]) -> bool {
    executions.iter().flat_map(|e| &e.actions).any(|a| states.contains(&a.state))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s01_s02_kills_under_load_leave_nothing_twice_and_nothing_open() {
    let kills = short_or_long(KILLS.0, KILLS.1);
    let charter = Charter::start().await;
    charter.inject("overload").await;
    let way = Way::to(&charter).await;
    let mut settings = settings(&charter, &way);
    let alertmanager = Alertmanager::start(&settings.webhook, None).await;
    settings.file["alertmanager"]["enabled"] = json!(true);
    settings.file["alertmanager"]["url"] = json!(alertmanager.server.url());
    let load = alerts(settings.webhook.clone());
    let mut daemon = Daemon::start(settings, &STAGING).await;
    let mut random = StdRng::seed_from_u64(SEED);
    let (mut between, mut sent) = (0, 0);
    for kill in 0..kills {
        // Every tenth at any moment; the others at one while a change is on its way, or just after.
        let at_random = kill % 10 == 9;
        let patience = Duration::from_secs(if at_random { 1 } else { 30 });
        let under_way = tokio::time::timeout(patience, way.sent.notified()).await.is_ok();
        let why = if under_way || at_random { None } else { Some(why_not(&daemon).await) };
        assert!(
            why.is_none(),
            "kill {kill}: nothing is sent any more\n{}",
            why.unwrap_or_default()
        );
        tokio::time::sleep(Duration::from_millis(random.random_range(0..3 * WAY_MS))).await;
        daemon.kill();
        let executions = journal(&daemon.settings).await;
        between += usize::from(executions.iter().any(is_running));
        sent += usize::from(in_state(&executions, &[ActionState::Sent]));
        daemon.start_again(&STAGING).await;
    }
    println!(
        "S01 {kills} kills, seed {SEED}: {between} between intent and result, {sent} of them with a call sent"
    );
    assert!(between >= kills / 4, "only {between} kills hit an execution: the test aims badly");
    load.abort();
    // From here on nothing new is begun: what is open has to come to its end by itself.
    daemon.kill();
    daemon.settings.file["plan"]["strategies"] = (0..CAUSES)
        .map(|n| (format!("cause_{n}"), json!([])))
        .collect::<serde_json::Map<_, _>>()
        .into();
    daemon.start_again(&STAGING).await;
    let executions = eventually(LATER, "S01 everything has come to an end", async || {
        let executions = executions(&daemon).await?;
        let open = |e: &&Execution| e.is_open() || is_running(e) || in_force(e);
        match executions.iter().find(open) {
            Some(open) => Err(format!("{open:?}")),
            None => Ok(executions),
        }
    })
    .await;
    each_key_took_effect_once(&charter, &executions).await;
    every_unknown_was_told(&daemon, &executions).await;
}

/// Every verdict on a candidate in the newest cycle, and what people were told.
async fn why_not(daemon: &Daemon) -> String {
    let cycles = daemon.list("cycles").await.unwrap_or_default();
    let verdicts: BTreeSet<String> = cycles
        .first()
        .and_then(|cycle| cycle["candidates"].as_array())
        .into_iter()
        .flatten()
        .map(|candidate| format!("{} {}", candidate["action"], candidate["verdict"]))
        .collect();
    let told = daemon.list("needs?open=true").await.unwrap_or_default();
    let unknown =
        told.iter().filter(|e| e["reason"] == "outcome_unknown").map(|e| e["detail"].to_string());
    format!("{verdicts:#?}\n{:#?}", unknown.collect::<Vec<_>>())
}

fn in_force(execution: &Execution) -> bool {
    let lasting = execution.actions.iter().filter(|a| a.expires_at.is_some());
    lasting.into_iter().any(mape_k::domain::execution::ActionRecord::in_effect)
        && execution.actions.iter().any(|a| a.state != ActionState::Closed)
}

async fn executions(daemon: &Daemon) -> Result<Vec<Execution>, String> {
    let listed = daemon.list("executions").await?;
    assert!(listed.len() < 500, "one page holds them all");
    listed.into_iter().map(|e| serde_json::from_value(e).map_err(|e| e.to_string())).collect()
}

async fn each_key_took_effect_once(charter: &Charter, executions: &[Execution]) {
    let records = || executions.iter().flat_map(|e| &e.actions);
    let forward: BTreeSet<Uuid> = records().map(|a| a.key).collect();
    let backward: BTreeSet<Uuid> = records().map(|a| undo_key(a.key)).collect();
    let mut effects: BTreeMap<Uuid, usize> = BTreeMap::new();
    for call in charter.audit().await {
        let Some(key) = call["key"].as_str() else {
            assert!(call["effect"].is_null(), "a change without a key: {call}");
            continue;
        };
        let key: Uuid = key.parse().expect("a UUID");
        assert!(forward.contains(&key) || backward.contains(&key), "not in the journal: {call}");
        *effects.entry(key).or_default() += usize::from(!call["effect"].is_null());
    }
    println!(
        "S02 {} executions, {} keys sent, {} took effect",
        executions.len(),
        effects.len(),
        effects.values().filter(|n| **n > 0).count()
    );
    let twice: Vec<_> = effects.iter().filter(|(_, n)| **n > 1).collect();
    assert!(twice.is_empty(), "took effect more than once: {twice:?}");
    // And the other way round: what the journal calls refused changed nothing that lasts, what it calls done was there.
    for record in records() {
        let took_effect = effects.get(&record.key).is_some_and(|n| *n > 0);
        let size = Prior::of(record).replicas.is_some();
        let done = matches!(record.state, ActionState::Closed | ActionState::Undone);
        assert!(!done || took_effect || size, "called done, and never took effect: {record:?}");
        let lost = record.state == ActionState::Refused && took_effect;
        assert!(
            !lost || record.action.lasts().is_some(),
            "called lost, and took effect: {record:?}"
        );
    }
}

async fn every_unknown_was_told(daemon: &Daemon, executions: &[Execution]) {
    let told = daemon.list("needs").await.expect("escalations");
    let subjects: BTreeSet<&str> = told
        .iter()
        .filter(|e| e["reason"] == "outcome_unknown")
        .filter_map(|e| e["subject"].as_str())
        .collect();
    let states = [ActionState::Unknown, ActionState::UndoFailed];
    for execution in executions.iter().filter(|e| in_state(std::slice::from_ref(e), &states)) {
        assert!(subjects.contains(execution.id.to_string().as_str()), "nobody told: {execution:?}");
    }
    let named = |e: &&Value| e["subject"].as_str().is_some_and(|s| s.parse::<Uuid>().is_ok());
    let still = told.iter().filter(named).filter(|e| e["closed_at"].is_null()).count();
    println!(
        "S01 {} unknown ends were told, {still} are still a person's",
        told.iter().filter(named).count()
    );
}
