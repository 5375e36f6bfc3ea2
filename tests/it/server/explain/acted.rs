//! Cycles that acted: what was done and why that, what came of it, and what came second.

use mape_k::domain::action::{Action, ActionKind, RebalanceStrategy};
use mape_k::domain::cycle::{CandidateResult, CycleReport};
use mape_k::domain::execution::{ActionState, Execution, ExecutionStatus};
use mape_k::domain::outcome::OutcomeType;
use mape_k::domain::policy::Approval;

use super::latest;
use super::recorded::{
    EXECUTION, candidate, concluded, execution, failing, outcome, proposed, scale_up, verification,
    weighed,
};

fn acted() -> CycleReport {
    let mut report = weighed(vec![scale_up(CandidateResult::Chosen, &[])]);
    report.execution_id = Some(EXECUTION);
    report.policies_generated = 1;
    report.basis.as_mut().expect("a basis").policies = vec![proposed(Approval::Executed)];
    report
}

#[tokio::test]
async fn it_scaled_up_and_waits_for_the_verdict() {
    let page = latest(|batch| {
        batch.put(&acted());
        batch.put(&execution());
        batch.put(&verification());
    })
    .await;
    insta::assert_snapshot!(page, @"
    Cycle 20261118_112640: scale_up to 6 replicas was done

    In short
      scale_up to 6 replicas was done for validation_latency at charter, the only action weighed
      (score 0.60).

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
        Chosen: the one action of this cycle. Policy 00000000-0000-0000-0000-00000000000b revision 1.
        All guards passed: pause, mode, charter, freshness, storm, breaker, cooldown, budget (2
        actions in the last hour), conflict, approval.

    Done
      - scale_up to 6 replicas: verifying: it is in effect and waits for its result, 2 tries.
      It has no result yet: its settle time ends in 3 min; the second good cycle after that verifies
      it. Without one by 2026-11-18T11:23:20Z the result is unknown.
      More: mape-k explain action 00000000-0000-0000-0000-00000000000e
    ");
}

#[tokio::test]
async fn two_remedies_were_admitted_and_one_was_outranked() {
    let outranked = CandidateResult::Outranked { by: ActionKind::ScaleUp, score: 0.6 };
    let rebalance = Action::RebalanceLoad { strategy: RebalanceStrategy::LeastLoaded };
    let second =
        candidate("system_overload", ActionKind::RebalanceLoad, Some(rebalance), outranked);
    let mut report = CycleReport { violations: 2, actionable: 2, opened: 1, ..acted() };
    report.candidates.push(second);
    let basis = report.basis.as_mut().expect("a basis");
    basis.violations.push(failing("validator", 0.25));
    basis.causes.push(concluded("system_overload", "validator", 3));
    let verdict = outcome(OutcomeType::Success);
    let page = latest(|batch| {
        batch.put(&report);
        batch.put(&execution());
        batch.put(&verdict);
    })
    .await;
    insta::assert_snapshot!(page, @"
    Cycle 20261118_112640: scale_up to 6 replicas was done

    In short
      scale_up to 6 replicas was done for validation_latency at charter, the best in turn of 2 actions
      (score 0.60).

    Seen
      Cycle number 42, on schedule, began 2026-11-18T11:06:40Z (3 min ago) and ended completed after
      0.12 s.
      Read prometheus and alertmanager: 4 of 4 rules read well, 12 series read and 12 expected.
      Charter answered: 4 of 4 replicas healthy.
      2 violations are active, 2 to be acted on; 1 began and 0 cleared in this cycle.
      - validation_latency at charter (validation_type policy), 1.8 > 1, for 4 min [3fa2b1c0]
      - failure_rate at validator, 0.25 > 0.1, for 60 s [00000000]

    Concluded
      - validation_latency at charter, confidence 0.75 (sustained): 1 violation behind it, seen 8
        times.
      - system_overload at validator, confidence 0.75 (sustained): 1 violation behind it, seen 3
        times.

    Weighed
      - scale_up to 6 replicas for validation_latency at charter: benefit 0.75 (confidence 0.75 ×
        effectiveness 1.00) − cost 0.15 = score 0.60.
        Chosen: the one action of this cycle. Policy 00000000-0000-0000-0000-00000000000b revision 1.
        All guards passed: pause, mode, charter, freshness, storm, breaker, cooldown, budget (2
        actions in the last hour), conflict, approval.
      - rebalance_load least_loaded for system_overload at charter: benefit 0.75 (confidence 0.75 ×
        effectiveness 1.00) − cost 0.25 = score 0.50.
        Outranked: scale_up scored higher (0.60), and a cycle carries out one action. It is weighed
        again in the next cycle.

    Done
      - scale_up to 6 replicas: verifying: it is in effect and waits for its result, 2 tries.
      - scale_up for validation_latency at charter had the result success: every violation that counts
        cleared (violations: 1 before, 0 after), 2026-11-18T11:07:50Z (2 min ago). The worst value was
        1.8 before and 0.4 after. Every violation had cleared 45 s after it.
      More: mape-k explain action 00000000-0000-0000-0000-00000000000e
    ");
}

#[tokio::test]
async fn charter_refused_it() {
    let mut refused = execution();
    refused.status = ExecutionStatus::Failed;
    refused.error =
        Some("scale_up to 6 replicas: Charter answered 400 out_of_range: at most 5".to_owned());
    refused.actions[0].state = ActionState::Refused;
    refused.actions[0].error = Some("400 out_of_range: at most 5".to_owned());
    let page = latest(|batch| {
        batch.put(&acted());
        batch.put::<Execution>(&refused);
    })
    .await;
    insta::assert_snapshot!(page, @"
    Cycle 20261118_112640: scale_up to 6 replicas failed

    In short
      scale_up to 6 replicas was tried for validation_latency at charter, the only action weighed
      (score 0.60), and failed: scale_up to 6 replicas: Charter answered 400 out_of_range: at most 5.

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
        Chosen: the one action of this cycle. Policy 00000000-0000-0000-0000-00000000000b revision 1.
        All guards passed: pause, mode, charter, freshness, storm, breaker, cooldown, budget (2
        actions in the last hour), conflict, approval.

    Done
      - scale_up to 6 replicas: refused: it did not take effect, 2 tries. Error: 400 out_of_range: at
        most 5
      More: mape-k explain action 00000000-0000-0000-0000-00000000000e
    ");
}
