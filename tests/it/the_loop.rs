//! The whole daemon in this process, against fakes of Prometheus, Alertmanager and Charter: what it does about faults,
//! followed through its API, its store and the calls it makes.
//!
//! Time runs a hundred times as fast (`Config::scaled`); what measures real servers and calls keeps real time.

mod alert_intake;
mod alerts;
mod charter_bad_days;
mod crash_lines;
mod crash_points;
mod cycles;
mod deciding;
mod elected;
mod explained;
mod fakes;
mod faulty;
mod guarded;
mod held_back;
mod leading;
mod overload;
mod paused;
mod postgres;
mod reloading;
mod resolved;
mod slow;
mod systems;
mod temporary;
mod timeline;
mod undone;
mod verdicts;
mod verified;
mod waking;
pub mod world;
