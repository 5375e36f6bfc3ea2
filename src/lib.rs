//! mape-k keeps a distributed system healthy by itself: Monitor, Analyze, Plan, Execute over shared Knowledge.
//!
//! ```text
//! Alertmanager ─webhook─▶ inbox ──┐                                   ┌─▶ Charter
//! Prometheus ◀─queries─ monitor ──┴─▶ analyzer ─▶ planner ─▶ executor ┘
//!                                        ▲           ▲          │
//!                                        └─ knowledge (memory, SQLite): journal, outcomes
//!                           what is left ─▶ escalation
//! ```
//!
//! The modules, in the order data flows:

pub mod domain;

pub mod monitor;

pub mod analyzer;

pub mod planner;

pub mod executor;

pub mod knowledge;

pub mod escalation;

pub mod cycle;

pub mod control_loop;

pub mod server;

pub mod daemon;

pub mod cli;

pub mod clock;
pub mod config;
pub mod metrics;
pub mod telemetry;

pub mod charter_sandbox;
