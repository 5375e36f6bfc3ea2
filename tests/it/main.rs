//! The black-box tests, one binary: everything here goes through public doors (HTTP, command line, library) and meets
//! real servers where they exist.

mod access;
mod actions;
mod analyzer;
mod charter_contract;
mod charter_sandbox;
mod config;
mod config_keys;
mod config_printed;
mod config_refused;
mod decoders;
mod documents;
mod end_to_end;
mod escalation;
mod executor;
mod explained;
mod fake_charter;
mod inbox;
mod journal;
mod judging;
mod knowledge_facade;
mod learning;
mod logs;
mod monitor;
mod pause;
mod planner;
mod postgres_bad_days;
mod real_servers;
mod recovery;
mod server;
mod shipped_config;
mod store_bad_days;
mod store_contract;
mod stores_agree;
mod support;
mod the_loop;
