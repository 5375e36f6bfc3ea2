//! A record of an action as any version has written it.

use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{ActionRecord, ActionState};
use crate::domain::action::Action;
use crate::domain::time::Time;

#[derive(Deserialize)]
pub(super) struct Record {
    action: Action,
    key: Uuid,
    state: ActionState,
    error: Option<String>,
    #[serde(default)]
    invalid: bool,
    #[serde(default)]
    conflict: bool,
    started_at: Option<Time>,
    ended_at: Option<Time>,
    tries: u32,
    sent_at: Option<Time>,
    absent_since: Option<Time>,
    prior: Option<Value>,
    #[serde(default)]
    undo_under_way: bool,
    expires_at: Option<Time>,
    // The first version knew Charter alone, and kept what is in `prior` beside it.
    prior_replicas: Option<u32>,
    listed_before: Option<Value>,
    charter_policy_id: Option<String>,
}

impl From<Record> for ActionRecord {
    fn from(record: Record) -> Self {
        let of_charter = [
            ("replicas", record.prior_replicas.map(Value::from)),
            ("listed", record.listed_before),
            ("policy_id", record.charter_policy_id.map(Value::from)),
        ];
        let mut prior = json!({"version": 1});
        for (name, value) in of_charter {
            if let Some(value) = value {
                prior[name] = value;
            }
        }
        let has_prior = prior.as_object().is_some_and(|prior| prior.len() > 1);
        Self {
            action: record.action,
            key: record.key,
            state: record.state,
            error: record.error,
            invalid: record.invalid,
            conflict: record.conflict,
            started_at: record.started_at,
            ended_at: record.ended_at,
            tries: record.tries,
            sent_at: record.sent_at,
            absent_since: record.absent_since,
            prior: record.prior.or(has_prior.then_some(prior)),
            undo_under_way: record.undo_under_way,
            expires_at: record.expires_at,
        }
    }
}
