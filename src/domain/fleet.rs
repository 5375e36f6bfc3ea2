//! How much of the system is sick at once: what a storm is told by.

use std::collections::BTreeSet;

use super::Cause;

/// Components that have a level of their own to be read (a series with a component label, not a count of events).
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
