//! The whole loop under simulated time: the shipped cycle, store contract, intake and clients, on one thread, against
//! the reference plant and servers that fail as scripted. The same seed gives the same run.

mod account;
mod alertmanager;
mod awaits;
mod campaign;
mod crashes;
mod daemon;
mod outside;
mod prometheus;
mod run;
mod scenes;
mod score;
mod script;
mod store;
mod trace;
mod watch;
mod wire;
