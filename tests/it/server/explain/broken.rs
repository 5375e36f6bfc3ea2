//! Cycles that could not read, plan or record, and reports that are out of the ordinary.

use mape_k::domain::Cause;
use mape_k::domain::action::ActionKind;
use mape_k::domain::charter::{CommitteeState, CommitteeStatus};
use mape_k::domain::cycle::{
    CandidateReport, CandidateResult, CycleReport, CycleStatus, Hold, Phase,
};

use super::latest;
use super::recorded::{concluded, failing, held, latency, quiet, scale_up, slow, weighed};

/// B02: never a quiet page when nothing could be read.
#[tokio::test]
async fn the_metrics_could_not_be_read() {
    let error =
        "http://prometheus:9090 did not answer: connection refused; check monitor.prometheus_url";
    let mut report = CycleReport {
        status: CycleStatus::Failed,
        phase: Some(Phase::Monitor),
        error: Some(error.to_owned()),
        violations: 1,
        actionable: 1,
        ..quiet()
    };
    let basis = report.basis.as_mut().expect("a basis");
    basis.sources[0].error = Some(error.to_owned());
    (basis.rules_good, basis.series_seen) = (0, 0);
    let mut unseen = latency();
    unseen.confirmed = false;
    basis.violations = vec![unseen];
    let page = latest(|batch| batch.put(&report)).await;
    insta::assert_snapshot!(page, @"
    Cycle 20261118_112640: nothing was done

    In short
      Nothing was done because what is wrong is UNKNOWN, and without metrics nothing is planned: the
      metrics could not be read: http://prometheus:9090 did not answer: connection refused; check
      monitor.prometheus_url.

    Seen
      Cycle number 42, on schedule, began 2026-11-18T11:06:40Z (3 min ago) and ended failed in phase
      monitor after 0.12 s.
      Read alertmanager: 0 of 4 rules read well, 0 series read and 12 expected. Charter answered: 4 of
      4 replicas healthy.
      - prometheus could not be read, as said above.
      1 violation counted as active when last read; what is wrong now is UNKNOWN.
      - validation_latency at charter (validation_type policy), was 1.8 > 1 when last read, for 4 min;
        no evidence: prometheus could not be read [3fa2b1c0]

    Concluded
      Nothing.

    Done
      No action was sent.
    ");
}

/// B02: the outage of one source is told once, however many rules it has, and nobody reads that nothing is wrong.
#[tokio::test]
async fn blind_nobody_can_know_what_is_wrong_and_the_reason_is_said_once() {
    let error = "http://prometheus:9090 did not answer: connection refused";
    let mut report = CycleReport {
        status: CycleStatus::Failed,
        phase: Some(Phase::Monitor),
        error: Some(error.to_owned()),
        ..quiet()
    };
    let basis = report.basis.as_mut().expect("a basis");
    basis.sources[0].error = Some(error.to_owned());
    basis.rule_problems =
        ["failure_rate", "throughput"].map(|rule| format!("{rule}: {error}")).to_vec();
    (basis.rules_good, basis.series_seen) = (0, 0);
    let page = latest(|batch| batch.put(&report)).await;
    let flowed = page.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(flowed.matches("connection refused").count(), 1, "{page}");
    assert!(flowed.contains("UNKNOWN"), "{page}");
    assert!(flowed.contains("Whether any violation is active is UNKNOWN."), "{page}");
    assert!(!flowed.contains("No violation"), "{page}");

    // The source answers, and has nothing to say.
    let empty = "no series of westworld_charter_failure_rate";
    report.status = CycleStatus::Completed;
    report.error = Some(empty.to_owned());
    let basis = report.basis.as_mut().expect("a basis");
    basis.sources[0].error = None;
    basis.rule_problems = vec![format!("failure_rate: {empty}")];
    let page = latest(|batch| batch.put(&report)).await;
    let flowed = page.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        flowed.contains("Nothing was done because whether anything is wrong is UNKNOWN: 4 of 4 rules could not be read well"),
        "{page}"
    );
}

#[tokio::test]
async fn the_plan_was_refused_by_its_own_check() {
    let error = "the plan was refused by its own check and nothing was executed: two policies were chosen. \
                 Please report this";
    let report = CycleReport {
        status: CycleStatus::Error,
        phase: Some(Phase::Plan),
        error: Some(error.to_owned()),
        ..weighed(vec![scale_up(CandidateResult::Chosen, &[])])
    };
    let page = latest(|batch| batch.put(&report)).await;
    insta::assert_snapshot!(page, @"
    Cycle 20261118_112640: nothing was done

    In short
      Nothing was done because the plan was refused by its own check and nothing was executed: two
      policies were chosen. Please report this.

    Seen
      Cycle number 42, on schedule, began 2026-11-18T11:06:40Z (3 min ago) and ended error in phase
      plan after 0.12 s.
      Read prometheus and alertmanager: 4 of 4 rules read well, 12 series read and 12 expected.
      Charter answered: 4 of 4 replicas healthy.
      1 violation is active, 1 to be acted on; none began or cleared in this cycle.
      - validation_latency at charter (validation_type policy), 1.8 > 1, for 4 min [3fa2b1c0]

    Concluded
      - validation_latency at charter, confidence 0.75 (sustained): 1 violation behind it, seen 8
        times.

    Weighed
      - scale_up to 6 replicas for validation_latency at charter: benefit 0.75 (confidence 0.75 ×
        effectiveness 1.00) − cost 0.15 = score 0.60.
        Chosen: the one action of this cycle.
        All guards passed: pause, mode, charter, freshness, storm, breaker, cooldown, budget (2
        actions in the last hour), conflict, approval.

    Done
      No action was sent.
    ");
}

#[tokio::test]
async fn the_store_could_not_be_read() {
    let report = CycleReport {
        status: CycleStatus::Error,
        phase: Some(Phase::Knowledge),
        error: Some("/data/knowledge.db cannot be read: disk I/O error".to_owned()),
        phases: vec![(Phase::Monitor, 0.1), (Phase::Analyze, 0.01)],
        ..slow()
    };
    let page = latest(|batch| batch.put(&report)).await;
    insta::assert_snapshot!(page, @r"
    Cycle 20261118_112640: nothing was done

    In short
      Nothing was done because the store could not be read or written, and no action is taken that
      cannot be recorded: /data/knowledge.db cannot be read: disk I/O error.

    Seen
      Cycle number 42, on schedule, began 2026-11-18T11:06:40Z (3 min ago) and ended error in phase
      knowledge after 0.12 s.
      Read prometheus and alertmanager: 4 of 4 rules read well, 12 series read and 12 expected.
      Charter answered: 4 of 4 replicas healthy.
      1 violation is active, 1 to be acted on; none began or cleared in this cycle.
      - validation_latency at charter (validation_type policy), 1.8 > 1, for 4 min [3fa2b1c0]

    Concluded
      - validation_latency at charter, confidence 0.75 (sustained): 1 violation behind it, seen 8
        times.

    Done
      No action was sent.
    ");
}

/// A crash of the store between the call and its record: nobody may read that nothing was done.
#[tokio::test]
async fn the_store_failed_while_acting() {
    let report = CycleReport {
        status: CycleStatus::Error,
        phase: Some(Phase::Knowledge),
        error: Some("/data/knowledge.db cannot be written: database or disk is full".to_owned()),
        phases: [Phase::Monitor, Phase::Analyze, Phase::Plan, Phase::Execute]
            .map(|phase| (phase, 0.1))
            .into(),
        ..weighed(vec![scale_up(CandidateResult::Chosen, &[])])
    };
    let page = latest(|batch| batch.put(&report)).await;
    assert!(!page.contains("Nothing was done") && !page.contains("Nothing that changes"), "{page}");
    insta::assert_snapshot!(page, @"
    Cycle 20261118_112640: broke off while acting

    In short
      The cycle broke off while it carried out its action: the journal has what was sent (GET
      /api/v1/executions), and the next cycle settles it before it plans.
      The error was: /data/knowledge.db cannot be written: database or disk is full.

    Seen
      Cycle number 42, on schedule, began 2026-11-18T11:06:40Z (3 min ago) and ended error in phase
      knowledge after 0.12 s.
      Read prometheus and alertmanager: 4 of 4 rules read well, 12 series read and 12 expected.
      Charter answered: 4 of 4 replicas healthy.
      1 violation is active, 1 to be acted on; none began or cleared in this cycle.
      - validation_latency at charter (validation_type policy), 1.8 > 1, for 4 min [3fa2b1c0]

    Concluded
      - validation_latency at charter, confidence 0.75 (sustained): 1 violation behind it, seen 8
        times.

    Weighed
      - scale_up to 6 replicas for validation_latency at charter: benefit 0.75 (confidence 0.75 ×
        effectiveness 1.00) − cost 0.15 = score 0.60.
        Chosen: the one action of this cycle.
        All guards passed: pause, mode, charter, freshness, storm, breaker, cooldown, budget (2
        actions in the last hour), conflict, approval.

    Done
      The journal has what was sent: GET /api/v1/executions.
    ");
}

/// A report of an older version, and one of many remedies: still a page.
#[tokio::test]
async fn a_report_without_its_basis_and_one_of_a_storm_are_pages_too() {
    let old = CycleReport { basis: None, ..weighed(vec![scale_up(CandidateResult::Chosen, &[])]) };
    let mut body = serde_json::to_value(&old).expect("JSON");
    body.as_object_mut().expect("an object").remove("basis");
    let read: CycleReport = serde_json::from_value(body).expect("older reports can be read");
    let page = latest(|batch| batch.put(&read)).await;
    assert!(page.contains("older version"), "{page}");

    let restart = |n: usize| CandidateReport {
        component: format!("service-{n}"),
        action: ActionKind::RestartService,
        planned: None,
        ..scale_up(held(Hold::Storm, "40 of 60 components are sick"), &[])
    };
    let mut storm = CycleReport {
        violations: 60,
        actionable: 60,
        candidates: (0..60).map(restart).collect(),
        ..slow()
    };
    let basis = storm.basis.as_mut().expect("a basis");
    basis.violations = (0..10).map(|n| failing(&format!("service-{n}"), 0.5)).collect();
    basis.causes =
        (0..5).map(|n| concluded(Cause::SYSTEM_OVERLOAD, &format!("service-{n}"), 3)).collect();
    basis.causes_total = 60;
    basis.charter =
        Some(CommitteeState { status: CommitteeStatus::Critical, replicas: 4, healthy_nodes: 1 });
    let kept = super::Kept::new(|batch| batch.put(&storm)).await;
    let (_, body) = kept.get("/api/v1/explain").await;
    let text = body["text"].as_str().expect("text");
    assert!(text.lines().count() <= super::HEIGHT, "bounded: {text}");
    let flowed = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for more in ["… and 50 more.", "… and 55 more.", "service-3 and 56 more"] {
        assert!(flowed.contains(more), "{more}: {text}");
    }
    assert_eq!(body["facts"]["report"]["candidates"].as_array().map(Vec::len), Some(60));
    kept.surface.stop().await;
}
