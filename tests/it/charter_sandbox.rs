//! The reference Charter: its table of faults in simulated time, its contract, and both over HTTP.

mod rules;
mod table;
