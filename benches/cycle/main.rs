//! A cycle's own time at 100 to 100,000 active violations: the whole cycle over HTTP, and its pure stages alone.
//!
//! `docs/BENCHMARKS.md` says what the numbers mean. Nothing here is asserted.

mod pure;
mod whole;

#[path = "../support/upstream.rs"]
mod upstream;

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};

const SIZES: [usize; 4] = [100, 1_000, 10_000, 100_000];

/// Ten samples a size are enough to tell n log n from n²; a whole run stays within some minutes.
fn quick() -> Criterion {
    Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
}

criterion_group!(name = cycle; config = quick(); targets = whole::steady, whole::opening, pure::stages, pure::storm);
criterion_main!(cycle);
