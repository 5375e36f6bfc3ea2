//! The whole loop under simulated time: the shipped cycle, store contract, intake and clients, on one thread, against
//! the reference plant and servers that fail as scripted. The same seed gives the same run.

mod account;
mod alertmanager;
mod awaits;
mod crashes;
mod daemon;
mod outside;
mod prometheus;
mod run;
mod scenes;
mod script;
mod store;
mod trace;
mod watch;
mod wire;

use script::Script;

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 1..=3 {
        let script = Script::drawn(seed, 2.0);
        let (first, second) = (run::run(&script), run::run(&script));
        println!("seed {seed}: {} cycles, {:x}", first.cycles, first.digest);
        assert_eq!(first.digest, second.digest, "seed {seed}");
    }
}

#[test]
fn a_quiet_day() {
    let began = std::time::Instant::now();
    let script = Script { events: Vec::new(), ..Script::drawn(1, 24.0) };
    let outcome = run::run(&script);
    println!("{} cycles of a quiet day in {:?}", outcome.cycles, began.elapsed());
    for line in &outcome.tail {
        println!("{line}");
    }
}

#[test]
fn seeds() {
    for seed in 1..=5 {
        let began = std::time::Instant::now();
        let script = Script::drawn(seed, 6.0);
        let outcome = run::run(&script);
        println!(
            "seed {seed}: {} events, {} cycles, {:?}",
            script.events.len(),
            outcome.cycles,
            began.elapsed()
        );
        for broken in &outcome.broken {
            println!("  {broken:?}");
        }
        if seed == 2 {
            for line in &outcome.tail {
                println!("{line}");
            }
        }
    }
}
