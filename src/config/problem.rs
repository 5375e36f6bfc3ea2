//! What is wrong with a configuration, where it stands and what would be accepted.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

/// Where a value comes from. In the order in which problems are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A line of the file, counted from 1.
    Line(u64),
    /// An environment variable.
    Env(&'static str),
    /// Not given: the built-in default stands.
    Default,
}

/// One error or warning about one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The full key path, `monitor.metrics[2].threshold`; empty for the file as a whole.
    pub path: String,
    #[serde(rename = "from")]
    pub origin: Origin,
    pub text: String,
}

/// Worth a warning, no reason to refuse the start.
pub type Warning = Problem;

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "the file" } else { &self.path };
        match self.origin {
            Origin::Default => write!(f, "{path}: {}", self.text),
            Origin::Line(line) => write!(f, "{path}, line {line}: {}", self.text),
            Origin::Env(name) => write!(f, "{path}, from {name}: {}", self.text),
        }
    }
}

/// Which of the two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    Configuration,
    Catalogue,
}

/// Everything that is wrong with a file, at once.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.report())]
pub struct Errors {
    pub subject: Subject,
    /// The file that was read; none when the defaults and the environment alone were.
    pub file: Option<PathBuf>,
    /// At least one, in the order of the file.
    pub problems: Vec<Problem>,
}

impl Errors {
    fn report(&self) -> String {
        let (subject, next_step) = match self.subject {
            Subject::Configuration => ("the configuration", "correct them and start again"),
            // It may have been refused at the start or under way.
            Subject::Catalogue => ("the service catalogue", "correct them"),
        };
        let source = match &self.file {
            Some(file) => format!("{subject} {}", file.display()),
            None => subject.to_owned(),
        };
        let count = self.problems.len();
        let plural = if count == 1 { "" } else { "s" };
        let mut report = format!("{source} is refused, {count} error{plural}; {next_step}:");
        for problem in &self.problems {
            report.push_str("\n  ");
            report.push_str(&problem.to_string());
        }
        report
    }
}
