//! `mape-k approve` and `mape-k reject`: a person's word on a pending policy of a running daemon.

use std::io::Write;

use serde::Deserialize;
use serde_json::json;

use super::Output;
use super::client::{Client, ClientError};
use super::terminal::Terminal;
use crate::domain::grant::Grant;
use crate::domain::legible::name;
use crate::domain::policy::Policy;
use crate::domain::time;
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

/// The policy that a person has read, as far as they say how it stood.
#[derive(Clone, Debug, Default)]
pub struct Read {
    pub id: String,
    pub revision: Option<u32>,
    pub plan_hash: Option<String>,
}

/// Decides on the policy as it was read, where nothing is said of that as it stands now, and prints what was decided.
pub async fn run(
    client: &Client,
    decision: Decision,
    read: Read,
    by: &str,
    format: Output,
    out: &mut impl Write,
) -> Result<(), ClientError> {
    let Read { id, revision, plan_hash } = read;
    let (revision, plan_hash) = match (revision, plan_hash) {
        (Some(revision), hash) => (revision, hash),
        (None, hash) => {
            let present = find(client, &id).await?;
            (present.revision, hash.or(Some(present.plan_hash)))
        }
    };
    // A record of an earlier version has none yet.
    let plan_hash = plan_hash.filter(|hash| !hash.is_empty());
    let verb = match decision {
        Decision::Approve => "approve",
        Decision::Reject => "reject",
    };
    let path = format!("api/v1/policies/{id}/{verb}");
    let body = json!({"revision": revision, "plan_hash": plan_hash, "by": by});
    let policy: Policy = client.post(&path, body).await?;
    let out = &mut Terminal::new(out);
    match format {
        Output::Json => out.json(&policy)?,
        Output::Text => {
            writeln!(
                out,
                "{} by {}: policy {} revision {} hash {}",
                policy.approval.as_str(),
                name(by),
                policy.id,
                policy.revision,
                shown(&policy.plan_hash)
            )?;
            writeln!(out, "  for {} on {}", policy.cause, name(&policy.component))?;
            for action in &policy.actions {
                writeln!(out, "  {action}")?;
            }
            match (decision, &policy.grant) {
                (Decision::Approve, Some(grant)) => writeln!(
                    out,
                    "The next cycle executes exactly this first, if its preconditions still hold; until {}.",
                    time::text(grant.expires_at)
                )?,
                (Decision::Approve, None) => {
                    writeln!(
                        out,
                        "The next cycle executes it first, if its preconditions still hold."
                    )?;
                }
                (Decision::Reject, _) => writeln!(
                    out,
                    "It is not proposed again until the violation clears, at most for an hour."
                )?,
            }
        }
    }
    Ok(())
}

/// As much of a hash as is compared by eye.
pub(super) fn shown(hash: &str) -> &str {
    hash.get(..Grant::SHOWN).unwrap_or(hash)
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
