//! R01: what every actuator promises to the executor, as one suite over whoever is behind it.
//!
//! A system joins by a [`Fixture`] (an actuator, and the knobs of the fake behind it) and one line of [`contract!`].

mod charter;
pub mod commands;
mod http;

use async_trait::async_trait;
use mape_k::actuators::{Actuator, Comparison, Doubt, Failure, Probe, Refusal, Request, Step};
use mape_k::domain::action::Action;
use mape_k::domain::{Cause, Labels};
use serde_json::Value;
use uuid::Uuid;

/// What becomes of the next call that would change something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Done, and the answer is lost.
    DoneAndLost,
    /// Lost before anything was done.
    Lost,
    /// Refused, now and later.
    Refused,
    /// Not done, and says nothing of the action.
    NotNow,
    /// Somebody else changed the target since it was prepared.
    Conflict,
}

#[async_trait]
pub trait Fixture: Sized {
    async fn start() -> Self;

    fn actuator(&self) -> &dyn Actuator;

    /// An action of this system that can be undone.
    fn action(&self) -> Action;

    /// Does this system tell a conflict from a refusal?
    const TELLS_CONFLICTS: bool;

    fn next(&self, fate: Fate);

    /// How often the system was really changed by one of our calls, undoing included.
    fn changes(&self) -> usize;

    /// Is what we did in effect?
    fn is_in_effect(&self) -> bool;

    /// Somebody else sets the same thing to a value of theirs.
    fn change_by_others(&self);

    /// What we did ends without us.
    fn end_by_itself(&self);
}

/// What a request borrows.
pub struct Sent {
    pub action: Action,
    pub key: Uuid,
    pub epoch: Option<u64>,
    pub cause: Cause,
    pub labels: Labels,
}

impl Sent {
    pub fn of(action: Action) -> Self {
        Self {
            action,
            key: Uuid::new_v4(),
            epoch: Some(7),
            cause: Cause::new("cart_overload"),
            labels: Labels::from([("namespace".to_owned(), "shop".to_owned())]),
        }
    }

    pub fn request(&self) -> Request<'_> {
        let Self { action, key, epoch, cause, labels } = self;
        let at = "2026-11-29T12:00:00Z".parse().expect("a time");
        Request { action, key: *key, epoch: *epoch, cause, labels, at }
    }

    /// The undo of it, under a key of its own.
    pub fn undoing(&self) -> Self {
        Self { key: Uuid::new_v4(), cause: self.cause.clone(), ..Self::of(self.action.clone()) }
    }
}

/// An action that is prepared and not yet sent.
async fn prepared(fixture: &impl Fixture) -> (Sent, Value) {
    let sent = Sent::of(fixture.action());
    let prior = fixture.actuator().prepare(&sent.request()).await.expect("prepared");
    (sent, prior)
}

/// One that is in effect.
async fn applied(fixture: &impl Fixture) -> (Sent, Value) {
    let (sent, prior) = prepared(fixture).await;
    let prior = fixture.actuator().apply(&sent.request(), &prior).await.expect("applied");
    assert!(fixture.is_in_effect(), "applied is in effect");
    assert_eq!(fixture.changes(), 1);
    (sent, prior)
}

async fn failing(fixture: &impl Fixture, fate: Fate, sent: &Sent, prior: &Value) -> Failure {
    fixture.next(fate);
    fixture.actuator().apply(&sent.request(), prior).await.expect_err("no answer of success")
}

pub async fn lost_then_found(fixture: &impl Fixture) {
    let (sent, prior) = prepared(fixture).await;
    let failure = failing(fixture, Fate::DoneAndLost, &sent, &prior).await;
    assert!(failure.doubt > Doubt::None && failure.refusal.is_none(), "{failure:?}");
    let probe = fixture.actuator().probe(Step::Apply, &sent.request(), &prior).await;
    let Probe::Found(prior) = probe else { panic!("{probe:?}") };
    assert_eq!(fixture.changes(), 1);
    let undoing = sent.undoing();
    let comparison = fixture.actuator().compare(&undoing.request(), &prior).await;
    assert_eq!(comparison, Comparison::Ours, "what was found can be undone");
}

pub async fn lost_then_absent(fixture: &impl Fixture) {
    let (sent, prior) = prepared(fixture).await;
    let failure = failing(fixture, Fate::Lost, &sent, &prior).await;
    assert!(failure.doubt > Doubt::None && failure.refusal.is_none(), "{failure:?}");
    let probe = fixture.actuator().probe(Step::Apply, &sent.request(), &prior).await;
    assert_eq!(probe, Probe::Absent);
    assert_eq!(fixture.changes(), 0);
    let again = fixture.actuator().apply(&sent.request(), &prior).await;
    assert!(again.is_ok() && fixture.is_in_effect(), "{again:?}");
}

/// Of a system that says so of itself: a second arrival of one key changes nothing more.
pub async fn repeated_key(fixture: &impl Fixture) {
    let (sent, prior) = applied(fixture).await;
    let actuator = fixture.actuator();
    if actuator.honours_keys(&sent.action) || actuator.is_repeatable(Step::Apply, &sent.action) {
        let again = actuator.apply(&sent.request(), &prior).await;
        assert!(again.is_ok(), "{again:?}");
        assert_eq!(fixture.changes(), 1, "the second arrival changed something");
    }
}

pub async fn refused(fixture: &impl Fixture) {
    let (sent, prior) = prepared(fixture).await;
    let failure = failing(fixture, Fate::Refused, &sent, &prior).await;
    assert!(failure.doubt == Doubt::None && failure.refusal.is_some(), "{failure:?}");
    assert_ne!(failure.refusal, Some(Refusal::Conflict));
    assert_eq!(fixture.changes(), 0);
}

pub async fn not_now(fixture: &impl Fixture) {
    let (sent, prior) = prepared(fixture).await;
    let failure = failing(fixture, Fate::NotNow, &sent, &prior).await;
    assert_eq!((failure.doubt, failure.refusal), (Doubt::None, None), "{}", failure.text);
    assert_eq!(fixture.changes(), 0);
    let again = fixture.actuator().apply(&sent.request(), &prior).await;
    assert!(again.is_ok() && fixture.changes() == 1, "{again:?}");
}

pub async fn conflict<F: Fixture>(fixture: &F) {
    if F::TELLS_CONFLICTS {
        let (sent, prior) = prepared(fixture).await;
        let failure = failing(fixture, Fate::Conflict, &sent, &prior).await;
        assert_eq!(failure.doubt, Doubt::None, "{failure:?}");
        assert_eq!(failure.refusal, Some(Refusal::Conflict), "{failure:?}");
        assert_eq!(fixture.changes(), 0);
    }
}

pub async fn foreign_change(fixture: &impl Fixture) {
    let (sent, prior) = prepared(fixture).await;
    failing(fixture, Fate::DoneAndLost, &sent, &prior).await;
    fixture.change_by_others();
    let probe = fixture.actuator().probe(Step::Apply, &sent.request(), &prior).await;
    assert!(matches!(probe, Probe::Foreign(_)), "{probe:?}");
}

pub async fn undo_ours(fixture: &impl Fixture) {
    let (sent, prior) = applied(fixture).await;
    let undoing = sent.undoing();
    let actuator = fixture.actuator();
    assert_eq!(actuator.compare(&undoing.request(), &prior).await, Comparison::Ours);
    let undone = actuator.undo(&undoing.request(), &prior).await;
    assert!(undone.is_ok() && !fixture.is_in_effect(), "{undone:?}");
    let comparison = actuator.compare(&undoing.request(), &prior).await;
    assert!(matches!(comparison, Comparison::Over(_)), "{comparison:?}");
}

pub async fn undo_foreign(fixture: &impl Fixture) {
    let (sent, prior) = applied(fixture).await;
    fixture.change_by_others();
    let comparison = fixture.actuator().compare(&sent.undoing().request(), &prior).await;
    assert!(matches!(comparison, Comparison::Foreign(_)), "{comparison:?}");
    assert_eq!(fixture.changes(), 1, "comparing changes nothing");
}

pub async fn undo_already_gone(fixture: &impl Fixture) {
    let (sent, prior) = applied(fixture).await;
    fixture.end_by_itself();
    let comparison = fixture.actuator().compare(&sent.undoing().request(), &prior).await;
    assert!(matches!(comparison, Comparison::Over(_)), "{comparison:?}");
}

pub async fn undo_lost(fixture: &impl Fixture) {
    let (sent, prior) = applied(fixture).await;
    let undoing = sent.undoing();
    for (fate, is_found) in [(Fate::Lost, false), (Fate::DoneAndLost, true)] {
        fixture.next(fate);
        let lost = fixture.actuator().undo(&undoing.request(), &prior).await;
        assert!(lost.is_err_and(|failure| failure.doubt > Doubt::None), "{fate:?}");
        let probe = fixture.actuator().probe(Step::Undo, &undoing.request(), &prior).await;
        assert_eq!(matches!(probe, Probe::Found(_)), is_found, "{fate:?}: {probe:?}");
        assert_eq!(probe == Probe::Absent, !is_found, "{fate:?}: {probe:?}");
        assert_ne!(fixture.is_in_effect(), is_found, "{fate:?}");
    }
}

/// One test for each promise, over one fixture.
macro_rules! contract {
    ($fixture:ty: $($promise:ident),* $(,)?) => {
        $(
            #[tokio::test]
            async fn $promise() {
                use $crate::contract::Fixture;
                $crate::contract::$promise(&<$fixture>::start().await).await;
            }
        )*
    };
    ($fixture:ty) => {
        $crate::contract::contract!(
            $fixture: lost_then_found, lost_then_absent, repeated_key, refused, not_now, conflict, foreign_change,
            undo_ours, undo_foreign, undo_already_gone, undo_lost,
        );
    };
}
pub(crate) use contract;
