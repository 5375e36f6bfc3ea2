//! The commands of `mape-k`, one file each.

pub mod client;
pub mod decide;
pub mod status;
