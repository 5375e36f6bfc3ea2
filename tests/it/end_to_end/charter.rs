//! `mape-k charter --sandbox` as a process: faults go in, the true state and every call come out.

use serde_json::{Value, json};

use super::{SOON, SPEED};
use crate::support::eventually::eventually;
use crate::support::ports::free_port;
use crate::support::process::Process;

pub struct Charter {
    address: String,
    http: reqwest::Client,
    _process: Process,
}

impl Charter {
    pub async fn start() -> Self {
        Self::start_at(SPEED).await
    }

    pub async fn start_at(speed: f64) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let speed = speed.to_string();
        let args = ["charter", "--sandbox", "--listen", &address, "--speed", &speed];
        let mut process = Process::start_mape_k(&args, &[]);
        let http = reqwest::Client::builder().timeout(SOON).build().expect("an HTTP client");
        let health = format!("http://{address}/health");
        eventually(SOON, "the reference Charter answers", async || {
            if let Some(status) = process.ended() {
                panic!("the reference Charter ended ({status})\n{}", process.tail());
            }
            http.get(&health).send().await.map(drop)
        })
        .await;
        Self { address, http, _process: process }
    }

    /// `127.0.0.1:port`
    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub async fn inject(&self, fault: &str) {
        let request = self.http.post(format!("{}/sandbox/faults", self.url()));
        let answer = request.json(&json!({ "fault": fault })).send().await.expect("an answer");
        assert_eq!(answer.status(), 201, "{fault}: {}", answer.text().await.unwrap_or_default());
    }

    /// What is true, whatever the metrics say.
    pub async fn state(&self) -> Value {
        self.get("/sandbox/state").await
    }

    /// Every call that changes something, in order, each as `path body`.
    pub async fn changes(&self) -> Vec<String> {
        self.audit()
            .await
            .iter()
            .filter(|call| call["method"] == "POST" && call["path"] != "/api/v1/policies/validate")
            .map(|call| format!("{} {}", call["path"].as_str().unwrap_or_default(), call["body"]))
            .collect()
    }

    /// Every call of the contract, in order.
    pub async fn audit(&self) -> Vec<Value> {
        self.get("/sandbox/audit").await.as_array().cloned().unwrap_or_default()
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.http.get(format!("{}{path}", self.url())).send().await;
        answer.expect("the reference Charter answers").json().await.expect("JSON")
    }
}
