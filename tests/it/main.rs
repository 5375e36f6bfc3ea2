//! The black-box tests, one binary: everything here goes through public doors (HTTP, command line, files) and meets real
//! servers where they exist. Simulated time has its own place, `tests/sim`.

mod inbox;
mod knowledge_facade;
mod learning;
mod real_servers;
mod server;
mod shipped_config;
mod store_bad_days;
mod store_contract;
mod stores_agree;
mod support;
