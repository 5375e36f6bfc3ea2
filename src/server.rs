//! The daemon's HTTP surface: webhook intake, health, metrics and the JSON API.

pub mod settings;

pub use settings::Settings;
