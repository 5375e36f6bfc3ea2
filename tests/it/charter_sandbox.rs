//! The reference Charter: its table of faults in simulated time, its contract, and both over HTTP.

mod callers;
mod contract;
mod over_http;
mod rules;
mod symptoms;
mod table;
