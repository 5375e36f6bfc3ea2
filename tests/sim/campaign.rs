//! S11: many seeds, each run held to the invariants; the account of what they reached; and for a seed that fails, the
//! shortest list of events that still fails.
//!
//! `SEEDS`, `HOURS` and `SEED` say how many, how long and which one alone; a plain test run does a few short ones.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::run::{Outcome, run};
use super::script::{Event, Script};
use super::watch::{Broken, UNREACHED, expected};

/// A plain run, which debug builds go through too.
const SEEDS: u64 = 2;
const HOURS: f64 = 2.0;

/// From so many simulated hours on everything that can be reached has to be: the rarest moves come once in thousands.
const REACHES_ALL: f64 = 5_000.0;

/// Every so many seeds one is run twice; in a short campaign each is.
const TWICE: u64 = 10;

/// Runs between two words on how far it is.
const PROGRESS: u64 = 20;

/// Runs that one failure may take to be minimised.
const PATIENCE: u32 = 60;

/// Failures that are minimised in one campaign; more of them have most often the same cause.
const MINIMISED: usize = 3;

struct Failure {
    script: Script,
    broken: Vec<Broken>,
    tail: Vec<String>,
}

#[derive(Default)]
struct Campaign {
    reached: BTreeSet<String>,
    tests: BTreeMap<u8, u64>,
    breaches: u64,
    cycles: u64,
    runs: u64,
    /// Summed over the threads, of which each run keeps one busy.
    busy: Duration,
    failures: Vec<Failure>,
}

fn asked<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text}: a number is wanted")))
}

/// A panic inside a run is a failure of it, as invariant 0.
fn try_run(script: &Script) -> Result<Outcome, Broken> {
    catch_unwind(AssertUnwindSafe(|| run(script))).map_err(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
        Broken { invariant: 0, at: 0.0, what: format!("panicked: {}", text.unwrap_or_default()) }
    })
}

fn broken(script: &Script) -> Vec<Broken> {
    match try_run(script) {
        Ok(outcome) => outcome.broken,
        Err(panic) => vec![panic],
    }
}

#[test]
fn s11_the_invariants_hold_in_every_seed() {
    let hours = asked("HOURS").unwrap_or(HOURS);
    let seeds: Vec<u64> = match asked("SEED") {
        Some(seed) => vec![seed],
        None => (1..=asked("SEEDS").unwrap_or(SEEDS)).collect(),
    };
    let twice = if seeds.len() as u64 <= SEEDS { 1 } else { TWICE };
    let began = Instant::now();
    let (next, campaign) = (AtomicUsize::new(0), Mutex::new(Campaign::default()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)).copied() {
                    one(&Script::drawn(seed, hours), seed % twice == 0, &campaign);
                }
            });
        }
    });
    let mut campaign = campaign.into_inner().expect("no panic before");
    campaign.failures.sort_by_key(|failure| failure.script.seed);
    report(&campaign, hours, began.elapsed());
    let unreached = unreached(&campaign);
    for failure in campaign.failures.iter().take(MINIMISED) {
        explain(failure);
    }
    let failed: Vec<u64> = campaign.failures.iter().map(|failure| failure.script.seed).collect();
    assert!(failed.is_empty(), "invariants are broken in {} seeds: {failed:?}", failed.len());
    if campaign.runs as f64 * hours >= REACHES_ALL {
        assert!(unreached.is_empty(), "never reached, so not proven: {unreached:?}");
    }
}

fn one(script: &Script, twice: bool, campaign: &Mutex<Campaign>) {
    let began = Instant::now();
    let first = try_run(script);
    let busy = began.elapsed();
    let second = (twice && first.is_ok()).then(|| try_run(script));
    let mut campaign = campaign.lock().expect("no panic before");
    campaign.busy += busy;
    campaign.runs += 1;
    if campaign.runs.is_multiple_of(PROGRESS) {
        println!("{} runs done, {} failed", campaign.runs, campaign.failures.len());
    }
    let (mut broken, tail) = match first {
        Ok(outcome) => {
            if second.as_ref().is_some_and(|second| {
                second.as_ref().ok().map(|second| second.digest) != Some(outcome.digest)
            }) {
                let what = "the same seed gave another trace".to_owned();
                campaign.failures.push(Failure {
                    script: script.clone(),
                    broken: vec![Broken { invariant: 0, at: 0.0, what }],
                    tail: Vec::new(),
                });
            }
            campaign.reached.extend(outcome.reached);
            for (invariant, tests) in outcome.tests {
                *campaign.tests.entry(invariant).or_default() += tests;
            }
            campaign.breaches += outcome.breaches;
            campaign.cycles += outcome.cycles;
            (outcome.broken, outcome.tail)
        }
        Err(panic) => (vec![panic], Vec::new()),
    };
    broken.truncate(5);
    if let Some(first) = broken.first() {
        println!("seed {} fails: {first:?}", script.seed);
        campaign.failures.push(Failure { script: script.clone(), broken, tail });
    }
}

fn report(campaign: &Campaign, hours: f64, took: Duration) {
    let days = campaign.runs as f64 * hours / 24.0;
    println!(
        "{} seeds × {hours} h: {} cycles in {:.1} s; {:.2} s of one core for a simulated day",
        campaign.runs,
        campaign.cycles,
        took.as_secs_f64(),
        campaign.busy.as_secs_f64() / days
    );
    println!("put to the test, by invariant:");
    for invariant in 1..=12 {
        let tests = campaign.tests.get(&invariant).copied().unwrap_or(0);
        println!("  {invariant:>2}  {tests:>9}");
    }
    println!("Charter forgot a key that it had carried back: {} times", campaign.breaches);
    let all = expected();
    let unreached = unreached(campaign);
    println!("reached {} of {}", all.len() - unreached.len(), all.len());
    for what in &unreached {
        println!("  not reached: {what}");
    }
    for failure in &campaign.failures {
        for broken in &failure.broken {
            println!(
                "seed {}: invariant {} at {:.0} s: {}",
                failure.script.seed, broken.invariant, broken.at, broken.what
            );
        }
    }
}

fn unreached(campaign: &Campaign) -> Vec<String> {
    let tested = campaign.tests.iter().filter(|(_, tests)| **tests > 0);
    let mut reached: BTreeSet<String> =
        tested.map(|(invariant, _)| format!("invariant {invariant}")).collect();
    reached.extend(campaign.reached.iter().cloned());
    let spared = |what: &String| UNREACHED.iter().any(|(name, _)| name == what);
    expected().into_iter().filter(|what| !reached.contains(what) && !spared(what)).collect()
}

/// The seed, the command that runs it again, the fewest events that still break it, and how it ended.
fn explain(failure: &Failure) {
    let Failure { script, broken, tail } = failure;
    println!("\nseed {}: {:?}", script.seed, broken[0]);
    println!(
        "again: make simulate SEED={} HOURS={}; last lines of its trace:",
        script.seed, script.hours
    );
    for line in tail {
        println!("  {line}");
    }
    if broken[0].what.starts_with("the same seed") {
        return;
    }
    let smallest = minimised(script, broken[0].invariant);
    println!("fewest events that still break invariant {}:", broken[0].invariant);
    println!("{}", serde_json::to_string(&smallest).expect("a script"));
}

/// Delta debugging: leaves out ever smaller parts of the events while the same invariant breaks.
fn minimised(script: &Script, invariant: u8) -> Script {
    let with = |events: Vec<Event>| Script { events, ..script.clone() };
    let mut events = script.events.clone();
    let mut part = events.len().div_ceil(2);
    let mut left = PATIENCE;
    while part > 0 && left > 0 {
        let mut from = 0;
        let before = events.len();
        while from < events.len() && left > 0 {
            let mut fewer = events.clone();
            fewer.drain(from..(from + part).min(events.len()));
            left -= 1;
            if broken(&with(fewer.clone())).iter().any(|b| b.invariant == invariant) {
                events = fewer;
            } else {
                from += part;
            }
        }
        if events.len() == before {
            part /= 2;
        }
    }
    with(events)
}

#[test]
fn s11_a_quiet_time_is_quiet() {
    let hours = asked("HOURS").unwrap_or(1.0);
    let script = Script::quiet(1, hours);
    let began = Instant::now();
    let outcome = run(&script);
    let day = began.elapsed().as_secs_f64() * 24.0 / hours;
    println!("{hours} quiet hours: {day:.2} s of one core for a simulated day");
    assert_eq!(outcome.broken, Vec::new());
    assert!(!outcome.reached.contains("chosen"), "nothing is wrong, and something was done");
}

#[test]
fn s11_what_is_spared_is_held_by_a_test_that_exists() {
    let mut tests = String::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it")];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().expect("a folder of tests") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                tests += &std::fs::read_to_string(path).expect("a test");
            }
        }
    }
    let all = expected();
    for (what, why) in UNREACHED {
        let (_, test) = why.rsplit_once(": ").expect("a reason: a test");
        assert!(tests.contains(&format!("fn {test}()")), "{what}: there is no test {test}");
        assert!(all.contains(what), "{what} is nothing to be reached");
    }
}
