//! R12: hooks, commands and HTTP calls of the user's, with hostile labels, hostile programs and every way to end.

mod commands;
mod configured;
mod ended;
mod http;
mod undone;
pub mod world;
