//! Plan: weighs each cause's remedies by benefit and cost and chooses at most one policy a cycle.
//!
//! Pure: returns what it chose and what it did not choose, each with a typed reason and the numbers behind it.

pub mod settings;

pub use settings::{Settings, Strategy};
