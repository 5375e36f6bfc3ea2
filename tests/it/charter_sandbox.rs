//! The reference Charter: its table of faults in simulated time, its contract, and both over HTTP.

mod contract;
mod over_http;
mod rules;
mod symptoms;
mod table;
