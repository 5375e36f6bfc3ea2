//! S01: the journal's states. Every move that its table does not hold is refused, and refusing changes nothing.

use mape_k::actuators::charter::Prior;
use mape_k::domain::action::Action;
use mape_k::domain::execution::ActionState as S;
use mape_k::domain::execution::{ActionRecord, ActionState};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::fake_charter::kept;

const STATES: [ActionState; 12] = [
    S::Intent,
    S::Validated,
    S::Sent,
    S::Applied,
    S::Refused,
    S::Unknown,
    S::Verifying,
    S::Verified,
    S::Closed,
    S::UndoSent,
    S::Undone,
    S::UndoFailed,
];

/// From each state, every state that it may become.
const LEGAL: [(ActionState, &[ActionState]); 12] = [
    (S::Intent, &[S::Validated, S::Refused]),
    (S::Validated, &[S::Sent, S::Refused]),
    (S::Sent, &[S::Applied, S::Refused, S::Unknown]),
    (S::Unknown, &[S::Applied, S::Refused, S::Closed]),
    (S::Applied, &[S::Verifying, S::UndoSent]),
    (S::Verifying, &[S::Verified, S::UndoSent]),
    (S::Verified, &[S::Closed, S::UndoSent]),
    (S::UndoSent, &[S::Undone, S::UndoFailed]),
    (S::Refused, &[]),
    (S::Closed, &[]),
    (S::Undone, &[]),
    (S::UndoFailed, &[]),
];

fn record(state: ActionState) -> ActionRecord {
    let mut record = ActionRecord::new(Action::ScaleUp { replicas: 5 }, Uuid::from_u128(1));
    record.state = state;
    record
}

#[test]
fn s01_every_move_that_is_not_in_the_table_is_refused() {
    let mut refused = 0;
    for (from, legal) in LEGAL {
        for to in STATES {
            let mut moved = record(from);
            let result = moved.advance(to);
            assert_eq!(from.may_become(to), legal.contains(&to), "{from:?} to {to:?}");
            if legal.contains(&to) {
                assert_eq!((result, moved.state), (Ok(()), to), "{from:?} to {to:?}");
            } else {
                refused += 1;
                let error = result.expect_err("an illegal move");
                assert_eq!((error.from, error.to, error.key), (from, to, moved.key));
                assert_eq!(moved, record(from), "a refused move changes nothing");
            }
        }
    }
    assert_eq!(refused, 12 * 12 - 18, "144 pairs, 18 of them legal");
}

/// A path from intent to an end never comes back to where something could be sent forward again.
#[test]
fn s01_nothing_leads_back_to_being_sent() {
    for (from, _) in LEGAL.iter().filter(|(_, legal)| legal.contains(&S::Sent)) {
        assert_eq!(*from, S::Validated, "sent once");
    }
    for (from, _) in LEGAL.iter().filter(|(_, legal)| legal.contains(&S::Validated)) {
        assert_eq!(*from, S::Intent, "validated once");
    }
}

/// Ids that Charter listed are of use only until it is known what became of the action.
#[test]
fn what_a_later_look_needs_is_kept_until_the_end_is_known() {
    let listed = || Some(["p-1".to_owned()].into());
    for (from, to, stays) in [
        (S::Intent, S::Validated, true),
        (S::Validated, S::Sent, true),
        (S::Sent, S::Unknown, true),
        (S::Sent, S::Applied, true),
        (S::Unknown, S::Refused, false),
        (S::Unknown, S::Closed, false),
    ] {
        let mut moved = record(from);
        kept(&mut moved, |prior| prior.listed = listed());
        moved.advance(to).expect("a legal move");
        assert_eq!(moved.prior.is_some(), stays, "{from:?} to {to:?}");
    }
}

/// A journal that an older version wrote is still read.
#[test]
fn an_older_record_is_read_with_what_it_does_not_know() {
    let older = json!({
        "action": {"action": "scale_up", "replicas": 5}, "key": Uuid::from_u128(1), "state": "unknown",
        "error": null, "started_at": null, "ended_at": null, "tries": 1, "prior_replicas": 3, "charter_policy_id": null
    });
    let record: ActionRecord = serde_json::from_value(older.clone()).expect("it is read");
    let prior = Prior::of(&record);
    assert_eq!((prior.replicas, prior.listed, prior.policy_id), (Some(3), None, None));
    assert_eq!((record.sent_at, record.expires_at), (None, None));
    let written: Value = serde_json::to_value(&record).expect("JSON");
    assert_eq!(written["prior"], json!({"version": 1, "replicas": 3}));
    let again: ActionRecord = serde_json::from_value(written).expect("it is read");
    assert_eq!(again, record);
}
