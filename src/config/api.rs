//! The `api` section.

use super::reader::Section;
use super::values::{count, host, positive};
use crate::server::Settings;

pub(super) fn read(mut section: Section<'_>, loop_interval: std::time::Duration) -> Settings {
    let mut settings = Settings::default();
    section.read("host", &mut settings.host, host);
    // Port 0 takes any free port.
    section.read("port", &mut settings.port, count(0..=u16::MAX));
    section.secret("token", "token_file", &mut settings.token);
    section.read("stall_after", &mut settings.stall_after, positive);
    if settings.stall_after <= loop_interval {
        section.warn(
            "stall_after",
            "not longer than orchestrator.loop_interval: /health may answer 503 between two cycles",
        );
    }
    settings
}
