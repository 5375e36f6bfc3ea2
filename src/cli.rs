//! The commands of `mape-k`, one file each.
