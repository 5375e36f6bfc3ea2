//! A real Alertmanager with the shipped configuration.

use std::time::Duration;

use serde_json::Value;

use super::config;
use super::server::Server;
use super::tools::tools;

pub struct Alertmanager {
    pub server: Server,
}

impl Alertmanager {
    /// Writes the configuration, starts the server alone (no cluster) and waits until it is ready. With `wait` every
    /// grouping time of the shipped routes is set to it.
    pub async fn start(webhook: &str, wait: Option<Duration>) -> Self {
        Self::start_with(&config::alertmanager(webhook, wait)).await
    }

    /// The same with a configuration of the test's own.
    pub async fn start_with(config: &Value) -> Self {
        let mut server = Server::new("alertmanager", &tools().alertmanager);
        let folder = server.folder().to_owned();
        let file = config::write(&folder.join("alertmanager.yml"), config);
        server.set_args(vec![
            format!("--config.file={}", file.display()),
            format!("--storage.path={}", folder.join("data").display()),
            format!("--web.listen-address={}", server.address()),
            "--cluster.listen-address=".to_owned(),
        ]);
        server.start().await;
        Self { server }
    }

    /// Every alert that is neither silenced nor inhibited, as the daemon reads them.
    pub async fn alerts(&self) -> Result<Vec<Value>, String> {
        let answer =
            self.server.get("/api/v2/alerts?active=true&silenced=false&inhibited=false").await?;
        answer
            .as_array()
            .cloned()
            .ok_or_else(|| format!("alertmanager did not answer with a list: {answer}"))
    }

    /// Hands in alerts as Prometheus would (`POST /api/v2/alerts`).
    pub async fn post_alerts(&self, alerts: &Value) -> Result<(), String> {
        self.server.post("/api/v2/alerts", alerts).await
    }
}
