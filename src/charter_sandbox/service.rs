//! From a request to its answer: Charter's whole contract, without a socket.
//!
//! Owns the table of calls, access, fencing and idempotency. HTTP and tests in simulated time both come through `answer`.
//! What a change does is the plant's business.

mod calls;
mod sandbox;

use axum::http::{Method, StatusCode};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Options;
use super::exposition;
use super::memory::{Audit, AuditEntry, Keys, Remembered, audit_body};
use super::plant::Plant;

pub(super) const JSON: &str = "application/json";
/// A key is a UUID of 36 characters; some room for other schemes, none for a flood.
const LONGEST_KEY: usize = 128;

/// A call, as the transport hands it over.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: Method,
    pub path: String,
    /// The header `Authorization`.
    pub authorization: Option<String>,
    /// The header `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// The header `X-Fence-Epoch`.
    pub fence_epoch: Option<String>,
    pub body: Vec<u8>,
}

impl Request {
    #[must_use]
    pub fn get(path: &str) -> Self {
        Self::new(Method::GET, path, Vec::new())
    }

    #[must_use]
    pub fn post(path: &str, body: &Value) -> Self {
        Self::new(Method::POST, path, body.to_string().into_bytes())
    }

    #[must_use]
    pub fn delete(path: &str) -> Self {
        Self::new(Method::DELETE, path, Vec::new())
    }

    #[must_use]
    pub fn with_key(mut self, key: &str) -> Self {
        self.idempotency_key = Some(key.to_owned());
        self
    }

    fn new(method: Method, path: &str, body: Vec<u8>) -> Self {
        Self {
            method,
            path: path.to_owned(),
            authorization: None,
            idempotency_key: None,
            fence_epoch: None,
            body,
        }
    }
}

/// What the transport sends back.
#[derive(Debug, Clone)]
pub struct Response {
    pub status: StatusCode,
    pub content_type: &'static str,
    /// The request's key, when Charter honours keys.
    pub idempotency_key: Option<String>,
    pub body: String,
}

impl Response {
    /// The body as JSON; null when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }
}

/// Everything that calls read and change.
#[derive(Debug)]
pub(super) struct State {
    pub plant: Plant,
    pub keys: Keys,
    pub audit: Audit,
    pub highest_epoch: u64,
}

/// An answer with its effect, before the transport's part is added.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    content_type: &'static str,
    body: String,
    effect: Option<String>,
}

impl Answer {
    fn ok(body: &Value) -> Self {
        Self::json(StatusCode::OK, body)
    }

    fn json(status: StatusCode, body: &Value) -> Self {
        Self { status, content_type: JSON, body: body.to_string(), effect: None }
    }

    fn error(status: StatusCode, code: &str, text: &str) -> Self {
        Self::json(status, &json!({ "error": text, "code": code }))
    }

    fn with_effect(mut self, effect: String) -> Self {
        self.effect = Some(effect);
        self
    }
}

/// The calls of the contract and of the sandbox.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Call<'path> {
    Health,
    Metrics,
    Policies,
    Validate,
    Apply,
    Rollback(&'path str),
    CommitteeState,
    Scale,
    Restart,
    Violations,
    SandboxFaults,
    InjectFault,
    WithdrawFault(&'path str),
    SandboxState,
    SandboxAudit,
}

impl<'path> Call<'path> {
    /// The call behind a method and path, or the answer to one that does not exist.
    fn named(method: &Method, path: &'path str, sandbox: bool) -> Result<Self, Answer> {
        // Taken literally: a path that access is checked for is the very path that is served.
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        let choices: &[(Method, Self)] = match segments.as_slice() {
            ["health"] => &[(Method::GET, Self::Health)],
            ["metrics"] => &[(Method::GET, Self::Metrics)],
            ["api", "v1", "policies"] => &[(Method::GET, Self::Policies)],
            ["api", "v1", "policies", "validate"] => &[(Method::POST, Self::Validate)],
            ["api", "v1", "policies", "apply"] => &[(Method::POST, Self::Apply)],
            ["api", "v1", "policies", id, "rollback"] => &[(Method::POST, Self::Rollback(id))],
            ["api", "v1", "committee", "state"] => &[(Method::GET, Self::CommitteeState)],
            ["api", "v1", "committee", "scale"] => &[(Method::POST, Self::Scale)],
            ["api", "v1", "committee", "restart"] => &[(Method::POST, Self::Restart)],
            ["api", "v1", "violations"] => &[(Method::GET, Self::Violations)],
            ["sandbox", "faults"] if sandbox => {
                &[(Method::GET, Self::SandboxFaults), (Method::POST, Self::InjectFault)]
            }
            ["sandbox", "faults", id] if sandbox => &[(Method::DELETE, Self::WithdrawFault(id))],
            ["sandbox", "state"] if sandbox => &[(Method::GET, Self::SandboxState)],
            ["sandbox", "audit"] if sandbox => &[(Method::GET, Self::SandboxAudit)],
            _ => {
                let text =
                    format!("there is no {path} here; see the table of calls in the API reference");
                return Err(Answer::error(StatusCode::NOT_FOUND, "not_found", &text));
            }
        };
        choices.iter().find(|(allowed, _)| allowed == method).map(|(_, call)| *call).ok_or_else(
            || {
                let allowed = choices
                    .iter()
                    .map(|(allowed, _)| allowed.as_str())
                    .collect::<Vec<_>>()
                    .join(" or ");
                let text = format!("{path} takes {allowed}, not {method}");
                Answer::error(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", &text)
            },
        )
    }

    /// Changes something at Charter: fenced, keyed, once per key.
    fn changes(self) -> bool {
        matches!(self, Self::Apply | Self::Rollback(_) | Self::Scale | Self::Restart)
    }
}

/// Answers a call at the time `at` and keeps the audit. The sandbox's own calls stay out of it.
pub(super) fn answer(
    state: &mut State,
    options: &Options,
    at: DateTime<Utc>,
    request: &Request,
) -> Response {
    let answer = dispatch(state, options, at, request).unwrap_or_else(|refusal| refusal);
    if !request.path.starts_with("/sandbox") {
        state.audit.record(AuditEntry {
            at: rfc3339(at),
            method: request.method.to_string(),
            path: request.path.clone(),
            key: request.idempotency_key.clone(),
            epoch: request.fence_epoch.clone(),
            body: audit_body(&request.body),
            status: answer.status.as_u16(),
            effect: answer.effect,
        });
    }
    Response {
        status: answer.status,
        content_type: answer.content_type,
        idempotency_key: request.idempotency_key.clone().filter(|_| options.honour_keys),
        body: answer.body,
    }
}

fn dispatch(
    state: &mut State,
    options: &Options,
    at: DateTime<Utc>,
    request: &Request,
) -> Result<Answer, Answer> {
    if request.path.starts_with("/api/v1") && request.path != "/api/v1/policies/validate" {
        authorize(options, request)?;
    }
    let call = Call::named(&request.method, &request.path, options.sandbox)?;
    if !call.changes() {
        return perform(state, options, at, request, call);
    }
    fence(state, request)?;
    let Some(key) = request.idempotency_key.as_deref().filter(|_| options.honour_keys) else {
        return perform(state, options, at, request, call);
    };
    if key.is_empty() || key.len() > LONGEST_KEY {
        let text =
            format!("Idempotency-Key has {} characters, allowed are 1 to {LONGEST_KEY}", key.len());
        return Err(Answer::error(StatusCode::BAD_REQUEST, "invalid_idempotency_key", &text));
    }
    if let Some(first) = state.keys.answer(key) {
        return Ok(Answer {
            status: first.status,
            content_type: JSON,
            body: first.body.clone(),
            effect: None,
        });
    }
    let answer = perform(state, options, at, request, call).unwrap_or_else(|refusal| refusal);
    state.keys.remember(key, Remembered { status: answer.status, body: answer.body.clone() });
    Ok(answer)
}

fn authorize(options: &Options, request: &Request) -> Result<(), Answer> {
    let Some(wanted) = &options.api_key else {
        return Ok(());
    };
    let given = request.authorization.as_deref().and_then(|header| header.strip_prefix("Bearer "));
    if given == Some(wanted.as_str()) {
        return Ok(());
    }
    let text = "the API key is missing or wrong; send Authorization: Bearer <key>";
    Err(Answer::error(StatusCode::UNAUTHORIZED, "unauthorized", text))
}

/// Refuses the calls of a leader that has been replaced. No header: leader election is off.
fn fence(state: &mut State, request: &Request) -> Result<(), Answer> {
    let Some(header) = &request.fence_epoch else {
        return Ok(());
    };
    let Ok(epoch) = header.trim().parse::<u64>() else {
        let text = format!("X-Fence-Epoch is {header:?}, wanted is a whole number");
        return Err(Answer::error(StatusCode::BAD_REQUEST, "invalid_epoch", &text));
    };
    if epoch < state.highest_epoch {
        let text =
            format!("epoch {epoch} has ended, {} has been seen; stop writing", state.highest_epoch);
        return Err(Answer::error(StatusCode::CONFLICT, "stale_epoch", &text));
    }
    state.highest_epoch = epoch;
    Ok(())
}

fn perform(
    state: &mut State,
    options: &Options,
    at: DateTime<Utc>,
    request: &Request,
    call: Call<'_>,
) -> Result<Answer, Answer> {
    let plant = &mut state.plant;
    match call {
        Call::Health => Ok(Answer::ok(&json!({ "status": "ok" }))),
        Call::Metrics => Ok(Answer {
            status: StatusCode::OK,
            content_type: exposition::CONTENT_TYPE,
            body: exposition::render(plant),
            effect: None,
        }),
        Call::Policies => Ok(calls::policies(plant)),
        Call::Validate => calls::validate(plant, &request.body),
        Call::Apply => calls::apply(plant, &request.body, options.speed),
        Call::Rollback(id) => calls::roll_back(plant, id),
        Call::CommitteeState => Ok(calls::committee_state(plant, at)),
        Call::Scale => calls::scale(plant, &request.body),
        Call::Restart => calls::restart(plant, &request.body, options.speed),
        Call::Violations => Ok(calls::violations(plant, at, options.speed)),
        Call::SandboxFaults => Ok(sandbox::faults(plant)),
        Call::InjectFault => sandbox::inject(plant, &request.body, options.speed),
        Call::WithdrawFault(id) => sandbox::withdraw(plant, id),
        Call::SandboxState => Ok(sandbox::state(plant)),
        Call::SandboxAudit => Ok(Answer::ok(&json!(state.audit.entries().collect::<Vec<_>>()))),
    }
}

/// Reads a body, or says what is wrong with it.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Answer> {
    serde_json::from_slice(body).map_err(|error| {
        let text = format!("the body cannot be read: {error}");
        Answer::error(StatusCode::BAD_REQUEST, "invalid_body", &text)
    })
}

fn rfc3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
