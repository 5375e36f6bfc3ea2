//! The contract, held by hooks that are HTTP calls, against a real server.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::{Json, Router};
use mape_k::actuators::Actuator;
use mape_k::actuators::hook::{Hook, Hooks, Settings, Verb};
use mape_k::domain::action::Action;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::commands::{action, read_only};
use super::{Fate, Fixture, contract};

#[derive(Default)]
struct World {
    /// Who made the cart read-only: a key, or somebody else.
    owner: Option<String>,
    changes: usize,
    fate: Option<Fate>,
}

pub struct Served {
    hooks: Hooks,
    world: Arc<Mutex<World>>,
    server: JoinHandle<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Served {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("a world")
    }
}

async fn serve(
    State(world): State<Arc<Mutex<World>>>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> (StatusCode, Json<Value>) {
    let mut world = world.lock().expect("a world");
    let apply_key = body["apply_key"].as_str().expect("the key of apply").to_owned();
    assert_eq!(headers["idempotency-key"], body["key"].as_str().expect("a key"));
    let is_ours = world.owner.as_ref() == Some(&apply_key);
    if body["verb"] == "probe" {
        let effect = match &world.owner {
            Some(_) if is_ours => "found",
            Some(_) => "foreign",
            None => "absent",
        };
        return (StatusCode::OK, Json(json!({"effect": effect})));
    }
    let fate = world.fate.take();
    let (status, is_done) = match fate {
        None => (StatusCode::OK, true),
        Some(Fate::DoneAndLost) => (StatusCode::GATEWAY_TIMEOUT, true),
        Some(Fate::Lost) => (StatusCode::GATEWAY_TIMEOUT, false),
        Some(Fate::Refused) => (StatusCode::UNPROCESSABLE_ENTITY, false),
        Some(Fate::NotNow) => (StatusCode::TOO_MANY_REQUESTS, false),
        Some(Fate::Conflict) => (StatusCode::CONFLICT, false),
    };
    let is_undo = body["verb"] == "undo";
    // The same key again, or nothing left to undo, changes nothing.
    if is_done && is_undo == is_ours {
        world.owner = (!is_undo).then_some(apply_key);
        world.changes += 1;
    }
    (status, Json(json!({})))
}

#[async_trait]
impl Fixture for Served {
    const TELLS_CONFLICTS: bool = true;

    async fn start() -> Self {
        let world = Arc::new(Mutex::new(World::default()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let app = Router::new().fallback(serve).with_state(world.clone());
        let server = tokio::spawn(async move {
            axum::serve(listener, app).await.expect("the fake serves");
        });
        let url = format!("http://{address}/cart").parse().expect("a URL");
        let verb = Verb::Http { url, method: reqwest::Method::POST };
        let (name, target) = read_only();
        let hook = Hook {
            validate: None,
            probe: Some(verb.clone()),
            undo: Some(verb.clone()),
            idempotent: true,
            ..Hook::new(name, target, verb)
        };
        let settings =
            Settings { hooks: vec![hook], probe_after: Duration::ZERO, ..Settings::default() };
        Self { hooks: Hooks::new(settings).expect("hooks"), world, server }
    }

    fn actuator(&self) -> &dyn Actuator {
        &self.hooks
    }

    fn action(&self) -> Action {
        action()
    }

    fn next(&self, fate: Fate) {
        self.world().fate = Some(fate);
    }

    fn changes(&self) -> usize {
        self.world().changes
    }

    fn is_in_effect(&self) -> bool {
        self.world().owner.is_some()
    }

    fn change_by_others(&self) {
        self.world().owner = Some("a person".to_owned());
    }

    fn end_by_itself(&self) {
        self.world().owner = None;
    }
}

contract!(Served);
