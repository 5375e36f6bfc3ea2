//! What `mape-k observe` found, as text and as data.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::process::ExitCode;

use serde::Serialize;

use super::super::terminal::Terminal;
use crate::domain::charter::CommitteeState;
use crate::domain::finding::Finding;
use crate::domain::rule::Comparison;
use crate::domain::violation::Violation;
use crate::explain::count;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ComponentResult {
    Clear,
    Violations,
    /// Something could not be read. It comes before violations: there may be more of them.
    Unknown,
}

impl ComponentResult {
    pub(super) fn exit_code(self) -> ExitCode {
        match self {
            Self::Clear => ExitCode::SUCCESS,
            Self::Violations => ExitCode::from(1),
            Self::Unknown => ExitCode::from(2),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    Read,
    Unread,
    Off,
}

#[derive(Debug, Serialize)]
pub(super) struct SourceState {
    pub source: &'static str,
    pub state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RuleResult {
    Ok,
    Violated,
    Unknown,
}

#[derive(Debug, Serialize)]
pub(super) struct RuleState {
    pub rule: String,
    pub verdict: RuleResult,
    /// The worst of its series.
    pub value: Option<f64>,
    pub series: usize,
    pub threshold: f64,
    pub comparison: Comparison,
    /// Every series that it needs was read.
    pub is_whole: bool,
    pub problem: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Unread {
    pub source: &'static str,
    pub problem: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Report<'a> {
    pub verdict: ComponentResult,
    sources: Vec<SourceState>,
    rules: Vec<RuleState>,
    violations: Vec<&'a Violation>,
    /// What is wrong in the cluster; null when Kubernetes is not watched.
    findings: Option<Vec<Finding>>,
    /// Charter's own account of itself; null when it is turned off or not known.
    charter: Option<CommitteeState>,
    /// The sources that could not be read whole.
    unread: Vec<Unread>,
    /// All that could not be read, rules without data among it, in words.
    problems: Vec<String>,
}

impl<'a> Report<'a> {
    pub(super) fn new(
        sources: Vec<SourceState>,
        rules: Vec<RuleState>,
        violations: Vec<&'a Violation>,
        findings: Option<Vec<Finding>>,
        unread: Vec<Unread>,
        charter: Option<CommitteeState>,
    ) -> Self {
        let mut problems: Vec<String> = unread.iter().map(|one| one.problem.clone()).collect();
        problems.extend(rules.iter().filter_map(|rule| rule.problem.clone()));
        let mut named = BTreeSet::new();
        problems.retain(|problem| named.insert(problem.clone()));
        let is_whole = unread.is_empty() && rules.iter().all(|rule| rule.is_whole);
        let is_clear = violations.is_empty() && findings.iter().all(Vec::is_empty);
        let verdict = match (is_whole, is_clear) {
            (false, _) => ComponentResult::Unknown,
            (true, true) => ComponentResult::Clear,
            (true, false) => ComponentResult::Violations,
        };
        Self { verdict, sources, rules, violations, findings, charter, unread, problems }
    }

    pub(super) fn print(&self, out: &mut Terminal<impl Write>) -> io::Result<()> {
        self.print_sources(out)?;
        for rule in &self.rules {
            self.print_rule(rule, out)?;
        }
        for violation in &self.violations {
            writeln!(out, "{:8}  {}", violation.severity.as_str(), violation.description)?;
        }
        for finding in self.findings.iter().flatten() {
            let place =
                finding.namespace.as_ref().map(|name| format!("{name}/")).unwrap_or_default();
            let severity = finding.severity.as_str();
            writeln!(out, "{severity:8}  {place}{}: {}", finding.owner, finding.reason)?;
        }
        let found = self.violations.len() + self.findings.as_ref().map_or(0, Vec::len);
        match (self.verdict, &self.findings) {
            (ComponentResult::Clear, Some(_)) => writeln!(out, "no violations, no findings"),
            (ComponentResult::Clear, None) => writeln!(out, "no violations"),
            (ComponentResult::Violations, _) => writeln!(out, "{} wrong", count(found, "thing")),
            (ComponentResult::Unknown, _) if found == 0 => writeln!(
                out,
                "UNKNOWN: the sources and rules named above could not be read, so nobody can say whether anything is wrong"
            ),
            (ComponentResult::Unknown, _) => writeln!(
                out,
                "{} wrong; whether more is wrong is UNKNOWN, because the sources and rules named above could not be read",
                count(found, "thing")
            ),
        }
    }

    fn print_sources(&self, out: &mut Terminal<impl Write>) -> io::Result<()> {
        for SourceState { source, state } in &self.sources {
            match state {
                State::Read => writeln!(out, "read      {source}")?,
                State::Off => writeln!(out, "off       {source}")?,
                State::Unread => {}
            }
        }
        for Unread { source, problem } in &self.unread {
            writeln!(out, "unread    {source}: {problem}")?;
        }
        if let Some(CommitteeState { status, replicas, healthy_nodes }) = &self.charter {
            let status: &str = (*status).into();
            writeln!(
                out,
                "charter   {status}, {healthy_nodes} healthy nodes, {replicas} replicas"
            )?;
        }
        Ok(())
    }

    fn print_rule(&self, rule: &RuleState, out: &mut Terminal<impl Write>) -> io::Result<()> {
        let limit = format!("breaks at {} {}", rule.comparison.symbol(), rule.threshold);
        let value = rule.value.map_or_else(String::new, |value| {
            let of = if rule.series == 1 {
                String::new()
            } else {
                format!(" (worst of {} series)", rule.series)
            };
            format!("{value}{of}, ")
        });
        let problem = match &rule.problem {
            // Said once, by its source.
            Some(problem) if self.unread.iter().any(|one| one.problem == *problem) => {
                ": its source could not be read".to_owned()
            }
            Some(problem) => format!(": {problem}"),
            None => String::new(),
        };
        let state = match rule.verdict {
            RuleResult::Ok => "ok      ",
            RuleResult::Violated => "violated",
            RuleResult::Unknown => "UNKNOWN ",
        };
        writeln!(out, "{state}  {}: {value}{limit}{problem}", rule.rule)
    }
}
