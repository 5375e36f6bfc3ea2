//! `mape-k approve` and `mape-k reject`: a person's word on a pending policy of a running daemon.

use std::io::Write;

use serde::Deserialize;
use serde_json::json;

use super::Output;
use super::client::{Client, ClientError};
use crate::domain::policy::Policy;
use crate::knowledge::Decision;

/// Pages of 500 policies looked through for the one that is decided on; the daemon keeps fewer.
const MAX_PAGES: usize = 40;

#[derive(Debug, Deserialize)]
struct Page {
    items: Vec<Policy>,
    next: Option<String>,
}

/// Who decides: the one named, else the user who runs the command.
pub fn decider(named: Option<String>) -> Result<String, ClientError> {
    named
        .or_else(|| std::env::var("USER").ok())
        .filter(|name| !name.trim().is_empty())
        .ok_or(ClientError::Nameless)
}

/// Decides on the policy at `revision`, or as it stands now where none is given, and prints what was decided.
pub async fn run(
    client: &Client,
    decision: Decision,
    id: &str,
    revision: Option<u32>,
    by: &str,
    format: Output,
    out: &mut impl Write,
) -> Result<(), ClientError> {
    let revision = match revision {
        Some(revision) => revision,
        None => find(client, id).await?.revision,
    };
    let verb = match decision {
        Decision::Approve => "approve",
        Decision::Reject => "reject",
    };
    let path = format!("api/v1/policies/{id}/{verb}");
    let policy: Policy = client.post(&path, json!({"revision": revision, "by": by})).await?;
    match format {
        Output::Json => writeln!(out, "{}", json!(policy))?,
        Output::Text => {
            writeln!(
                out,
                "{} by {by}: policy {} revision {}",
                policy.approval.as_str(),
                policy.id,
                policy.revision
            )?;
            writeln!(out, "  for {} on {}", policy.cause, policy.component)?;
            for action in &policy.actions {
                writeln!(out, "  {action}")?;
            }
            let next = match decision {
                Decision::Approve => {
                    "The next cycle executes it first, if its preconditions still hold."
                }
                Decision::Reject => {
                    "It is not proposed again until the violation clears, at most for an hour."
                }
            };
            writeln!(out, "{next}")?;
        }
    }
    Ok(())
}

async fn find(client: &Client, id: &str) -> Result<Policy, ClientError> {
    let mut path = "api/v1/policies?limit=500".to_owned();
    for _ in 0..MAX_PAGES {
        let page: Page = client.get(&path).await?;
        if let Some(policy) = page.items.into_iter().find(|policy| policy.id.to_string() == id) {
            return Ok(policy);
        }
        match page.next {
            Some(next) => path = format!("api/v1/policies?limit=500&after={next}"),
            None => break,
        }
    }
    Err(ClientError::NoSuchPolicy(id.to_owned()))
}
