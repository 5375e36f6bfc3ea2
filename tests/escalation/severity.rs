//! Severities, incidents, repetition, trend, business hours.

mod absent;
mod assessment;
mod deployments;
mod ends;
mod hours;
mod named;
mod news;
mod one;
mod repetition;
mod restart;
mod table;
mod tiers;
mod trend;
mod twins;
mod world;
