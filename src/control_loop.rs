//! The ticker and the wake-up: runs one cycle at a time, on schedule or woken, and publishes the state.

pub mod handle;
pub mod settings;

pub use handle::{Heartbeat, LoopHandle, Publisher, channel};
pub use settings::{Mode, Settings};
