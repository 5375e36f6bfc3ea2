//! A real Prometheus with the shipped configuration and rule files.

use std::time::Duration;

use serde_json::Value;

use super::config::{self, Targets};
use super::server::Server;
use super::tools::tools;

/// What a test changes of the shipped configuration; `default()` changes nothing.
#[derive(Default)]
pub struct Pace {
    /// Scrape and evaluation interval.
    pub interval: Option<Duration>,
    /// Every `for` of the shipped rules, in a copy.
    pub rule_for: Option<Duration>,
}

pub struct Prometheus {
    pub server: Server,
}

impl Prometheus {
    /// Writes the configuration, starts the server and waits until it is ready.
    pub async fn start(targets: &Targets<'_>, pace: &Pace) -> Self {
        let mut server = Server::new("prometheus", &tools().prometheus);
        let folder = server.folder().to_owned();
        config::write_rules(&folder.join("rules"), pace.rule_for);
        let file = config::write(
            &folder.join("prometheus.yml"),
            &config::prometheus(&server.address(), targets, pace.interval),
        );
        server.set_args(vec![
            format!("--config.file={}", file.display()),
            format!("--storage.tsdb.path={}", folder.join("data").display()),
            format!("--web.listen-address={}", server.address()),
        ]);
        server.start().await;
        Self { server }
    }

    /// The result of an instant query: one entry per series.
    pub async fn query(&self, promql: &str) -> Result<Vec<Value>, String> {
        let query: String = url::form_urlencoded::byte_serialize(promql.as_bytes()).collect();
        let answer = self.server.get(&format!("/api/v1/query?query={query}")).await?;
        match answer["data"]["result"].as_array() {
            Some(result) => Ok(result.clone()),
            None => Err(format!("prometheus did not answer {promql} with a vector: {answer}")),
        }
    }
}
