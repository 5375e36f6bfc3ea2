//! Something to scrape whose numbers the test chooses, where the reference Charter's plant would be in the way.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::get;
use tokio::task::JoinHandle;

pub struct Target {
    pub url: String,
    text: Arc<Mutex<String>>,
    server: JoinHandle<()>,
}

impl Drop for Target {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Target {
    /// Serves the shipped rules' metrics: this latency, and a failure rate for each of so many components.
    pub async fn start(latency: f64, failure_rate: f64, components: usize) -> Self {
        Self::serving(exposition(latency, failure_rate, components)).await
    }

    /// Serves a text as it is.
    pub async fn serving(text: String) -> Self {
        let text = Arc::new(Mutex::new(text));
        let shown = text.clone();
        let app = Router::new().route(
            "/metrics",
            get(async move || shown.lock().expect("no test panicked while holding it").clone()),
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let server = tokio::spawn(async move {
            axum::serve(listener, app).await.expect("the target serves");
        });
        Self { url, text, server }
    }

    pub fn set(&self, latency: f64, failure_rate: f64, components: usize) {
        *self.text.lock().expect("no test panicked while holding it") =
            exposition(latency, failure_rate, components);
    }
}

fn exposition(latency: f64, failure_rate: f64, components: usize) -> String {
    let mut text = format!(
        "# TYPE westworld_charter_validation_latency_seconds summary\n\
         westworld_charter_validation_latency_seconds{{validation_type=\"schema\",quantile=\"0.95\"}} {latency}\n\
         # TYPE westworld_charter_policy_violations_total counter\n\
         westworld_charter_policy_violations_total{{severity=\"critical\",policy_id=\"p\",policy_name=\"P\"}} 0\n\
         # TYPE westworld_charter_failure_rate gauge\n"
    );
    for n in 0..components {
        writeln!(text, "westworld_charter_failure_rate{{component=\"c{n:04}\"}} {failure_rate}")
            .expect("a string takes everything");
    }
    text.push_str("# TYPE westworld_charter_throughput_ops_per_sec gauge\n");
    for n in 0..components {
        writeln!(text, "westworld_charter_throughput_ops_per_sec{{component=\"c{n:04}\"}} 900")
            .expect("a string takes everything");
    }
    text
}
