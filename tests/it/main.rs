//! The black-box tests, one binary: everything here goes through public doors (HTTP, command line, files) and meets real
//! servers where they exist. Simulated time has its own place, `tests/sim`.

mod charter_sandbox;
mod real_servers;
mod shipped_config;
mod support;
//! The black-box tests of mape-k: one binary, behaviour through the public surface only.
mod inbox;
mod knowledge_facade;
mod learning;
mod store_bad_days;
mod store_contract;
mod stores_agree;
//! Black-box tests over real HTTP.
mod charter_contract;
mod executor;
mod fake_charter;
