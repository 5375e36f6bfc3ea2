//! The pages of one violation, one policy and one action, how they are named, and what is said when there is none.

use chrono::TimeDelta;
use mape_k::cli::Output;
use mape_k::cli::client::Client;
use mape_k::cli::explain::{self, About};
use mape_k::domain::action::ActionKind;
use mape_k::domain::analysis::{Analysis, Pattern, PatternKind, RootCause};
use mape_k::domain::cycle::{CandidateResult, CycleReport, CycleStatus, Hold};
use mape_k::domain::guard::{Guard, GuardReading};
use mape_k::domain::need::{Need, NeedReason};
use mape_k::domain::outcome::OutcomeType;
use mape_k::domain::policy::{Approval, Policy};
use mape_k::domain::reading::Source;
use mape_k::domain::rule::Severity;
use mape_k::domain::treatment::{Attempt, Treatment};
use mape_k::domain::violation::{TrackedViolation, Violation};
use mape_k::domain::{CHARTER, Cause};
use reqwest::StatusCode;
use uuid::Uuid;

use super::Kept;
use super::recorded::{
    EXECUTION, KEY, LATENCY, POLICY, execution, outcome, policy, scale_up, scale_up_held,
    verification, weighed,
};
use crate::server::{healthy_view, noon, violation};

fn slow() -> Violation {
    Violation {
        fingerprint: LATENCY.to_owned(),
        rule: "validation_latency".to_owned(),
        metric: "westworld_charter_validation_latency_seconds".to_owned(),
        value: Some(1.8),
        threshold: Some(1.0),
        description: "validation_latency at charter (validation_type policy): \
                      westworld_charter_validation_latency_seconds is 1.8, breaks at > 1"
            .to_owned(),
        cause: Some(Cause::new(Cause::VALIDATION_LATENCY)),
        detected_at: noon() - TimeDelta::minutes(4),
        active_since: noon() - TimeDelta::minutes(4),
        ..violation(7, Severity::Warning, Source::Prometheus, Some(CHARTER))
    }
}

fn analysis() -> Analysis {
    Analysis {
        id: Uuid::from_u128(1),
        cycle_id: "20261118_112640".to_owned(),
        at: noon(),
        violations: 1,
        confidence: 0.5,
        patterns: vec![Pattern {
            kind: PatternKind::Sustained,
            confidence: 0.75,
            hypothesis: "validation_latency goes on".to_owned(),
            cause: Cause::new(Cause::VALIDATION_LATENCY),
            component: CHARTER.to_owned(),
            target: Some(mape_k::domain::target::Target::Charter(None)),
            evidence: vec![LATENCY.to_owned()],
        }],
        root_causes: vec![RootCause {
            cause: Cause::new(Cause::VALIDATION_LATENCY),
            component: CHARTER.to_owned(),
            target: Some(mape_k::domain::target::Target::Charter(None)),
            confidence: 0.75,
            patterns: vec![PatternKind::Sustained],
            evidence: vec![LATENCY.to_owned()],
            occurrences: 8,
            critical: false,
        }],
        recommendations: Vec::new(),
    }
}

fn incident() -> Treatment {
    let attempt = |minutes, verdict| Attempt {
        action: ActionKind::ScaleUp,
        policy_id: POLICY,
        at: noon() - TimeDelta::minutes(minutes),
        verdict,
        failed: false,
    };
    Treatment {
        target: None,
        incident: None,
        id: Uuid::from_u128(6),
        cause: Cause::new(Cause::VALIDATION_LATENCY),
        opened_at: noon() - TimeDelta::minutes(9),
        last_evidence_at: noon(),
        attempts: vec![attempt(8, Some(OutcomeType::Partial))],
        impossible: [].into(),
        exhausted: false,
    }
}

fn told() -> Need {
    Need {
        approval: None,
        target: None,
        incident: None,
        id: Uuid::from_u128(9),
        reason: NeedReason::CapacityExhausted,
        cause: Some(Cause::new(Cause::VALIDATION_LATENCY)),
        component: Some(CHARTER.to_owned()),
        subject: "validation_latency".to_owned(),
        detail: "20 replicas are the limit and the cause is still there".to_owned(),
        evidence: vec![LATENCY.to_owned()],
        opened_at: noon(),
        closed_at: None,
        times_seen: 3,
        last_active_at: noon(),
    }
}

async fn with_violation(violations: Vec<Violation>) -> Kept {
    let reading = GuardReading::held(
        Guard::Cooldown,
        Hold::Cooldown,
        "scale_up was done on charter 120 s ago, 300 s must pass",
    );
    let report = CycleReport {
        analysis_id: Some(analysis().id),
        ..weighed(vec![scale_up_held(reading.with(120.0, 300.0))])
    };
    let kept = Kept::new(|batch| {
        batch.put(&report);
        batch.put(&analysis());
        batch.put(&incident());
        batch.put(&told());
    })
    .await;
    let mut view = healthy_view(noon());
    view.violations = violations;
    kept.surface.publish(view);
    kept
}

#[tokio::test]
async fn a_violation_with_what_was_weighed_tried_and_told() {
    let kept = with_violation(vec![slow()]).await;
    let page = kept.page(About::Violation, Some(LATENCY)).await;
    for name in [&LATENCY[..8], &slow().id.to_string()] {
        assert_eq!(kept.page(About::Violation, Some(name)).await, page, "named by {name}");
    }
    insta::assert_snapshot!(page, @"
    Violation validation_latency at charter: active

    In short
      It has been active for 7 min (1.8 > 1).
      The nearest action is scale_up to 6 replicas for validation_latency at charter. Held back
      (cooldown): the same action was done on this target not long ago (scale_up was done on charter
      120 s ago, 300 s must pass). It may be done again when the cooldown has ended
      (guardrails.cooldown).

    Seen
      validation_latency at charter (validation_type policy):
      westworld_charter_validation_latency_seconds is 1.8, breaks at > 1.
      Severity warning, from prometheus; first read as violated 2026-11-18T11:02:40Z (7 min ago),
      active since 2026-11-18T11:02:40Z.
      It names its own cause: validation_latency.
      Fingerprint 3fa2b1c04d5e6f70, id 00000000-0000-0000-0000-000000000008.

    Concluded
      - Evidence for validation_latency at charter, confidence 0.75 (sustained), with 1 violation,
        seen 8 times.
        sustained: validation_latency goes on.

    Weighed in the latest cycle
      - scale_up to 6 replicas for validation_latency at charter: benefit 0.75 (confidence 0.75 ×
        effectiveness 1.00) − cost 0.15 = score 0.60.
        Held back (cooldown): scale_up was done on charter 120 s ago, 300 s must pass.
        Guards passed: pause, mode, charter, freshness, storm, breaker, budget (2 actions in the last
        hour), conflict, approval.

    What was tried
      Treatment validation_latency began 2026-11-18T10:57:40Z (12 min ago).
      - scale_up 2026-11-18T10:58:40Z (11 min ago): partial: at least half of it cleared. Policy
        00000000-0000-0000-0000-00000000000b.

    People are asked for
      - capacity_exhausted (validation_latency at charter): 20 replicas are the limit and the cause is
        still there.
    ");
    kept.surface.stop().await;
}

#[tokio::test]
async fn a_violation_that_counts_for_nothing_says_why() {
    let said = [
        (Violation { severity: Severity::Info, ..slow() }, "it is for information only"),
        (Violation { actionable: false, ..slow() }, "it is only shown"),
        (Violation { flapping: true, ..slow() }, "it is flapping"),
        (Violation { confirmed: false, ..slow() }, "it could not be read as violated"),
    ];
    for (violation, why) in said {
        let kept = with_violation(vec![violation]).await;
        let page = kept.page(About::Violation, Some(LATENCY)).await;
        assert!(page.contains(&format!("Nothing is done about it because {why}")), "{page}");
        kept.surface.stop().await;
    }
}

/// What was read before an outage is no present.
#[tokio::test]
async fn a_violation_that_cannot_be_read_any_more_says_when_it_was_and_why_not() {
    let mut report = weighed(Vec::new());
    report.status = CycleStatus::Failed;
    let source = &mut report.basis.as_mut().expect("a basis").sources[0];
    source.error = Some("http://prometheus:9090 did not answer: connection refused".to_owned());
    source.last_read = Some(noon() - TimeDelta::minutes(1));
    let kept = Kept::new(|batch| batch.put(&report)).await;
    let mut view = healthy_view(kept.surface.handle.now());
    view.violations = vec![Violation { confirmed: false, ..slow() }];
    kept.surface.publish(view);
    let page = kept.page(About::Violation, Some(LATENCY)).await;
    let flowed = page.split_whitespace().collect::<Vec<_>>().join(" ");
    for said in [
        "It has counted as active for 7 min (was 1.8 > 1 when last read at 2026-11-18T11:05:40Z); whether it still \
         is active is UNKNOWN.",
        "Nothing is done about it because prometheus could not be read in that cycle: http://prometheus:9090 did not \
         answer: connection refused.",
        "When last read at 2026-11-18T11:05:40Z: validation_latency at charter",
    ] {
        assert!(flowed.contains(said), "{said}: {page}");
    }
    kept.surface.stop().await;
}

#[tokio::test]
async fn a_violation_that_cleared_is_still_known() {
    let cleared = Violation { cleared_at: Some(noon()), ..slow() };
    let tracked = TrackedViolation { violation: cleared, returns: Vec::new(), clear_since: None };
    let kept = Kept::new(|batch| batch.put(&tracked)).await;
    for name in [LATENCY, &LATENCY[..8], &slow().id.to_string()] {
        let page = kept.page(About::Violation, Some(name)).await;
        assert!(
            page.contains("It cleared 2026-11-18T11:06:40Z (3 min ago), after 4 min."),
            "{page}"
        );
        assert!(
            page.contains("When last read as violated: validation_latency at charter"),
            "{page}"
        );
    }
    kept.surface.stop().await;
}

#[tokio::test]
async fn two_violations_that_begin_alike_are_both_named() {
    let sister = Violation { fingerprint: "3fa2b1c0ffffffff".to_owned(), ..slow() };
    let kept = with_violation(vec![slow(), sister]).await;
    let (status, body) = kept.get("/api/v1/explain/violations/3fa2b1c0").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let error = body["error"].as_str().expect("an error");
    assert!(error.contains(LATENCY) && error.contains("3fa2b1c0ffffffff"), "{error}");
    kept.surface.stop().await;
}

#[tokio::test]
async fn a_policy_that_was_carried_out() {
    let executed = Policy {
        decided_at: Some(noon()),
        decided_by: Some("anna".to_owned()),
        ..policy(Approval::Executed)
    };
    let kept = Kept::new(|batch| {
        batch.put(&executed);
        batch.put(&execution());
        batch.put(&outcome(OutcomeType::Success));
    })
    .await;
    let page = kept.page(About::Policy, Some(&POLICY.to_string())).await;
    insta::assert_snapshot!(page, @r"
    Policy 00000000-0000-0000-0000-00000000000b: carried out

    In short
      scale_up to 6 replicas for validation_latency at charter was carried out.

    Why it was proposed
      Proposed 2026-11-18T11:06:40Z (3 min ago), revision 1.
      scale_up to 6 replicas should end validation_latency at charter (1 violation behind it).
      Benefit 0.75 (confidence 0.75 × effectiveness 1.00) − cost 0.15 = score 0.60. Risk low, priority
      high; 1 violation behind it.

    Who decided
      anna approved it 2026-11-18T11:06:40Z (3 min ago).

    What became of it
      - scale_up to 6 replicas: verifying: it is in effect and waits for its result, 2 tries.
      More: mape-k explain action 00000000-0000-0000-0000-00000000000e
      - scale_up for validation_latency at charter had the result success: every violation that counts
        cleared (violations: 1 before, 0 after), 2026-11-18T11:07:50Z (2 min ago). The worst value was
        1.8 before and 0.4 after. Every violation had cleared 45 s after it.
    ");
    kept.surface.stop().await;
}

#[tokio::test]
async fn a_policy_in_every_state_of_its_life_says_what_that_means() {
    for (approval, means) in Approval::ALL.into_iter().zip([
        "waits for an approval. mape-k approve",
        "is approved. The next cycle whose guards let it",
        "was rejected. Nothing of it is done",
        "was handed to the executor",
        "expired: nobody decided in time",
        "Another action for the same cause took the place of",
    ]) {
        let kept = Kept::new(|batch| batch.put(&policy(approval))).await;
        let page = kept.page(About::Policy, Some(&POLICY.to_string())).await;
        let flowed = page.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flowed.contains(means), "{approval:?}: {page}");
        kept.surface.stop().await;
    }
}

#[tokio::test]
async fn an_action_with_its_journal_key_and_verdict() {
    let kept = Kept::new(|batch| {
        batch.put(&policy(Approval::Executed));
        batch.put(&execution());
        batch.put(&verification());
        batch.put(&outcome(OutcomeType::Partial));
    })
    .await;
    let page = kept.page(About::Action, Some(&EXECUTION.to_string())).await;
    assert_eq!(kept.page(About::Action, Some(&KEY.to_string())).await, page, "named by its key");
    insta::assert_snapshot!(page, @"
    Action 00000000-0000-0000-0000-00000000000e: carried out

    In short
      scale_up to 6 replicas for validation_latency at charter: carried out. Result: partial: at least
      half of it cleared.

    Journal
      Execution 00000000-0000-0000-0000-00000000000e of policy 00000000-0000-0000-0000-00000000000b,
      undone as a whole if one action fails: begun 2026-11-18T11:06:40Z (3 min ago), ended after 0.40
      s.
      - scale_up to 6 replicas: verifying: it is in effect and waits for its result, 2 tries.
        Idempotency key 00000000-0000-0000-0000-000000000004, the same for every try.
        The call was begun 2026-11-18T11:06:40Z (3 min ago), ended after 0.35 s.
        Kept with it, for an undo: replicas 4.

    Why
      For validation_latency at charter: score 0.60, decided by nobody. More: mape-k explain policy
      00000000-0000-0000-0000-00000000000b

    Did it help?
      - scale_up for validation_latency at charter had the result partial: at least half of it cleared
        (violations: 1 before, 0 after), 2026-11-18T11:07:50Z (2 min ago). The worst value was 1.8
        before and 0.4 after. Every violation had cleared 45 s after it.
      It has no result yet: its settle time ends in 3 min; the second good cycle after that verifies
      it. Without one by 2026-11-18T11:23:20Z the result is unknown.

    Learned so far
      - scale_up for validation_latency: 0 of 1 verified runs helped, 1 in part; so its effectiveness
        counts as 0.98.
    ");
    kept.surface.stop().await;
}

#[tokio::test]
async fn a_cycle_is_named_by_its_id_or_as_the_latest() {
    let report = weighed(vec![scale_up(CandidateResult::Chosen, &[])]);
    let kept = Kept::new(|batch| batch.put(&report)).await;
    let page = kept.page(About::Cycle, None).await;
    assert_eq!(kept.page(About::Cycle, Some("latest")).await, page);
    assert_eq!(kept.page(About::Cycle, Some(&report.id)).await, page);
    let (_, body) = kept.get("/api/v1/explain").await;
    assert_eq!(body["subject"]["id"], report.id.as_str());
    let stored: CycleReport =
        serde_json::from_value(body["facts"]["report"].clone()).expect("a report");
    assert_eq!(stored, report, "the numbers for machines are the report as it is stored");
    kept.surface.stop().await;
}

#[tokio::test]
async fn what_is_not_there_is_named_with_where_to_find_it() {
    let kept = Kept::new(|_| ()).await;
    for (path, finds) in [
        ("", "the first one ends soon"),
        ("/cycles/latest", "the first one ends soon"),
        ("/cycles/20200101_000000", "GET /api/v1/cycles"),
        ("/violations/abcdef0123", "GET /api/v1/violations"),
        ("/policies/nonsense", "GET /api/v1/policies"),
        ("/actions/00000000-0000-0000-0000-000000000001", "GET /api/v1/executions"),
    ] {
        let (status, body) = kept.get(&format!("/api/v1/explain{path}")).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}: {body}");
        let error = body["error"].as_str().expect("an error");
        let id = path.rsplit('/').next().filter(|id| *id != "latest").unwrap_or_default();
        assert!(error.contains(finds) && error.contains(id), "{path}: {error}");
    }
    let client = Client::new(&kept.surface.url(""), None);
    for (about, id, says) in [
        (About::Violation, None, "mape-k explain"),
        (About::Policy, None, "mape-k status"),
        (About::Action, Some("../state"), "is no id"),
    ] {
        let said = explain::run(&client, about, id, Output::Text, &mut Vec::new()).await;
        let error = said.expect_err("there is nothing to print").to_string();
        assert!(error.contains(says), "{error}");
    }
    kept.surface.stop().await;
}
