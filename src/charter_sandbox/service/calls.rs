//! The calls of the contract, one function each.

use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Answer, read, rfc3339};
use crate::charter_sandbox::plant::{ActivePolicy, NotApplied, Plant, UnknownPolicy};
use crate::charter_sandbox::policy::{self, Invalid, Policy};

const ID_PREFIX: &str = "policy-";
/// A drain longer than this is a hang.
const LONGEST_DRAIN: f64 = 3_600.0;

#[derive(Serialize)]
struct PolicyView<'plant> {
    policy_id: String,
    #[serde(flatten)]
    policy: &'plant Policy,
    status: &'static str,
}

fn view(active: &ActivePolicy) -> PolicyView<'_> {
    PolicyView { policy_id: policy_id(active.number), policy: &active.policy, status: "active" }
}

fn policy_id(number: u64) -> String {
    format!("{ID_PREFIX}{number}")
}

/// The policies in force, as GET /policies and the sandbox show them.
pub(super) fn active_policies(plant: &Plant) -> Value {
    json!(plant.policies.active().iter().map(view).collect::<Vec<_>>())
}

pub(super) fn policies(plant: &Plant) -> Answer {
    Answer::ok(&active_policies(plant))
}

pub(super) fn validate(plant: &Plant, body: &[u8]) -> Result<Answer, Answer> {
    Ok(match Policy::parse(&read::<Value>(body)?, &plant.size) {
        Ok(_) => Answer::ok(&json!({ "valid": true })),
        Err(invalid) => Answer::json(
            StatusCode::UNPROCESSABLE_ENTITY,
            &json!({ "valid": false, "error": invalid.to_string(), "code": "invalid_policy" }),
        ),
    })
}

/// All three fields are part of the contract.
#[derive(Deserialize)]
struct ApplyBody {
    policy: Value,
    timestamp: DateTime<Utc>,
    source: String,
}

pub(super) fn apply(plant: &mut Plant, body: &[u8], speed: f64) -> Result<Answer, Answer> {
    let ApplyBody { policy, timestamp, source } = read(body)?;
    let policy = Policy::parse(&policy, &plant.size).map_err(|invalid| invalid_policy(&invalid))?;
    let asked = json!(policy);
    let number = plant.apply(policy, speed).map_err(|refused| match &refused {
        NotApplied::OtherCall(_) => {
            Answer::error(StatusCode::BAD_REQUEST, "wrong_call", &refused.to_string())
        }
        NotApplied::Invalid(invalid) => invalid_policy(invalid),
    })?;
    let id = policy_id(number);
    let effect = format!("{id} in force for {source} as of {}: {asked}", rfc3339(timestamp));
    Ok(Answer::ok(&json!({ "policy_id": id })).with_effect(effect))
}

fn invalid_policy(invalid: &Invalid) -> Answer {
    Answer::error(StatusCode::UNPROCESSABLE_ENTITY, "invalid_policy", &invalid.to_string())
}

pub(super) fn roll_back(plant: &mut Plant, id: &str) -> Result<Answer, Answer> {
    let number = id.strip_prefix(ID_PREFIX).and_then(|number| number.parse().ok());
    match number.map_or(Err(UnknownPolicy::NeverIssued), |number| plant.roll_back(number)) {
        Ok(()) => Ok(Answer::ok(&json!({ "policy_id": id, "status": "rolled_back" }))
            .with_effect(format!("{id} rolled back"))),
        Err(UnknownPolicy::NeverIssued) => {
            let text = format!("there never was a policy {id:?}");
            Err(Answer::error(StatusCode::NOT_FOUND, "unknown_policy", &text))
        }
        Err(UnknownPolicy::NotActive) => {
            let text = format!("{id} is not active any more: expired, replaced or rolled back");
            Err(Answer::error(StatusCode::CONFLICT, "not_active", &text))
        }
    }
}

pub(super) fn committee_state(plant: &Plant, at: DateTime<Utc>) -> Answer {
    Answer::ok(&json!({
        "status": plant.status().name(),
        "replicas": plant.nodes.count(),
        "healthy_nodes": plant.nodes.healthy(plant.now()),
        "timestamp": rfc3339(at),
    }))
}

#[derive(Deserialize)]
struct ScaleBody {
    replicas: i64,
}

pub(super) fn scale(plant: &mut Plant, body: &[u8]) -> Result<Answer, Answer> {
    let ScaleBody { replicas } = read(body)?;
    let target = policy::check_replicas(replicas, &plant.size).map_err(|invalid| {
        Answer::error(StatusCode::BAD_REQUEST, "replicas_out_of_range", &invalid.to_string())
    })?;
    let before = plant.scale(target);
    let answer = Answer::ok(&json!({ "replicas": target, "previous_replicas": before }));
    Ok(if target == before {
        answer
    } else {
        answer.with_effect(format!("replicas {before} -> {target}"))
    })
}

#[derive(Deserialize)]
struct RestartBody {
    #[serde(default = "policy::graceful_by_default")]
    graceful: bool,
    #[serde(default = "default_drain")]
    timeout: f64,
    service: Option<String>,
}

fn default_drain() -> f64 {
    30.0
}

pub(super) fn restart(plant: &mut Plant, body: &[u8], speed: f64) -> Result<Answer, Answer> {
    let RestartBody { graceful, timeout, service } = read(body)?;
    policy::check_range("timeout", timeout, LONGEST_DRAIN).map_err(|invalid| {
        Answer::error(StatusCode::BAD_REQUEST, "invalid_timeout", &invalid.to_string())
    })?;
    let target = policy::restart_target(service.as_deref()).map_err(|invalid| {
        Answer::error(StatusCode::NOT_FOUND, "unknown_service", &invalid.to_string())
    })?;
    plant.restart(target, graceful, timeout * speed);
    let name = target.map_or(policy::ALL_SERVICES, super::super::plant::Component::name);
    let answer =
        Answer::json(StatusCode::ACCEPTED, &json!({ "status": "restarting", "service": name }));
    Ok(answer.with_effect(format!(
        "restart of {name}, {}",
        if graceful { "graceful" } else { "at once" }
    )))
}

pub(super) fn violations(plant: &Plant, at: DateTime<Utc>, speed: f64) -> Answer {
    let listed = plant.violations.iter().map(|violation| {
        let (policy_id, policy_name) = violation.component.policy();
        let ago_ms = ((plant.now() - violation.at) / speed * 1_000.0).round();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "an age in milliseconds, far below 2^63"
        )]
        let seen_at = at - TimeDelta::milliseconds(ago_ms as i64);
        json!({
            "violation_id": format!("violation-{}", violation.number),
            "severity": if violation.critical { "critical" } else { "warning" },
            "policy_id": policy_id,
            "policy_name": policy_name,
            "component": violation.component.name(),
            "timestamp": rfc3339(seen_at),
        })
    });
    Answer::ok(&json!(listed.collect::<Vec<_>>()))
}
