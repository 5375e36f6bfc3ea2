//! Prometheus and Alertmanager as a test wants them: their values, and how badly they behave.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use url::Url;

use crate::support::ports::free_port;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Well,
    Answers(u16),
    /// It answers well, so late.
    Slow(Duration),
    Hangs,
    /// Nobody listens, and open connections are cut.
    Gone,
}

pub trait Answers: Send + 'static {
    fn answer(&self, path: &str, pairs: &BTreeMap<String, String>) -> Value;
}

/// A server that keeps its port while it is gone.
pub struct Fake<S> {
    pub url: Url,
    port: u16,
    state: Arc<Mutex<S>>,
    mood: Arc<Mutex<Mood>>,
    /// Told of every request that gets no answer.
    hanging: Arc<Notify>,
    serving: Option<JoinHandle<()>>,
}

impl<S> Drop for Fake<S> {
    fn drop(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
        }
    }
}

impl<S: Answers> Fake<S> {
    pub async fn start(state: S) -> Self {
        let port = free_port();
        let mut fake = Self {
            url: Url::parse(&format!("http://127.0.0.1:{port}")).expect("a URL"),
            port,
            state: Arc::new(Mutex::new(state)),
            mood: Arc::new(Mutex::new(Mood::Gone)),
            hanging: Arc::default(),
            serving: None,
        };
        fake.be(Mood::Well).await;
        fake
    }

    pub fn state(&self) -> MutexGuard<'_, S> {
        self.state.lock().expect("no test panicked while holding it")
    }

    /// Until a request has come that gets no answer.
    pub async fn hangs(&self) {
        let come = tokio::time::timeout(Duration::from_mins(1), self.hanging.notified());
        come.await.expect("nobody asks a fake that hangs");
    }

    pub async fn be(&mut self, mood: Mood) {
        *self.mood.lock().expect("no panic before") = mood;
        if mood == Mood::Gone {
            if let Some(serving) = self.serving.take() {
                serving.abort();
                let _ = serving.await;
            }
        } else if self.serving.is_none() {
            let listener = tokio::net::TcpListener::bind(("127.0.0.1", self.port))
                .await
                .expect("its own port again");
            let (state, mood, hanging) =
                (self.state.clone(), self.mood.clone(), self.hanging.clone());
            let app = Router::new().fallback(move |uri: Uri, body: Bytes| {
                let (state, mood) = (state.clone(), *mood.lock().expect("no panic before"));
                if mood == Mood::Hangs {
                    hanging.notify_one();
                }
                async move { respond(&state, mood, &uri, &body).await }
            });
            self.serving = Some(tokio::spawn(async move {
                axum::serve(listener, app).await.expect("the fake serves");
            }));
        }
    }
}

async fn respond<S: Answers>(state: &Mutex<S>, mood: Mood, uri: &Uri, body: &Bytes) -> Response {
    let mut pairs: BTreeMap<String, String> =
        url::form_urlencoded::parse(uri.query().unwrap_or("").as_bytes()).into_owned().collect();
    pairs.extend(url::form_urlencoded::parse(body).into_owned());
    match mood {
        Mood::Well | Mood::Slow(_) => {
            if let Mood::Slow(late) = mood {
                tokio::time::sleep(late).await;
            }
            let answer = state.lock().expect("no panic before").answer(uri.path(), &pairs);
            axum::Json(answer).into_response()
        }
        Mood::Answers(status) => {
            (StatusCode::from_u16(status).expect("a status"), "out of order").into_response()
        }
        Mood::Hangs => std::future::pending().await,
        // Ends the connection without an answer; no panic is reported this way.
        Mood::Gone => std::panic::resume_unwind(Box::new("the fake hangs up")),
    }
}

/// What Prometheus knows: the present series of each metric, every sample fresh.
#[derive(Default)]
pub struct Series {
    metrics: BTreeMap<String, Vec<(Value, f64)>>,
}

impl Series {
    pub fn set(&mut self, metric: &str, labels: &Value, value: f64) {
        let series = self.metrics.entry(metric.to_owned()).or_default();
        series.retain(|(known, _)| known != labels);
        series.push((labels.clone(), value));
    }

    /// One series of several goes away.
    pub fn lose(&mut self, metric: &str, labels: &Value) {
        self.metrics.entry(metric.to_owned()).or_default().retain(|(known, _)| known != labels);
    }

    pub fn remove(&mut self, metric: &str) {
        self.metrics.remove(metric);
    }
}

impl Answers for Series {
    fn answer(&self, _: &str, pairs: &BTreeMap<String, String>) -> Value {
        let now = Utc::now().timestamp_micros() as f64 / 1e6;
        let data = |kind: &str, result: Value| json!({"status": "success", "data": {"resultType": kind, "result": result}});
        let query = pairs.get("query").map_or("", String::as_str);
        if query == "time()" {
            return data("scalar", json!([now, now.to_string()]));
        }
        if pairs.contains_key("step") {
            return data("matrix", json!([]));
        }
        let stamps = query.contains("timestamp(");
        let found = self.metrics.iter().find(|(name, _)| query.contains(name.as_str()));
        let rows: Vec<Value> = found
            .into_iter()
            .flat_map(|(_, series)| series)
            .map(|(labels, value)| {
                let value = if stamps { now } else { *value };
                json!({"metric": labels, "value": [now, value.to_string()]})
            })
            .collect();
        data("vector", json!(rows))
    }
}

/// What Alertmanager lists; it has been up for long. It answers as 0.28 does, or as 0.25, whose groups do not tell what a
/// time interval mutes.
#[derive(Default)]
pub struct Alerts {
    pub active: BTreeMap<String, Value>,
    /// Time intervals that mute the one route, to `mape-k`.
    pub muted_by: Vec<&'static str>,
    pub is_old: bool,
    /// Every alert takes a second route, to this receiver, which nothing mutes.
    pub open_route: Option<&'static str>,
}

/// One beginning for all: nothing is computed from it.
pub const STARTS_AT: &str = "2026-01-01T00:00:00Z";

impl Alerts {
    pub fn fire(&mut self, fingerprint: &str, labels: &Value) {
        self.put(fingerprint, labels, &json!({"silencedBy": [], "inhibitedBy": []}));
    }

    pub fn silence(&mut self, fingerprint: &str, labels: &Value) {
        self.put(fingerprint, labels, &json!({"silencedBy": ["a person"], "inhibitedBy": []}));
    }

    pub fn inhibit(&mut self, fingerprint: &str, labels: &Value) {
        self.put(fingerprint, labels, &json!({"silencedBy": [], "inhibitedBy": ["a bigger one"]}));
    }

    fn put(&mut self, fingerprint: &str, labels: &Value, by: &Value) {
        let mut status = json!({"state": "active"});
        status.as_object_mut().expect("an object").extend(by.as_object().expect("lists").clone());
        let alert = json!({
            "fingerprint": fingerprint, "startsAt": STARTS_AT, "labels": labels, "annotations": {},
            "receivers": [{"name": "mape-k"}], "status": status
        });
        self.active.insert(fingerprint.to_owned(), alert);
    }

    pub fn resolve(&mut self, fingerprint: &str) {
        self.active.remove(fingerprint);
    }
}

impl Answers for Alerts {
    fn answer(&self, path: &str, _: &BTreeMap<String, String>) -> Value {
        if path.ends_with("/status") {
            return json!({"uptime": (Utc::now() - TimeDelta::hours(1)).to_rfc3339(), "cluster": {}});
        }
        let mut alerts: Vec<Value> = self.active.values().cloned().collect();
        if !path.ends_with("/groups") {
            return json!(alerts);
        }
        let open = alerts.clone();
        if !self.is_old {
            for alert in &mut alerts {
                alert["status"]["mutedBy"] = json!(self.muted_by);
            }
        }
        let mut groups =
            vec![json!({"labels": {}, "receiver": {"name": "mape-k"}, "alerts": alerts})];
        if let Some(receiver) = self.open_route {
            let mut open = open;
            for alert in &mut open {
                alert["status"]["mutedBy"] = json!([]);
            }
            groups.push(json!({"labels": {}, "receiver": {"name": receiver}, "alerts": open}));
        }
        json!(groups)
    }
}
