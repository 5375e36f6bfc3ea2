//! The whole product as its users run it: `mape-k` as processes with the shipped configuration and rule files, real
//! Prometheus and Alertmanager, the reference Charter; spoken to over HTTP, signals and the command line only.
//!
//! Only addresses, ports and durations of the shipped files are changed: plant and loop run [`SPEED`] times as fast.

mod charter;
mod commands;
mod config_diff;
mod daemon;
mod demo;
mod files;
mod full_pipeline;
mod health;
mod hooked;
mod hostile_text;
mod kill_switch;
mod killed;
mod kills;
mod leaders;
mod load;
mod outage;
mod rehearsal;
mod reload;
mod stack;
mod starts;
mod stopping;
mod store_full;
mod target;
mod without_charter;

use std::time::Duration;

/// How much faster than life plant and loop run: a cycle every 2 s, two scrapes of Prometheus (1 s) apart.
const SPEED: f64 = 15.0;

/// For what takes a second or two on an idle machine.
const SOON: Duration = Duration::from_mins(1);
/// For what takes several cycles and a settle time: about half a minute on an idle machine.
const LATER: Duration = Duration::from_mins(4);
