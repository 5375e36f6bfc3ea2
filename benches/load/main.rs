//! The release binary as a process under load over loopback: start, memory, webhook intake, and how soon it acts.
//!
//! `docs/BENCHMARKS.md` says what the numbers mean. Bounded to some two minutes; nothing here is asserted.

mod alerts;
mod daemon;
mod intake;
mod memory;
mod reaction;
mod start;

#[path = "../support/upstream.rs"]
mod upstream;

use std::time::Duration;

#[tokio::main]
async fn main() {
    println!("load average at the start: {}", daemon::load_average());
    println!("| what | measured |\n|---|---|");
    start::to_listening().await;
    memory::idle_and_broken().await;
    intake::throughput().await;
    intake::at_half_the_target().await;
    reaction::webhook_to_charter().await;
    println!("\nload average at the end: {}", daemon::load_average());
}

fn row(what: &str, measured: &str) {
    println!("| {what} | {measured} |");
}

/// Median, 99th percentile and largest, in milliseconds.
fn spread(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let Some(last) = times.len().checked_sub(1) else { return "nothing measured".to_owned() };
    let at = |percent: usize| times[(last * percent).div_ceil(100)].as_secs_f64() * 1e3;
    format!(
        "p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms (n = {})",
        at(50),
        at(99),
        at(100),
        times.len()
    )
}
