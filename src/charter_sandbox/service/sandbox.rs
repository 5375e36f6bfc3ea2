//! The sandbox calls: injecting and withdrawing faults, and the true state behind the metrics.

use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, calls, read};
use crate::charter_sandbox::faults::{ActiveFault, Error, Fault, FaultOrder};
use crate::charter_sandbox::plant::{Component, Plant};

const ID_PREFIX: &str = "fault-";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultBody {
    fault: Fault,
    component: Option<String>,
    magnitude: Option<f64>,
    duration_seconds: Option<f64>,
}

pub(super) fn inject(plant: &mut Plant, body: &[u8], speed: f64) -> Result<Answer, Answer> {
    let FaultBody { fault, component, magnitude, duration_seconds } = read(body)?;
    let component =
        component.map(|name| Component::named(&name).ok_or(name)).transpose().map_err(|name| {
            let text = format!(
                "component {name:?} is not known; known are validator, enforcer and auditor"
            );
            Answer::error(StatusCode::UNPROCESSABLE_ENTITY, "invalid_fault", &text)
        })?;
    let order = FaultOrder {
        fault,
        component,
        magnitude,
        duration_seconds: duration_seconds.map(|asked| asked * speed),
    };
    let number = plant.inject(&order).map_err(|error| {
        let (status, code) = match error {
            Error::NotTaken(..) | Error::Magnitude { .. } | Error::Duration { .. } => {
                (StatusCode::UNPROCESSABLE_ENTITY, "invalid_fault")
            }
            Error::TooMany => (StatusCode::CONFLICT, "too_many_faults"),
        };
        Answer::error(status, code, &error.to_string())
    })?;
    Ok(Answer::json(StatusCode::CREATED, &json!({ "id": fault_id(number) })))
}

pub(super) fn withdraw(plant: &mut Plant, id: &str) -> Result<Answer, Answer> {
    let number = id.strip_prefix(ID_PREFIX).and_then(|number| number.parse().ok());
    if number.is_some_and(|number| plant.withdraw(number)) {
        return Ok(Answer::ok(&json!({ "id": id })));
    }
    let text = format!("there is no fault {id:?} now");
    Err(Answer::error(StatusCode::NOT_FOUND, "unknown_fault", &text))
}

pub(super) fn faults(plant: &Plant) -> Answer {
    Answer::ok(&active_faults(plant))
}

fn active_faults(plant: &Plant) -> Value {
    json!(plant.faults.iter().map(fault_view).collect::<Vec<_>>())
}

fn fault_view(active: &ActiveFault) -> Value {
    json!({
        "id": fault_id(active.number),
        "fault": active.fault,
        "component": active.component.map(Component::name),
        "magnitude": active.magnitude,
        "injected_at_plant_seconds": active.injected_at,
        "ends_at_plant_seconds": active.ends_at,
    })
}

fn fault_id(number: u64) -> String {
    format!("{ID_PREFIX}{number}")
}

/// What is true, whatever the metrics say.
pub(super) fn state(plant: &Plant) -> Answer {
    let now = plant.now();
    let components = Component::ALL.map(|component| {
        let service = &plant.services[component.index()];
        let serving = plant.nodes.serving(component, now);
        json!({
            "component": component.name(),
            "instances_up": serving.up,
            "instances_sick": serving.sick,
            "instances_restarting": serving.restarting,
            "backlog": service.queue.length(),
            "oldest_wait_seconds": service.queue.age(now),
            "offered_ops_per_sec": service.offered_rate,
            "served_ops_per_sec": service.window.throughput(),
            "failure_rate": service.window.failure_rate(),
            "hottest_shard_share": service.shards.hottest(),
            "policy_set": plant.policy_sets[component.index()].name(),
        })
    });
    let served: f64 = plant.services.iter().map(|service| service.window.throughput()).sum();
    let backlog: f64 = plant.services.iter().map(|service| service.queue.length()).sum();
    Answer::ok(&json!({
        "plant_seconds": now,
        "status": plant.status().name(),
        "replicas": plant.nodes.count(),
        "booting": plant.nodes.booting(now),
        "healthy_nodes": plant.nodes.healthy(now),
        "backlog": backlog,
        "offered_ops_per_sec": plant.offered_rate(),
        "served_ops_per_sec": served,
        "ordering_stalled": now < plant.stalled_until,
        "components": components,
        "faults": active_faults(plant),
        "policies": calls::active_policies(plant),
        "settings": plant.settings,
        "prior_settings": plant.prior_settings,
    }))
}
