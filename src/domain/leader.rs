//! Whether this process leads, as the guards look at it.

/// Taken at the moment of planning; asked again before every call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lead {
    pub epoch: u64,
    /// Others may lead in its place.
    pub shared: bool,
    /// Why it may not act.
    pub barred: Option<String>,
}
