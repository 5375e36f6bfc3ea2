//! What the words of an alert's label `severity` mean. Pure.
//!
//! Rule files write this label as their authors like. A word that the table does not know is a warning, never the
//! mildest, and the cycle says and counts it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::rule::Severity;

/// Words in use, by whom: Prometheus' documentation and mixins, syslog, Zabbix, Nagios, Opsgenie, PagerDuty.
const SHIPPED: [(Severity, &[&str]); 3] = [
    (
        Severity::Critical,
        &[
            "critical",
            "crit",
            "page",
            "pager",
            "paging",
            "p0",
            "p1",
            "s0",
            "s1",
            "sev0",
            "sev1",
            "emergency",
            "emerg",
            "alert",
            "panic",
            "fatal",
            "error",
            "err",
            "high",
            "highest",
            "major",
            "severe",
            "urgent",
            "disaster",
            "blocker",
            "outage",
            "down",
        ],
    ),
    (
        Severity::Warning,
        &[
            "warning", "warn", "medium", "moderate", "minor", "average", "normal", "p2", "p3",
            "s2", "s3", "sev2", "sev3", "ticket", "degraded",
        ],
    ),
    (
        Severity::Info,
        &[
            "info",
            "information",
            "informational",
            "notice",
            "debug",
            "trace",
            "none",
            "low",
            "lowest",
            "trivial",
            "p4",
            "p5",
            "s4",
            "s5",
            "sev4",
            "sev5",
            "ok",
        ],
    ),
];

/// `alertmanager.severities`: what the user adds to the shipped table or gives another meaning.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Severities(BTreeMap<String, Severity>);

impl Severities {
    /// Adds a word, or gives one another meaning. `false`: it is no word, or it was given before in another spelling.
    pub fn set(&mut self, word: &str, severity: Severity) -> bool {
        let word = plain(word);
        !word.is_empty() && self.0.insert(word, severity).is_none()
    }

    /// The meaning of a word; `None` for one that the table does not know.
    #[must_use]
    pub fn of(&self, word: &str) -> Option<Severity> {
        let word = plain(word);
        let shipped = || SHIPPED.iter().find(|(_, words)| words.contains(&word.as_str()));
        self.0.get(&word).copied().or_else(|| shipped().map(|(severity, _)| *severity))
    }
}

/// `SEV-1`, `sev_1` and `Sev 1` are one word.
fn plain(word: &str) -> String {
    word.chars()
        .filter(|c| !matches!(c, '-' | '_' | ' ' | '.' | ':'))
        .flat_map(char::to_lowercase)
        .collect()
}
