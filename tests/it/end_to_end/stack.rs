//! Charter, Prometheus, Alertmanager and the daemon, each a process, joined as the shipped files join them.

use std::time::Duration;

use serde_json::json;

use super::SPEED;
use super::charter::Charter;
use super::daemon::{Daemon, Settings};
use crate::support::alertmanager::Alertmanager;
use crate::support::config::Targets;
use crate::support::prometheus::{Pace, Prometheus};

/// The shortest that Prometheus is used with; two of them are a poll_interval.
const SCRAPE: Duration = Duration::from_secs(1);
/// Every `for` and every grouping time of the shipped alerts: long enough to be pending first, short enough for a test.
const PATIENCE: Duration = Duration::from_secs(1);

/// Everything but the daemon.
pub struct Surroundings {
    pub charter: Charter,
    pub prometheus: Prometheus,
    pub alertmanager: Alertmanager,
    pub settings: Settings,
}

impl Surroundings {
    pub async fn start() -> Self {
        Self::around(Charter::start().await, Settings::shipped(SPEED)).await
    }

    /// The shipped durations as they are, for a loop that is told its speed by `--speed` as Charter is.
    pub async fn rehearsing(speed: f64) -> Self {
        let mut settings = Settings::shipped(1.0);
        settings.flags = vec!["--speed".to_owned(), speed.to_string()];
        Self::around(Charter::start_at(speed).await, settings).await
    }

    async fn around(charter: Charter, mut settings: Settings) -> Self {
        let alertmanager = Alertmanager::start(&settings.webhook, Some(PATIENCE)).await;
        let alerts_to = alertmanager.server.address();
        let targets =
            Targets { charter: charter.address(), mape_k: &settings.api, alertmanager: &alerts_to };
        let pace = Pace { interval: Some(SCRAPE), rule_for: Some(PATIENCE) };
        let prometheus = Prometheus::start(&targets, &pace).await;
        settings.file["monitor"]["prometheus_url"] = json!(prometheus.server.url());
        settings.file["alertmanager"]["url"] = json!(alertmanager.server.url());
        settings.file["execute"]["charter_url"] = json!(charter.url());
        Self { charter, prometheus, alertmanager, settings }
    }

    /// Starts the daemon with only these variables in its environment, as a deployment would set them.
    pub async fn with_daemon(self, env: &[(&str, &str)]) -> Stack {
        let Self { charter, prometheus, alertmanager, settings } = self;
        let daemon = Daemon::start(settings, env).await;
        Stack { charter, prometheus, daemon, _alertmanager: alertmanager }
    }
}

pub struct Stack {
    pub charter: Charter,
    pub prometheus: Prometheus,
    pub daemon: Daemon,
    _alertmanager: Alertmanager,
}

/// Nobody has to approve.
pub const STAGING: [(&str, &str); 1] = [("ORCHESTRATOR_MODE", "staging")];
