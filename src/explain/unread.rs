//! What a cycle could not read, and what may be said of it then: never in the present tense.

use super::words;
use crate::domain::cycle::{CycleReport, CycleStatus};
use crate::domain::reading::Source;
use crate::domain::time::{self, Time};

/// Why something was not read in a cycle.
#[derive(Debug)]
pub(super) enum Unread<'a> {
    Source { source: Source, error: &'a str, last_read: Option<Time> },
    Rule { problem: &'a str },
}

impl Unread<'_> {
    /// As it follows "because".
    pub(super) fn why(&self) -> String {
        match self {
            Self::Source { source, error, .. } => {
                let error = words::without_stop(error);
                format!("{} could not be read in that cycle: {error}", source.as_str())
            }
            Self::Rule { problem } => {
                let problem = words::without_stop(problem);
                format!("its rule was not read well in that cycle: {problem}")
            }
        }
    }

    /// ` at 2026-11-22T03:15:00Z`, where it is known.
    pub(super) fn when(&self) -> String {
        match self {
            Self::Source { last_read: Some(at), .. } => format!(" at {}", time::text(*at)),
            Self::Source { last_read: None, .. } | Self::Rule { .. } => String::new(),
        }
    }
}

/// Why what this rule of this source says was not read, if it was not.
pub(super) fn unread<'a>(
    report: &'a CycleReport,
    source: Source,
    rule: &str,
) -> Option<Unread<'a>> {
    let basis = report.basis.as_ref()?;
    let read = basis.sources.iter().find(|read| read.source == source);
    if let Some((read, error)) = read.and_then(|read| Some((read, read.error.as_deref()?))) {
        return Some(Unread::Source { source, error, last_read: read.last_read });
    }
    let own = |problem: &'a String| problem.strip_prefix(rule)?.strip_prefix(": ");
    basis.rule_problems.iter().find_map(own).map(|problem| Unread::Rule { problem })
}

/// Nothing that was read says whether anything is wrong.
pub(super) fn sees_nothing(report: &CycleReport) -> bool {
    let unread = report.basis.as_ref().is_some_and(|b| b.rules > 0 && b.rules_good == 0);
    report.status == CycleStatus::Failed || unread
}
