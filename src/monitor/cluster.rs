//! Kubernetes: watch caches of exactly the kinds that findings need, trimmed on arrival.

pub mod settings;
pub mod trim;
