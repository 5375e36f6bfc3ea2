//! The page of one incident: how it stands, what shows it, whom it needs, what was tried, what happened.

use chrono::TimeDelta;
use mape_k::cli::explain::About;
use mape_k::domain::Cause;
use mape_k::domain::action::ActionKind;
use mape_k::domain::finding::{Finding, FindingKind, FindingSeverity};
use mape_k::domain::incident::{Happening, IncidentStatus, TimelineEntry};
use mape_k::domain::need::{Need, NeedReason};
use mape_k::domain::outcome::OutcomeType;
use mape_k::domain::treatment::{Attempt, Treatment};
use uuid::Uuid;

use super::super::api::escalation;
use super::super::incidents::incident;
use super::Kept;
use super::recorded::{POLICY, verification};
use crate::server::noon;

const ID: &str = "INC-20261118_110640-001";

fn evidence(number: usize) -> Finding {
    Finding {
        kind: FindingKind::CrashLoop,
        severity: FindingSeverity::High,
        priority: None,
        service: "cart".to_owned(),
        namespace: Some("shop".to_owned()),
        owner: "Deployment/cart".to_owned(),
        pods: Vec::new(),
        ready: Some(0),
        desired: Some(2),
        restarts: 7,
        within_rollout: false,
        data_at_risk: None,
        reason: format!("container {number} of cart restarts again and again."),
        exit_code: None,
        log_lines: Vec::new(),
        since: noon(),
        recommendation: String::new(),
        record: None,
        fingerprint: None,
        headline: String::new(),
        anchor: None,
    }
}

fn need(number: u64, reason: NeedReason, is_open: bool) -> Need {
    Need { reason, incident: Some(ID.to_owned()), ..escalation(number, is_open) }
}

fn tried(verdict: Option<OutcomeType>, policy_id: Uuid, minutes: i64) -> Attempt {
    let at = noon() - TimeDelta::minutes(minutes);
    Attempt { action: ActionKind::ScaleUp, policy_id, at, verdict, failed: false }
}

#[tokio::test]
async fn the_page_of_an_incident_has_its_evidence_needs_attempts_and_timeline() {
    let kept = Kept::new(|batch| {
        let mut cart = incident(ID, "kubernetes/shop/deployment/cart", "slow");
        cart.title = "cart: 0 of 2 pods ready".to_owned();
        cart.status = IncidentStatus::NeedsAttention;
        cart.doing = "a person is needed: remedies exhausted".to_owned();
        cart.findings = (0..9).map(evidence).collect();
        cart.timeline = (0..10)
            .map(|minute| TimelineEntry {
                is_due: false,
                at: noon() + TimeDelta::seconds(minute),
                what: if minute == 9 { Happening::Result } else { Happening::Worsened },
                text: format!("{minute} restarts."),
            })
            .collect();
        batch.put(&cart);
        batch.put(&need(1, NeedReason::RemediesExhausted, true));
        batch.put(&need(2, NeedReason::UnknownCause, false));
        batch.put(&verification());
        batch.put(&Treatment {
            id: Uuid::from_u128(7),
            cause: Cause::new("slow"),
            target: None,
            incident: Some(ID.to_owned()),
            opened_at: noon(),
            last_evidence_at: noon(),
            attempts: vec![
                tried(Some(OutcomeType::Ineffective), Uuid::from_u128(8), 20),
                tried(None, POLICY, 1),
            ],
            impossible: [].into(),
            exhausted: true,
        });
    })
    .await;
    let page = kept.page(About::Incident, Some(ID)).await;
    insta::assert_snapshot!(page, @"
    Incident INC-20261118_110640-001 (SEV-2): cart: 0 of 2 pods ready

    In short
      It has been open since 2026-11-18T11:06:40Z (3 min ago); a person is needed: remedies exhausted.

    Evidence
      - crash_loop: container 0 of cart restarts again and again.
      - crash_loop: container 1 of cart restarts again and again.
      - crash_loop: container 2 of cart restarts again and again.
      - crash_loop: container 3 of cart restarts again and again.
      - crash_loop: container 4 of cart restarts again and again.
      - crash_loop: container 5 of cart restarts again and again.
      - crash_loop: container 6 of cart restarts again and again.
      - crash_loop: container 7 of cart restarts again and again.
      - … and 1 more.

    People
      Not notified yet.
      - remedies_exhausted (backlog-1 at ledger): no strategy is known.
      - unknown_cause (backlog-2 at ledger): no strategy is known. It ended 2026-11-18T11:06:40Z.

    What was tried
      - scale_up 2026-11-18T10:46:40Z (23 min ago): ineffective: it did not help. Policy
        00000000-0000-0000-0000-000000000008.
      - scale_up 2026-11-18T11:05:40Z (4 min ago): waits for its result. Policy
        00000000-0000-0000-0000-00000000000b.

    What happened
      - 2 earlier: GET /api/v1/incidents/INC-20261118_110640-001 lists them.
      - 2026-11-18T11:06:42Z worsened: 2 restarts.
      - 2026-11-18T11:06:43Z worsened: 3 restarts.
      - 2026-11-18T11:06:44Z worsened: 4 restarts.
      - 2026-11-18T11:06:45Z worsened: 5 restarts.
      - 2026-11-18T11:06:46Z worsened: 6 restarts.
      - 2026-11-18T11:06:47Z worsened: 7 restarts.
      - 2026-11-18T11:06:48Z worsened: 8 restarts.
      - 2026-11-18T11:06:49Z result: 9 restarts.
    ");
    kept.surface.stop().await;
}

/// An action on all of Charter treats several targets, and its attempt is counted in one incident of them.
#[tokio::test]
async fn what_was_tried_under_another_incident_is_not_denied() {
    let page = async |what: Happening| {
        let kept = Kept::new(|batch| {
            let mut validator = incident(ID, "charter/validator", "slow");
            validator.timeline = vec![TimelineEntry {
                is_due: false,
                at: noon(),
                what,
                text: "rebalance_load: applied".to_owned(),
            }];
            batch.put(&validator);
        });
        let page = kept.await.page(About::Incident, Some(ID)).await;
        page.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert!(page(Happening::Applied).await.contains("are counted in another incident"));
    assert!(page(Happening::Worsened).await.contains("No action was tried."));
}
