//! From the POST of a critical alert to the first call to Charter, and to the first one that prepares an action.
//!
//! Each sample is a cause of its own with a remedy, so that none waits for the verdict on another; the reference
//! Charter knows no such service and refuses, which is after the moment that is measured.

use std::sync::mpsc::Receiver;
use std::time::Duration;

use tokio::time::Instant;

use super::alerts::{critical, listed, payload};
use super::daemon::Daemon;
use super::upstream::Upstream;
use super::{row, spread};

const SAMPLES: usize = 100;

/// Longer than a cycle here: it has ended when the next alert comes.
const PAUSE: Duration = Duration::from_millis(200);

const PATIENCE: Duration = Duration::from_secs(10);

pub async fn webhook_to_charter() {
    let upstream = Upstream::start(0);
    let strategies: Vec<String> =
        (0..SAMPLES).map(|n| format!("stuck-{n}: [{{action: restart_service}}]")).collect();
    let plan = format!("plan: {{strategies: {{{}}}}}\n", strategies.join(", "));
    // Without a gap between wake-ups: what is measured is the way, not the coalescing.
    let daemon = Daemon::start(&upstream, "60", ", wake_gap: 0", &plan).await;
    daemon.until("a first cycle", |state| state["iteration"].as_u64() >= Some(1)).await;
    let url = format!("http://127.0.0.1:{}/webhooks/alerts", daemon.webhook);
    let (mut to_any, mut to_action) = (Vec::new(), Vec::new());
    for sample in 0..SAMPLES {
        let cause = format!("stuck-{sample}");
        upstream.list_alerts(format!("[{}]", listed(&cause)));
        tokio::time::sleep(PAUSE).await;
        while upstream.calls.try_recv().is_ok() {}
        let body = payload(&[critical(&cause)]);
        let started = Instant::now();
        daemon.http.post(&url).body(body).send().await.expect("an answer");
        to_any.extend(first(&upstream.calls, started, false));
        to_action.extend(first(&upstream.calls, started, true));
    }
    row("webhook POST to the first call to Charter (reading its state)", &spread(to_any));
    row("webhook POST to the first call of an action (validate)", &spread(to_action));
}

/// When the first call, or the first POST, came.
fn first(calls: &Receiver<(Instant, bool)>, started: Instant, post: bool) -> Option<Duration> {
    while let Ok((at, is_post)) = calls.recv_timeout(PATIENCE) {
        if is_post || !post {
            return Some(at.saturating_duration_since(started));
        }
    }
    None
}
