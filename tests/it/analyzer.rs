//! Analyze, seen through its public door: snapshots go in, violations and analyses come out. Time is a value.

mod alerts;
mod causal;
mod coverage;
mod detectors;
mod flapping;
mod found;
mod load;
mod occurrences;
mod starts;
mod targets;
mod world;
