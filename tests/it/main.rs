//! The black-box tests, one binary: everything here goes through public doors (HTTP, command line, files, and the pure
//! stages' functions) and meets real servers where they exist. Simulated time has its own place, `tests/sim`.

mod analyzer;
mod charter_contract;
mod charter_sandbox;
mod escalation;
mod executor;
mod fake_charter;
mod inbox;
mod judging;
mod knowledge_facade;
mod learning;
mod real_servers;
mod shipped_config;
mod store_bad_days;
mod store_contract;
mod stores_agree;
mod support;
