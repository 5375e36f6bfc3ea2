//! Telling people: Slack, an Alertmanager, and files for what could not be delivered.

pub mod settings;
