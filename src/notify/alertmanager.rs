//! An Alertmanager as a notifier: incidents as alerts of its API v2, for the routes, silences and pagers that users already
//! have.
//!
//! It is level-triggered: an alert fires while it is posted again, so [`Alertmanager::refresh`] posts in every cycle what
//! fires and what has ended. `origin="mape-k"` keeps the daemon from hearing itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::SecondsFormat;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, StatusCode};
use serde::Serialize;
use tokio::time::Instant;
use url::Url;

use super::call::{Caller, shorten};
use super::{Notifier, NotifyError, Refusal};
use crate::domain::decision::Sev;
use crate::domain::message::{Entry, Form, Message, NotifierName, Thread};
use crate::domain::secret::Secret;
use crate::domain::speed;
use crate::domain::time::{Time, after};
use crate::http::{Access, Endpoint, HttpSettings, HttpTransport};

/// Alertmanager's own `resolve_timeout`: no alert of ours ends sooner because a cycle took long.
const SHORTEST_STAND: Duration = Duration::from_secs(5 * 60);

/// Cycles that may fail before an alert ends by itself.
const CYCLES: u32 = 4;

/// In one request: at most some 2 MiB.
const IN_A_POST: usize = 500;

/// In one refresh: far more incidents than people can read; the worst come first.
const MAX_ALERTS: usize = 2_000;

/// Of an annotation: a page of a pager.
const MAX_TEXT: usize = 3_000;

pub struct Alertmanager {
    caller: Caller,
    stand: Duration,
    rehearsal: Option<f64>,
    environment: Option<String>,
}

/// Not its address, which may hold a password.
impl std::fmt::Debug for Alertmanager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.caller.server)
    }
}

#[derive(Serialize)]
struct Alert {
    labels: BTreeMap<&'static str, String>,
    annotations: BTreeMap<&'static str, String>,
    #[serde(rename = "startsAt")]
    starts_at: String,
    #[serde(rename = "endsAt")]
    ends_at: String,
}

impl Alert {
    /// The label gives a rehearsal alerts of its own: without it, its end of an alert would end production's, and no route
    /// could keep it from a pager.
    fn mark(&mut self, speed: f64) {
        self.labels.insert("rehearsal", format!("{speed}x"));
        if let Some(summary) = self.annotations.get_mut("summary")
            && !speed::is_marked(summary)
        {
            summary.insert_str(0, &speed::mark(speed));
        }
    }
}

impl Alertmanager {
    /// `interval` is that of the cycles, each of which refreshes.
    #[must_use]
    pub fn with_transport(
        wire: Arc<dyn HttpTransport>,
        url: &Url,
        http: Option<&HttpSettings>,
        interval: Duration,
    ) -> Self {
        let access = Access { section: "notify.alertmanager", http, token: None };
        let endpoint = Endpoint::new(wire, url.clone(), access);
        let server = format!("Alertmanager at {}", endpoint.address());
        let key = "notify.alertmanager.url";
        let caller = Caller { endpoint, server, key, secrets: Vec::new() };
        let stand = interval.saturating_mul(CYCLES).max(SHORTEST_STAND);
        Self { caller, stand, rehearsal: None, environment: None }
    }

    /// At this many times the speed of life.
    #[must_use]
    pub fn rehearsing(self, rehearsal: Option<f64>) -> Self {
        Self { rehearsal, ..self }
    }

    #[must_use]
    pub fn in_environment(self, environment: Option<&str>) -> Self {
        Self { environment: environment.map(str::to_owned), ..self }
    }

    #[must_use]
    pub fn secrets(&self) -> Vec<Secret> {
        self.caller.secrets()
    }

    /// Posts what fires now, and the end of what has ended.
    pub async fn refresh(
        &self,
        standing: &[Entry],
        now: Time,
        deadline: Instant,
    ) -> Result<(), NotifyError> {
        let mut standing: Vec<&Entry> = standing.iter().collect();
        standing.sort_by_key(|entry| std::cmp::Reverse(entry.severity));
        if standing.len() > MAX_ALERTS {
            tracing::warn!(
                standing = standing.len(),
                told = MAX_ALERTS,
                "more incidents are open than are sent to Alertmanager; it gets the most severe ones"
            );
        }
        let alerts: Vec<Alert> =
            standing.into_iter().take(MAX_ALERTS).map(|entry| self.alert(entry, now)).collect();
        self.post(alerts, deadline).await
    }

    async fn post(&self, mut alerts: Vec<Alert>, deadline: Instant) -> Result<(), NotifyError> {
        if let Some(environment) = &self.environment {
            for alert in &mut alerts {
                alert.labels.insert("environment", environment.clone());
            }
        }
        if let Some(speed) = self.rehearsal {
            for alert in &mut alerts {
                alert.mark(speed);
            }
        }
        let asked = "POST /api/v2/alerts";
        for some in alerts.chunks(IN_A_POST) {
            let body = serde_json::to_vec(some).expect("texts under constant names");
            let endpoint = &self.caller.endpoint;
            let url = endpoint.below(["api", "v2", "alerts"]);
            let request = endpoint.request(Method::POST, url);
            let request = request.header(CONTENT_TYPE, "application/json").body(body);
            let answer = self.caller.call(request, asked, deadline).await?;
            if !answer.status.is_success() {
                let about = match answer.status {
                    StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE => Refusal::Message,
                    _ => Refusal::Other,
                };
                let advice = endpoint.advice(answer.status, &answer.body).unwrap_or_else(|| {
                    let key = self.caller.key;
                    format!(
                        "Check that {key} is an Alertmanager of version 0.16 or later, and its log"
                    )
                });
                let text = format!(
                    "{} refused {asked} with {}: {}. {advice}",
                    self.caller.server,
                    answer.status,
                    shorten(&answer.body)
                );
                return Err(NotifyError::Refused { text, about });
            }
        }
        Ok(())
    }

    fn alert(&self, entry: &Entry, now: Time) -> Alert {
        let ends_at = entry.ended_at.map_or_else(|| after(now, self.stand), |end| end.min(now));
        let mut labels = labels(entry.severity);
        labels.insert("service", cut(&entry.service, 200));
        labels.insert("class", entry.class.as_str().to_owned());
        labels.insert("incident", cut(&entry.incident, 200));
        if let Some(namespace) = &entry.namespace {
            labels.insert("namespace", cut(namespace, 200));
        }
        let first = entry.lines().next().map_or(entry.class.as_str(), String::as_str);
        let mut lines: Vec<String> = entry.lines().cloned().collect();
        lines.extend(entry.recommendations.iter().map(|text| format!("Do: {text}")));
        lines.extend(entry.deployment.iter().map(|text| format!("Deployment: {text}")));
        let mut annotations = BTreeMap::from([
            ("summary", cut(&format!("{} {}: {first}", entry.severity, entry.service), 300)),
            ("description", cut(&lines.join("\n"), MAX_TEXT)),
        ]);
        if let Some(url) = &entry.runbook_url {
            annotations.insert("runbook_url", cut(url, MAX_TEXT));
        }
        // An alert that ends before it starts is refused, and with it all others of the request.
        Alert {
            labels,
            annotations,
            starts_at: time(entry.since.min(ends_at)),
            ends_at: time(ends_at),
        }
    }

    /// A message as one alert that ends by itself: a summary, or one that names no incident.
    fn whole(&self, message: &Message) -> Alert {
        let mut labels = labels(message.severity);
        // A late summary pages nobody; what is still open fires by itself.
        if message.form == Form::Summary {
            labels.insert("severity", "warning".to_owned());
        }
        labels.insert("service", "mape-k".to_owned());
        labels.insert("class", "summary".to_owned());
        labels.insert("incident", format!("summary-{}", message.at.format("%Y%m%d_%H%M%S")));
        let mut lines = vec![message.root_cause.clone(), message.impact.clone()];
        lines.extend(message.actions.iter().map(|text| format!("Do: {text}")));
        lines.extend(message.entries.iter().map(|entry| {
            let said: Vec<&str> = entry.lines().map(String::as_str).collect();
            format!("{} {} ({})", entry.incident, entry.service, said.join("; "))
        }));
        let annotations = BTreeMap::from([
            ("summary", cut(&message.title, 300)),
            ("description", cut(&lines.join("\n"), MAX_TEXT)),
        ]);
        let ends_at = time(after(message.at, self.stand));
        Alert { labels, annotations, starts_at: time(message.at), ends_at }
    }
}

#[async_trait]
impl Notifier for Alertmanager {
    fn name(&self) -> NotifierName {
        NotifierName::Alertmanager
    }

    fn lane(&self, _message: &Message) -> String {
        String::new()
    }

    fn sends(&self, form: &Form) -> bool {
        match form {
            // What changed is in the next refresh.
            Form::Edit(_) | Form::Update(_) => false,
            Form::Alert | Form::Ended(_) | Form::Summary => true,
        }
    }

    async fn deliver(
        &self,
        message: &Message,
        deadline: Instant,
    ) -> Result<Option<Thread>, NotifyError> {
        let is_end = matches!(message.form, Form::Ended(_));
        let alerts = if message.form == Form::Summary || message.entries.is_empty() {
            vec![self.whole(message)]
        } else {
            let entries = message.entries.iter().take(MAX_ALERTS);
            let told = entries.cloned().map(|mut entry| {
                if is_end {
                    entry.ended_at.get_or_insert(message.at);
                }
                self.alert(&entry, message.at)
            });
            told.collect()
        };
        self.post(alerts, deadline).await.map(|()| None)
    }
}

fn labels(severity: Sev) -> BTreeMap<&'static str, String> {
    let level = match severity {
        Sev::Sev1 => "critical",
        Sev::Sev2 | Sev::Sev3 => "warning",
        Sev::Sev4 => "info",
    };
    BTreeMap::from([
        ("alertname", "MapeKEscalation".to_owned()),
        ("origin", "mape-k".to_owned()),
        ("severity", level.to_owned()),
        ("sev", severity.as_str().to_owned()),
    ])
}

fn cut(text: &str, max: usize) -> String {
    text.char_indices()
        .nth(max)
        .map_or_else(|| text.to_owned(), |(end, _)| format!("{}…", &text[..end]))
}

fn time(at: Time) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
