//! A storm through one cycle of analysis: the time is printed, not asserted; the growth shows in it.

use super::world::{BROKEN, FINE, Series, World, alert, critical, labels, naming, rule};
use mape_k::domain::alert::Alert;

fn fleet(n: usize, value: f64) -> Vec<Series> {
    (0..n)
        .map(|i| Series {
            labels: labels(&[("component", &format!("c{i}")), ("zone", &format!("z{}", i % 7))]),
            value,
            age: 5,
        })
        .collect()
}

/// `n` violations of three kinds begin in one cycle and stay; every one of a rule has an alert that names it.
fn storm(n: usize) {
    let third = n / 3;
    let mut world = World::new()
        .watch(rule("r"), fleet(third, FINE))
        .watch(naming("named", "x"), fleet(third, FINE))
        .watch(critical(rule("bad")), fleet(n - 2 * third, FINE));
    world.cycle();
    world.every_rule(&fleet(third, BROKEN));
    world.answer("bad", fleet(n - 2 * third, BROKEN));
    let opening = world.cycle().took;
    world.cycles(2);
    world.view.alerts = (0..third)
        .map(|i| Alert {
            rule: Some("named".to_owned()),
            labels: labels(&[("component", &format!("c{i}"))]),
            ..alert(&format!("a{i}"))
        })
        .collect();
    // The quickest of a few: other work on the machine is not ours to measure.
    let steady = (0..5).map(|_| world.cycle().took).min().expect("five");
    world.outage();
    let cycle = world.cycle();
    let blind = cycle.took;
    assert_eq!(world.active().len(), n);
    assert_eq!(cycle.analysis.violations, n);
    println!("{n} violations: opening {opening:?}, steady {steady:?}, blind with alerts {blind:?}");
}

#[test]
fn ten_thousand_violations_pass_through_one_cycle() {
    storm(1_000);
    storm(10_000);
}
