//! `mape-k explain`: why a running daemon did or did not act, as a page of prose; the daemon writes it.

use std::io::Write;

use clap::ValueEnum;
use serde_json::Value;

use super::Output;
use super::client::{Client, ClientError};
use super::terminal::Terminal;
use crate::explain::Explanation;

/// What may be explained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum About {
    /// By its id; the latest without one
    #[default]
    Cycle,
    /// By its id or fingerprint, 8 characters of which are enough
    Violation,
    /// By its id
    Policy,
    /// By an execution's id, its policy's, or an idempotency key
    Action,
    /// By its id
    Incident,
}

impl About {
    fn path(self) -> &'static str {
        match self {
            Self::Cycle => "cycles",
            Self::Violation => "violations",
            Self::Policy => "policies",
            Self::Action => "actions",
            Self::Incident => "incidents",
        }
    }

    /// Where ids of this kind are found.
    fn found_in(self) -> &'static str {
        match self {
            Self::Cycle => "GET /api/v1/cycles",
            Self::Violation => "`mape-k explain`, in brackets, or GET /api/v1/violations",
            Self::Policy => "`mape-k status`, or GET /api/v1/policies",
            Self::Action => "`mape-k explain` of the cycle that acted, or GET /api/v1/executions",
            Self::Incident => "`mape-k status`, or GET /api/v1/incidents",
        }
    }
}

/// Asks the daemon and prints its page.
pub async fn run(
    client: &Client,
    about: About,
    id: Option<&str>,
    format: Output,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let path = match (about, id) {
        (About::Cycle, None) => "api/v1/explain".to_owned(),
        (_, Some(id)) if is_id(id) => format!("api/v1/explain/{}/{id}", about.path()),
        (_, Some(id)) => anyhow::bail!("{id:?} is no id; ids are found in {}", about.found_in()),
        (_, None) => anyhow::bail!("which one? Name its id, found in {}", about.found_in()),
    };
    print(client, &path, format, out).await?;
    Ok(())
}

/// Every id of ours: UUIDs, fingerprints, names of cycles. Anything else would ask for another path.
fn is_id(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

async fn print(
    client: &Client,
    path: &str,
    format: Output,
    out: &mut impl Write,
) -> Result<(), ClientError> {
    let out = &mut Terminal::new(out);
    match format {
        Output::Json => {
            let answer: Value = client.get(path).await?;
            out.pretty_json(&answer)?;
        }
        Output::Text => {
            let answer: Explanation = client.get(path).await?;
            out.lines(&answer.text)?;
        }
    }
    Ok(())
}
