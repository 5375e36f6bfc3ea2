//! `mape-k health`: one look at /health, for a container's health check in an image that holds nothing but this binary.
//!
//! Degraded is healthy: a sick Charter or Prometheus never makes somebody restart the daemon that is there to heal it.

use std::io::Write;
use std::time::Duration;

use serde_json::Value;

use super::client::{Client, ClientError};
use super::terminal::Terminal;

/// Sooner than a health check gives up (5 s), so that it says why; /health itself answers within 2 s.
const WITHIN: Duration = Duration::from_secs(4);

/// Asks once and prints `ok`, or `degraded` and what is; an error where it is neither.
pub async fn run(client: &Client, out: &mut impl Write) -> Result<(), ClientError> {
    let (code, report) =
        tokio::time::timeout(WITHIN, client.health()).await.unwrap_or_else(|_| {
            let cause = format!("it did not answer within {} s", WITHIN.as_secs());
            Err(ClientError::Unreachable { url: client.base(), cause })
        })?;
    let Some(status) = report["status"].as_str() else {
        let cause = "/health has no status".to_owned();
        return Err(ClientError::Nonsense { url: client.base(), cause });
    };
    let named = unwell(&report);
    let said = if named.is_empty() { status.to_owned() } else { format!("{status}: {named}") };
    if code.is_success() && matches!(status, "ok" | "degraded") {
        writeln!(Terminal::new(out), "{said}")?;
        return Ok(());
    }
    // The status alone counts for whoever probes by HTTP, so it does here.
    let unwell = if code.is_success() { said } else { format!("{code}, {said}") };
    Err(ClientError::Unwell { url: client.base(), unwell })
}

/// The components that are not ok; Charter names none.
fn unwell(report: &Value) -> String {
    let components = report["components"].as_object().into_iter().flatten();
    let said = components
        .filter(|(_, component)| component["status"] != "ok" && component["status"] != "off")
        .map(|(name, component)| {
            let why = component["detail"].as_str().or(component["status"].as_str());
            format!("{name} ({})", why.unwrap_or("not ok"))
        });
    said.collect::<Vec<_>>().join(", ")
}
