//! Cycles that had nothing to weigh, or nothing ripe.

use mape_k::domain::Cause;
use mape_k::domain::cycle::{CandidateReport, CandidateResult, CycleReport, Hold, Ineligibility};
use mape_k::domain::need::{Need, NeedReason};
use mape_k::domain::rule::Severity;
use uuid::Uuid;

use super::latest;
use super::recorded::{concluded, failing, held, quiet, scale_up, slow, throttle, weighed};
use crate::server::noon;

#[tokio::test]
async fn nothing_is_wrong() {
    let page = latest(|batch| batch.put(&quiet())).await;
    insta::assert_snapshot!(page, @r"
    Cycle 20261118_112640: nothing was done

    In short
      Nothing was done because nothing is wrong: no violation is active.

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
    ");
}

#[tokio::test]
async fn what_is_active_is_for_information_only() {
    let mut report = CycleReport { violations: 1, ..quiet() };
    let mut idle = failing("validator", 80.0);
    idle.severity = Severity::Info;
    report.basis.as_mut().expect("a basis").violations = vec![idle];
    let page = latest(|batch| batch.put(&report)).await;
    insta::assert_snapshot!(page, @r"
    Cycle 20261118_112640: nothing was done

    In short
      Nothing was done because the one active violation does not count: it is for information only,
      not confirmed, or not ours.

    Seen
      Cycle number 42, on schedule, began 2026-11-18T11:06:40Z (3 min ago) and ended healthy after
      0.12 s.
      Read prometheus and alertmanager: 4 of 4 rules read well, 12 series read and 12 expected.
      Charter answered: 4 of 4 replicas healthy.
      1 violation is active, 0 to be acted on; none began or cleared in this cycle.
      - failure_rate at validator, info, 80 > 0.1, for 60 s; no evidence: it is for information only
        [00000000]

    Concluded
      Nothing.

    Done
      No action was sent.
    ");
}

#[tokio::test]
async fn it_is_too_early_for_any_detector() {
    let mut report = CycleReport { opened: 1, ..slow() };
    let basis = report.basis.as_mut().expect("a basis");
    basis.causes = Vec::new();
    basis.causes_total = 0;
    basis.violations[0].active_since = noon();
    let page = latest(|batch| batch.put(&report)).await;
    insta::assert_snapshot!(page, @r"
    Cycle 20261118_112640: nothing was done

    In short
      Nothing was done because it is too early: 1 violation is active and ours to treat, but no
      detector sees a pattern yet. One that is not critical has to last some cycles first
      (analyze.algorithms.sustained).

    Seen
      Cycle number 42, on schedule, began 2026-11-18T11:06:40Z (3 min ago) and ended completed after
      0.12 s.
      Read prometheus and alertmanager: 4 of 4 rules read well, 12 series read and 12 expected.
      Charter answered: 4 of 4 replicas healthy.
      1 violation is active, 1 to be acted on; 1 began and 0 cleared in this cycle.
      - validation_latency at charter (validation_type policy), 1.8 > 1, for 0 s [3fa2b1c0]

    Concluded
      Nothing.

    Done
      No action was sent.
    ");
}

#[tokio::test]
async fn it_was_seen_too_seldom_to_act_on() {
    let verdict =
        |reason, detail: &str| CandidateResult::Ineligible { reason, detail: detail.to_owned() };
    let seldom = verdict(Ineligibility::TooFewOccurrences, "2 < 3");
    let scale_up = CandidateReport { occurrences: 2, guards: Vec::new(), ..scale_up(seldom, &[]) };
    let later = CandidateReport {
        occurrences: 2,
        ..throttle(verdict(Ineligibility::NotItsTurn, "after scale_up"))
    };
    let mut report = weighed(vec![later, scale_up]);
    report.basis.as_mut().expect("a basis").causes[0].occurrences = 2;
    let page = latest(|batch| batch.put(&report)).await;
    insta::assert_snapshot!(page, @r"
    Cycle 20261118_112640: nothing was done

    In short
      Nothing was done because the cause has not been seen often enough yet to act on it (2 < 3).
      The nearest action is scale_up to 6 replicas for validation_latency at charter. Each scheduled
      cycle that still sees it adds one (orchestrator.plan_threshold); critical needs one only.

    Seen
      Cycle number 42, on schedule, began 2026-11-18T11:06:40Z (3 min ago) and ended completed after
      0.12 s.
      Read prometheus and alertmanager: 4 of 4 rules read well, 12 series read and 12 expected.
      Charter answered: 4 of 4 replicas healthy.
      1 violation is active, 1 to be acted on; none began or cleared in this cycle.
      - validation_latency at charter (validation_type policy), 1.8 > 1, for 4 min [3fa2b1c0]

    Concluded
      - validation_latency at charter, confidence 0.75 (sustained): 1 violation behind it, seen 2
        times.

    Weighed
      - scale_up to 6 replicas for validation_latency at charter: benefit 0.75 (confidence 0.75 ×
        effectiveness 1.00) − cost 0.15 = score 0.60.
        Not eligible (too_few_occurrences): 2 < 3.
      - throttle_requests to 400 ops/s for 900 s for validation_latency at charter: benefit 0.75
        (confidence 0.75 × effectiveness 1.00) − cost 0.40 = score 0.35.
        Not eligible (not_its_turn): another action comes before this one and has not failed in this
        incident (after scale_up). Its turn comes when that one did not help, did harm, or is
        impossible.

    Done
      No action was sent.
    ");
}

#[tokio::test]
async fn no_remedy_is_configured() {
    let mut report = slow();
    let basis = report.basis.as_mut().expect("a basis");
    basis.violations = vec![failing("ledger", 0.4)];
    basis.causes = vec![concluded(Cause::UNKNOWN, "ledger", 5)];
    let escalation = Need {
        approval: None,
        target: None,
        incident: None,
        id: Uuid::from_u128(9),
        reason: NeedReason::UnknownCause,
        cause: Some(Cause::unknown()),
        component: Some("ledger".to_owned()),
        subject: "failure_rate".to_owned(),
        detail:
            "no remedy is configured for cause unknown (plan.strategies): failure_rate at ledger"
                .to_owned(),
        evidence: vec!["f".to_owned()],
        opened_at: noon(),
        closed_at: None,
        times_seen: 1,
        last_active_at: noon(),
    };
    report.escalations_opened = vec![escalation.id];
    let page = latest(|batch| {
        batch.put(&report);
        batch.put(&escalation);
    })
    .await;
    insta::assert_snapshot!(page, @r"
    Cycle 20261118_112640: nothing was done

    In short
      Nothing was done because no action is configured for unknown (plan.strategies); it needs people.

    Seen
      Cycle number 42, on schedule, began 2026-11-18T11:06:40Z (3 min ago) and ended completed after
      0.12 s.
      Read prometheus and alertmanager: 4 of 4 rules read well, 12 series read and 12 expected.
      Charter answered: 4 of 4 replicas healthy.
      1 violation is active, 1 to be acted on; none began or cleared in this cycle.
      - failure_rate at ledger, 0.4 > 0.1, for 60 s [00000000]

    Concluded
      - unknown at ledger, confidence 0.75 (sustained): 1 violation behind it, seen 5 times.

    Done
      No action was sent.

    People
      - unknown_cause (failure_rate at ledger): no remedy is configured for cause unknown
        (plan.strategies): failure_rate at ledger.
    ");
}

#[tokio::test]
async fn charter_does_not_answer() {
    let error = "http://charter:8000/api/v1/committee/state: connection refused";
    let waits = CandidateReport {
        guards: Vec::new(),
        planned: None,
        ..scale_up(held(Hold::CharterUnreachable, error), &[])
    };
    let mut report = CycleReport { error: Some(error.to_owned()), ..weighed(vec![waits]) };
    let basis = report.basis.as_mut().expect("a basis");
    (basis.charter, basis.charter_error) = (None, Some(error.to_owned()));
    let page = latest(|batch| batch.put(&report)).await;
    insta::assert_snapshot!(page, @r"
    Cycle 20261118_112640: nothing was done

    In short
      Nothing was done because Charter does not answer, so nobody can know what an action would do
      (http://charter:8000/api/v1/committee/state: connection refused).
      What waits is scale_up for validation_latency at charter. It is weighed again as soon as Charter
      answers; /health says what is wrong with it.

    Seen
      Cycle number 42, on schedule, began 2026-11-18T11:06:40Z (3 min ago) and ended completed after
      0.12 s.
      Read prometheus and alertmanager: 4 of 4 rules read well, 12 series read and 12 expected.
      Charter did not answer: http://charter:8000/api/v1/committee/state: connection refused.
      1 violation is active, 1 to be acted on; none began or cleared in this cycle.
      - validation_latency at charter (validation_type policy), 1.8 > 1, for 4 min [3fa2b1c0]

    Concluded
      - validation_latency at charter, confidence 0.75 (sustained): 1 violation behind it, seen 8
        times.

    Weighed
      - scale_up for validation_latency at charter: benefit 0.75 (confidence 0.75 × effectiveness
        1.00) − cost 0.15 = score 0.60.
        Held back (charter_unreachable): http://charter:8000/api/v1/committee/state: connection
        refused.

    Done
      No action was sent.
    ");
}

#[tokio::test]
async fn every_remedy_is_exhausted() {
    let verdict = || CandidateResult::Ineligible {
        reason: Ineligibility::RemediesExhausted,
        detail: "no candidate is left in this incident; a person has been told".to_owned(),
    };
    let scale_up = CandidateReport { guards: Vec::new(), ..scale_up(verdict(), &[]) };
    let page = latest(|batch| batch.put(&weighed(vec![scale_up, throttle(verdict())]))).await;
    insta::assert_snapshot!(page, @"
    Cycle 20261118_112640: nothing was done

    In short
      Nothing was done because it needs a person: every action was tried or impossible, and the loop
      gave the incident up (no candidate is left in this incident; a person has been told).
      The nearest action is scale_up to 6 replicas for validation_latency at charter. The actions are
      fresh again once the incident is resolved and its evidence was clear for plan.incident_gap.

    Seen
      Cycle number 42, on schedule, began 2026-11-18T11:06:40Z (3 min ago) and ended completed after
      0.12 s.
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
        Not eligible (remedies_exhausted): no candidate is left in this incident; a person has been
        told.
      - throttle_requests to 400 ops/s for 900 s for validation_latency at charter: benefit 0.75
        (confidence 0.75 × effectiveness 1.00) − cost 0.40 = score 0.35.
        Not eligible (remedies_exhausted): no candidate is left in this incident; a person has been
        told.

    Done
      No action was sent.
    ");
}
