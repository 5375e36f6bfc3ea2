//! The daemon HTTP surface (being built).
pub mod settings;
pub use settings::Settings;
