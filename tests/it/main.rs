//! Black-box tests of the library and the binary.

mod config;
mod config_keys;
mod config_printed;
mod config_refused;
mod logs;
