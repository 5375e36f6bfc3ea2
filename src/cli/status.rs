//! `mape-k status`: what a running daemon sees, does, waits for and needs people for.

mod page;

use std::io::Write;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Output;
use super::client::{Client, ClientError, Page};
use super::terminal::Terminal;
use crate::domain::incident::Incident;
use crate::domain::need::Need;
use crate::domain::policy::Policy;
use crate::domain::violation::Violation;

/// Between two pages of `--watch`: a cycle takes longer, and a countdown still moves.
const AGAIN: Duration = Duration::from_secs(2);

/// What the daemon answers, as one page shows it.
struct Seen {
    health: Value,
    state: Value,
    status: Value,
    statistics: Value,
    violations: Page<Violation>,
    incidents: Page<Listed>,
    /// Open needs that no open incident has.
    unlinked: Vec<Need>,
    pending: Page<Policy>,
}

impl Seen {
    /// The open ones.
    fn needs(&self) -> impl Iterator<Item = &Need> {
        self.incidents.items.iter().flat_map(|listed| &listed.needs).chain(&self.unlinked)
    }
}

/// An incident as the API lists it.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Listed {
    #[serde(flatten)]
    pub incident: Incident,
    /// The open ones.
    pub needs: Vec<Need>,
    /// Whether anybody was notified of it, in words.
    pub notification: String,
}

impl<T> Page<T> {
    /// How many there are, as far as one page shows.
    fn count(&self) -> String {
        format!("{}{}", self.items.len(), if self.next.is_some() { "+" } else { "" })
    }
}

/// Asks the daemon and prints its answers.
pub async fn run(client: &Client, format: Output, out: &mut impl Write) -> Result<(), ClientError> {
    let seen = ask(client).await?;
    let mut out = Terminal::new(out);
    match format {
        Output::Json => {
            let needs: Vec<&Need> = seen.needs().collect();
            out.pretty_json(&json!({
                "health": &seen.health,
                "status": &seen.status,
                "state": &seen.state,
                "statistics": &seen.statistics,
                "violations": seen.violations.items,
                "needs": needs,
                "incidents": seen.incidents.items,
                "pending_policies": seen.pending.items,
            }))?;
        }
        Output::Text => page::print(client, &seen, &mut out)?,
    }
    Ok(())
}

/// Prints it again every 2 s until Ctrl-C. A daemon that does not answer is said so, and asked again.
pub async fn watch(
    client: &Client,
    format: Output,
    is_terminal: bool,
    out: &mut impl Write,
) -> Result<(), ClientError> {
    loop {
        // Drawn at once, so that the screen is never half a page.
        let mut page = Vec::new();
        if let Err(error) = run(client, format, &mut page).await {
            if let ClientError::Print(_) = error {
                return Err(error);
            }
            Terminal::new(&mut page).lines(&error.to_string())?;
        }
        if is_terminal {
            Terminal::new(&mut *out).clear()?;
        }
        out.write_all(&page)?;
        out.flush()?;
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
        if !is_terminal && format == Output::Text {
            out.write_all(b"\n")?;
        }
    }
}

async fn ask(client: &Client) -> Result<Seen, ClientError> {
    let (_, health) = client.health().await?;
    let status: Value = client.get("api/v1/status").await?;
    Ok(Seen {
        health,
        state: client.get("api/v1/state").await?,
        unlinked: Vec::deserialize(&status["needs_without_incident"]).unwrap_or_default(),
        status,
        statistics: client.get("api/v1/statistics").await?,
        violations: client.get("api/v1/violations?limit=500").await?,
        incidents: client.get("api/v1/incidents?open=true&limit=500").await?,
        pending: client.get("api/v1/policies?approval=pending&limit=500").await?,
    })
}
