//! The second half of the daemon, black box: what it sees in Kubernetes, what it makes of it, whom it tells and how.

mod support;

#[path = "../it/fake_charter.rs"]
#[allow(dead_code, reason = "shared with the other test binary")]
mod fake_charter;

mod catalogue;
mod cluster;
mod doctor;
mod findings;
mod notify;
mod severity;
mod sources;
mod whole;
