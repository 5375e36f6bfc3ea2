//! S05, S06: when breaker and storm open, hold and close, one number at a time.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use mape_k::domain::Cause;
use mape_k::domain::action::ActionKind;
use mape_k::domain::fleet::Fleet;
use mape_k::domain::ledger::{End, Entry, Ledger, Storm};
use mape_k::domain::outcome::OutcomeType::{
    self, Degradation, Ineffective, Partial, Success, Unknown,
};
use mape_k::domain::target::{System, Target};
use mape_k::domain::time::Time;
use mape_k::planner::guardrails;
use mape_k::planner::guards::{judged, relax, storm, trip};
use uuid::Uuid;

use super::world::start;

/// A desk at which one action after the other is entered and judged, a minute apart.
struct Desk {
    ledger: Ledger,
    settings: guardrails::Breaker,
    now: Time,
}

impl Desk {
    fn new() -> Self {
        Self { ledger: Ledger::default(), settings: guardrails::Breaker::default(), now: start() }
    }

    fn verdicts(&mut self, verdicts: &[OutcomeType]) -> bool {
        for verdict in verdicts {
            self.now += TimeDelta::seconds(60);
            let execution_id = Uuid::from_u128(self.ledger.entries.len() as u128);
            self.ledger.entries.push(Entry {
                execution_id,
                at: self.now,
                action: ActionKind::ScaleUp,
                target: Target::Charter(None),
                cause: Cause::new("x"),
                end: End::Open,
            });
            judged(&mut self.ledger, &self.settings, execution_id, *verdict, self.now);
        }
        self.is_open()
    }

    fn is_open(&self) -> bool {
        self.ledger.tripped(System::Charter).is_some()
    }

    fn wait(&mut self, minutes: i64) {
        self.now += TimeDelta::minutes(minutes);
        relax(&mut self.ledger, &self.settings, self.now);
    }
}

#[test]
fn s05_two_degradations_of_the_last_ten_verdicts_open_the_breaker() {
    let s = Success;
    assert!(!Desk::new().verdicts(&[Degradation, s, s, s, s, s, s, s, s, s, Degradation]), "of 11");
    assert!(Desk::new().verdicts(&[Degradation, s, s, s, s, s, s, s, s, Degradation]), "of 10");
    assert!(!Desk::new().verdicts(&[Degradation, s, s]));
    assert!(
        Desk::new().verdicts(&[Degradation, Unknown, Unknown, s, s, s, s, s, s, s, s, Degradation]),
        "an unknown verdict says nothing, neither for nor against"
    );
}

#[test]
fn s05_five_actions_in_a_row_that_did_not_help_open_the_breaker() {
    let i = Ineffective;
    assert!(!Desk::new().verdicts(&[i, i, i, i]));
    assert!(Desk::new().verdicts(&[i, i, i, i, i]));
    assert!(Desk::new().verdicts(&[i, i, Unknown, i, i, i]), "unknown interrupts nothing");
    assert!(!Desk::new().verdicts(&[i, i, i, i, Partial, i]), "partial does");
}

#[test]
fn s05_half_open_one_good_action_closes_it_and_a_bad_one_opens_it_again() {
    for (verdict, open) in
        [(Success, false), (Partial, false), (Ineffective, true), (Degradation, true)]
    {
        let mut desk = Desk::new();
        assert!(desk.verdicts(&[Degradation, Degradation]));
        let tripped = desk.ledger.tripped(System::Charter).cloned().expect("open");
        desk.wait(31);
        assert!(desk.is_open(), "half-open is not closed");
        assert_eq!(desk.verdicts(&[verdict]), open, "{verdict:?}");
        if open {
            let again = desk.ledger.tripped(System::Charter).cloned().expect("open");
            assert!(again.until > tripped.until && again.at == desk.now, "for its whole time anew");
        } else {
            assert!(!desk.verdicts(&[Degradation]), "what opened it does not count twice");
            assert!(desk.verdicts(&[Degradation]));
        }
    }
    let mut desk = Desk::new();
    assert!(desk.verdicts(&[Degradation, Degradation]));
    desk.wait(31);
    assert!(desk.verdicts(&[Unknown]), "half-open still: nobody knows");
    assert!(!desk.verdicts(&[Success]));
}

#[test]
fn s05_a_verdict_on_what_was_sent_before_it_opened_neither_closes_nor_prolongs_it() {
    let mut desk = Desk::new();
    let early = Uuid::from_u128(99);
    desk.ledger.entries.push(Entry {
        execution_id: early,
        at: desk.now,
        action: ActionKind::ScaleUp,
        target: Target::Charter(None),
        cause: Cause::new("x"),
        end: End::Open,
    });
    trip(&mut desk.ledger, System::Charter, &desk.settings, "a failed undo".to_owned(), desk.now);
    let until = desk.ledger.tripped(System::Charter).expect("open").until;
    for verdict in [Success, Degradation] {
        judged(&mut desk.ledger, &desk.settings, early, verdict, desk.now);
        assert_eq!(desk.ledger.tripped(System::Charter).map(|t| t.until), Some(until));
    }
}

/// Nothing stays open for ever: an hour after it opened it closes, if nothing bad came meanwhile.
#[test]
fn s05_half_open_without_a_bad_word_it_closes_by_itself() {
    let mut desk = Desk::new();
    trip(&mut desk.ledger, System::Charter, &desk.settings, "the journal".to_owned(), desk.now);
    desk.wait(59);
    assert!(desk.is_open());
    desk.wait(1);
    assert!(!desk.is_open());
}

#[test]
fn a_clock_set_back_neither_locks_nor_frees_anything() {
    let mut desk = Desk::new();
    desk.verdicts(&[Degradation, Degradation]);
    let before = desk.now - TimeDelta::days(1);
    desk.ledger.not_after(before);
    assert!(desk.ledger.entries.iter().all(|e| e.at <= before));
    let tripped = desk.ledger.tripped(System::Charter).expect("still open");
    assert_eq!((tripped.at, tripped.until), (before, before + TimeDelta::minutes(30)));
}

fn fleet(components: usize, sick: usize, firing: usize, common: Option<&str>) -> Fleet {
    let names = |n: usize| (0..n).map(|i| format!("c{i}")).collect::<BTreeSet<_>>();
    let common_cause = common.map(Cause::new);
    Fleet { components, sick: names(sick), firing: names(firing), common_cause }
}

fn begins(fleet: &Fleet) -> bool {
    storm(None, fleet, &guardrails::Storm::default(), start()).is_some()
}

#[test]
fn s06_a_storm_begins_above_its_shares_and_not_at_them() {
    assert!(begins(&fleet(100, 56, 0, None)), "56 % sick");
    assert!(!begins(&fleet(100, 55, 0, None)), "55 %");
    assert!(begins(&fleet(100, 56, 56, Some("x"))), "sick is sick, whatever they name");
    assert!(begins(&fleet(100, 31, 31, None)), "31 % begin at once");
    assert!(!begins(&fleet(100, 30, 30, None)), "30 %");
    assert!(!begins(&fleet(100, 31, 31, Some("x"))), "one named cause has a remedy of its own");
    assert!(begins(&fleet(5, 3, 0, None)), "60 % of five");
    assert!(!begins(&fleet(4, 4, 4, None)), "of four the guard is off");
    assert!(!begins(&fleet(5, 2, 2, None)), "two are no storm");
}

#[test]
fn s06_a_storm_ends_when_both_shares_stay_below_half_for_five_minutes_in_sight() {
    let settings = guardrails::Storm::default();
    let rages = storm(None, &fleet(100, 60, 60, None), &settings, start()).expect("it begins");
    let later = |from: &Storm, fleet: &Fleet, seconds: i64| {
        storm(Some(from.clone()), fleet, &settings, start() + TimeDelta::seconds(seconds))
    };
    let calm = fleet(100, 27, 14, None);
    let first = later(&rages, &calm, 30).expect("not at once");
    assert!(later(&first, &calm, 329).is_some());
    assert!(later(&first, &calm, 330).is_none(), "five minutes of calm");
    // One reading that is not calm starts the time anew.
    for relapse in [fleet(100, 28, 0, None), fleet(100, 15, 15, None)] {
        let back = later(&first, &relapse, 200).expect("it goes on");
        assert_eq!(back.calm_since, None, "{relapse:?}");
        let again = later(&back, &calm, 230).expect("it goes on");
        assert!(later(&again, &calm, 500).is_some());
    }
    // What vanished has not recovered.
    let gone = fleet(70, 0, 0, None);
    let hidden = later(&first, &gone, 200).expect("it goes on");
    assert_eq!(hidden.calm_since, None);
    assert!(later(&hidden, &fleet(0, 0, 0, None), 9_000).is_some());
}
