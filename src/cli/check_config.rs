//! `mape-k check-config`: every error of the configuration and of the service catalogue at once, or the warnings and what
//! stands.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use super::Output;
use super::terminal::Terminal;
use crate::config::{CatalogueFile, Config, Environment, Errors, Problem, Warning};
use crate::domain::catalogue::Catalogue;

#[derive(Serialize)]
struct Report<'a> {
    valid: bool,
    errors: Vec<Located<'a>>,
    warnings: &'a [Warning],
    /// Secrets left out; absent when one of the two files is refused.
    config: Option<&'a Config>,
    catalogue: Option<&'a Catalogue>,
}

/// An error and the file that it is in; none when the defaults and the environment alone were read.
#[derive(Serialize)]
struct Located<'a> {
    file: Option<&'a Path>,
    #[serde(flatten)]
    problem: &'a Problem,
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

/// Writes the findings; true when both files would be accepted.
pub fn check(
    path: Option<&Path>,
    env: &Environment<'_>,
    output: Output,
    out: &mut dyn Write,
) -> io::Result<bool> {
    let checked = load(path, env);
    let mut out = Terminal::new(out);
    match output {
        Output::Json => write_json(&checked, &mut out)?,
        Output::Text => write_text(&checked, &mut out)?,
    }
    out.flush()?;
    Ok(checked.is_ok())
}

struct Accepted {
    config: Config,
    catalogue: CatalogueFile,
    warnings: Vec<Warning>,
}

/// What is wrong in one file hides nothing of the other, as long as it is known which one that is.
fn load(path: Option<&Path>, env: &Environment<'_>) -> Result<Accepted, Vec<Errors>> {
    match Config::load(path, env) {
        Ok((config, mut warnings)) => {
            let (catalogue, more) =
                CatalogueFile::open(&config.escalation).map_err(|errors| vec![errors])?;
            warnings.extend(more);
            warnings.extend(config.advice());
            Ok(Accepted { config, catalogue, warnings })
        }
        Err(errors) => {
            let escalation = Config::load_escalation(path, env);
            let catalogue = escalation.and_then(|settings| CatalogueFile::open(&settings).err());
            Err([errors].into_iter().chain(catalogue).collect())
        }
    }
}

fn located(errors: &Errors) -> impl Iterator<Item = Located<'_>> {
    let file = errors.file.as_deref();
    errors.problems.iter().map(move |problem| Located { file, problem })
}

fn write_json(
    checked: &Result<Accepted, Vec<Errors>>,
    out: &mut Terminal<impl Write>,
) -> io::Result<()> {
    let report = match checked {
        Ok(Accepted { config, catalogue, warnings }) => Report {
            valid: true,
            errors: Vec::new(),
            warnings,
            config: Some(config),
            catalogue: Some(catalogue.catalogue()),
        },
        Err(refused) => {
            let errors = refused.iter().flat_map(located).collect();
            Report { valid: false, errors, warnings: &[], config: None, catalogue: None }
        }
    };
    out.pretty_json(&report)
}

/// Warnings are comments, so that what is printed is a configuration file.
fn write_text(
    checked: &Result<Accepted, Vec<Errors>>,
    out: &mut Terminal<impl Write>,
) -> io::Result<()> {
    match checked {
        Ok(Accepted { config, catalogue, warnings }) => {
            for warning in warnings {
                writeln!(out, "# warning: {warning}")?;
            }
            let services = catalogue.catalogue().services.len();
            let file = config.escalation.services_file.display();
            writeln!(out, "# services in {file}: {services}")?;
            out.lines(&config.to_yaml().map_err(io::Error::other)?)
        }
        Err(refused) => refused.iter().try_for_each(|errors| out.lines(&errors.to_string())),
    }
}
