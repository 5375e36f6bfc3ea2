//! The second half of the daemon, black box: what it sees in Kubernetes, what it makes of it, whom it tells and how.

mod support;

mod catalogue;
mod cluster;
mod findings;
mod notify;
mod severity;
