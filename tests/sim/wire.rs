//! The network of the simulation: every request of the loop arrives at the simulated servers, in its time or not at all.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use mape_k::charter_sandbox::service;
use mape_k::http::{Failure, HttpTransport};
use reqwest::{Client, Request, Response};
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::outside::{EPOCH, Shared};
use super::script::{AlertmanagerTrouble, CharterTrouble, MetricsTrouble};
use super::watch::changes;

/// A client that builds requests and never sends one; making one takes milliseconds.
fn client() -> &'static Client {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    CLIENT.get_or_init(Client::new)
}

#[derive(Clone, Debug)]
pub struct Network {
    pub outside: Shared,
    /// Which process asks.
    pub daemon: u32,
}

#[async_trait]
impl HttpTransport for Network {
    fn client(&self) -> &Client {
        client()
    }

    async fn send(&self, request: Request) -> Result<Response, Failure> {
        match request.url().host_str() {
            Some("charter") if request.url().path() == "/metrics" => self.scrape().await,
            Some("charter") => self.charter(request).await,
            Some("prometheus") => self.prometheus(&request).await,
            Some("alertmanager") => self.alertmanager(&request),
            host => panic!("nobody is {host:?} in the simulation"),
        }
    }
}

fn ok(body: String) -> Response {
    http::Response::new(body).into()
}

fn refused() -> Failure {
    Failure::NotSent("connection refused".to_owned())
}

impl Network {
    /// The metrics' trouble, once its own delay is over.
    async fn metrics(&self) -> Result<Option<MetricsTrouble>, Failure> {
        let trouble = {
            let mut outside = self.outside.lock();
            let now = outside.now();
            outside.metrics.now(now)
        };
        match trouble {
            Some(MetricsTrouble::Down) => Err(refused()),
            Some(MetricsTrouble::Slow) => {
                sleep(Duration::from_secs(20)).await;
                Ok(trouble)
            }
            _ => Ok(trouble),
        }
    }

    async fn scrape(&self) -> Result<Response, Failure> {
        self.metrics().await?;
        let mut outside = self.outside.lock();
        let now = outside.now();
        if outside.changes.now(now) == Some(CharterTrouble::Down) {
            return Err(refused());
        }
        Ok(ok(outside.exposition()))
    }

    async fn prometheus(&self, request: &Request) -> Result<Response, Failure> {
        let trouble = self.metrics().await?;
        let body = request.body().and_then(|body| body.as_bytes()).unwrap_or_default();
        let pairs: BTreeMap<String, String> =
            url::form_urlencoded::parse(body).into_owned().collect();
        let outside = self.outside.lock();
        let off = if trouble == Some(MetricsTrouble::Skewed) { 45.0 } else { 0.0 };
        Ok(ok(outside.prometheus.answer(&pairs, outside.now(), EPOCH + off).to_string()))
    }

    fn alertmanager(&self, request: &Request) -> Result<Response, Failure> {
        let mut outside = self.outside.lock();
        let now = outside.now();
        if outside.alerts.now(now) == Some(AlertmanagerTrouble::Down) {
            return Err(refused());
        }
        let answer: Value = match request.url().path().rsplit('/').next() {
            Some("status") => outside.alertmanager.status(EPOCH),
            Some("groups") => outside.alertmanager.groups(now, EPOCH),
            _ => outside.alertmanager.list(now, EPOCH),
        };
        Ok(ok(answer.to_string()))
    }

    async fn charter(&self, request: Request) -> Result<Response, Failure> {
        let call = arrived(&request);
        let changes = changes(&call);
        if changes && self.crash(false) {
            return std::future::pending().await;
        }
        let (trouble, jitter) = {
            let mut outside = self.outside.lock();
            let now = outside.now();
            if changes {
                outside.charter_sent(now, self.daemon, &call);
            }
            (outside.changes.now(now), outside.chance())
        };
        let limit = request.timeout().copied().unwrap_or(Duration::from_secs(30));
        let fate = Fate::of(trouble, changes, jitter, limit);
        let answer = match fate.arrives {
            None => None,
            Some(after) => Some(self.arrive(call, after, fate.lies)),
        };
        let Some(replies) = fate.replies else {
            // The answer is lost; the caller waits for as long as it may.
            sleep(limit).await;
            return Err(Failure::TimedOut);
        };
        sleep(replies).await;
        if changes && self.crash(true) {
            return std::future::pending().await;
        }
        match (fate.instead, answer) {
            (Some(Instead::Refused), _) => Err(refused()),
            (Some(Instead::Broken), _) => Err(Failure::Broken("connection reset".to_owned())),
            (Some(Instead::Status(status)), _) => {
                let body = r#"{"error":"out of order","code":"out_of_order"}"#.to_owned();
                let mut response = http::Response::new(body);
                *response.status_mut() = status.try_into().expect("a status");
                Ok(response.into())
            }
            (None, Some(answer)) => {
                let answer = answer.await.expect("the call arrives before its answer");
                let mut response = http::Response::new(answer.body);
                *response.status_mut() = answer.status;
                if let Some(key) = answer.idempotency_key {
                    self.outside.lock().carried_back(self.daemon);
                    let key = key.parse().expect("a header");
                    response.headers_mut().insert("idempotency-key", key);
                }
                Ok(response.into())
            }
            (None, None) => panic!("a call that never arrives has no answer"),
        }
    }

    /// On its way it is the network's, whatever becomes of its sender.
    fn arrive(
        &self,
        call: service::Request,
        after: Duration,
        lies: bool,
    ) -> oneshot::Receiver<service::Response> {
        let (tell, told) = oneshot::channel();
        let (outside, daemon) = (self.outside.clone(), self.daemon);
        tokio::spawn(async move {
            let mut call = call;
            sleep(after).await;
            let mut outside = outside.lock();
            let now = outside.now();
            let key = call.idempotency_key.clone().unwrap_or_default();
            if outside.forgets_keys(now) {
                call.idempotency_key = None;
            }
            let (answer, effect) = if lies {
                (outside.charter_lies(&call), None)
            } else {
                (outside.charter(&call), outside.charter.last_effect())
            };
            outside.charter_called(now, daemon, &call, &key, &answer, effect.as_deref());
            // Nobody may be waiting any more.
            drop(tell.send(answer));
        });
        told
    }

    /// Is this the call in which the daemon dies?
    pub fn crash(&self, after: bool) -> bool {
        let mut outside = self.outside.lock();
        outside.crashes(self.daemon, after)
    }
}

/// What becomes of one request.
struct Fate {
    /// After which it is worked on.
    arrives: Option<Duration>,
    /// After which there is an answer.
    replies: Option<Duration>,
    instead: Option<Instead>,
    lies: bool,
}

enum Instead {
    Refused,
    Broken,
    Status(u16),
}

impl Fate {
    fn of(trouble: Option<CharterTrouble>, changes: bool, jitter: f64, limit: Duration) -> Self {
        let arrives = Duration::from_secs_f64(0.01 + 0.02 * jitter);
        let replies = arrives * 2;
        let well =
            Self { arrives: Some(arrives), replies: Some(replies), instead: None, lies: false };
        match trouble {
            Some(CharterTrouble::Down) => {
                Self { arrives: None, instead: Some(Instead::Refused), ..well }
            }
            Some(CharterTrouble::Slow) => {
                let after = Duration::from_secs_f64(1.0 + 8.0 * jitter);
                Self { arrives: Some(after), replies: Some(after * 2), ..well }
            }
            Some(CharterTrouble::LosesReplies) if changes => {
                if jitter < 0.5 {
                    Self { replies: None, ..well }
                } else {
                    Self { instead: Some(Instead::Broken), ..well }
                }
            }
            Some(CharterTrouble::ActsLate) if changes => {
                let after = limit + Duration::from_secs_f64(40.0 * jitter);
                Self { arrives: Some(after), replies: None, ..well }
            }
            Some(CharterTrouble::Fails) if changes => {
                Self { arrives: None, instead: Some(Instead::Status(500)), ..well }
            }
            Some(CharterTrouble::Unavailable) if changes => {
                Self { arrives: None, instead: Some(Instead::Status(503)), ..well }
            }
            Some(CharterTrouble::BadGateway) if changes => {
                Self { instead: Some(Instead::Status(502)), ..well }
            }
            Some(CharterTrouble::Conflicts) if changes => {
                Self { arrives: None, instead: Some(Instead::Status(409)), ..well }
            }
            Some(CharterTrouble::Lies) if changes => Self { lies: true, ..well },
            _ => well,
        }
    }
}

/// The request as Charter's service takes it.
fn arrived(request: &Request) -> service::Request {
    let header = |name: &str| {
        request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    };
    service::Request {
        method: request.method().clone(),
        path: request.url().path().to_owned(),
        authorization: header("authorization"),
        idempotency_key: header("idempotency-key"),
        fence_epoch: header("x-fence-epoch"),
        body: request.body().and_then(|body| body.as_bytes()).unwrap_or_default().to_vec(),
    }
}
