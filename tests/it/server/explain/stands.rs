//! What goes on when a cycle is over: temporary actions in force, how free the loop is, what people were told before.

use chrono::TimeDelta;
use mape_k::cli::client::Client;
use mape_k::cli::{Output, explain::About, status};
use mape_k::domain::action::Action;
use mape_k::domain::cycle::CycleStatus;
use mape_k::domain::cycle::basis::{Basis, StillOpen};
use mape_k::domain::cycle::condition::ClusterRead;
use mape_k::domain::execution::{ActionState, Execution};
use mape_k::domain::expiring_action::{ExpiringAction, InForce};
use mape_k::domain::ledger::{Breaker, Ledger, Tripped};
use mape_k::domain::loop_status::{LoopStatus, Mode, SystemStanding};
use mape_k::domain::need::NeedReason;
use mape_k::domain::target::System;
use mape_k::domain::time::Time;
use serde_json::{Value, json};

use super::recorded::{EXECUTION, KEY, execution, quiet};
use super::{Kept, later, latest};
use crate::server::{healthy_view, noon};

fn throttle() -> Action {
    Action::ThrottleRequests { rate_limit: 1212.0, duration_seconds: 900 }
}

/// `execution` with a throttle, applied and in force until a quarter past.
fn throttled(state: ActionState) -> Execution {
    let mut execution = execution();
    let record = &mut execution.actions[0];
    (record.action, record.state, record.prior) = (throttle(), state, None);
    record.expires_at = Some(ends());
    execution
}

fn ends() -> Time {
    noon() + TimeDelta::seconds(900)
}

fn followed() -> ExpiringAction {
    ExpiringAction { key: KEY, execution_id: EXECUTION, expires_at: ends() }
}

pub fn standing(ledger: &Ledger) -> LoopStatus {
    let hour = std::time::Duration::from_secs(3600);
    let charter = SystemStanding::of(ledger, System::Charter, (6, hour), noon());
    LoopStatus::new(Mode::Act, true, vec![charter])
}

#[tokio::test]
async fn s09_the_page_of_a_cycle_says_what_is_in_force_how_it_stands_and_what_is_open() {
    let mut report = quiet();
    let basis = report.basis.as_mut().expect("a basis");
    basis.in_force =
        vec![InForce { execution_id: EXECUTION, action: throttle(), until: ends(), certain: true }];
    basis.standing = Some(standing(&Ledger::default()));
    let open = |n: i64| StillOpen {
        reason: NeedReason::HandsTied,
        subject: format!("cooldown {n}"),
        component: Some("charter".to_owned()),
        opened_at: noon() - TimeDelta::minutes(n),
    };
    basis.open = (0..5).map(open).collect();
    basis.open_total = 7;
    assert_eq!(basis.open.len(), Basis::OPEN);
    let page = latest(|batch| batch.put(&report)).await;
    insta::assert_snapshot!(page, @"
    Cycle 20261118_112640: nothing was done

    In short
      Nothing was done because no rule is violated and no alert counts; what is wrong: 7 open needs
      that ask for a person.

    Seen
      Cycle number 42, on schedule, began 2026-11-18T11:06:40Z (3 min ago) and ended healthy after
      0.12 s.
      Read prometheus and alertmanager: 4 of 4 rules read well, 12 series read and 12 expected.
      Charter answered: 4 of 4 replicas healthy.
      No violation of a rule or alert is active; none began or cleared in this cycle.

    Concluded
      Nothing.

    Done
      No action was sent.
      Still in force: throttle_requests to 1212 ops/s for 900 s, until 2026-11-18T11:21:40Z.
      In mode act, auto_approve on; breaker closed, no storm; 0 of 6 actions used in the last hour.

    People
      Needs from before that are still open: hands_tied (cooldown 0 at charter) since
      2026-11-18T11:06:40Z; hands_tied (cooldown 1 at charter) since 2026-11-18T11:05:40Z; hands_tied
      (cooldown 2 at charter) since 2026-11-18T11:04:40Z; hands_tied (cooldown 3 at charter) since
      2026-11-18T11:03:40Z; hands_tied (cooldown 4 at charter) since 2026-11-18T11:02:40Z; 2 more.
    ");
}

/// A report keeps 200 findings; its texts count all of them.
#[tokio::test]
async fn in_a_storm_explain_counts_the_findings_that_the_report_leaves_out() {
    let mut report = quiet();
    report.status = CycleStatus::Completed;
    report.findings_total = 500;
    report.cluster = Some(ClusterRead { problem: None });
    let page = latest(|batch| batch.put(&report)).await;
    let flowed = page.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flowed.contains("what is wrong: 500 findings of the cluster."), "{page}");
    assert!(flowed.contains("The cluster was read: 500 findings."), "{page}");
}

#[tokio::test]
async fn s09_the_page_of_an_action_says_until_when_it_is_in_force() {
    let said = [
        (ActionState::Verified, "verified, in force until 2026-11-18T11:21:40Z"),
        (ActionState::Closed, "was in force until 2026-11-18T11:21:40Z"),
        (ActionState::UndoFailed, "in force until 2026-11-18T11:21:40Z if it was not undone"),
    ];
    for (state, said) in said {
        let kept = Kept::new(|batch| batch.put(&throttled(state))).await;
        let page = kept.page(About::Action, Some(&EXECUTION.to_string())).await;
        let flowed = page.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flowed.contains(said), "{page}");
        assert!(flowed.contains("The call was begun"), "that ended, not its effect: {page}");
        kept.surface.stop().await;
    }
}

#[tokio::test]
async fn s09_status_and_state_say_what_is_in_force_and_how_the_loop_stands() {
    let kept = Kept::new(|batch| {
        batch.put(&followed());
        batch.put(&throttled(ActionState::Verified));
    })
    .await;
    let (_, state) = kept.get("/api/v1/state").await;
    assert_eq!(state["standing"], Value::Null, "not known before the first cycle");
    let action =
        json!({"action": "throttle_requests", "rate_limit": 1212.0, "duration_seconds": 900});
    assert_eq!(state["in_force"][0]["action"], action, "known from the start on: {state}");
    assert_eq!(state["in_force"][0]["certain"], true);

    let tripped = Tripped {
        at: noon(),
        until: later() + TimeDelta::minutes(20),
        why: "2 of the last 10 verdicts were degradation".to_owned(),
    };
    let ledger = Ledger {
        breakers: [(System::Charter, Breaker { counts_from: None, tripped: Some(tripped) })].into(),
        ..Ledger::default()
    };
    let mut view = healthy_view(later());
    view.standing = Some(standing(&ledger));
    kept.surface.publish(view);
    let client = Client::new(&kept.surface.url(""), None);
    let mut printed = Vec::new();
    status::run(&client, Output::Text, &mut printed).await.expect("printed");
    let printed = String::from_utf8(printed).expect("text");
    for line in [
        "mode act, auto_approve on; breaker open until 2026-11-18T11:30:00Z, no storm; 0 of 6 actions used in the last hour",
        "in force: throttle_requests to 1212 ops/s for 900 s, until 2026-11-18T11:21:40Z; `mape-k explain action 00000000-0000-0000-0000-00000000000e`",
    ] {
        assert!(printed.lines().any(|l| l == line), "{line}: {printed}");
    }
    kept.surface.stop().await;
}

#[tokio::test]
async fn what_has_no_effect_any_more_is_not_in_force() {
    for state in [ActionState::Closed, ActionState::Undone, ActionState::Refused] {
        let kept = Kept::new(|batch| {
            batch.put(&followed());
            batch.put(&throttled(state));
        })
        .await;
        assert_eq!(kept.get("/api/v1/state").await.1["in_force"], json!([]), "{state:?}");
        kept.surface.stop().await;
    }
}
