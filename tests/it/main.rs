//! The black-box tests, one binary: everything here goes through public doors (HTTP, command line, files) and meets real
//! servers where they exist. Simulated time has its own place, `tests/sim`.

mod real_servers;
mod server;
mod shipped_config;
mod support;
