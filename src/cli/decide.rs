//! `mape-k approve` and `mape-k reject`: a person's decision on a proposal of a running daemon.

mod proposal;

use std::io::{IsTerminal as _, Write};

use serde_json::json;

use self::proposal::{Changed, Found};
use super::Output;
use super::client::{Client, ClientError};
use super::terminal::Terminal;
use crate::domain::legible::name;
use crate::domain::policy::Policy;
use crate::domain::time::text;
use crate::explain::actions;
use crate::knowledge::Decision;

pub use self::proposal::Named;

/// Who decides: the one named, else the user who runs the command.
pub fn decider(named: Option<String>) -> Result<String, ClientError> {
    named
        .or_else(|| std::env::var("USER").ok())
        .filter(|name| !name.trim().is_empty())
        .ok_or(ClientError::Nameless)
}

/// What becomes of a decision on a proposal that has changed since it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    /// `--yes`: what is proposed now is meant.
    Given,
    /// The command asks the person at the terminal.
    Asked,
    /// Nobody can be asked: nothing is decided.
    Impossible,
}

impl Consent {
    #[must_use]
    pub fn of(is_given: bool) -> Self {
        match (is_given, std::io::stdin().is_terminal()) {
            (true, _) => Self::Given,
            (false, true) => Self::Asked,
            (false, false) => Self::Impossible,
        }
    }

    fn obtain(self, out: &mut Terminal<impl Write>, verb: &str) -> Result<bool, ClientError> {
        match self {
            Self::Given => return Ok(true),
            Self::Impossible => return Ok(false),
            Self::Asked => {}
        }
        writeln!(out, "{verb} what is proposed now? [y/N]")?;
        out.flush()?;
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
    }
}

/// A person's word.
#[derive(Clone, Debug)]
pub struct Word {
    pub decision: Decision,
    pub named: Named,
    pub by: String,
    pub reason: Option<String>,
    pub consent: Consent,
}

/// Decides on the proposal as it was read and prints what was decided. Has it changed since, both are shown and the person
/// is asked.
pub async fn run(
    client: &Client,
    word: Word,
    format: Output,
    out: &mut impl Write,
) -> Result<(), ClientError> {
    let Word { decision, named, by, reason, consent } = word;
    let out = &mut Terminal::new(out);
    let Found { present, changed } = proposal::find(client, &named).await?;
    let verb = match decision {
        Decision::Approve => "approve",
        Decision::Reject => "reject",
    };
    if let Some(changed) = changed {
        // On standard output only the decision itself is JSON.
        if format == Output::Text || consent == Consent::Asked {
            show(&changed, &present, out)?;
        }
        if !consent.obtain(out, verb)? {
            let hash = present.short_hash();
            return Err(ClientError::Stale { verb, now: line(&present), hash });
        }
    } else if format == Output::Text {
        writeln!(out, "{}", line(&present))?;
    }
    let path = format!("api/v1/policies/{}/{verb}", present.id);
    let mut body =
        json!({"revision": present.revision, "plan_hash": present.hash(), "by": by.as_str()});
    if let Some(reason) = reason {
        body["reason"] = reason.into();
    }
    let policy: Policy = client.post(&path, body).await?;
    match format {
        Output::Json => out.pretty_json(&policy)?,
        Output::Text => print(&policy, decision, &by, out)?,
    }
    Ok(())
}

fn print(
    policy: &Policy,
    decision: Decision,
    by: &str,
    out: &mut Terminal<impl Write>,
) -> std::io::Result<()> {
    let why = policy.decision_reason.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
    writeln!(out, "{} by {}{why}", policy.approval.as_str(), name(by))?;
    match (decision, &policy.grant) {
        (Decision::Approve, Some(grant)) => writeln!(
            out,
            "The next cycle executes exactly this, if its guards still let it. The approval expires at {}.",
            text(grant.expires_at)
        ),
        (Decision::Approve, None) => {
            writeln!(out, "The next cycle executes it, if its guards still let it.")
        }
        (Decision::Reject, _) => writeln!(
            out,
            "The daemon does not propose it again while its violations last; after an hour (less in a rehearsal) it may."
        ),
    }
}

fn show(
    changed: &Changed,
    present: &Policy,
    out: &mut Terminal<impl Write>,
) -> std::io::Result<()> {
    writeln!(out, "The proposal has changed.")?;
    match changed {
        Changed::From(earlier) => writeln!(
            out,
            "  read: {} revision {} hash {}",
            actions(&earlier.actions),
            earlier.revision,
            shown(&earlier.plan_hash)
        )?,
        Changed::Unknown(named) => {
            writeln!(out, "  read: {named}; its actions are no longer kept")?;
        }
    }
    writeln!(out, "  now:  {}", line(present))
}

/// A proposal in one line: what, for what, how risky, and how it is named.
pub(super) fn line(policy: &Policy) -> String {
    format!(
        "{} for {} on {}, risk {}, score {:.2}; hash {} (policy {} revision {})",
        actions(&policy.actions),
        policy.cause,
        name(&policy.component),
        policy.highest_risk().as_str(),
        policy.score,
        policy.short_hash(),
        policy.id,
        policy.revision
    )
}

/// As much of a hash as is compared by eye.
fn shown(hash: &str) -> &str {
    hash.get(..crate::domain::grant::Grant::SHOWN).unwrap_or(hash)
}
