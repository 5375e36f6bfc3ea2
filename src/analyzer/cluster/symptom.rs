//! One thing that is wrong with one object, before it is grouped by owner.

use std::fmt;

use crate::domain::finding::FindingKind;
use crate::domain::time::Time;

/// Who answers for an object: the workload, cron job, job, claim or node; a pod of its own for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Who<'a> {
    pub namespace: &'a str,
    pub kind: &'a str,
    pub name: &'a str,
}

impl Who<'_> {
    pub(super) fn is_node(self) -> bool {
        self.kind == "Node"
    }
}

impl fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

#[derive(Debug)]
pub(super) struct Symptom<'a> {
    pub who: Who<'a>,
    pub kind: FindingKind,
    /// What shows it: a pod, job, claim or workload by name.
    pub subject: &'a str,
    pub pods: Vec<&'a str>,
    pub container: Option<&'a str>,
    /// A sentence or two, with the API server's own words.
    pub words: String,
    pub exit_code: Option<i32>,
    /// By the object itself, where it says so.
    pub since: Option<Time>,
}
