//! Analyze: which violations are active and which began, the five detectors, and the root causes behind them.
//!
//! Pure: readings, history and time arrive as values.

pub mod settings;

pub use settings::Settings;
