//! What is shared with the other test binaries: real servers, free ports, bounded waiting.
#![allow(dead_code, reason = "each binary uses a part of it")]

#[path = "../it/support/alertmanager.rs"]
pub mod alertmanager;
#[path = "../it/support/config.rs"]
pub mod config;
#[path = "../it/support/disk.rs"]
pub mod disk;
#[path = "../it/support/eventually.rs"]
pub mod eventually;
#[path = "../it/support/ports.rs"]
pub mod ports;
#[path = "../it/support/postgres.rs"]
pub mod postgres;
#[path = "../it/support/process.rs"]
pub mod process;
#[path = "../it/support/prometheus.rs"]
pub mod prometheus;
#[path = "../it/support/server.rs"]
pub mod server;
#[path = "../it/support/tools.rs"]
pub mod tools;
#[path = "../it/support/troubleshooting.rs"]
pub mod troubleshooting;
