//! Findings from objects as the API server gives them.

mod behaviour;
mod document;
mod fixtures;
mod found;
mod maintenance;
mod measured;
mod owners;
mod partial;
mod rollouts;
