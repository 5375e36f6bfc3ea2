//! A scripted Charter over real HTTP: follows the contract, misbehaves per call as told, and records what it was sent.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use mape_k::actuators::charter::{Call, Prior};
use mape_k::domain::execution::ActionRecord;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// How one call is treated; calls without a turn are answered as the contract says.
#[derive(Clone, Debug)]
pub enum StrategyOrder {
    Normal,
    /// Answers this and does nothing.
    Answer(u16, Value),
    /// Answers a page that is no JSON, and does nothing.
    Nonsense(u16),
    /// Never answers, and does nothing.
    Hang,
    /// Closes the connection, and does nothing.
    Reset,
    /// Does it, then never answers.
    DoThenHang,
    /// Does it, then closes the connection.
    DoThenReset,
    /// Does it, then a gateway in between gives up.
    DoThenAnswer(u16),
    /// Never answers, and does it so much later.
    HangThenDo(Duration),
    /// Answers normally, so much later.
    Late(Duration),
    /// Answers normally, once the test says so.
    Until(Arc<Notify>),
}

#[derive(Clone, Debug)]
pub struct Seen {
    pub call: Call,
    pub method: String,
    pub path: String,
    pub body: String,
    pub key: Option<String>,
    /// Of the leader who sent it.
    pub epoch: Option<String>,
    pub authorization: Option<String>,
}

/// What one keyed call really changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Effect {
    pub key: String,
    pub call: Call,
}

pub struct World {
    pub replicas: u32,
    pub policies: Vec<Value>,
    pub restarts: Vec<String>,
    pub seen: Vec<Seen>,
    pub effects: Vec<Effect>,
    pub honours_keys: bool,
    pub api_key: Option<String>,
    /// Does it end temporary policies itself when their time is over?
    pub ends_temporary: bool,
    begun: HashMap<String, Instant>,
    /// The n-th of all calls, counted from 0, is treated so, whatever it asks for.
    pub nth: HashMap<usize, StrategyOrder>,
    answers: HashMap<String, (u16, Value)>,
    script: HashMap<Call, VecDeque<StrategyOrder>>,
}

pub struct FakeCharter {
    pub base: String,
    world: Arc<Mutex<World>>,
    hanging: Arc<Notify>,
    server: JoinHandle<()>,
}

impl World {
    /// Calls of this kind are answered as the contract says again.
    pub fn unscript(&mut self, call: Call) {
        self.script.remove(&call);
    }
}

impl Drop for FakeCharter {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl FakeCharter {
    pub async fn start() -> Self {
        let world = Arc::new(Mutex::new(World {
            replicas: 3,
            policies: Vec::new(),
            restarts: Vec::new(),
            seen: Vec::new(),
            effects: Vec::new(),
            honours_keys: true,
            api_key: None,
            ends_temporary: false,
            begun: HashMap::new(),
            nth: HashMap::new(),
            answers: HashMap::new(),
            script: HashMap::new(),
        }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let hanging = Arc::new(Notify::new());
        let app = Router::new().fallback(serve).with_state((world.clone(), hanging.clone()));
        let server = tokio::spawn(async move {
            axum::serve(listener, app).await.expect("the fake serves");
        });
        Self { base, world, hanging, server }
    }

    /// A call from now on has come to where it is never answered.
    pub async fn hangs(&self) {
        self.hanging.notified().await;
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("no test panicked while holding it")
    }

    // Copies rather than guards: two guards in one statement would wait for each other.
    pub fn replicas(&self) -> u32 {
        self.world().replicas
    }

    pub fn policies(&self) -> Vec<Value> {
        self.world().policies.clone()
    }

    pub fn restarts(&self) -> Vec<String> {
        self.world().restarts.clone()
    }

    /// The next calls of this kind are treated so, in order.
    pub fn script(&self, call: Call, turns: impl IntoIterator<Item = StrategyOrder>) {
        self.world().script.entry(call).or_default().extend(turns);
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.world().seen.clone()
    }

    pub fn seen_of(&self, call: Call) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.call == call).collect()
    }

    /// Every call in order, by name.
    pub fn calls(&self) -> Vec<Call> {
        self.seen().iter().map(|seen| seen.call).collect()
    }

    /// The calls that change something, in order, each with what it asks for.
    pub fn changes(&self) -> Vec<String> {
        self.seen()
            .iter()
            .filter(|seen| {
                matches!(seen.call, Call::Apply | Call::Rollback | Call::Scale | Call::Restart)
            })
            .map(|seen| match seen.call {
                Call::Rollback => seen.path.clone(),
                _ => seen.body.clone(),
            })
            .collect()
    }
}

fn call_of(method: &str, path: &str) -> Option<Call> {
    Some(match (method, path) {
        ("GET", "/health") => Call::Health,
        ("GET", "/api/v1/policies") => Call::Policies,
        ("POST", "/api/v1/policies/validate") => Call::Validate,
        ("POST", "/api/v1/policies/apply") => Call::Apply,
        ("GET", "/api/v1/committee/state") => Call::CommitteeState,
        ("POST", "/api/v1/committee/scale") => Call::Scale,
        ("POST", "/api/v1/committee/restart") => Call::Restart,
        ("GET", "/api/v1/violations") => Call::Violations,
        ("POST", path) if path.ends_with("/rollback") => Call::Rollback,
        _ => return None,
    })
}

type Shared = (Arc<Mutex<World>>, Arc<Notify>);

async fn serve(State((world, hanging)): State<Shared>, request: Request<Body>) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.expect("a small body");
    let body = String::from_utf8(body.to_vec()).expect("text");
    let (method, path) = (head.method.as_str(), head.uri.path());
    if (method, path) == ("GET", "/metrics") {
        let replicas = world.lock().unwrap().replicas;
        return format!(
            "# TYPE westworld_charter_committee_size gauge\nwestworld_charter_committee_size {replicas}\n"
        )
        .into_response();
    }
    let Some(call) = call_of(method, path) else {
        return (StatusCode::NOT_FOUND, r#"{"error":"no such call","code":"not_found"}"#)
            .into_response();
    };
    let turn = {
        let mut world = world.lock().unwrap();
        world.seen.push(Seen {
            call,
            method: method.to_owned(),
            path: path.to_owned(),
            body: body.clone(),
            key: header(&head.headers, "idempotency-key"),
            epoch: header(&head.headers, "x-fence-epoch"),
            authorization: header(&head.headers, "authorization"),
        });
        let nth = world.seen.len() - 1;
        let scripted = world.nth.remove(&nth);
        scripted
            .or_else(|| world.script.get_mut(&call).and_then(VecDeque::pop_front))
            .unwrap_or(StrategyOrder::Normal)
    };
    let act = || world.lock().unwrap().answer(call, path, &head.headers, &body);
    match turn {
        StrategyOrder::Normal => act(),
        StrategyOrder::Answer(status, body) => answer(status, &body),
        StrategyOrder::Nonsense(status) => {
            (StatusCode::from_u16(status).unwrap(), "<html>welcome</html>").into_response()
        }
        StrategyOrder::Hang => {
            hanging.notify_one();
            std::future::pending().await
        }
        StrategyOrder::Reset => hang_up(),
        StrategyOrder::DoThenHang => {
            act();
            hanging.notify_one();
            std::future::pending().await
        }
        StrategyOrder::DoThenReset => {
            act();
            hang_up()
        }
        StrategyOrder::DoThenAnswer(status) => {
            act();
            answer(status, &json!({}))
        }
        StrategyOrder::HangThenDo(later) => {
            let (world, headers, path) = (world.clone(), head.headers.clone(), path.to_owned());
            // On its own: the client hangs up meanwhile and this handler is dropped.
            tokio::spawn(async move {
                tokio::time::sleep(later).await;
                world.lock().unwrap().answer(call, &path, &headers, &body);
            });
            std::future::pending().await
        }
        StrategyOrder::Late(later) => {
            tokio::time::sleep(later).await;
            act()
        }
        StrategyOrder::Until(released) => {
            released.notified().await;
            act()
        }
    }
}

/// Ends the connection's task, which closes the socket without an answer; no panic is reported this way.
fn hang_up() -> Response {
    std::panic::resume_unwind(Box::new("the fake hangs up"))
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).map(|value| value.to_str().expect("a plain header").to_owned())
}

fn answer(status: u16, body: &Value) -> Response {
    (StatusCode::from_u16(status).unwrap(), axum::Json(body.clone())).into_response()
}

fn refusal(code: &str, error: &str) -> Value {
    json!({"error": error, "code": code})
}

impl World {
    pub fn forget_script(&mut self) {
        self.script.clear();
    }

    fn answer(&mut self, call: Call, path: &str, headers: &HeaderMap, body: &str) -> Response {
        let open = matches!(call, Call::Health | Call::Validate);
        let wanted = self.api_key.as_ref().map(|key| format!("Bearer {key}"));
        if !open && wanted.is_some() && header(headers, "authorization") != wanted {
            return answer(401, &refusal("unauthorized", "a valid key is needed"));
        }
        let key = header(headers, "idempotency-key").filter(|_| self.honours_keys);
        if let Some((status, body)) = key.as_ref().and_then(|key| self.answers.get(key)) {
            return keyed(answer(*status, body), key.as_deref());
        }
        let replicas = self.replicas;
        let (status, said) = self.act(call, path, body);
        let changes = match call {
            Call::Scale => self.replicas != replicas,
            Call::Apply | Call::Rollback | Call::Restart => status < 300,
            _ => false,
        };
        if let Some(key) = header(headers, "idempotency-key").filter(|_| changes) {
            self.effects.push(Effect { key, call });
        }
        if let Some(key) = &key {
            self.answers.insert(key.clone(), (status, said.clone()));
        }
        keyed(answer(status, &said), key.as_deref())
    }

    fn act(&mut self, call: Call, path: &str, body: &str) -> (u16, Value) {
        if self.ends_temporary {
            let begun = &self.begun;
            self.policies.retain(|policy| {
                let lasts = policy["duration_seconds"].as_u64().map(Duration::from_secs);
                let since = policy["policy_id"].as_str().and_then(|id| begun.get(id));
                lasts.zip(since).is_none_or(|(lasts, since)| since.elapsed() < lasts)
            });
        }
        let body: Value = serde_json::from_str(body).unwrap_or(Value::Null);
        match call {
            Call::Health => (200, json!({"status": "ok"})),
            Call::Policies => (200, Value::Array(self.policies.clone())),
            Call::Violations => {
                (200, json!([{"violation_id": "v-1", "severity": "critical", "text": "x"}]))
            }
            Call::CommitteeState => (
                200,
                json!({"status": "normal", "replicas": self.replicas, "healthy_nodes": self.replicas,
                       "timestamp": "2026-01-01T00:00:00Z"}),
            ),
            Call::Validate => match invalid(&body) {
                None => (200, json!({"valid": true})),
                Some(error) => {
                    (422, json!({"valid": false, "error": error, "code": "invalid_policy"}))
                }
            },
            Call::Apply => {
                let Some(mut policy) = body["policy"].as_object().cloned() else {
                    return (400, refusal("invalid_body", "policy is missing"));
                };
                let id = format!("p-{}", self.policies.len() + 1);
                self.begun.insert(id.clone(), Instant::now());
                policy.insert("policy_id".into(), json!(id));
                policy.insert("status".into(), json!("active"));
                self.policies.push(Value::Object(policy));
                (201, json!({"policy_id": id}))
            }
            Call::Rollback => {
                let id = path.split('/').rev().nth(1).unwrap_or_default().to_owned();
                match self.policies.iter_mut().find(|policy| policy["policy_id"] == json!(id)) {
                    None => (404, refusal("not_found", "no such policy")),
                    Some(policy) if policy["status"] != "active" => {
                        (409, refusal("not_active", "not active any more"))
                    }
                    Some(policy) => {
                        policy["status"] = json!("rolled_back");
                        (200, json!({"status": "rolled_back"}))
                    }
                }
            }
            Call::Scale => match body["replicas"].as_u64().and_then(|n| u32::try_from(n).ok()) {
                Some(n @ 1..=20) => {
                    let previous = std::mem::replace(&mut self.replicas, n);
                    (200, json!({"previous_replicas": previous}))
                }
                _ => (400, refusal("out_of_range", "replicas must be 1 to 20")),
            },
            Call::Restart => {
                self.restarts.push(body["service"].as_str().unwrap_or("all").to_owned());
                (202, json!({"status": "restarting"}))
            }
        }
    }
}

fn keyed(mut response: Response, key: Option<&str>) -> Response {
    if let Some(key) = key {
        response.headers_mut().insert("idempotency-key", key.parse().expect("a plain key"));
    }
    response
}

fn invalid(policy: &Value) -> Option<&'static str> {
    match policy["action"].as_str() {
        Some("scale_up" | "scale_down") => {
            let n = policy["replicas"].as_u64().unwrap_or(0);
            (!(1..=20).contains(&n)).then_some("replicas must be 1 to 20")
        }
        Some(
            "restart_service"
            | "apply_policy"
            | "bypass_validation"
            | "throttle_requests"
            | "activate_emergency_override"
            | "rebalance_load"
            | "update_configuration",
        ) => None,
        _ => Some("no such action"),
    }
}

/// Changes what a record keeps of a change of Charter's.
pub fn kept(record: &mut ActionRecord, change: impl FnOnce(&mut Prior)) {
    let mut prior = Prior::of(record);
    change(&mut prior);
    record.prior = Some(prior.value());
}
