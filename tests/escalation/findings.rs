//! Findings from objects as the API server gives them.

mod behaviour;
mod causes;
mod document;
mod failed;
mod fixtures;
mod found;
mod made;
mod maintenance;
mod measured;
mod owners;
mod partial;
mod revisions;
mod rollouts;
mod sets;
mod states;
