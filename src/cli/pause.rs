//! `mape-k pause` and `mape-k resume`: the kill switch of a running daemon.

use std::io::Write;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Output;
use super::client::{Client, ClientError};
use super::terminal::Terminal;
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

/// A span of the command line: `90s`, `30m`, `1h30m`, `7d`. A bare number is refused: two of what?
pub fn duration(text: &str) -> Result<Duration, String> {
    let forms = "a whole number with its unit s, m, h or d: 90s, 30m, 1h30m, 7d";
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("{text} has no unit; accepted: {forms}"));
    }
    let (mut total, mut number, mut last) = (0_u64, String::new(), u64::MAX);
    for c in text.chars() {
        let unit = match c {
            '0'..='9' => {
                number.push(c);
                continue;
            }
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return Err(format!("accepted: {forms}")),
        };
        // The largest unit first, each once: `30m1h` and `1h1h` are slips of the keyboard.
        let amount = number.parse::<u64>().ok().filter(|_| unit < last);
        let seconds = amount.and_then(|amount| amount.checked_mul(unit));
        total = seconds
            .and_then(|seconds| total.checked_add(seconds))
            .ok_or_else(|| format!("accepted: {forms}"))?;
        (last, number) = (unit, String::new());
    }
    if last == u64::MAX || !number.is_empty() {
        return Err(format!("accepted: {forms}"));
    }
    Ok(Duration::from_secs(total))
}

/// `--for` of a pause.
pub fn lasting(text: &str) -> Result<Duration, String> {
    let lasts = duration(text)?;
    if (Pause::SHORTEST..=Pause::LONGEST).contains(&lasts) {
        Ok(lasts)
    } else {
        Err("from 1s to 7d; guardrails.mode: observe keeps the loop from acting for longer"
            .to_owned())
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
        return Ok(out.pretty_json(&answer)?);
    }
    let Answer { paused, replaced, later_end_kept, under_way } = serde_json::from_value(answer)
        .map_err(|e| ClientError::Nonsense { url: client.base(), cause: e.to_string() })?;
    writeln!(out, "{paused}")?;
    if let Some(before) = replaced {
        writeln!(out, "  it replaces: {before}")?;
    }
    if later_end_kept {
        writeln!(
            out,
            "  the later end of the earlier pause applies; --replace makes it end as asked"
        )?;
    }
    if under_way.is_none() {
        writeln!(out, "  the executions under way could not be read: see `mape-k status`")?;
    }
    for id in under_way.into_iter().flatten() {
        writeln!(
            out,
            "  execution {id} has begun: its call under way is finished, and no further call is sent"
        )?;
    }
    writeln!(
        out,
        "The daemon goes on observing and notifying; it sends no action to any system and undoes none."
    )?;
    writeln!(out, "The pause ends by itself; `{}` ends it now.", client.command("resume"))?;
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
        return Ok(out.pretty_json(&answer)?);
    }
    match serde_json::from_value::<Option<Pause>>(answer["resumed"].clone()) {
        Ok(Some(pause)) => writeln!(out, "resumed by {}; it was {pause}", name(by))?,
        Ok(None) => writeln!(out, "the daemon was not paused; nothing was changed")?,
        Err(error) => {
            let (url, cause) = (client.base(), error.to_string());
            return Err(ClientError::Nonsense { url, cause });
        }
    }
    Ok(())
}
