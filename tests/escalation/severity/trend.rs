//! New, recurring, worsening, resolved: by assessments, not by cycles.

use mape_k::domain::decision::Sev;
use mape_k::domain::finding::{Finding, FindingKind};
use mape_k::incidents::trend::Heading;

use super::world::{World, finding, minutes, noon, replicas};

fn headings(world: &World) -> Vec<(String, Heading)> {
    let trend = world.board.trend(world.now);
    trend.incidents.into_iter().map(|of| (of.service, of.heading)).collect()
}

fn only(world: &World) -> Heading {
    let headings = headings(world);
    assert_eq!(headings.len(), 1, "{headings:?}");
    headings[0].1
}

#[test]
fn b28_new_then_recurring_then_worsening_then_resolved() {
    let mut world = World::new(noon());
    world.cycle(&[replicas("search", 3, 4, noon())]);
    assert_eq!(only(&world), Heading::New);
    world.cycles(3, &[replicas("search", 3, 4, noon())]);
    assert_eq!(only(&world), Heading::New, "cycles of one interval are one assessment");
    world.pass(minutes(5));
    world.cycle(&[replicas("search", 3, 4, noon())]);
    assert_eq!(only(&world), Heading::Recurring);
    world.pass(minutes(5));
    world.cycle(&[replicas("search", 2, 4, noon())]);
    assert_eq!(only(&world), Heading::Worsening);
    world.pass(minutes(5));
    world.cycle(&[]);
    assert_eq!(only(&world), Heading::Resolved);
    for _ in 0..5 {
        world.pass(minutes(5));
        world.cycle(&[]);
    }
    assert!(headings(&world).is_empty(), "not in the last five assessments");
    world.cycle(&[replicas("search", 3, 4, world.now)]);
    assert_eq!(only(&world), Heading::Recurring, "it was there within 24 hours");
    world.cycle(&[]);
    world.pass(minutes(60 * 25));
    world.cycle(&[replicas("search", 3, 4, world.now)]);
    assert_eq!(only(&world), Heading::New);
}

#[test]
fn b28_what_is_better_is_not_worsening() {
    let mut world = World::new(noon());
    world.cycle(&[replicas("search", 1, 4, noon())]);
    world.pass(minutes(5));
    world.cycle(&[replicas("search", 3, 4, noon())]);
    assert_eq!(only(&world), Heading::Recurring);
    // Scaled to half: fewer are ready, and fewer are missing.
    world.pass(minutes(5));
    world.cycle(&[replicas("search", 2, 2, noon())]);
    assert_eq!(only(&world), Heading::Recurring);
}

#[test]
fn b28_restarts_are_worse_when_their_rate_is_up_by_half() {
    let crash = |restarts: u32| -> [Finding; 1] {
        let mut crash = finding("search", FindingKind::CrashLoop, noon());
        crash.restarts = restarts;
        [crash]
    };
    let mut steady = World::new(noon());
    let mut faster = World::new(noon());
    let (mut slow, mut fast) = (0, 0);
    for assessment in 0..12 {
        slow += 4;
        fast += if assessment < 6 { 4 } else { 8 };
        steady.cycle(&crash(slow));
        faster.cycle(&crash(fast));
        steady.pass(minutes(5));
        faster.pass(minutes(5));
    }
    assert_eq!(steady.severity_of("search"), Sev::Sev3);
    assert_eq!(faster.severity_of("search"), Sev::Sev2);
}

#[test]
fn b28_the_trend_is_a_value_of_the_report() {
    let mut world = World::new(noon());
    world.cycle(&[replicas("payments", 0, 2, noon())]);
    let trend = world.board.trend(world.now);
    let json = serde_json::to_value(&trend).expect("JSON");
    assert_eq!(json["incidents"][0]["heading"], "new");
    assert_eq!(json["incidents"][0]["incident"], "INC-20260310_120000-001");
    assert_eq!(
        serde_json::from_value::<mape_k::incidents::trend::TrendAnalysis>(json).ok(),
        Some(trend)
    );
}
