//! How much of a system is sick at once: from this the loop sees that it has a storm.

use std::collections::BTreeSet;

use super::Cause;

/// Components of one system that have a level of their own to be read (a series with a component label, not a count of
/// events).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fleet {
    /// Known, sick or not; one that has not been read for ten minutes is forgotten.
    pub components: usize,
    /// With an active violation that counts.
    pub sick: BTreeSet<String>,
    /// Those of the sick that were seen to begin within the storm's window.
    pub firing: BTreeSet<String>,
    /// A cause that every one of the firing names.
    pub common_cause: Option<Cause>,
}

/// Kubernetes, by its nodes and workloads as the watch caches have them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClusterHealth {
    /// Without those that just join or are being removed.
    pub nodes: usize,
    pub not_ready: usize,
    pub workloads: usize,
    /// Workloads that became sick within the storm's window.
    pub sick_lately: usize,
    /// Every kind behind these numbers could be read.
    pub is_whole: bool,
}
