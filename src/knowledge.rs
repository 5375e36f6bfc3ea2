//! Knowledge: the store behind the loop, the journal in it, what was learned from outcomes, and insights.

pub mod settings;
pub mod store;

pub use settings::{Database, Settings};
