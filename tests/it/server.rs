//! The HTTP surface in this process on port 0, with real HTTP: a loop's handle and a store, and nothing behind them.

mod access;
mod api;
mod bounds;
mod crowded;
mod decisions;
mod explain;
mod health;
mod hostile;
mod incidents;
mod intake;
mod metrics;
mod names;
mod overload;
mod pausing;
mod senders;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::{Extension, Router};
use chrono::{DateTime, TimeDelta, Utc};
use mape_k::clock::Clock;
use mape_k::control_loop::handle::{self, LoopHandle, Publisher};
use mape_k::domain::Labels;
use mape_k::domain::charter::{CharterView, CommitteeState, CommitteeStatus};
use mape_k::domain::cycle::CycleStatus;
use mape_k::domain::reading::Source;
use mape_k::domain::rule::{Comparison, Severity};
use mape_k::domain::time::Time;
use mape_k::domain::view::{LoopView, SourceStatus};
use mape_k::domain::violation::Violation;
use mape_k::knowledge::Knowledge;
use mape_k::metrics::Metrics;
use mape_k::monitor::{self, AlertmanagerSettings};
use mape_k::server::{self, Context, Intake, Settings};
use reqwest::{Response, StatusCode};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Ten times what any answer here needs.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// A server in this process: API and webhook behind one listener, with the loop's end of the handle in the test's hand.
struct Surface {
    address: SocketAddr,
    publisher: Publisher,
    handle: LoopHandle,
    knowledge: Knowledge,
    metrics: Arc<Metrics>,
    http: reqwest::Client,
    shutdown: CancellationToken,
    tasks: JoinSet<()>,
}

struct Setup {
    api: Settings,
    alertmanager: AlertmanagerSettings,
    monitor: monitor::Settings,
    knowledge: Knowledge,
    clock: Clock,
    kubernetes: bool,
    /// Where requests seem to come from, when not from this machine.
    peer: Option<SocketAddr>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            api: Settings::default(),
            alertmanager: AlertmanagerSettings::default(),
            monitor: monitor::Settings::default(),
            knowledge: Knowledge::in_memory(),
            clock: Clock::start(),
            kubernetes: true,
            peer: None,
        }
    }
}

impl Setup {
    async fn serve(self) -> Surface {
        let (publisher, handle) = handle::channel(self.clock);
        let metrics = Metrics::new(self.clock.now());
        let rate_limit = self.api.rate_limit;
        let context = Context {
            handle: handle.clone(),
            knowledge: self.knowledge.clone(),
            metrics: metrics.clone(),
            settings: Arc::new(self.api),
            started_at: self.clock.now(),
            rehearsal: None,
            environment: Some("prod-eu".to_owned()),
            charter: true,
            kubernetes: self.kubernetes,
        };
        let (intake, writer) = Intake::new(
            &self.alertmanager,
            &self.monitor,
            rate_limit,
            handle.clone(),
            self.knowledge.clone(),
            metrics.clone(),
        );
        let shutdown = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(writer.run());
        let mut router = server::combined_router(context, intake);
        if let Some(peer) = self.peer {
            router = router.layer(Extension(ConnectInfo(peer)));
        }
        let address = listen(&mut tasks, router, &shutdown).await;
        Surface {
            address,
            publisher,
            handle,
            knowledge: self.knowledge,
            metrics,
            http: reqwest::Client::builder()
                .timeout(ANSWER_WITHIN)
                .build()
                .expect("an HTTP client"),
            shutdown,
            tasks,
        }
    }
}

async fn listen(
    tasks: &mut JoinSet<()>,
    router: Router,
    shutdown: &CancellationToken,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("its address");
    tasks.spawn(server::serve(listener, router, shutdown.clone()));
    address
}

impl Surface {
    async fn start() -> Self {
        Setup::default().serve().await
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        read(self.http.get(self.url(path)).send().await.expect("an answer")).await
    }

    /// A list that must be there.
    async fn items(&self, path: &str) -> (Vec<Value>, Option<String>) {
        let (status, body) = self.get(path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        let items = body["items"].as_array().expect("items").clone();
        (items, body["next"].as_str().map(str::to_owned))
    }

    async fn post_alerts(&self, body: impl Into<reqwest::Body>) -> (StatusCode, Value) {
        read(self.alerts_request(body).send().await.expect("an answer")).await
    }

    fn alerts_request(&self, body: impl Into<reqwest::Body>) -> reqwest::RequestBuilder {
        let request = self.http.post(self.url("/webhooks/alerts"));
        request.header("content-type", "application/json").body(body)
    }

    /// The value of one series in /metrics, all of ours being whole here; a missing one is a failure.
    async fn metric(&self, series: &str) -> u64 {
        let answer = self.http.get(self.url("/metrics")).send().await.expect("an answer");
        let text = answer.text().await.expect("a text");
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value
            .unwrap_or_else(|| panic!("no series {series} in\n{text}"))
            .parse()
            .expect("a whole number")
    }

    /// Was the loop woken by what has been answered so far? A wake-up is kept until it is asked for.
    fn woken(&self) -> bool {
        use futures::FutureExt;
        self.publisher.wake.notified().now_or_never().is_some()
    }

    fn publish(&self, view: LoopView) {
        self.publisher.view.send_replace(Arc::new(view));
    }

    /// Everything ends when it is told to, within the time that stopping may take.
    async fn stop(self) {
        let Self { shutdown, mut tasks, .. } = self;
        shutdown.cancel();
        let all =
            async { while tasks.join_next().await.transpose().expect("no panic").is_some() {} };
        tokio::time::timeout(ANSWER_WITHIN, all).await.expect("server and writer end");
    }
}

/// A client at 127.0.0.`last`: to the server another machine.
fn from_address(last: u8) -> reqwest::Client {
    let client = reqwest::Client::builder().local_address(IpAddr::from([127, 0, 0, last]));
    client.timeout(ANSWER_WITHIN).build().expect("an HTTP client")
}

async fn read(response: Response) -> (StatusCode, Value) {
    let status = response.status();
    let text = response.text().await.expect("a body");
    (status, serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status}: no JSON: {text}")))
}

/// A view of a loop that has just completed a cycle with everything well.
fn healthy_view(now: Time) -> LoopView {
    LoopView {
        running: true,
        iteration: 7,
        started_at: Some(now - TimeDelta::minutes(4)),
        last_update: Some(now),
        last_good_cycle: Some(now),
        last_status: Some(CycleStatus::Healthy),
        sources: vec![SourceStatus {
            source: Source::Prometheus,
            last_read: Some(now),
            expected: 9,
            seen: 9,
            missing: 0,
            clock_skew_seconds: Some(0.2),
            error: None,
        }],
        charter: Some(CharterView {
            is_on: true,
            at: now,
            state: Ok(CommitteeState {
                status: CommitteeStatus::Normal,
                replicas: 3,
                healthy_nodes: 3,
            }),
        }),
        interval: Duration::from_secs(30),
        ..LoopView::default()
    }
}

fn violation(
    number: u32,
    severity: Severity,
    source: Source,
    component: Option<&str>,
) -> Violation {
    let at = noon() + TimeDelta::seconds(i64::from(number));
    Violation {
        id: Uuid::from_u128(u128::from(number) + 1),
        fingerprint: format!("{number:016x}"),
        severity,
        source,
        rule: "failure_rate".to_owned(),
        metric: "westworld_charter_failure_rate".to_owned(),
        value: Some(0.25),
        threshold: Some(0.1),
        comparison: Some(Comparison::Gt),
        component: component.map(str::to_owned),
        target: component.map(mape_k::domain::target::Target::service),
        labels: Labels::from([("component".to_owned(), format!("shard-{number}"))]),
        description: format!("failure_rate of shard-{number} is 0.25, over 0.1"),
        cause: None,
        detected_at: at,
        active_since: at,
        cleared_at: None,
        flapping: false,
        actionable: true,
        confirmed: true,
        no_evidence: None,
    }
}

fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000, 0).expect("a time")
}

fn assert_fields(value: &Value, fields: &str) {
    let object = value.as_object().expect("an object");
    for field in fields.split_whitespace() {
        assert!(object.contains_key(field), "no field {field} in {value}");
    }
}
