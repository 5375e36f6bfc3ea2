//! Logs: JSON for machines, text for people, to standard error or a file that rotates by size.

pub mod settings;

pub use settings::{LogFormat, Settings};
