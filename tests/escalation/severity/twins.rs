//! Two daemons live through the same days, one of them restarted in every cycle: people hear the same of both, and never
//! twice, never nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use mape_k::domain::decision::Sev;
use mape_k::domain::finding::Finding;
use mape_k::domain::incident::Absence;
use mape_k::domain::message::{Form, Message};
use mape_k::incidents::settings::Settings;

use super::world::{Slack, Time, World, night, replicas};

/// Numbers of a seed: the same days each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

const SERVICES: [&str; 5] = ["payments", "search", "reports", "toys", "stray"];

/// How many of four replicas each service has, and since when.
struct Days {
    dice: Dice,
    ready: [(u64, Time); SERVICES.len()],
}

impl Days {
    fn next(&mut self, now: Time) -> Vec<Finding> {
        for (ready, since) in &mut self.ready {
            if self.dice.below(12) == 0 {
                let next = [4, 4, 4, 3, 1, 0][usize::try_from(self.dice.below(6)).expect("small")];
                // Available or not is what the object remembers.
                if (*ready == 4) != (next == 4) || (*ready == 0) != (next == 0) {
                    *since = now;
                }
                *ready = next;
            }
        }
        let sick = SERVICES.iter().zip(&self.ready).filter(|(_, (ready, _))| *ready < 4);
        sick.map(|(name, (ready, since))| {
            replicas(name, u32::try_from(*ready).expect("small"), 4, *since)
        })
        .collect()
    }
}

#[test]
fn b28_a_daemon_that_is_restarted_in_every_cycle_tells_the_same() {
    // When one was last seen is stored once in an interval: with a longer one, how long it is down after a restart may be
    // said to be longer by as much.
    let settings = Settings { interval: Duration::from_secs(30), ..Settings::default() };
    for seed in 1..=4 {
        let mut days = Days { dice: Dice(seed), ready: [(4, night()); SERVICES.len()] };
        let mut steady = World::of(settings.clone(), night());
        let mut restarted = World::of(settings.clone(), night());
        let mut alerted: BTreeSet<String> = BTreeSet::new();
        let mut alerts = 0;
        for cycle in 0..1_000 {
            let findings = days.next(steady.now);
            let is_blind = days.dice.below(10) == 0;
            let slack =
                [Slack::Works, Slack::Works, Slack::Works, Slack::BackedUp, Slack::BackedUp]
                    [usize::try_from(days.dice.below(5)).expect("small")];
            for world in [&mut steady, &mut restarted] {
                world.slack = slack;
                world.absence = Box::new(move |finding| {
                    if is_blind && !finding.is_need() { Absence::Unread } else { Absence::Clear }
                });
            }
            restarted.restart();
            let told = steady.cycle(&findings).messages;
            let told_again = restarted.cycle(&findings).messages;
            if told != told_again {
                let differ = |(a, b): &(&Message, &Message)| a != b;
                let first = told.iter().zip(&told_again).find(differ);
                panic!(
                    "seed {seed}, cycle {cycle}: {} and {} messages: {first:#?}",
                    told.len(),
                    told_again.len()
                );
            }
            alerts += check(&steady, &told, &mut alerted, &format!("seed {seed}, cycle {cycle}"));
            steady.pass(Duration::from_secs(30));
            restarted.pass(Duration::from_secs(30));
        }
        assert!(alerts > 10, "seed {seed} tells something: {alerts}");
    }
}

/// Alerts of this cycle; `alerted` are the incidents of which people know that they are there.
fn check(world: &World, told: &[Message], alerted: &mut BTreeSet<String>, when: &str) -> usize {
    let alerts = told.iter().filter(|message| message.form == Form::Alert).count();
    assert!(alerts <= 1, "{when}: one message");
    for message in told {
        for entry in &message.entries {
            match message.form {
                Form::Alert => _ = alerted.insert(entry.incident.clone()),
                Form::Ended(_) => {
                    assert!(
                        alerted.remove(&entry.incident),
                        "{when}: an end, once, of what was told"
                    );
                }
                Form::Update(_) => {
                    assert!(alerted.contains(&entry.incident), "{when}: of what was told");
                }
                Form::Edit(_) | Form::Summary => {}
            }
            assert!(
                entry.severity > Sev::Sev4 || message.form != Form::Alert,
                "{when}: SEV-4 is never told"
            );
        }
    }
    let open = world.board.incidents().iter().filter(|one| one.is_open());
    for incident in open.filter(|one| one.severity >= Sev::Sev2) {
        assert!(alerted.contains(&incident.id), "{when}: nobody knows of {}", incident.id);
    }
    for service in world.board.incidents().iter().filter(|one| one.is_open()) {
        let same = |other: &&mape_k::domain::incident::Incident| {
            other.is_open() && other.service == service.service && other.class == service.class
        };
        assert_eq!(world.board.incidents().iter().filter(same).count(), 1, "{when}");
    }
    alerts
}
