//! `mape-k check-config`: every error at once, or the warnings and the configuration that stands.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use super::Output;
use crate::config::{Config, Environment, Errors, Problem, Warning};

#[derive(Serialize)]
struct Report<'a> {
    valid: bool,
    errors: &'a [Problem],
    warnings: &'a [Warning],
    /// Secrets left out; absent when it is refused.
    config: Option<&'a Config>,
}

/// Checks the configuration of this process, on its standard output; fails when it is refused or cannot be printed.
#[must_use]
pub fn run(path: Option<&Path>, output: Output) -> ExitCode {
    let env = |name: &str| std::env::var(name).ok();
    match check(path, &env, output, &mut io::stdout().lock()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) | Err(_) => ExitCode::FAILURE,
    }
}

/// Writes the findings; true when the configuration would be accepted.
pub fn check(
    path: Option<&Path>,
    env: &Environment<'_>,
    output: Output,
    out: &mut dyn Write,
) -> io::Result<bool> {
    let loaded = Config::load(path, env);
    match output {
        Output::Json => write_json(&loaded, out)?,
        Output::Text => write_text(&loaded, out)?,
    }
    out.flush()?;
    Ok(loaded.is_ok())
}

type Loaded = Result<(Config, Vec<Warning>), Errors>;

fn write_json(loaded: &Loaded, out: &mut dyn Write) -> io::Result<()> {
    let report = match loaded {
        Ok((config, warnings)) => {
            Report { valid: true, errors: &[], warnings, config: Some(config) }
        }
        Err(errors) => {
            Report { valid: false, errors: &errors.problems, warnings: &[], config: None }
        }
    };
    serde_json::to_writer_pretty(&mut *out, &report)?;
    writeln!(out)
}

/// Warnings are comments, so that what is printed is a configuration file.
fn write_text(loaded: &Loaded, out: &mut dyn Write) -> io::Result<()> {
    match loaded {
        Ok((config, warnings)) => {
            for warning in warnings {
                writeln!(out, "# warning: {warning}")?;
            }
            out.write_all(config.to_yaml().map_err(io::Error::other)?.as_bytes())
        }
        Err(errors) => writeln!(out, "{errors}"),
    }
}
