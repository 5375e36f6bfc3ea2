//! `mape-k pause` and `mape-k resume`: the kill switch of a running daemon.

use std::io::Write;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Output;
use super::client::{Client, ClientError};
use super::terminal::Terminal;
use crate::config;
use crate::domain::legible::name;
use crate::domain::pause::Pause;

#[derive(Debug, Deserialize)]
struct Answer {
    paused: Pause,
    replaced: Option<Pause>,
    #[serde(default)]
    later_end_kept: bool,
    under_way: Option<Vec<Uuid>>,
}

/// `--for`: whole seconds, in the forms of the configuration.
pub fn duration(text: &str) -> Result<Duration, String> {
    let lasts = config::duration(text).ok_or_else(|| {
        "a number with s, m, h or d (\"90s\", \"30m\", \"1h\", \"2d\")".to_owned()
    })?;
    if (Pause::SHORTEST..=Pause::LONGEST).contains(&lasts) && lasts.subsec_nanos() == 0 {
        Ok(lasts)
    } else {
        Err("whole seconds from 1s to 7d; guardrails.mode is what stops it for longer".to_owned())
    }
}

/// Pauses and prints what holds now.
pub async fn pause(
    client: &Client,
    reason: &str,
    lasts: Duration,
    replace: bool,
    by: &str,
    format: Output,
    out: &mut impl Write,
) -> Result<(), ClientError> {
    let seconds = lasts.as_secs();
    let mut body = json!({"by": by, "reason": reason, "duration_seconds": seconds});
    if replace {
        body["replace"] = true.into();
    }
    let answer: Value = client.post("api/v1/pause", body).await?;
    let out = &mut Terminal::new(out);
    if format == Output::Json {
        return Ok(out.json(&answer)?);
    }
    let Answer { paused, replaced, later_end_kept, under_way } = serde_json::from_value(answer)
        .map_err(|e| ClientError::Nonsense { url: client.base(), cause: e.to_string() })?;
    writeln!(out, "{paused}")?;
    if let Some(before) = replaced {
        writeln!(out, "  in the place of: {before}")?;
    }
    if later_end_kept {
        writeln!(out, "  its later end stands; --replace makes it end as asked")?;
    }
    if under_way.is_none() {
        writeln!(out, "  which executions have begun could not be read: see `mape-k status`")?;
    }
    for id in under_way.into_iter().flatten() {
        writeln!(
            out,
            "  execution {id} has begun: its call under way is finished, nothing follows"
        )?;
    }
    writeln!(out, "It observes on and sends no action; nothing is undone.")?;
    writeln!(out, "It ends by itself; `mape-k resume` ends it now.")?;
    Ok(())
}

/// Resumes and prints which pause has ended.
pub async fn resume(
    client: &Client,
    by: &str,
    format: Output,
    out: &mut impl Write,
) -> Result<(), ClientError> {
    let answer: Value = client.post("api/v1/resume", json!({"by": by})).await?;
    let out = &mut Terminal::new(out);
    if format == Output::Json {
        return Ok(out.json(&answer)?);
    }
    match serde_json::from_value::<Option<Pause>>(answer["resumed"].clone()) {
        Ok(Some(pause)) => writeln!(out, "resumed by {}; it was {pause}", name(by))?,
        Ok(None) => writeln!(out, "it was not paused; nothing was changed")?,
        Err(error) => {
            let (url, cause) = (client.base(), error.to_string());
            return Err(ClientError::Nonsense { url, cause });
        }
    }
    Ok(())
}
