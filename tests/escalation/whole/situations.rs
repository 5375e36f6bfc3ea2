//! The twenty situations that every such daemon must pass, and the one more: failed cycles begin anew.

use std::sync::Arc;

use mape_k::domain::cycle::{CycleReport, CycleStatus, Phase};
use mape_k::domain::decision::Sev;
use serde_json::json;

use super::town::{Bad, Running, Town};
use crate::cluster::api_server::Mood;
use crate::notify::fake_slack::Reply;

const FALLBACK: &str = "Unable to assess escalation, conservative default";

async fn status(running: &Running) -> serde_json::Value {
    use axum::body::Body;
    use tower::ServiceExt;
    let shown = mape_k::server::Running { charter: true, kubernetes: true, ..Default::default() };
    let context = mape_k::server::Context {
        handle: running.parts.handle.clone(),
        knowledge: running.parts.knowledge.clone(),
        metrics: running.parts.metrics.clone(),
        settings: Arc::default(),
        started_at: running.parts.handle.now(),
        rehearsal: None,
        running: tokio::sync::watch::channel(Arc::new(shown)).1,
        reloads: mape_k::server::reloads().0,
    };
    let request = axum::http::Request::get("/api/v1/status").header("host", "localhost");
    let mut request = request.body(Body::empty()).expect("a request");
    let caller: std::net::SocketAddr = "127.0.0.1:4000".parse().expect("an address");
    request.extensions_mut().insert(axum::extract::ConnectInfo(caller));
    let answer = mape_k::server::api_router(context).oneshot(request).await.expect("an answer");
    let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.expect("a body");
    serde_json::from_slice(&body).expect("JSON")
}

#[tokio::test]
async fn b08_01_at_first_nothing_has_run_and_nothing_has_failed() {
    let town = Town::new().await;
    let running = town.start().await;
    let status = status(&running).await;
    assert_eq!(status["cycle_count"], 0);
    assert_eq!(status["failed_cycles"], 0);
    assert_eq!(status["last_successful_cycle"], json!(null));
    assert_eq!(status["last_cycle_status"], json!(null));
    assert_eq!(status["health"], "healthy");
}

#[tokio::test]
async fn b08_02_the_status_sums_up_what_the_cycles_came_to() {
    let town = Town::new().await;
    let mut running = town.start().await;
    running.cycle().await;
    let status = status(&running).await;
    assert_eq!(status["cycle_count"], 1);
    assert_eq!(status["last_cycle_status"], "healthy", "{status}");
    assert!(status["last_successful_cycle"].is_string(), "{status}");
    assert_eq!(status["incidents"], json!({"SEV-1": 0, "SEV-2": 0, "SEV-3": 0, "SEV-4": 0}));
}

#[tokio::test]
async fn b13_03_a_healthy_cluster_is_healthy_and_nobody_is_told() {
    let town = Town::new().await;
    let mut running = town.start().await;
    let report = running.cycle().await;
    assert_eq!(report.status, CycleStatus::Healthy, "{:?}", report.error);
    assert!(report.findings.is_empty());
    assert_eq!((report.escalation_decision, report.notification_result), (None, None));
    assert_eq!(report.notifications_sent, 0);
    assert!(town.slack.asked().is_empty(), "nothing to tell, no call");
}

#[tokio::test]
async fn b14_04_a_p0_that_is_down_is_sev_1_at_once_in_the_critical_channel() {
    let town = Town::new().await;
    town.deployment("payments", 0, 2, 3);
    let mut running = town.start().await;
    let report = running.cycle().await;
    assert_eq!(report.status, CycleStatus::Completed);
    let decision = report.escalation_decision.expect("a decision");
    assert_eq!(decision.severity, Sev::Sev1);
    assert_eq!(decision.affected_services, ["payments"]);
    assert!(decision.should_notify);
    assert_eq!(report.notifications_sent, 1);
    let result = report.notification_result.expect("a result");
    assert!(result.success && !result.backed_up && result.severity == Sev::Sev1, "{result:?}");
    let told = town.posted();
    assert_eq!(told.len(), 1, "one message");
    assert_eq!(told[0].channel(), "#critical-alerts");
    let shown = told[0].shown();
    assert!(shown.contains("payments") && shown.contains("INC-"), "{shown}");
}

#[tokio::test]
async fn b17_05_a_known_issue_within_its_grace_is_seen_and_not_told() {
    let town = Town::new().await;
    town.catalogue(&json!([{"name": "search", "namespace": "shop", "tier": "P1", "known_issues":
        [{"match": "replicas_missing", "grace": "1h", "note": "slow start after the nightly import"}]}]));
    town.deployment("search", 1, 2, 10);
    let mut running = town.start().await;
    let report = running.cycle().await;
    assert_eq!(report.findings.len(), 1, "it is seen");
    let decision = report.escalation_decision.expect("and decided");
    assert_eq!(decision.severity, Sev::Sev4);
    assert!(!decision.should_notify);
    assert!(town.slack.asked().is_empty());
    assert_eq!(report.status, CycleStatus::Completed, "a finding is a finding");
}

#[tokio::test]
async fn b02_06_a_cluster_that_cannot_be_read_fails_the_cycle_in_its_phase() {
    let mut town = Town::new().await;
    town.api.down();
    let mut running = town.start().await;
    let report = running.cycle().await;
    assert_eq!(report.status, CycleStatus::Failed);
    assert_eq!(report.phase, Some(Phase::K8sAnalyzer));
    let error = report.error.expect("an error");
    assert!(error.contains("pods"), "{error}");
    assert_eq!(report.failed_cycles, 1);
    assert!(
        report.findings.is_empty() && report.escalation_decision.is_none(),
        "nothing is assessed"
    );
    assert!(report.basis.is_some(), "the other half went on");
}

#[tokio::test]
async fn b04_07_an_assessment_that_fails_is_replaced_by_the_conservative_decision() {
    let mut town = Town::new().await;
    town.assessor = Some(Arc::new(Bad::Fails));
    town.deployment("payments", 0, 2, 3);
    town.deployment("search", 0, 2, 3);
    let mut running = town.start().await;
    let report = running.cycle().await;
    let decision = report.escalation_decision.expect("a decision");
    assert!(decision.is_fallback && decision.should_notify);
    assert_eq!((decision.severity, decision.confidence), (Sev::Sev2, 50));
    assert_eq!(decision.affected_services, ["payments", "search"], "every service of the findings");
    assert_eq!(decision.root_cause, FALLBACK);
    assert_eq!(decision.actions, ["Manual review required"]);
    assert_eq!(decision.impact, "Potential incident detected");
    assert_eq!(town.posted().len(), 1);
    for _ in 0..3 {
        running.cycle().await;
    }
    assert_eq!(town.posted().len(), 0, "once in 30 minutes for the same services");
}

#[tokio::test]
async fn b05_08_what_slack_does_not_take_is_backed_up_and_told_once_it_does() {
    let town = Town::new().await;
    town.slack.always(Reply::No("channel_not_found"));
    town.deployment("payments", 0, 2, 3);
    let mut running = town.start().await;
    let report = running.cycle().await;
    assert_eq!(report.status, CycleStatus::Completed, "the cycle stays completed");
    assert_eq!(report.notifications_sent, 0);
    let result = report.notification_result.expect("a result");
    assert!(!result.success && result.backed_up, "{result:?}");
    assert!(result.error.expect("why").contains("channel_not_found"));
    let backups = town.files("incidents");
    assert_eq!(backups.len(), 1, "{backups:?}");
    assert!(
        backups[0].starts_with("backup_") && backups[0].ends_with("_SEV-1.json"),
        "{backups:?}"
    );
    town.posted();
    town.slack.always(Reply::Fine);
    running.later(61).await;
    let told = town.posted();
    assert_eq!(told.len(), 1, "told once");
    assert!(told[0].shown().contains("payments"));
    running.cycle().await;
    assert!(town.posted().is_empty());
    let names = town.files("incidents");
    assert!(names.len() == 1 && names[0].ends_with(".sent.json"), "{names:?}");
}

#[tokio::test]
async fn b08_09_every_cycle_is_counted() {
    let town = Town::new().await;
    let mut running = town.start().await;
    for _ in 0..4 {
        running.cycle().await;
    }
    assert_eq!(status(&running).await["cycle_count"], 4);
}

#[tokio::test]
async fn b08_10_failed_cycles_are_counted_in_a_row() {
    let mut town = Town::new().await;
    town.api.down();
    let mut running = town.start().await;
    for expected in 1..=3 {
        assert_eq!(running.cycle().await.failed_cycles, expected);
    }
    assert_eq!(status(&running).await["failed_cycles"], 3);
}

#[tokio::test]
async fn b20_11_three_services_that_are_down_are_one_message() {
    let town = Town::new().await;
    for service in ["payments", "search", "mailer"] {
        town.deployment(service, 0, 2, 120);
    }
    let mut running = town.start().await;
    let report = running.cycle().await;
    let decision = report.escalation_decision.expect("a decision");
    assert_eq!(decision.affected_services, ["mailer", "payments", "search"]);
    assert_eq!(decision.severity, Sev::Sev1, "the highest of them");
    assert_eq!(decision.incidents.len(), 3);
    let told = town.posted();
    assert_eq!(told.len(), 1);
    let shown = told[0].shown();
    assert!(["payments", "search", "mailer"].iter().all(|name| shown.contains(name)), "{shown}");
}

#[tokio::test]
async fn b03_12_what_can_be_read_is_told_although_the_rest_cannot() {
    let town = Town::new().await;
    town.api.lists("nodes", Mood::Refuses(403));
    town.deployment("payments", 0, 2, 3);
    let mut running = town.start().await;
    let report = running.cycle().await;
    assert_eq!((report.status, report.phase), (CycleStatus::Failed, Some(Phase::K8sAnalyzer)));
    assert!(report.error.expect("why").contains("nodes"));
    assert_eq!(report.escalation_decision.expect("a decision").severity, Sev::Sev1);
    let told = town.posted();
    assert_eq!(told.len(), 1);
    let shown = told[0].shown();
    assert!(shown.contains("the reading was not whole"), "{shown}");
}

#[tokio::test]
async fn b04_13_without_a_service_to_name_the_conservative_decision_names_it_unknown() {
    let decision = mape_k::incidents::rules::fallback(&[]);
    assert_eq!(decision.affected_services, ["unknown"]);
    assert_eq!((decision.severity, decision.root_cause.as_str()), (Sev::Sev2, FALLBACK));
}

#[tokio::test]
async fn b10_14_folders_are_made_where_they_are_missing() {
    let town = Town::new().await;
    town.slack.always(Reply::No("invalid_auth"));
    town.deployment("payments", 0, 2, 3);
    assert!(!town.logs().exists());
    town.start().await.cycle().await;
    assert!(town.logs().join("incidents").is_dir());
}

#[tokio::test]
async fn b08_15_two_failed_cycles_are_no_ill_health_yet() {
    let mut town = Town::new().await;
    town.api.down();
    let mut running = town.start().await;
    running.cycle().await;
    running.cycle().await;
    assert_eq!(status(&running).await["health"], "healthy");
}

#[tokio::test]
async fn b08_16_three_failed_cycles_are() {
    let mut town = Town::new().await;
    town.api.down();
    let mut running = town.start().await;
    for _ in 0..3 {
        running.cycle().await;
    }
    assert_eq!(status(&running).await["health"], "degraded");
}

#[tokio::test]
async fn b10_17_every_report_says_how_long_the_cycle_and_its_phases_took() {
    let town = Town::new().await;
    let report = town.start().await.cycle().await;
    assert!(report.duration_seconds > 0.0);
    let phases: Vec<&str> = report.phases.iter().map(|(phase, _)| phase.as_str()).collect();
    let expected = [
        "monitor",
        "k8s-analyzer",
        "analyze",
        "plan",
        "execute",
        "knowledge",
        "escalation",
        "notification",
    ];
    assert_eq!(phases, expected);
    let sum: f64 = report.phases.iter().map(|(_, took)| took).sum();
    assert!(sum <= report.duration_seconds, "{sum} of {}", report.duration_seconds);
}

#[tokio::test]
async fn b09_18_cycles_are_numbered_and_their_ids_are_of_their_time_and_unique() {
    let town = Town::new().await;
    let mut running = town.start().await;
    let mut ids = Vec::new();
    for number in 1..=3 {
        let report = running.cycle().await;
        assert_eq!(report.number, number);
        let time = report.started_at.format("%Y%m%d_%H%M%S").to_string();
        assert!(report.id.starts_with(&time), "{} at {time}", report.id);
        ids.push(report.id);
    }
    ids.dedup();
    assert_eq!(ids.len(), 3, "{ids:?}");
}

#[tokio::test]
async fn b10_19_every_report_is_saved_in_the_store_and_as_a_file() {
    let town = Town::new().await;
    town.deployment("payments", 0, 2, 3);
    let mut running = town.start().await;
    let report = running.cycle().await;
    let stored = running.parts.knowledge.get::<CycleReport>(&report.id).await.expect("a store");
    assert_eq!(stored.expect("it is stored").0, report);
    let file = town.file(&format!("cycle_{}.json", report.id));
    assert_eq!(file["cycle_id"], report.id);
    assert_eq!(file["cycle_number"], 1);
    assert_eq!(file["status"], "completed");
    assert_eq!(file["escalation_decision"]["severity"], "SEV-1");
    assert_eq!(file["notifications_sent"], 1);
    assert_eq!(file["failed_cycles"], 0);
    for key in ["cycle_duration_seconds", "findings", "notification_result", "trend_analysis"] {
        assert!(!file[key].is_null(), "{key} of {file:#}");
    }
}

#[tokio::test]
async fn b08_20_the_whole_summary_of_a_bad_day() {
    let mut town = Town::new().await;
    town.deployment("payments", 0, 2, 3);
    let mut running = town.start().await;
    running.cycle().await;
    town.api.down();
    let summary = status(&running).await;
    assert_eq!(summary["cycle_count"], 1);
    assert_eq!(summary["last_cycle_status"], "completed");
    assert_eq!(summary["incidents"]["SEV-1"], 1);
    assert_eq!(summary["last_decision"]["severity"], "SEV-1");
    assert_eq!(summary["last_notification"]["success"], true);
    assert_eq!(
        (&summary["notifications_sent"], &summary["notifications_failed"]),
        (&json!(1), &json!(0))
    );
    let shown = running.view();
    let rules: Vec<&str> = shown.violations.iter().map(|v| v.rule.as_str()).collect();
    assert_eq!(rules, ["replicas_missing"], "shown as a violation of source kubernetes");
    assert!(shown.violations.iter().all(|v| !v.actionable), "and evidence for no detector");
}

#[tokio::test]
async fn b08_21_a_good_cycle_begins_the_count_of_failed_ones_anew() {
    let mut town = Town::new().await;
    town.api.down();
    let mut running = town.start().await;
    running.cycle().await;
    running.cycle().await;
    town.api.up().await;
    let healthy = |report: &CycleReport| report.status == CycleStatus::Healthy;
    let report = running.cycle_until("a healthy cycle", healthy).await;
    assert_eq!(report.failed_cycles, 0);
    assert_eq!(status(&running).await["failed_cycles"], 0);
}
