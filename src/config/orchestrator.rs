//! The `orchestrator` section.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::reader::Section;
use super::values::{boolean, count, one_of, text};
use super::{duration, logging};
use crate::control_loop::settings::{Mode, Settings};

/// A cycle that is slower to come than this leaves a fault alone for too long.
const LONGEST_INTERVAL: Duration = Duration::from_secs(300);
/// It stands before every title.
const LONGEST_NAME: usize = 60;
/// Beyond this an alert waits noticeably for the next look.
const SLOW_INTERVAL: Duration = Duration::from_secs(60);
/// Shorter, and a slow commit or a moment without the processor would change the leader; longer leaves a fault alone.
const LEASES: RangeInclusive<Duration> = Duration::from_secs(2)..=Duration::from_secs(300);
/// Faster would be a busy loop against Prometheus.
pub const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

pub(super) fn read(mut section: Section<'_>) -> Settings {
    let mut settings = Settings::default();
    section.read(
        "mode",
        &mut settings.mode,
        one_of(&[("staging", Mode::Staging), ("production", Mode::Production)]),
    );
    section.optional("environment", &mut settings.environment, |value| {
        let accepted = || format!("a name of 1 to {LONGEST_NAME} characters on one line");
        let is_name = |name: &String| {
            name.chars().count() <= LONGEST_NAME && !name.chars().any(char::is_control)
        };
        text(value).ok().filter(is_name).ok_or_else(accepted)
    });
    section.read("loop_interval", &mut settings.loop_interval, |value| {
        duration::parse(value)
            .filter(|interval| (SHORTEST_INTERVAL..=LONGEST_INTERVAL).contains(interval))
            .ok_or_else(|| {
                let (low, high) = (SHORTEST_INTERVAL.as_secs_f64(), LONGEST_INTERVAL.as_secs());
                format!("{}, from {low} to {high} seconds", duration::FORMS)
            })
    });
    if settings.loop_interval > SLOW_INTERVAL {
        let text = format!(
            "a cycle every {} sees and heals a fault late; up to {} is usual",
            duration::show(settings.loop_interval),
            duration::show(SLOW_INTERVAL)
        );
        section.warn("loop_interval", text);
    }
    section.read("plan_threshold", &mut settings.plan_threshold, count(1..=1000));
    section.read("leader_lease", &mut settings.leader_lease, |value| {
        duration::parse(value).filter(|lease| LEASES.contains(lease)).ok_or_else(|| {
            let (low, high) = (LEASES.start().as_secs(), LEASES.end().as_secs());
            format!("{}, from {low} to {high} seconds", duration::FORMS)
        })
    });
    let mut auto_approve = None;
    section.optional("auto_approve", &mut auto_approve, boolean);
    settings.auto_approve = auto_approve.unwrap_or(settings.mode == Mode::Staging);
    section.optional("log_level", &mut settings.log_level, logging::level);
    settings
}
