//! The table at the end of the demo.

use std::io;
use std::time::Duration;

use serde::Serialize;

use crate::cli::Output;
use crate::cli::terminal::Terminal;

#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub fault: &'static str,
    #[serde(serialize_with = "crate::domain::time::optional_seconds")]
    pub seen_after: Option<Duration>,
    pub actions: Vec<String>,
    pub outcome: String,
    #[serde(serialize_with = "crate::domain::time::optional_seconds")]
    pub healed_after: Option<Duration>,
    /// It ended as the reference Charter's table says.
    pub as_expected: bool,
}

pub(super) fn print(rows: &[Row], output: Output) -> io::Result<()> {
    let mut out = Terminal::stdout();
    if output == Output::Json {
        return out.pretty_json(&serde_json::json!({ "faults": rows }));
    }
    writeln!(out)?;
    writeln!(
        out,
        "{:<21} {:>10}  {:<32} {:>12}  outcome",
        "fault", "seen after", "action", "healed after"
    )?;
    for row in rows {
        let action = if row.actions.is_empty() { "–".to_owned() } else { row.actions.join(", ") };
        writeln!(
            out,
            "{:<21} {:>10}  {action:<32} {:>12}  {}{}",
            row.fault,
            time(row.seen_after),
            time(row.healed_after),
            row.outcome,
            if row.as_expected { "" } else { "   ✗ NOT AS EXPECTED" },
        )?;
    }
    let good = rows.iter().filter(|r| r.as_expected).count();
    writeln!(out)?;
    writeln!(out, "{good} of {} faults ended as they should.", rows.len())
}

fn time(value: Option<Duration>) -> String {
    value.map_or_else(|| "–".to_owned(), |v| format!("{} s", v.as_secs()))
}
