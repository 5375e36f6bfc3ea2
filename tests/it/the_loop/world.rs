//! One daemon with everything around it, and the words in which these tests speak about it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mape_k::actuators::charter::Call;
use mape_k::clock::Clock;
use mape_k::config::Config;
use mape_k::control_loop::Mode;
use mape_k::daemon::{self, Daemon};
use mape_k::domain::cycle::CycleReport;
use mape_k::domain::need::Need;
use mape_k::domain::rule::{Comparison, ComponentFrom, Measure, MetricRule, Rule, Severity};
use mape_k::domain::time::Time;
use mape_k::domain::{Cause, Labels};
use mape_k::knowledge::{Database, Knowledge};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;
use url::Url;

use super::fakes::{Alerts, Fake, STARTS_AT, Series};
use crate::fake_charter::FakeCharter;
use crate::support::eventually::eventually;
use crate::support::postgres;

/// Ten times what the slowest of these takes on an idle machine.
pub const PATIENCE: Duration = Duration::from_mins(2);

const SPEED: f64 = 100.0;

pub const COMPONENTS: [&str; 3] = ["validator", "enforcer", "auditor"];

pub struct World {
    pub prometheus: Fake<Series>,
    pub alertmanager: Fake<Alerts>,
    pub charter: FakeCharter,
    /// Read at [`World::start`].
    pub config: Config,
    daemon: Option<Daemon>,
    /// What a reload reads.
    source: Arc<Mutex<Config>>,
    http: reqwest::Client,
    folder: TempDir,
}

impl World {
    /// Everything healthy, the daemon not started yet; it may act by itself.
    pub async fn new() -> Self {
        let prometheus = Fake::start(Series::default()).await;
        let alertmanager = Fake::start(Alerts::default()).await;
        let charter = FakeCharter::start().await;
        charter.world().ends_temporary = true;
        let mut config = Config::default();
        config.orchestrator.mode = Mode::Staging;
        config.plan.auto_approve = true;
        config.monitor.prometheus_url = Some(prometheus.url.clone());
        config.alertmanager.url = alertmanager.url.clone();
        config.execute.charter_url = Some(Url::parse(&charter.base).expect("a URL"));
        config.knowledge.database = Database::Memory;
        config.escalation.reports_dir = None;
        for host in [&mut config.api.host, &mut config.alertmanager.webhook_host] {
            "127.0.0.1".clone_into(host);
        }
        config.api.port = 0;
        config.alertmanager.webhook_port = 0;
        let mut config = config.scaled(SPEED);
        // Some of these tests fill the store before the daemon starts, which no rehearsal would take.
        config.rehearsal = None;
        // What measures real servers and a busy machine keeps real time.
        config.monitor.poll_interval = Duration::from_secs(1);
        config.analyze.poll_interval = config.monitor.poll_interval;
        config.monitor.max_skew = Duration::from_secs(30);
        config.api.stall_after = Duration::from_mins(5);
        config.execute.timeout_seconds = Duration::from_secs(2);
        config.execute.policy_timeout = Duration::from_secs(5);
        let world = Self {
            prometheus,
            alertmanager,
            charter,
            config,
            daemon: None,
            source: Arc::default(),
            http: reqwest::Client::new(),
            folder: tempfile::tempdir().expect("a temporary folder"),
        };
        world.latency(0.2);
        for component in COMPONENTS {
            world.failure_rate(component, 0.01);
            world.throughput(component, 500.0);
        }
        world.policy_violations("p-1", 0.0);
        world
    }

    /// A person decides.
    pub fn ask_first(&mut self) {
        self.config.plan.auto_approve = false;
    }

    /// Restart of all, override and bypass go out without a person too.
    pub fn dare(&mut self) {
        self.config.plan.guardrails.auto_approve_high_risk = true;
        self.config.execute.rails.auto_approve_high_risk = true;
    }

    pub fn on_disk(&mut self) {
        self.config.knowledge.database = Database::Sqlite;
        self.config.knowledge.sqlite_path = self.folder.path().join("knowledge.db");
    }

    /// The address of the database.
    pub async fn on_postgres(&mut self) -> String {
        let url = postgres::database().await;
        self.config.knowledge.database = Database::Postgres;
        self.config.knowledge.postgres_url = Some(postgres::address(&url));
        // A real server's, on a busy machine.
        self.config.orchestrator.leader_lease = Duration::from_secs(2);
        url
    }

    pub fn interval(&mut self, interval: Duration) {
        self.config.orchestrator.loop_interval = interval;
        self.config.analyze.interval = interval;
    }

    /// A rule of the user's own, over the metric of its name, that names no cause.
    pub fn rule_without_cause(&mut self, name: &str) {
        let measure = MetricRule {
            metric: name.to_owned(),
            labels: Labels::new(),
            aggregate: None,
            by: Vec::new(),
            increase_over: None,
            comparison: Comparison::Gt,
            threshold: 0.0,
        };
        let rule = Rule {
            name: name.to_owned(),
            measure: Measure::Metric(measure),
            severity: Severity::Warning,
            component: ComponentFrom::Label("component".to_owned()),
            target: None,
            cause: None::<Cause>,
        };
        self.config.monitor.rules.push(rule.into());
    }

    pub async fn start(&mut self) {
        self.start_at(Clock::start()).await;
    }

    /// On a machine whose clock says something else.
    pub async fn start_at(&mut self, clock: Clock) {
        assert!(self.daemon.is_none(), "it runs already");
        self.source = Arc::new(Mutex::new(self.config.clone()));
        let source = self.source.clone();
        let reads = move || Ok((source.lock().expect("whole").clone(), Vec::new()));
        let daemon = Daemon::start_from(self.config.clone(), clock, Arc::new(reads)).await;
        self.daemon = Some(daemon.expect("the daemon starts"));
    }

    /// Changes the configuration and reloads it; what the daemon answers.
    pub async fn reload(&self, change: impl FnOnce(&mut Config)) -> Value {
        change(&mut self.source.lock().expect("whole"));
        let (status, answer) = self.ask("/-/reload", &json!({})).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer
    }

    /// Ends it in order.
    pub async fn stop(&mut self) {
        self.daemon().stopper().cancel();
        let began = Instant::now();
        self.ended().await.expect("it stops in order");
        println!("stopped after {} ms", began.elapsed().as_millis());
    }

    /// Waits until it ends by itself.
    pub async fn ended(&mut self) -> Result<(), daemon::Error> {
        let daemon = self.daemon.take().expect("it runs");
        tokio::time::timeout(PATIENCE, daemon.wait()).await.expect("it ends")
    }

    /// Nothing of it runs on, wherever it was.
    pub async fn crash(&mut self) {
        let daemon = self.daemon.take().expect("it runs");
        let knowledge = daemon.knowledge.clone();
        drop(daemon);
        // What the system does for a process that died: its files are free for the next one.
        knowledge.close().await;
    }

    fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().expect("it runs")
    }

    pub fn knowledge(&self) -> &Knowledge {
        &self.daemon().knowledge
    }

    /// The daemon's own time.
    pub fn now(&self) -> Time {
        self.daemon().handle.now()
    }

    // What Prometheus says.

    pub fn set(&self, metric: &str, labels: &Value, value: f64) {
        self.prometheus.state().set(metric, labels, value);
    }

    pub fn latency(&self, value: f64) {
        self.set(
            "westworld_charter_validation_latency_seconds",
            &json!({"validation_type": "policy"}),
            value,
        );
    }

    pub fn failure_rate(&self, component: &str, value: f64) {
        self.set("westworld_charter_failure_rate", &json!({"component": component}), value);
    }

    pub fn throughput(&self, component: &str, value: f64) {
        self.set(
            "westworld_charter_throughput_ops_per_sec",
            &json!({"component": component}),
            value,
        );
    }

    pub fn policy_violations(&self, policy: &str, increase: f64) {
        self.set(
            "westworld_charter_policy_violations_total",
            &json!({"policy_id": policy}),
            increase,
        );
    }

    /// Delivers one alert to the webhook.
    pub async fn deliver(&self, status: &str, fingerprint: &str, labels: &Value) {
        self.deliver_all(status, &[(fingerprint.to_owned(), labels.clone())]).await;
    }

    pub async fn deliver_all(&self, status: &str, alerts: &[(String, Value)]) {
        self.deliver_as("mape-k", status, alerts).await;
    }

    pub async fn deliver_as(&self, receiver: &str, status: &str, alerts: &[(String, Value)]) {
        let address = self.daemon().webhook.expect("the webhook listens");
        let alerts: Vec<Value> = alerts
            .iter()
            .map(|(fingerprint, labels)| {
                json!({"status": status, "labels": labels, "annotations": {}, "startsAt": STARTS_AT,
                       "endsAt": "0001-01-01T00:00:00Z", "fingerprint": fingerprint})
            })
            .collect();
        let payload =
            json!({"version": "4", "receiver": receiver, "status": status, "alerts": alerts});
        let answer = self
            .http
            .post(format!("http://{address}/webhooks/alerts"))
            .json(&payload)
            .send()
            .await
            .expect("the webhook answers");
        assert_eq!(answer.status(), StatusCode::OK);
    }

    // What the daemon says.

    pub fn iteration(&self) -> u64 {
        self.daemon().handle.view().iteration
    }

    /// Waits until so many more cycles have begun and ended.
    pub async fn cycles(&self, n: u64) {
        let until = self.iteration() + 1 + n;
        self.until(&format!("cycle {until}"), async || self.iteration() >= until).await;
    }

    pub async fn until(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        eventually(
            PATIENCE,
            what,
            async || {
                if holds().await { Ok(()) } else { Err(self.summary().await) }
            },
        )
        .await;
    }

    /// What a failed wait shows.
    async fn summary(&self) -> String {
        let candidates = self.reports().await.last().map(|r| r.candidates.clone());
        format!(
            "changes {:?}, open {:?}, candidates {candidates:?}, state {}",
            self.charter.changes(),
            self.open_escalations().await,
            self.get("/api/v1/state").await.1
        )
    }

    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        let url = format!("http://{}{path}", self.daemon().api);
        let answer = self.http.get(url).send().await.expect("the API answers");
        (answer.status(), answer.json().await.expect("JSON"))
    }

    pub async fn post(&self, path: &str, body: &Value) -> StatusCode {
        self.ask(path, body).await.0
    }

    pub async fn ask(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        let url = format!("http://{}{path}", self.daemon().api);
        let answer = self.http.post(url).json(body).send().await.expect("the API answers");
        (answer.status(), answer.json().await.expect("JSON"))
    }

    /// Newest first.
    pub async fn items(&self, list: &str) -> Vec<Value> {
        if let Some(filter) = list.strip_prefix("needs") {
            return self.needs(filter.contains("open=true")).await;
        }
        let (status, page) = self.get(&format!("/api/v1/{list}")).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        page["items"].as_array().expect("items").clone()
    }

    /// What people are, or were, asked for, as the store has it: those of before the first cycle have no incident yet.
    async fn needs(&self, only_open: bool) -> Vec<Value> {
        let (mut needs, _) =
            self.knowledge().survey::<Need>(None, 10_000).await.expect("the store");
        needs.retain(|need| !only_open || need.closed_at.is_none());
        needs.into_iter().map(|need| serde_json::to_value(need).expect("plain data")).collect()
    }

    /// Every cycle's report, oldest first.
    pub async fn reports(&self) -> Vec<CycleReport> {
        let items = self.items("cycles?limit=500").await;
        let mut reports: Vec<CycleReport> =
            items.into_iter().map(|r| serde_json::from_value(r).expect("a report")).collect();
        // Numbers begin anew with each start.
        reports.sort_by_key(|r| r.started_at);
        reports
    }

    /// What the last cycle says of one candidate.
    pub async fn verdict_on(&self, action: &str) -> Value {
        let report = self.reports().await.pop().expect("a report");
        verdict_on(&report, action)
    }

    /// Reasons of the open escalations, in order.
    pub async fn open_escalations(&self) -> Vec<String> {
        let open = self.items("needs?open=true").await;
        let mut reasons: Vec<String> =
            open.iter().map(|e| e["reason"].as_str().expect("a reason").to_owned()).collect();
        reasons.sort();
        reasons
    }

    pub async fn is_open(&self, reason: &str) -> bool {
        self.open_escalations().await.iter().any(|r| r == reason)
    }

    pub async fn violations(&self) -> Vec<Value> {
        self.items("violations").await
    }

    /// A counter or gauge of whole things.
    pub async fn metric(&self, name: &str) -> u64 {
        let url = format!("http://{}/metrics", self.daemon().api);
        let text = self.http.get(url).send().await.expect("an answer").text().await.expect("text");
        let line = text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().expect("a number")
    }

    /// The changing calls that Charter got, by what they ask for: `scale 5`, `throttle_requests`.
    pub fn changes(&self) -> Vec<String> {
        self.charter
            .seen()
            .iter()
            .filter_map(|seen| {
                let body: Value = serde_json::from_str(&seen.body).unwrap_or_default();
                match seen.call {
                    Call::Scale => Some(format!("scale {}", body["replicas"])),
                    Call::Restart => {
                        Some(format!("restart {}", body["service"].as_str().unwrap_or("all")))
                    }
                    Call::Apply => {
                        Some(body["policy"]["action"].as_str().unwrap_or("?").to_owned())
                    }
                    Call::Rollback => Some("rollback".to_owned()),
                    Call::Health
                    | Call::Policies
                    | Call::Validate
                    | Call::CommitteeState
                    | Call::Violations => None,
                }
            })
            .collect()
    }
}

/// What a cycle says of one candidate.
pub fn verdict_on(report: &CycleReport, action: &str) -> Value {
    let found = report.candidates.iter().find(|c| c.action.as_str() == action);
    let found = found.unwrap_or_else(|| panic!("no {action} among {:?}", report.candidates));
    serde_json::to_value(&found.verdict).expect("JSON")
}
