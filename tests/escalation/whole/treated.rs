//! R03, R07: findings of the cluster are tracked before anything is planned, act on their own system alone, and each source
//! is blind by itself.

use std::sync::Mutex;

use mape_k::actuators::hook::{Hook, Verb};
use mape_k::config::Config;
use mape_k::domain::Cause;
use mape_k::domain::action::{ActionKind, HookName};
use mape_k::domain::cycle::{
    CandidateResult, CycleReport, CycleStatus, Ineligibility, Phase, Trigger,
};
use mape_k::domain::reading::Source;
use mape_k::domain::target::Target;
use mape_k::domain::violation::Violation;
use mape_k::planner::Strategy;
use tokio_util::sync::CancellationToken;

use super::fakes;
use super::town::{Running, Town};
use crate::cluster::api_server::{Cut, Mood};

const SEARCH: &str = "kubernetes/shop/deployment/search";

fn kind() -> ActionKind {
    ActionKind::Hook(HookName::new("restart-search").expect("a name"))
}

/// A hook that restarts the deployment `search`, for this cause.
fn treat(config: &mut Config, cause: &str) {
    let ActionKind::Hook(name) = kind() else { unreachable!("it is a hook") };
    let target: Target = SEARCH.parse().expect("a target");
    let apply = Verb::Command(vec!["/bin/true".to_owned()]);
    let hook = Hook::new(name, target, apply);
    config.plan.hooks.insert(kind(), hook.spec());
    config.hooks.hooks.push(hook);
    config.plan.strategies.insert(Cause::new(cause), vec![Strategy::new(kind())]);
}

fn weighed(report: &CycleReport) -> Vec<(String, ActionKind)> {
    report.candidates.iter().map(|c| (c.component.clone(), c.action)).collect()
}

fn findings(running: &Running) -> Vec<Violation> {
    let view = running.view();
    let mut found: Vec<Violation> =
        view.violations.iter().filter(|v| v.source == Source::Kubernetes).cloned().collect();
    found.sort_by_key(|v| v.component.clone());
    found
}

#[tokio::test]
async fn r03_what_a_hook_treats_is_weighed_in_the_cycle_that_finds_it() {
    let mut town = Town::new().await;
    treat(&mut town.loops.config, "replicas_missing");
    town.deployment("search", 0, 2, 10);
    // The same trouble where no action of the configuration reaches.
    town.deployment("mailer", 0, 2, 10);
    let mut running = town.start().await;
    let report = running.cycle().await;
    assert_eq!(weighed(&report), [("search".to_owned(), kind())]);
    assert_eq!((report.violations, report.actionable, report.opened), (0, 0, 0));
    let shown = findings(&running);
    let [mailer, search] = &shown[..] else { panic!("each once: {shown:#?}") };
    assert_eq!(search.target.as_ref().map(ToString::to_string).as_deref(), Some(SEARCH));
    assert_eq!(search.cause, Some(Cause::new("replicas_missing")));
    assert!(search.counts() && search.confirmed);
    assert_eq!(mailer.cause, None);
    assert!(!mailer.actionable, "evidence for no detector");
    assert_eq!(town.loops.changes(), Vec::<String>::new());
    let id = search.id;
    running.cycle().await;
    assert_eq!(findings(&running)[1].id, id, "one and the same episode");

    // A node's trouble is not the deployment's, whatever cause the strategy names.
    for cause in ["node_not_ready", "oom_killed"] {
        let mut town = Town::new().await;
        treat(&mut town.loops.config, cause);
        town.deployment("search", 0, 2, 10);
        assert_eq!(weighed(&town.start().await.cycle().await), [], "{cause}");
    }
}

#[tokio::test]
async fn r03_200_findings_and_no_call_to_charter() {
    let mut town = Town::new().await;
    // A strategy of Charter's for that very cause changes nothing: the trouble is not Charter's.
    let cause = Cause::new("replicas_missing");
    let strategies = &mut town.loops.config.plan.strategies;
    strategies.insert(cause, vec![Strategy::new(ActionKind::RestartService)]);
    for service in 0..200 {
        town.deployment(&format!("service-{service}"), 0, 1, 10);
    }
    town.deployment("validator", 0, 1, 10);
    let mut running = town.start().await;
    for _ in 0..5 {
        let report = running.cycle().await;
        assert_eq!(weighed(&report), []);
        assert_eq!((report.violations, report.status), (0, CycleStatus::Completed));
        assert!(report.escalations_opened.is_empty());
    }
    assert_eq!(findings(&running).len(), 201);
    assert_eq!(town.loops.changes(), Vec::<String>::new());

    // With a cause of Charter's beside them Charter is called.
    town.loops.latency(1.5);
    let acted = |report: &CycleReport| report.execution_id.is_some();
    running.cycle_until("Charter is treated", acted).await;
    assert_eq!(town.loops.changes().len(), 1, "{:?}", town.loops.changes());
}

#[tokio::test]
async fn r07_without_the_metrics_the_cluster_is_treated_and_charter_is_not() {
    let mut town = Town::new().await;
    treat(&mut town.loops.config, "replicas_missing");
    let mut running = town.start().await;
    assert_eq!(running.cycle().await.status, CycleStatus::Healthy);
    // Broken and out of sight at once: what nobody could read is no reason to act.
    town.loops.latency(1.5);
    town.loops.prometheus.be(fakes::Mood::Answers(500)).await;
    town.deployment("search", 0, 2, 10);
    let report = running.cycle_until("it is found", |r| !r.findings.is_empty()).await;
    assert_eq!((report.status, report.phase), (CycleStatus::Failed, Some(Phase::Monitor)));
    for _ in 0..3 {
        assert_eq!(weighed(&running.cycle().await), [("search".to_owned(), kind())]);
    }
    assert_eq!(town.loops.changes(), Vec::<String>::new());

    town.loops.prometheus.be(fakes::Mood::Well).await;
    let acted = |report: &CycleReport| report.execution_id.is_some();
    running.cycle_until("what the metrics show is treated", acted).await;
}

#[tokio::test]
async fn r07_without_the_cluster_charter_is_treated_and_the_cluster_is_not() {
    let mut town = Town::new().await;
    treat(&mut town.loops.config, "replicas_missing");
    town.deployment("search", 0, 2, 10);
    let mut running = town.start().await;
    assert_eq!(weighed(&running.cycle().await), [("search".to_owned(), kind())]);
    // The deployments alone cannot be read; they are down as before, as far as anybody knows.
    town.api.lists("deployments", Mood::Refuses(403));
    town.api.cut("deployments", Cut::Gone);
    let failed = |report: &CycleReport| report.status == CycleStatus::Failed;
    let report = running.cycle_until("deployments cannot be read", failed).await;
    assert_eq!(report.phase, Some(Phase::K8sAnalyzer));
    let shown = findings(&running);
    let [search] = &shown[..] else { panic!("neither opened nor cleared: {shown:#?}") };
    assert!(!search.confirmed && search.cleared_at.is_none());
    let is_held = |verdict: &CandidateResult| {
        matches!(verdict, CandidateResult::Ineligible { reason: Ineligibility::Unconfirmed, .. })
    };
    let report = running.cycle().await;
    assert!(report.candidates.iter().all(|c| is_held(&c.verdict)), "{:#?}", report.candidates);

    town.loops.latency(1.5);
    let acted = |report: &CycleReport| report.execution_id.is_some();
    let report = running.cycle_until("what the metrics show is treated", acted).await;
    assert_eq!(report.status, CycleStatus::Failed, "and the cluster is still unread");
    assert_eq!(town.loops.changes().len(), 1);

    town.api.lists("deployments", Mood::Well);
    let seen = |report: &CycleReport| report.candidates.iter().any(|c| !is_held(&c.verdict));
    running.cycle_until("it is seen again", seen).await;
}

/// Each phase as it begins, with the changes that Charter had got by then.
async fn phases(town: &Town, running: &mut Running) -> Vec<(Phase, usize)> {
    let entered = Mutex::new(Vec::new());
    let on_phase = |phase: Phase| {
        entered.lock().expect("no panic").push((phase, town.loops.changes().len()));
    };
    let stop = CancellationToken::new();
    running.parts.cycle.run(Trigger::Scheduled, &stop, &on_phase).await;
    entered.into_inner().expect("no panic")
}

#[tokio::test]
async fn a_cycle_settles_before_it_plans_and_changes_charter_under_execute_alone() {
    use Phase::{
        Analyze, Escalation, Execute, K8sAnalyzer, Knowledge, Monitor, Notification, Plan,
    };
    let town = Town::new().await;
    town.loops.latency(1.5);
    let mut running = town.start().await;
    let mut changed = 0;
    for _ in 0..12 {
        let entered = phases(&town, &mut running).await;
        let order: Vec<Phase> = entered.iter().map(|(phase, _)| *phase).collect();
        let expected = [
            Monitor,
            K8sAnalyzer,
            Analyze,
            Escalation,
            Monitor,
            Analyze,
            Execute,
            Plan,
            Execute,
            Knowledge,
            Escalation,
            Notification,
        ];
        assert_eq!(order, expected);
        for pair in entered.windows(2) {
            let ((phase, before), (_, after)) = (pair[0], pair[1]);
            assert!(phase == Execute || before == after, "changed Charter in {phase:?}");
            changed += after - before;
        }
    }
    assert!(changed > 0, "it acts");
    let report = running.cycle().await;
    let told: Vec<Phase> = report.phases.iter().map(|(phase, _)| *phase).collect();
    assert_eq!(told, Phase::ALL, "each once in the report");
}

#[tokio::test]
async fn a_finding_whose_owner_is_deleted_is_gone_and_comes_back_as_another() {
    let mut town = Town::new().await;
    treat(&mut town.loops.config, "replicas_missing");
    town.deployment("search", 0, 2, 10);
    let mut running = town.start().await;
    running.cycle().await;
    let first = findings(&running)[0].id;
    town.api.delete("deployments", "shop", "search");
    running.cycle_until("it is gone", |report| report.findings.is_empty()).await;
    assert_eq!(findings(&running), []);
    town.deployment("search", 0, 2, 10);
    running.cycle_until("it is back", |report| !report.findings.is_empty()).await;
    assert_ne!(findings(&running)[0].id, first);
}
