//! `mape-k check-config --diff`: where the configuration differs from the defaults, and from the one of a running daemon.

use std::io::Write;

use serde_json::{Value, json};

use super::Output;
use super::client::{Client, ClientError};
use super::terminal::Terminal;
use crate::config::{Config, Warning};
use crate::domain::difference::{Difference, differences};
use crate::server::Waiting;

/// `is_named`: the daemon was named by the person, so that it is an error when it does not answer.
pub async fn run(
    (config, warnings): (Config, Vec<Warning>),
    client: &Client,
    is_named: bool,
    format: Output,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let ours = config.to_json();
    // The defaults are valid whatever the environment says.
    let (defaults, _) = Config::parse("", &|_| None)?;
    let changed = differences(&defaults.to_json(), &ours);
    let running = match client.get::<Value>("api/v1/config").await {
        Ok(mut theirs) => {
            _ = theirs.as_object_mut().and_then(|shown| shown.remove(Waiting::KEY));
            Ok(differences(&theirs, &ours))
        }
        Err(error) if is_named => return Err(error.into()),
        Err(error) => Err(error),
    };
    let out = &mut Terminal::new(out);
    match format {
        Output::Json => out.pretty_json(&json!({
            "warnings": warnings,
            "config_hash": config.hash(),
            "from_defaults": changed,
            "from_running": running.as_ref().ok(),
        }))?,
        Output::Text => text(&config, &warnings, &changed, client, &running, out)?,
    }
    Ok(out.flush()?)
}

fn text(
    config: &Config,
    warnings: &[Warning],
    changed: &[Difference],
    client: &Client,
    running: &Result<Vec<Difference>, ClientError>,
    out: &mut Terminal<impl Write>,
) -> std::io::Result<()> {
    for warning in warnings {
        writeln!(out, "# warning: {warning}")?;
    }
    writeln!(out, "# configuration {}; secrets are not compared", config.hash())?;
    writeln!(out, "# default → yours: {}", count(changed))?;
    lines(changed, out)?;
    match running {
        Ok(changed) => {
            writeln!(out, "# running at {} → yours: {}", client.base(), count(changed))?;
            lines(changed, out)
        }
        Err(error) => writeln!(out, "# not compared with a running daemon: {error}"),
    }
}

fn count(changed: &[Difference]) -> String {
    match changed.len() {
        0 => "no difference".to_owned(),
        1 => "1 difference".to_owned(),
        many => format!("{many} differences"),
    }
}

fn lines(changed: &[Difference], out: &mut Terminal<impl Write>) -> std::io::Result<()> {
    changed.iter().try_for_each(|one| writeln!(out, "{one}"))
}
