//! mape-k keeps a distributed system healthy by itself: Monitor, Analyze, Plan, Execute over shared Knowledge.
//!
//! ```text
//! Alertmanager ─webhook─▶ inbox ──┐                                     ┌─▶ actuators/charter
//! Prometheus ◀─queries── monitor ─┴─▶ analyzer ─▶ planner ─▶ executor ──┴─▶ actuators/hook
//! Kubernetes ◀─watch─────┘               ▲           ▲          │
//!                                        └─ knowledge (memory, SQLite, PostgreSQL): journal, outcomes
//!                           what is left ─▶ incidents ─▶ notify: Slack, Alertmanager, files
//! ```
//!
//! Tests hold these invariants (`docs/ARCHITECTURE.md` says more):
//!
//! - Deciding is a function: [`analyzer`], [`planner`] and [`incidents`] work on [`domain`] values alone; time, history
//!   and new ids are passed in.
//! - Nothing is sent to any system before its intent and its key are durable; what cannot be recorded is not done.
//! - A trigger carries no data: every [`cycle`] reads everything afresh, and carries out one policy at most.
//! - Missing data is never healthy, and never a reason to act.
//! - It reports what it did not do, with the reason, and notifies a person of what it cannot fix.
//!
//! The modules, in the order data flows, and after [`cli`] those that all of them use:

pub mod domain;

pub mod monitor;

pub mod analyzer;

pub mod planner;

pub mod actuators;

pub mod executor;

pub mod knowledge;

pub mod incidents;

pub mod notify;

pub mod cycle;

pub mod control_loop;

pub mod explain;

pub mod server;

pub mod daemon;

pub mod cli;

pub mod clock;
pub mod config;
pub mod http;
pub mod metrics;
pub mod telemetry;

pub mod charter_sandbox;
