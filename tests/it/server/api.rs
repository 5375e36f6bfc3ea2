//! The JSON API: shapes, filters, pages, errors.

use chrono::TimeDelta;
use mape_k::domain::action::{Action, ActionKind};
use mape_k::domain::analysis::{Analysis, Pattern, PatternKind, RootCause};
use mape_k::domain::cycle::{CycleReport, CycleStatus, Trigger};
use mape_k::domain::execution::{ActionRecord, Execution, ExecutionMode, ExecutionStatus};
use mape_k::domain::need::{Need, NeedReason};
use mape_k::domain::outcome::{ActionStatistics, Insight, Outcome, OutcomeType};
use mape_k::domain::reading::Source;
use mape_k::domain::rule::Severity;
use mape_k::domain::target::Target;
use mape_k::domain::{CHARTER, Cause};
use reqwest::StatusCode;
use serde_json::Value;
use uuid::Uuid;

use super::{Surface, assert_fields, healthy_view, noon, violation};

/// A06: 60 mixed violations: every filter and the limit are honoured, pages add up, and so do the statistics.
#[tokio::test]
async fn a06_violations_are_filtered_limited_and_summed_up() {
    let surface = Surface::start().await;
    let mut view = healthy_view(surface.handle.now());
    view.violations = (0..60)
        .map(|i| {
            let severity = Severity::ALL[(i % 3) as usize];
            let source = if i % 5 == 0 { Source::Alertmanager } else { Source::Prometheus };
            let component = ["gateway", "ledger", "validator"].get((i % 4) as usize).copied();
            violation(i, severity, source, component)
        })
        .collect();
    surface.publish(view);

    let (all, next) = surface.items("/api/v1/violations?limit=500").await;
    assert_eq!((all.len(), next), (60, None));
    let newest_first =
        all.windows(2).all(|w| w[0]["detected_at"].as_str() > w[1]["detected_at"].as_str());
    assert!(newest_first);
    assert_fields(
        &all[0],
        "id fingerprint severity source rule metric value threshold comparison component labels description \
         detected_at active_since cleared_at flapping actionable",
    );
    assert_eq!(all[0]["comparison"], "gt");
    assert!(all[0]["detected_at"].as_str().expect("a time").ends_with('Z'), "UTC");

    let (critical, _) = surface.items("/api/v1/violations?severity=critical&limit=500").await;
    assert_eq!(critical.len(), 20);
    assert!(critical.iter().all(|v| v["severity"] == "critical"));
    let (from_alerts, _) = surface.items("/api/v1/violations?source=alertmanager").await;
    assert_eq!(from_alerts.len(), 12);
    let (ledger, _) = surface.items("/api/v1/violations?component=ledger&severity=warning").await;
    assert!(!ledger.is_empty());
    assert!(ledger.iter().all(|v| v["component"] == "ledger" && v["severity"] == "warning"));

    let (_, next) = surface.items("/api/v1/violations?limit=1").await;
    let description = mape_k::server::description::document();
    let parameters = description["paths"]["/api/v1/violations"]["get"]["parameters"].as_array();
    let after = parameters.expect("parameters").iter().find(|one| one["name"] == "after");
    let described = jsonschema::validator_for(&after.expect("after")["schema"]).expect("a schema");
    assert!(described.is_valid(&next.clone().into()), "{next:?} is not as described");
    let (_, next) =
        surface.items(&format!("/api/v1/violations?limit=1&after={}", next.expect("more"))).await;
    assert!(described.is_valid(&next.clone().into()), "{next:?} is not as described");

    let (default, next) = surface.items("/api/v1/violations").await;
    assert_eq!(default.len(), 50, "the default limit");
    let after = next.expect("ten more");
    let (rest, next) = surface.items(&format!("/api/v1/violations?after={after}")).await;
    assert_eq!((rest.len(), next), (10, None));
    assert_eq!([default, rest].concat(), all);

    let (_, statistics) = surface.get("/api/v1/statistics").await;
    for sums in ["by_severity", "by_source", "by_component"] {
        let sums = statistics["violations"][sums].as_object().expect("sums");
        assert_eq!(
            sums.values().map(|n| n.as_u64().expect("a number")).sum::<u64>(),
            60,
            "{sums:?}"
        );
    }
    assert_eq!(statistics["violations"]["by_severity"]["critical"], 20);
    assert_eq!(statistics["violations"]["by_source"]["alertmanager"], 12);
    assert_eq!(statistics["violations"]["by_component"]["gateway"], 15);
    let (_, state) = surface.get("/api/v1/state").await;
    assert_eq!(state["violations"], 60);
}

#[tokio::test]
async fn state_and_statistics_carry_their_promised_fields() {
    let surface = Surface::start().await;
    let mut view = healthy_view(surface.handle.now());
    view.statistics = vec![ActionStatistics {
        cause: Cause::new("system_overload"),
        action: ActionKind::RebalanceLoad,
        runs: 4,
        successes: 3,
        partials: 0,
        success_rate: 0.75,
        mean_time_to_effect_seconds: Some(42.0),
        confidence: 0.133,
        effectiveness: 0.96,
        natural_recovery: 0.25,
    }];
    surface.publish(view);
    let (_, state) = surface.get("/api/v1/state").await;
    assert_fields(
        &state,
        "running iteration started_at last_update violations policies_generated policies_executed last_error",
    );
    assert_eq!(state["iteration"], 7);
    let (_, statistics) = surface.get("/api/v1/statistics").await;
    assert_fields(&statistics, "uptime_seconds totals violations knowledge");
    assert_fields(
        &statistics["knowledge"][0],
        "cause action runs successes success_rate mean_time_to_effect_seconds confidence effectiveness natural_recovery",
    );
}

#[tokio::test]
async fn history_is_listed_newest_first_in_pages_with_its_promised_fields() {
    let surface = Surface::start().await;
    let mut batch = surface.knowledge.batch();
    batch.put(&analysis());
    batch.put(&execution());
    batch.put(&outcome());
    batch.put(&Insight {
        key: "system_overload/rebalance_load".to_owned(),
        title: "rebalance_load helps against system_overload".to_owned(),
        confidence: 0.5,
        recommendation: "keep it".to_owned(),
        updated_at: noon(),
    });
    for number in 0..5 {
        batch.put(&cycle(number));
    }
    surface.knowledge.commit(batch).await.expect("stored");

    let only = async |path: &str| -> Value {
        let (items, next) = surface.items(path).await;
        assert_eq!((items.len(), next), (1, None), "{path}");
        items.into_iter().next().expect("one")
    };
    let analysis = only("/api/v1/analyses").await;
    assert_fields(
        &analysis,
        "id cycle_id at violations confidence patterns root_causes recommendations",
    );
    assert_fields(&analysis["patterns"][0], "kind confidence hypothesis cause evidence");
    assert_fields(&analysis["root_causes"][0], "cause component confidence patterns");
    let execution = only("/api/v1/executions").await;
    assert_fields(
        &execution,
        "id policy_id status mode actions success_rate error started_at ended_at",
    );
    assert_fields(&execution["actions"][0], "action key state error started_at ended_at");
    let outcome = only("/api/v1/outcomes").await;
    assert_fields(
        &outcome,
        "policy_id action_type outcome_type metric_before metric_after violations_before violations_after \
         judged_at reason",
    );
    assert_fields(&only("/api/v1/insights").await, "title confidence recommendation");

    let (first, next) = surface.items("/api/v1/cycles?limit=3").await;
    let (rest, end) =
        surface.items(&format!("/api/v1/cycles?limit=3&after={}", next.expect("two more"))).await;
    assert_eq!(end, None);
    let numbers: Vec<_> = [first, rest].concat().iter().map(|c| c["number"].as_u64()).collect();
    assert_eq!(numbers, [Some(4), Some(3), Some(2), Some(1), Some(0)]);
    let (status, one) = surface.get("/api/v1/cycles/20261121_120003").await;
    assert_eq!((status, &one["number"]), (StatusCode::OK, &3.into()));
}

#[tokio::test]
async fn a_bad_parameter_is_a_400_that_names_it() {
    let surface = Surface::start().await;
    for (path, named) in [
        ("/api/v1/violations?severity=fatal", "severity"),
        ("/api/v1/violations?source=nagios", "source"),
        ("/api/v1/violations?after=yesterday", "after"),
        ("/api/v1/violations?limit=0", "limit"),
        ("/api/v1/cycles?limit=501", "limit"),
        ("/api/v1/cycles?limit=many", "limit"),
        ("/api/v1/cycles?after=x", "after"),
        ("/api/v1/incidents?open=maybe", "open"),
        ("/api/v1/policies?approval=perhaps", "approval"),
        ("/api/v1/policies?aproval=pending", "aproval"),
    ] {
        let (status, body) = surface.get(path).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}: {body}");
        let error = body["error"].as_str().expect("an error text");
        assert!(error.contains(named), "{path}: {error}");
    }
}

#[tokio::test]
async fn unknown_paths_records_and_methods_are_answered_in_json() {
    let surface = Surface::start().await;
    for path in ["/", "/api/v1/nothing", "/api/v2/state", "/api/v1/cycles/20200101_000000"] {
        let (status, body) = surface.get(path).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        assert!(body["error"].is_string(), "{path}: {body}");
    }
    for (method, path) in
        [("POST", "/api/v1/state"), ("DELETE", "/health"), ("GET", "/webhooks/alerts")]
    {
        let method = method.parse().expect("a method");
        let response =
            surface.http.request(method, surface.url(path)).send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert!(response.headers().contains_key("allow"), "{path}");
        let (_, body) = super::read(response).await;
        assert!(body["error"].is_string(), "{path}: {body}");
    }
}

fn analysis() -> Analysis {
    Analysis {
        id: Uuid::from_u128(1),
        cycle_id: "20261121_120000".to_owned(),
        at: noon(),
        violations: 3,
        confidence: 0.6,
        patterns: vec![Pattern {
            kind: PatternKind::Sustained,
            confidence: 0.75,
            hypothesis: "system overload".to_owned(),
            cause: Cause::new("system_overload"),
            component: CHARTER.to_owned(),
            target: Some(mape_k::domain::target::Target::Charter(None)),
            evidence: vec!["f1".to_owned()],
        }],
        root_causes: vec![RootCause {
            cause: Cause::new("system_overload"),
            component: CHARTER.to_owned(),
            target: Some(mape_k::domain::target::Target::Charter(None)),
            confidence: 0.75,
            patterns: vec![PatternKind::Sustained],
            evidence: vec!["f1".to_owned()],
            occurrences: 3,
            critical: false,
        }],
        recommendations: vec!["rebalance".to_owned()],
    }
}

pub(super) fn execution() -> Execution {
    Execution {
        id: Uuid::from_u128(2),
        policy_id: Uuid::from_u128(3),
        cause: Cause::new("validation_latency"),
        component: CHARTER.to_owned(),
        status: ExecutionStatus::InProgress,
        mode: ExecutionMode::Transactional,
        actions: vec![ActionRecord::new(Action::ScaleUp { replicas: 5 }, Uuid::from_u128(4))],
        success_rate: 0.0,
        error: None,
        started_at: noon(),
        ended_at: None,
        approved_by: Some("ada".to_owned()),
        interrupted: false,
    }
}

fn outcome() -> Outcome {
    Outcome {
        id: Uuid::from_u128(5),
        policy_id: Uuid::from_u128(3),
        execution_id: Uuid::from_u128(2),
        cause: Cause::new("validation_latency"),
        component: CHARTER.to_owned(),
        action_type: ActionKind::ScaleUp,
        outcome_type: OutcomeType::Success,
        metric_before: Some(1.5),
        metric_after: Some(0.4),
        violations_before: 2,
        violations_after: 0,
        judged_at: noon(),
        target: Target::Charter(None),
        settled_at: noon(),
        reason: "0 of 2 violations left".to_owned(),
        time_to_effect_seconds: Some(60.0),
        verification: None,
        recurred: None,
    }
}

pub(super) fn cycle(number: u64) -> CycleReport {
    CycleReport {
        id: format!("20261121_12000{number}"),
        number,
        trigger: Trigger::Scheduled,
        status: CycleStatus::Healthy,
        phase: None,
        error: None,
        started_at: noon() + TimeDelta::seconds(i64::try_from(number).expect("small")),
        duration_seconds: 0.02,
        phases: Vec::new(),
        violations: 0,
        actionable: 0,
        opened: 0,
        cleared: 0,
        opened_examples: Vec::new(),
        cleared_examples: Vec::new(),
        basis: None,
        analysis_id: None,
        candidates: Vec::new(),
        policies_generated: 0,
        execution_id: None,
        outcomes: Vec::new(),
        escalations_opened: Vec::new(),
        escalations_closed: Vec::new(),
        failed_cycles: 0,
        findings: Vec::new(),
        findings_total: 0,
        cluster: None,
        incidents: Vec::new(),
        incidents_open: 0,
        unread_objects: Vec::new(),
        escalation_decision: None,
        notification_result: None,
        notifications_sent: 0,
        trend_analysis: None,
    }
}

pub(super) fn escalation(number: u64, open: bool) -> Need {
    Need {
        approval: None,
        target: None,
        incident: None,
        id: Uuid::from_u128(100 + u128::from(number)),
        reason: NeedReason::UnknownCause,
        cause: None,
        component: Some("ledger".to_owned()),
        subject: format!("backlog-{number}"),
        detail: "no strategy is known".to_owned(),
        evidence: vec!["f1".to_owned()],
        opened_at: noon(),
        closed_at: (!open).then(noon),
        times_seen: 2,
        last_active_at: noon(),
    }
}
