//! The planner through its two doors, `plan` and `check`: what is chosen, what is not and why, for every rule.

mod approval;
mod breaker;
mod checked;
mod checked_guards;
mod choice;
mod cluster;
mod constancy;
mod eligibility;
mod exhaustion;
mod guards;
mod high_risk;
mod holds;
mod neighbours;
mod parameters;
mod systems;
mod treatments;
pub mod world;
