//! What the black-box tests share: real servers, child processes, bounded waiting.
//!
//! Every wait in here ends: a server that does not come up, a condition that never holds and a process that ignores a
//! signal each fail the test with what was awaited and what was seen last. Fakes at the wire stay with their tests.

pub mod alertmanager;
pub mod config;
pub mod disk;
pub mod eventually;
pub mod ledger;
pub mod long;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod prometheus;
pub mod proxy;
pub mod routes;
pub mod server;
pub mod tools;
