//! Resident memory: idle, and with 10,000 active violations.

use super::daemon::Daemon;
use super::row;
use super::upstream::Upstream;

const BROKEN: usize = 10_000;

/// Cycles before memory is read: what one cycle leaves behind is there, and what grows shows.
const CYCLES: u64 = 30;

pub async fn idle_and_broken() {
    let upstream = Upstream::start(0);
    let daemon = Daemon::start(&upstream, "1", "", "").await;
    daemon.until("idle cycles", |state| state["iteration"].as_u64() >= Some(CYCLES)).await;
    row("RSS idle", &memory(&daemon));
    upstream.break_series(BROKEN);
    let all = |state: &serde_json::Value| state["violations"].as_u64() == Some(BROKEN as u64);
    daemon.until("all violations active", all).await;
    row(&format!("RSS in the first cycle with {BROKEN} violations"), &memory(&daemon));
    let enough = daemon.state("iteration").await + CYCLES;
    daemon.until("cycles", |state| state["iteration"].as_u64() >= Some(enough)).await;
    row(&format!("RSS with {BROKEN} active violations, {CYCLES} cycles on"), &memory(&daemon));
}

fn memory(daemon: &Daemon) -> String {
    format!("{:.1} MB (peak {:.1} MB)", daemon.megabytes("VmRSS"), daemon.megabytes("VmHWM"))
}
