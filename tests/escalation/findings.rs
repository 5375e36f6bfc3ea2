//! Findings from objects as the API server gives them.

mod aside;
mod behaviour;
mod causes;
mod coming;
mod document;
mod failed;
mod fixtures;
mod found;
mod health;
mod made;
mod maintenance;
mod measured;
mod owners;
mod partial;
mod refused;
mod revisions;
mod rollouts;
mod sets;
mod states;
