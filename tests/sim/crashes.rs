//! A crash at an await: the loop's future dropped there, and a fresh daemon on the same store. Every one in the cycles
//! that did something, as far as `CRASHES` goes, and a sample of the quiet ones.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::run::{run, run_dying};
use super::scenes::read;

/// Tried for one script unless `CRASHES` says another number: some ten seconds in a debug build.
const TRIED: usize = 60;
/// One in so many of them is in a quiet cycle.
const QUIET: usize = 6;

fn dies_at_every_await(name: &str, script: &str) {
    let tried = std::env::var("CRASHES").ok().map(|text| text.parse().expect("CRASHES: a number"));
    let tried = tried.unwrap_or(TRIED);
    let scene = read(name, script).unwrap_or_else(|error| panic!("{name}: {error}"));
    let whole = run(&scene.script);
    let unmet = scene.unmet(&whole);
    assert!(unmet.is_empty(), "{name} without a crash: {}\n{}", whole.account, unmet.join("\n"));

    let awaits = whole.awaits;
    let (busy, quiet): (Vec<usize>, Vec<usize>) = (0..awaits.cycles.len())
        .partition(|await_number| awaits.of_note.contains(&awaits.cycles[*await_number]));
    let mut chosen = spread(&busy, tried - tried / QUIET);
    chosen.extend(spread(&quiet, tried / QUIET));
    println!(
        "{name}: {} crashes tried; {} awaits in cycles that did something, {} in quiet ones",
        chosen.len(),
        busy.len(),
        quiet.len()
    );
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                while let Some(at) = chosen.iter().nth(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = run_dying(&scene.script, *at);
                    let account = &outcome.account;
                    let mut unmet: Vec<String> =
                        outcome.broken.iter().map(|broken| format!("{broken:?}")).collect();
                    if account.twice > 0 {
                        unmet.push(format!("{} keys took effect twice", account.twice));
                    }
                    if account.felt.at_end && account.open.is_empty() {
                        unmet.push("it is neither healed nor told".to_owned());
                    }
                    if !unmet.is_empty() {
                        let unmet = unmet.join("; ");
                        let line = format!("{name}, dead at await {at}: {unmet}: it {account}");
                        wrong.lock().expect("no run panicked").push(line);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("no run panicked");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// So many of them, evenly, or all.
fn spread(from: &[usize], wanted: usize) -> BTreeSet<usize> {
    let wanted = wanted.min(from.len());
    (0..wanted).map(|n| from[n * from.len() / wanted]).collect()
}

#[test]
fn a_crash_at_any_await_of_a_healed_overload_is_survived() {
    dies_at_every_await(
        "overload",
        "
about: Replicas are added.
seed: 1
hours: 0.3
events: [{at: 30, do: plant, fault: overload}]
expect: {actions: {scale_up: 1}, verdicts: {success: 1}, ends: healthy}",
    );
}

#[test]
fn a_crash_at_any_await_of_two_remedies_is_survived() {
    dies_at_every_await(
        "slow leak",
        "
about: A rebalance does not help, the restart does.
seed: 1
hours: 0.5
events: [{at: 30, do: plant, fault: slow_leak}]
expect: {order: [rebalance_load, restart_service], ends: healthy}",
    );
}

#[test]
fn a_crash_at_any_await_around_a_lost_answer_is_survived() {
    dies_at_every_await(
        "lost throttle",
        "
about: Charter knows no keys, and the answers to its changes are lost.
seed: 1
hours: 0.6
honours_keys: false
events:
  - {at: 30, do: plant, fault: retry_storm}
  - {at: 60, do: charter, trouble: loses_replies, seconds: 1500}
expect: {order: [throttle_requests]}",
    );
}
