//! The closed-loop scorecard: every fault class apart, every controller on the same seeds, all in bad-minutes.
//! `make scorecard` runs it and writes what comes out into docs/SCORECARD.md and docs/scorecard.svg.

mod controller;
mod course;
mod lies;
mod long;
mod measured;
mod plot;
mod price;
mod report;
mod table;
mod tally;
mod workers;

use std::fs;
use std::path::Path;

use mape_k::charter_sandbox::faults::Fault;

use controller::Controller;
use course::IncidentHistory;
use measured::{Record, measure};
use price::Sample;
use tally::{Trio, u_net};

/// Reported; nothing was tuned on them. The harness was written on seeds 1 to 20.
const SEEDS: std::ops::RangeInclusive<u64> = 1001..=1020;

#[test]
#[ignore = "minutes of work: make scorecard"]
fn scorecard() {
    let began = std::time::Instant::now();
    let asked = std::env::var("SEEDS").ok();
    let seeds: Vec<u64> = match &asked {
        Some(range) => {
            let (first, last) = range.split_once('-').expect("SEEDS=first-last");
            (first.parse().expect("a seed")..=last.parse().expect("a seed")).collect()
        }
        None => SEEDS.collect(),
    };
    let mut text = "\n![U_net by class, and regret by quarter](scorecard.svg)\n".to_owned();
    let mut done = |part: String| {
        println!("{part}");
        text.push_str(&part);
    };
    let cards = table::measure_all(&seeds);
    done(report::classes(&seeds, &cards));
    let lies = lies::measure_all(&seeds);
    done(report::lied(&lies));
    // A look at other seeds is a short one.
    let long = long::measure_all(seeds[0], if asked.is_some() { 8 } else { 32 });
    done(report::quarters(&long));
    done(report::cost(began));
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    if asked.is_some() {
        println!("Other seeds than the reported ones: docs/SCORECARD.md stays as it is.");
        return;
    }
    let page = docs.join("SCORECARD.md");
    let old = fs::read_to_string(&page).expect("docs/SCORECARD.md");
    fs::write(&page, report::between_markers(&old, &text)).expect("docs/SCORECARD.md is written");
    fs::write(docs.join("scorecard.svg"), plot::svg(&cards, &long)).expect("the plot is written");
}

#[test]
fn doing_nothing_scores_0_the_oracle_1_and_a_spammer_less_than_nothing() {
    let trio = |own| Trio { noop: 50.0, own, oracle: 4.0 };
    assert_eq!(u_net(&[trio(50.0)]), Some(0.0));
    assert_eq!(u_net(&[trio(4.0), trio(4.0)]), Some(1.0));
    assert!(u_net(&[trio(120.0)]).expect("a score") < -1.0);
    // Nothing to gain: no score, however small the difference.
    assert_eq!(u_net(&[Trio { noop: 1.0, own: 3.0, oracle: 1.0 }]), None);
}

#[test]
fn recovered_is_good_for_ten_minutes() {
    let sample = |at, bad| Sample { at, bad, failing: 0.0, side: 0.0 };
    let samples: Vec<Sample> =
        (0..100).map(|n| sample(f64::from(n) * price::STEP, n < 10 || n == 20)).collect();
    assert_eq!(tally::recovers(&samples, 0.0), Some(21.0 * price::STEP));
    assert_eq!(tally::recovers(&samples[..30], 0.0), None);
}

/// Each controller goes through one incident, and what is known of them beforehand holds.
#[test]
fn one_incident_under_every_controller() {
    let course = IncidentHistory::episode(1, Fault::MisconfiguredPolicy);
    let records: Vec<(Controller, Record)> =
        Controller::COMPARED.map(|controller| (controller, measure(&course, controller))).into();
    let noop = &records[0].1;
    let card: Vec<_> = records
        .iter()
        .map(|(controller, record)| (*controller, tally::figures(&course, record, noop)))
        .collect();
    let of = |wanted| card.iter().find(|(controller, _)| *controller == wanted).expect("one").1;
    let (noop, oracle) = (of(Controller::Noop), of(Controller::Oracle));
    let ours = of(Controller::Loop { learning: true, free: false });
    assert_eq!((noop.price, noop.resolved), (0.0, false));
    assert!(noop.bad > 45.0, "it does not heal itself: {noop:?}");
    assert!(oracle.bad < 2.0 && oracle.resolved && oracle.actions == 1, "{oracle:?}");
    assert!(ours.resolved && ours.attributed == Some(true), "{ours:?}");
    assert!(
        of(Controller::ThresholdRestart).price > noop.bad,
        "a spammer costs more than it saves"
    );
}
