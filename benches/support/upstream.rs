//! What stands upstream of a measured daemon: Prometheus and Alertmanager with answers built in advance, and the
//! reference Charter, on a thread of their own. Nothing in here is measured; building the answers is not waited for.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn};
use axum::routing::{get, post};
use chrono::{DateTime, Utc};
use futures::future::join;
use mape_k::charter_sandbox::{self, Charter, Options};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The metrics of the two rules: evidence of one names a cause, of the other none.
pub const METRICS: [&str; 2] = ["bench_failing", "bench_unexplained"];

/// Series beside the broken ones that are well, for each metric.
pub const WELL: usize = 10;

/// Components over which the broken series are spread.
pub const COMPONENTS: usize = 100;

/// Sample times are renewed when they are this old; the daemon takes them for stale after a minute.
const RENEW_AFTER: Duration = Duration::from_secs(20);

pub struct Upstream {
    pub metrics: SocketAddr,
    pub charter: SocketAddr,
    /// Every call to Charter as it arrives: when, and whether it is a POST.
    #[allow(dead_code, reason = "only one of the two benchmarks looks at the calls")]
    pub calls: Receiver<(Instant, bool)>,
    answers: Arc<Answers>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

struct Answers {
    up_since: DateTime<Utc>,
    built: Mutex<Built>,
}

struct Built {
    broken: usize,
    values: [Bytes; 2],
    stamps: [Bytes; 2],
    stamped: Instant,
    /// What Alertmanager lists.
    alerts: Bytes,
}

impl Upstream {
    /// Serves `broken` broken series, half of them with a cause.
    pub fn start(broken: usize) -> Self {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        // Up for long enough that absence from its list means clear.
        let up_since = Utc::now() - chrono::TimeDelta::hours(1);
        let answers = Arc::new(Answers { up_since, built: Mutex::new(Built::new(broken)) });
        let router = Router::new()
            .route("/api/v1/query", post(query))
            .route("/api/v1/query_range", post(range))
            .route("/api/v2/alerts", get(alerts))
            .route("/api/v2/status", get(status))
            .with_state(answers.clone());
        let (sender, bound) = channel();
        let (called, calls) = channel();
        let counted = from_fn(move |request: Request, next: Next| {
            // Nobody listens any more once the measurement is over.
            called.send((Instant::now(), request.method() == "POST")).ok();
            next.run(request)
        });
        let options = Options { sandbox: true, ..Options::default() };
        let charter = Arc::new(Charter::new(options).expect("a reference Charter"));
        let charter_router = charter_sandbox::router(charter).layer(counted);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime for the upstream");
            runtime.block_on(async move {
                let [metrics, charter] = [listen().await, listen().await];
                let address = |l: &TcpListener| l.local_addr().expect("a bound address");
                sender.send((address(&metrics), address(&charter))).expect("the starter waits");
                let served = join(
                    axum::serve(metrics, router).into_future(),
                    axum::serve(charter, charter_router).into_future(),
                );
                tokio::select! {
                    served = served => panic!("the upstream ended: {served:?}"),
                    () = stopped.cancelled() => {}
                }
            });
        });
        let (metrics, charter) = bound.recv().expect("the upstream listens");
        Self { metrics, charter, calls, answers, stop, thread: Some(thread) }
    }

    /// From the next query on so many series are broken.
    #[allow(dead_code, reason = "only one of the two benchmarks changes it while it runs")]
    pub fn break_series(&self, broken: usize) {
        let built = Built::new(broken);
        *self.answers.lock() = built;
    }

    /// From the next list on Alertmanager shows exactly this.
    #[allow(dead_code, reason = "only one of the two benchmarks changes it while it runs")]
    pub fn list_alerts(&self, list: String) {
        self.answers.lock().alerts = Bytes::from(list);
    }

    /// The configuration of a daemon that reads from here; `more` are further sections.
    pub fn config(&self, more: &str) -> String {
        let rule = |name: &str, metric: &str, cause: &str| {
            format!(
                "{{name: {name}, metric: {metric}, comparison: gt, threshold: 0.5, severity: warning, component_label: component{cause}}}"
            )
        };
        format!(
            "monitor:\n  prometheus_url: http://{}\n  metrics:\n  - {}\n  - {}\n\
             analyze:\n  algorithms:\n    causal: {{latency: failing, failure: unexplained}}\n\
             execute:\n  charter_url: http://{}\n{more}",
            self.metrics,
            rule("failing", METRICS[0], ", cause: system_overload"),
            rule("unexplained", METRICS[1], ""),
            self.charter,
        )
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

impl Answers {
    fn lock(&self) -> MutexGuard<'_, Built> {
        self.built.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Built {
    fn new(broken: usize) -> Self {
        let values = METRICS.map(|metric| {
            vector(
                metric,
                broken / 2,
                |broken| {
                    if broken { "0.9".to_owned() } else { "0.1".to_owned() }
                },
            )
        });
        Self {
            broken,
            values,
            stamps: stamps(broken),
            stamped: Instant::now(),
            alerts: Bytes::from_static(b"[]"),
        }
    }
}

fn stamps(broken: usize) -> [Bytes; 2] {
    let now = format!("{:.3}", seconds_now());
    METRICS.map(|metric| vector(metric, broken / 2, |_| now.clone()))
}

fn vector(metric: &str, broken: usize, value: impl Fn(bool) -> String) -> Bytes {
    let at = seconds_now();
    let rows: Vec<String> = (0..broken + WELL)
        .map(|series| {
            let component = series % COMPONENTS;
            let value = value(series < broken);
            format!(
                r#"{{"metric":{{"__name__":"{metric}","component":"component-{component}","instance":"10.0.{}.{}:9100","job":"charter","pod":"charter-{series}"}},"value":[{at:.3},"{value}"]}}"#,
                series / 250,
                series % 250
            )
        })
        .collect();
    success("vector", &format!("[{}]", rows.join(",")))
}

fn success(kind: &str, result: &str) -> Bytes {
    Bytes::from(format!(
        r#"{{"status":"success","data":{{"resultType":"{kind}","result":{result}}}}}"#
    ))
}

fn seconds_now() -> f64 {
    Utc::now().timestamp_micros() as f64 / 1e6
}

async fn query(State(answers): State<Arc<Answers>>, form: String) -> Bytes {
    let Some(place) = METRICS.iter().position(|metric| form.contains(metric)) else {
        let now = seconds_now();
        return success("scalar", &format!(r#"[{now:.3},"{now:.3}"]"#));
    };
    let mut built = answers.lock();
    if !form.contains("timestamp") {
        return built.values[place].clone();
    }
    if built.stamped.elapsed() > RENEW_AFTER {
        built.stamps = stamps(built.broken);
        built.stamped = Instant::now();
    }
    built.stamps[place].clone()
}

async fn alerts(State(answers): State<Arc<Answers>>) -> Bytes {
    answers.lock().alerts.clone()
}

async fn range() -> Bytes {
    success("matrix", "[]")
}

async fn status(State(answers): State<Arc<Answers>>) -> String {
    format!(r#"{{"uptime":"{}"}}"#, answers.up_since.to_rfc3339())
}

async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a free port")
}
