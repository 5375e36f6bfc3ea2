//! What is left for people: one open record per (reason, cause, component, subject), opened once, counted, and closed by
//! its reason's own rule.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::TimeDelta;
use mape_k::domain::Cause;
use mape_k::domain::need::Need;
use mape_k::domain::need::NeedReason::{
    self, ActionFailed, AmbiguousScope, ApprovalNeeded, Blind, Breaker, Budget, CapacityExhausted,
    DataMissing, Degradation, Flapping, HandsTied, Ineffective, OutcomeUnknown, RemediesExhausted,
    Storm, UnconfirmedAlert, UnknownAlert, UnknownCause,
};
use mape_k::domain::time::Time;
use mape_k::incidents::{Changes, NeedRequest, Situation, reconcile};
use uuid::Uuid;

fn wanted(reason: NeedReason) -> NeedRequest {
    NeedRequest {
        approval: None,
        target: None,
        reason,
        cause: Some(Cause::new("x")),
        component: Some("a".to_owned()),
        subject: "r".to_owned(),
        detail: "as it was told".to_owned(),
        evidence: vec!["v1".to_owned(), "v2".to_owned()],
    }
}

/// The open records and what the next cycle sees.
struct Desk {
    open: Vec<Need>,
    now: Time,
    active: BTreeSet<String>,
    confirmed: BTreeSet<String>,
    missing: BTreeSet<String>,
    succeeded: Vec<(Cause, String)>,
    lasting: BTreeSet<NeedReason>,
    ids: u128,
}

impl Desk {
    fn new() -> Self {
        Self {
            open: Vec::new(),
            now: "2026-03-01T03:00:00Z".parse().expect("a time"),
            active: BTreeSet::from(["v1".to_owned(), "v2".to_owned()]),
            confirmed: BTreeSet::new(),
            missing: BTreeSet::new(),
            succeeded: Vec::new(),
            lasting: [AmbiguousScope, Blind, Storm, Breaker].into(),
            ids: 0,
        }
    }

    /// One record of this reason is open, told in a cycle that is over.
    fn with(reason: NeedReason) -> Self {
        let mut desk = Self::new();
        assert_eq!(desk.cycle(vec![wanted(reason)]).opened.len(), 1);
        desk
    }

    fn cycle(&mut self, wanted: Vec<NeedRequest>) -> Changes {
        self.cycle_after(30, wanted)
    }

    fn cycle_after(&mut self, seconds: i64, wanted: Vec<NeedRequest>) -> Changes {
        self.now += TimeDelta::seconds(seconds);
        let situation = Situation {
            now: self.now,
            active: &self.active,
            confirmed: &self.confirmed,
            missing: &self.missing,
            succeeded: &self.succeeded,
            lasting: &self.lasting,
            quiet: Duration::from_secs(600),
        };
        let ids = &mut self.ids;
        let mut new_id = || {
            *ids += 1;
            Uuid::from_u128(*ids)
        };
        let changes = reconcile(std::mem::take(&mut self.open), wanted, &situation, &mut new_id);
        let lists = [&changes.opened, &changes.refreshed, &changes.unchanged];
        self.open = lists.into_iter().flatten().cloned().collect();
        assert!(changes.closed.iter().all(|e| e.closed_at == Some(self.now)));
        assert!(self.open.iter().all(|e| e.closed_at.is_none()));
        changes
    }

    fn clear(&mut self) {
        self.active.clear();
    }

    fn is_open(&self) -> bool {
        !self.open.is_empty()
    }
}

#[test]
fn an_unconfirmed_alert_is_over_when_it_is_confirmed_and_others_are_not() {
    for reason in [UnconfirmedAlert, UnknownAlert] {
        let mut desk = Desk::with(reason);
        desk.cycle(Vec::new());
        assert!(desk.is_open(), "{reason:?}: still active, and nobody confirms it");
        desk.confirmed.insert("v2".to_owned());
        desk.cycle(Vec::new());
        assert_eq!(desk.is_open(), reason == UnknownAlert);
    }
}

#[test]
fn every_reason_opens_once_and_is_counted_while_it_is_told() {
    for reason in NeedReason::ALL {
        let mut desk = Desk::new();
        let changes = desk.cycle(vec![wanted(reason)]);
        assert_eq!(changes.opened.len(), 1, "{reason:?}");
        let id = desk.open[0].id;
        for times in 2..5 {
            let changes = desk.cycle(vec![wanted(reason)]);
            assert!(changes.opened.is_empty() && changes.closed.is_empty(), "{reason:?}");
            assert_eq!((desk.open[0].id, desk.open[0].times_seen), (id, times), "{reason:?}");
        }
    }
}

#[test]
fn what_differs_in_reason_cause_component_or_subject_is_another() {
    let base = wanted(UnknownCause);
    let others = [
        wanted(Ineffective),
        NeedRequest { cause: None, ..base.clone() },
        NeedRequest { component: Some("b".to_owned()), ..base.clone() },
        NeedRequest { subject: "s".to_owned(), ..base.clone() },
    ];
    let mut desk = Desk::new();
    let changes = desk.cycle([vec![base.clone()], others.to_vec()].concat());
    assert_eq!(changes.opened.len(), 5);
    let changes = desk.cycle([vec![base], others.to_vec()].concat());
    assert_eq!((changes.opened.len(), changes.refreshed.len()), (0, 5));
}

#[test]
fn the_same_told_twice_in_a_cycle_is_one_with_all_the_evidence() {
    let mut desk = Desk::new();
    let more = NeedRequest { evidence: vec!["v3".to_owned()], ..wanted(Flapping) };
    let changes = desk.cycle(vec![wanted(Flapping), more]);
    assert_eq!(changes.opened.len(), 1);
    assert_eq!((changes.opened[0].evidence.len(), changes.opened[0].times_seen), (3, 1));
    let later = NeedRequest {
        approval: None,
        target: None,
        detail: "in other words".to_owned(),
        evidence: vec!["v4".to_owned()],
        ..wanted(Flapping)
    };
    desk.cycle(vec![later.clone(), later]);
    let record = &desk.open[0];
    assert_eq!((record.evidence.len(), record.times_seen), (4, 2));
    assert_eq!(record.detail, "in other words");
}

#[test]
fn what_is_told_no_more_but_still_active_stays_open() {
    for reason in NeedReason::ALL {
        let mut desk = Desk::with(reason);
        let stays = !matches!(reason, ApprovalNeeded | DataMissing);
        desk.cycle(Vec::new());
        assert_eq!(desk.is_open(), stays, "{reason:?}");
    }
}

#[test]
fn blind_storm_and_breaker_close_when_they_are_over() {
    for reason in [Blind, Storm, Breaker] {
        let mut desk = Desk::with(reason);
        desk.clear();
        desk.cycle(Vec::new());
        assert!(desk.is_open(), "{reason:?}");
        desk.lasting.clear();
        desk.cycle(Vec::new());
        assert!(!desk.is_open(), "{reason:?}");
    }
}

#[test]
fn these_close_when_none_of_their_evidence_is_active() {
    for reason in [
        HandsTied,
        Budget,
        UnknownCause,
        UnknownAlert,
        UnconfirmedAlert,
        CapacityExhausted,
        ActionFailed,
        Ineffective,
        Degradation,
        Flapping,
    ] {
        let mut desk = Desk::with(reason);
        desk.active.remove("v1");
        desk.cycle(Vec::new());
        assert!(desk.is_open(), "{reason:?}: v2 is active");
        desk.clear();
        assert_eq!(desk.cycle(Vec::new()).closed.len(), 1, "{reason:?}");
    }
}

#[test]
fn a_record_that_was_closed_opens_again_as_a_new_one() {
    let mut desk = Desk::with(UnknownCause);
    let id = desk.open[0].id;
    desk.clear();
    desk.cycle(Vec::new());
    let changes = desk.cycle(vec![wanted(UnknownCause)]);
    assert_eq!(changes.opened.len(), 1);
    assert_ne!(changes.opened[0].id, id);
}

#[test]
fn an_approval_closes_when_it_is_decided_even_with_the_cause_still_there() {
    let mut desk = Desk::with(ApprovalNeeded);
    desk.cycle(vec![wanted(ApprovalNeeded)]);
    assert!(desk.is_open());
    assert_eq!(desk.cycle(Vec::new()).closed.len(), 1);
}

#[test]
fn a_failed_action_closes_with_the_next_success_of_its_own() {
    let mut desk = Desk::with(ActionFailed);
    desk.succeeded = vec![(Cause::new("x"), "b".to_owned()), (Cause::new("y"), "a".to_owned())];
    desk.cycle(Vec::new());
    assert!(desk.is_open(), "others' successes");
    desk.succeeded = vec![(Cause::new("x"), "a".to_owned())];
    assert_eq!(desk.cycle(Vec::new()).closed.len(), 1);
}

#[test]
fn these_close_after_ten_minutes_of_clear_and_not_before() {
    for reason in [OutcomeUnknown, RemediesExhausted] {
        let mut desk = Desk::with(reason);
        desk.clear();
        let changes = desk.cycle_after(599, Vec::new());
        assert_eq!((changes.closed.len(), changes.unchanged.len()), (0, 1), "{reason:?}");
        assert_eq!(desk.cycle_after(1, Vec::new()).closed.len(), 1, "{reason:?}");

        let mut desk = Desk::with(reason);
        desk.clear();
        desk.cycle_after(599, Vec::new());
        // Active again: the ten minutes begin anew.
        desk.active.insert("v2".to_owned());
        desk.cycle(Vec::new());
        desk.clear();
        assert!(desk.cycle_after(599, Vec::new()).closed.is_empty(), "{reason:?}");
        assert_eq!(desk.cycle_after(1, Vec::new()).closed.len(), 1, "{reason:?}");
    }
}

#[test]
fn an_unknown_outcome_closes_when_the_same_is_judged_after_all() {
    for verdict in [Ineffective, Degradation] {
        let mut desk = Desk::with(OutcomeUnknown);
        let elsewhere = NeedRequest { component: Some("b".to_owned()), ..wanted(verdict) };
        desk.cycle(vec![elsewhere]);
        assert_eq!(desk.open.iter().filter(|e| e.reason == OutcomeUnknown).count(), 1);
        let changes = desk.cycle(vec![wanted(verdict)]);
        assert_eq!(changes.closed.len(), 1, "{verdict:?}");
        assert_eq!(changes.closed[0].reason, OutcomeUnknown);
    }
}

#[test]
fn an_ambiguous_scope_closes_only_when_the_scope_is_set() {
    let mut desk = Desk::with(AmbiguousScope);
    desk.clear();
    desk.cycle_after(3_600, Vec::new());
    assert!(desk.is_open());
    desk.lasting.clear();
    assert_eq!(desk.cycle(Vec::new()).closed.len(), 1);
}

#[test]
fn missing_data_closes_when_it_is_back() {
    let mut desk = Desk::with(DataMissing);
    // After a restart the data is still missing, but not for long enough to be told again.
    desk.missing.insert("r".to_owned());
    desk.cycle(Vec::new());
    assert!(desk.is_open());
    desk.missing = BTreeSet::from(["another".to_owned()]);
    assert_eq!(desk.cycle(Vec::new()).closed.len(), 1);
}

#[test]
fn evidence_is_bounded_and_what_is_active_stays_in_it() {
    let names = |from: usize, n: usize| (from..from + n).map(|i| format!("v{i:05}"));
    let mut desk = Desk::new();
    desk.active = names(0, 900).collect();
    let want = |evidence: Vec<String>| NeedRequest { evidence, ..wanted(UnknownCause) };
    desk.cycle(vec![want(names(0, 900).collect())]);
    desk.active = names(50_000, 500).collect();
    desk.cycle(vec![want(names(50_000, 500).collect())]);
    let record = &desk.open[0];
    assert_eq!(record.evidence.len(), 1_000);
    assert_eq!(record.evidence.iter().filter(|fp| desk.active.contains(*fp)).count(), 500);
    desk.cycle(Vec::new());
    assert!(desk.is_open());
}

#[test]
fn ten_thousand_wanted_of_one_and_of_many_keys_are_reconciled_in_a_breath() {
    let begin = std::time::Instant::now();
    let mut desk = Desk::new();
    let one = |i: usize| NeedRequest { evidence: vec![format!("v{i}")], ..wanted(Flapping) };
    let many = |i: usize| NeedRequest { subject: format!("r{i}"), ..wanted(UnknownCause) };
    for _ in 0..2 {
        desk.cycle((0..10_000).map(one).chain((0..10_000).map(many)).collect());
    }
    assert_eq!(desk.open.len(), 10_001);
    println!("two cycles of 20,000 wanted: {:?}", begin.elapsed());
}
