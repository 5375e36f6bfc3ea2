//! Cycles in which a remedy was worth doing and a guard held it back.

use chrono::TimeDelta;
use mape_k::domain::cycle::{CandidateReport, Hold};
use mape_k::domain::guard::{Guard, GuardReading};
use mape_k::domain::pause::Pause;
use mape_k::domain::policy::Approval;

use super::latest;
use super::recorded::{held, proposed, scale_up, scale_up_held, throttle, weighed};
use crate::server::noon;

#[tokio::test]
async fn a_person_has_paused_it() {
    let pause = Pause {
        by: "anna".to_owned(),
        reason: "migration of the ledger".to_owned(),
        since: noon() - TimeDelta::minutes(20),
        until: noon() + TimeDelta::minutes(40),
    };
    let reading = GuardReading::held(Guard::Pause, Hold::Paused, pause.to_string());
    let mut report = weighed(vec![scale_up_held(reading)]);
    report.basis.as_mut().expect("a basis").paused = Some(pause);
    let page = latest(|batch| batch.put(&report)).await;
    insta::assert_snapshot!(page, @"
    Cycle 20261118_112640: nothing was done

    In short
      Nothing was done because a person has paused the loop: it reads, concludes and plans, and
      changes nothing (paused by anna until 2026-11-18T11:46:40Z: migration of the ledger).
      What waits is scale_up to 6 replicas for validation_latency at charter. The loop acts again when
      somebody resumes it, or when the pause ends by itself.

    Seen
      Cycle number 42, on schedule, began 2026-11-18T11:06:40Z (3 min ago) and ended completed after
      0.12 s.
      Read prometheus and alertmanager: 4 of 4 rules read well, 12 series read and 12 expected.
      Charter answered: 4 of 4 replicas healthy.
      The loop was paused by anna until 2026-11-18T11:46:40Z: migration of the ledger.
      1 violation is active, 1 to be acted on; none began or cleared in this cycle.
      - validation_latency at charter (validation_type policy), 1.8 > 1, for 4 min [3fa2b1c0]

    Concluded
      - validation_latency at charter, confidence 0.75 (sustained): 1 violation behind it, seen 8
        times.

    Weighed
      - scale_up to 6 replicas for validation_latency at charter: benefit 0.75 (confidence 0.75 ×
        effectiveness 1.00) − cost 0.15 = score 0.60.
        Held back (paused): paused by anna until 2026-11-18T11:46:40Z: migration of the ledger.
        Guards passed: mode, charter, freshness, storm, breaker, cooldown, budget (2 actions in the
        last hour), conflict, approval.

    Done
      No action was sent.
    ");
}

/// S05: the number and the limit of the guard that held.
#[tokio::test]
async fn a_cooldown_holds_it_with_its_numbers() {
    let reading = GuardReading::held(
        Guard::Cooldown,
        Hold::Cooldown,
        "scale_up was done on charter 120 s ago, 300 s must pass",
    );
    let report = weighed(vec![scale_up_held(reading.with(120.0, 300.0))]);
    let page = latest(|batch| batch.put(&report)).await;
    insta::assert_snapshot!(page, @"
    Cycle 20261118_112640: nothing was done

    In short
      Nothing was done because the same action was done on this target not long ago (scale_up was done
      on charter 120 s ago, 300 s must pass).
      What waits is scale_up to 6 replicas for validation_latency at charter. It may be done again
      when the cooldown has ended (guardrails.cooldown).

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
        Held back (cooldown): scale_up was done on charter 120 s ago, 300 s must pass.
        Guards passed: pause, mode, charter, freshness, storm, breaker, budget (2 actions in the last
        hour), conflict, approval.

    Done
      No action was sent.
    ");
}

#[tokio::test]
async fn the_budget_is_used_up() {
    let reading = GuardReading::held(
        Guard::Budget,
        Hold::BudgetExhausted,
        "6 actions in the last hour, at most 6; the next is free in 11 min",
    );
    let report = weighed(vec![scale_up_held(reading.with(6.0, 6.0))]);
    let page = latest(|batch| batch.put(&report)).await;
    insta::assert_snapshot!(page, @"
    Cycle 20261118_112640: nothing was done

    In short
      Nothing was done because the loop has used all the actions that guardrails.budget allows (6
      actions in the last hour, at most 6; the next is free in 11 min).
      What waits is scale_up to 6 replicas for validation_latency at charter. It may be done when
      earlier actions no longer count, or with a larger budget.

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
        Held back (budget_exhausted): 6 actions in the last hour, at most 6; the next is free in 11
        min.
        Guards passed: pause, mode, charter, freshness, storm, breaker, cooldown, conflict, approval.

    Done
      No action was sent.
    ");
}

/// The cooldown is over in a second: that is not when it will be done.
#[tokio::test]
async fn of_two_guards_that_hold_the_second_is_no_surprise() {
    let cooldown = GuardReading::held(
        Guard::Cooldown,
        Hold::Cooldown,
        "scale_up was done on charter 299 s ago, 300 s must pass",
    );
    let budget = GuardReading::held(
        Guard::Budget,
        Hold::BudgetExhausted,
        "3 of 3 actions on charter in the last hour",
    );
    let verdict = held(Hold::Cooldown, &cooldown.detail);
    let report = weighed(vec![scale_up(verdict, &[cooldown, budget])]);
    let page = latest(|batch| batch.put(&report)).await;
    let flowed = page.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        flowed.contains(
            "It may be done again when the cooldown has ended (guardrails.cooldown). It is also held by budget (3 of 3 \
             actions on charter in the last hour); each has to let it pass."
        ),
        "{page}"
    );
    assert!(
        flowed
            .contains("Guards passed: pause, mode, charter, freshness, storm, breaker, conflict,"),
        "{page}"
    );
}

#[tokio::test]
async fn a_storm_holds_it() {
    let reading = GuardReading::held(
        Guard::Storm,
        Hold::Storm,
        "4 of 6 components are sick, more than 55 % of them",
    );
    let report = weighed(vec![scale_up_held(reading.with(0.667, 0.55))]);
    let page = latest(|batch| batch.put(&report)).await;
    insta::assert_snapshot!(page, @"
    Cycle 20261118_112640: nothing was done

    In short
      Nothing was done because much of the system is unhealthy at once, and acting on single parts
      would make it worse (4 of 6 components are sick, more than 55 % of them).
      What waits is scale_up to 6 replicas for validation_latency at charter. The loop acts again when
      few enough components have been unhealthy for a while (guardrails.storm); until then it needs a
      person.

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
        Held back (storm): 4 of 6 components are sick, more than 55 % of them.
        Guards passed: pause, mode, charter, freshness, breaker, cooldown, budget (2 actions in the
        last hour), conflict, approval.

    Done
      No action was sent.
    ");
}

#[tokio::test]
async fn an_earlier_action_is_still_being_judged_and_its_rival_waits_too() {
    let detail = "scale_up is being judged, 75 s of its settle time left";
    let reading = GuardReading::held(Guard::Conflict, Hold::Verifying, detail);
    let rival = CandidateReport { guards: Vec::new(), ..throttle(held(Hold::Verifying, detail)) };
    let report = weighed(vec![rival, scale_up_held(reading)]);
    let page = latest(|batch| batch.put(&report)).await;
    insta::assert_snapshot!(page, @"
    Cycle 20261118_112640: nothing was done

    In short
      Nothing was done because an earlier action on the same target has no result yet (scale_up is
      being judged, 75 s of its settle time left).
      What waits is scale_up to 6 replicas for validation_latency at charter. It is weighed again
      after that result, which comes in the second good cycle after the settle time.

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
        Held back (judging): scale_up is being judged, 75 s of its settle time left.
        Guards passed: pause, mode, charter, freshness, storm, breaker, cooldown, budget (2 actions in
        the last hour), approval.
      - throttle_requests to 400 ops/s for 900 s for validation_latency at charter: benefit 0.75
        (confidence 0.75 × effectiveness 1.00) − cost 0.40 = score 0.35.
        Held back (judging): scale_up is being judged, 75 s of its settle time left.

    Done
      No action was sent.
    ");
}

#[tokio::test]
async fn it_waits_for_a_person() {
    let detail = "policy 00000000-0000-0000-0000-00000000000b revision 1 waits for a person";
    let reading = GuardReading::held(Guard::Approval, Hold::ApprovalPending, "risk low, pending");
    let waits = scale_up(held(Hold::ApprovalPending, detail), &[reading]);
    let mut report = weighed(vec![waits]);
    report.policies_generated = 1;
    report.basis.as_mut().expect("a basis").policies = vec![proposed(Approval::Pending)];
    let page = latest(|batch| batch.put(&report)).await;
    insta::assert_snapshot!(page, @"
    Cycle 20261118_112640: nothing was done

    In short
      Nothing was done because the action waits for an approval (policy
      00000000-0000-0000-0000-00000000000b revision 1 waits for a person).
      What waits is scale_up to 6 replicas for validation_latency at charter. Approve or reject it;
      without a decision it expires (plan.approval_ttl) and is proposed again. mape-k approve 0712f1b7
      or mape-k reject 0712f1b7

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
        Held back (approval_pending): policy 00000000-0000-0000-0000-00000000000b revision 1 waits for
        a person.
        Guards passed: pause, mode, charter, freshness, storm, breaker, cooldown, budget (2 actions in
        the last hour), conflict.

    Done
      No action was sent.
    ");
}
