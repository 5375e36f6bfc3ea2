//! What Charter's answers say, read from their bytes alone: pure, so that any bytes can be thrown at it.
//!
//! Each function is given the body of an answer with an accepted status, and says in words what is wrong with it.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::transport::excerpt;
use super::{ListedPolicy, Opinion, ReportedViolation};
use crate::domain::charter::CommitteeState;

/// An id is a path segment of ours and a column of the store.
const MAX_POLICY_ID: usize = 256;

fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

/// `GET /health`: anything but `ok` is an error.
pub fn health(body: &[u8]) -> Result<(), String> {
    #[derive(Deserialize)]
    struct Health {
        status: String,
    }
    match json::<Health>(body)? {
        health if health.status == "ok" => Ok(()),
        _ => Err("its health is not ok".to_owned()),
    }
}

/// `GET /api/v1/policies`.
pub fn policies(body: &[u8]) -> Result<Vec<ListedPolicy>, String> {
    json(body)
}

/// `GET /api/v1/violations`.
pub fn violations(body: &[u8]) -> Result<Vec<ReportedViolation>, String> {
    json(body)
}

/// `GET /api/v1/committee/state`.
pub fn committee_state(body: &[u8]) -> Result<CommitteeState, String> {
    json(body)
}

/// `POST /api/v1/policies/validate`, which says no by 422 as well as by 200.
pub fn verdict(status: u16, body: &[u8]) -> Result<Opinion, String> {
    #[derive(Deserialize)]
    struct Reply {
        valid: bool,
        error: Option<String>,
        code: Option<String>,
    }
    let unprocessable = status == 422;
    match json::<Reply>(body) {
        Ok(opinion) if opinion.valid && !unprocessable => Ok(Opinion::Valid),
        Ok(opinion) => Ok(Opinion::Invalid {
            error: opinion.error.map_or_else(
                || "Charter gives no reason".to_owned(),
                |error| excerpt(error.as_bytes()),
            ),
            code: opinion.code.map(|code| excerpt(code.as_bytes())),
        }),
        Err(_) if unprocessable => Ok(Opinion::Invalid { error: excerpt(body), code: None }),
        Err(error) => Err(error),
    }
}

/// `POST /api/v1/policies/apply`: Charter's id of the policy.
pub fn applied(body: &[u8]) -> Result<String, String> {
    #[derive(Deserialize)]
    struct Applied {
        policy_id: String,
    }
    let id = json::<Applied>(body)?.policy_id;
    // An id that is no path segment could not be rolled back.
    if id.is_empty() || id.len() > MAX_POLICY_ID || id == "." || id == ".." {
        return Err("its policy_id cannot be used".to_owned());
    }
    Ok(id)
}

/// The right status with an empty body or any JSON; a page of a proxy in between is no acknowledgement.
pub fn acknowledged(body: &[u8]) -> Result<(), String> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(());
    }
    json::<Value>(body).map(|_| ())
}
