//! Execute: applies one policy through Charter's control API, writing intent before and result after every call.

pub mod settings;

pub use settings::{Idempotency, Settings};
