//! The planner through its two doors, `plan` and `check`: what is chosen, what is not and why, for every rule.

mod approval;
mod checked;
mod choice;
mod constancy;
mod eligibility;
mod exhaustion;
mod guards;
mod high_risk;
mod holds;
mod parameters;
pub mod world;
