//! A defect in what is for people, a stop in the middle of it, and what a restart must not forget.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mape_k::domain::cycle::{CycleReport, CycleStatus, Phase, Trigger};
use mape_k::http::{Connections, Failure, Http, HttpTransport};
use reqwest::{Client, Request, Response, Url};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::town::{Bad, Broken, Running, Town};
use crate::notify::fake_slack::Reply;

/// After three cycles in which the cluster could not be read, of which people were told.
async fn blind() -> (Town, Running) {
    let mut town = Town::new().await;
    town.api.down();
    let mut running = town.start().await;
    for _ in 0..3 {
        running.cycle().await;
    }
    assert_eq!(town.posted().len(), 1, "blind is told");
    (town, running)
}

#[tokio::test]
async fn b37_a_restart_while_it_is_blind_tells_nothing_anew_and_no_end() {
    let (mut town, running) = Box::pin(blind()).await;
    running.stop().await;
    let mut running = town.start().await;
    for failed in 4..=7 {
        let report = running.cycle().await;
        assert_eq!(report.failed_cycles, failed, "it goes on failing");
    }
    assert!(town.posted().is_empty(), "neither an end nor a new beginning");
    town.api.up().await;
    let healthy = |report: &CycleReport| report.status == CycleStatus::Healthy;
    running.cycle_until("it sees again", healthy).await;
    assert_eq!(town.posted().len(), 1, "now it is over");
}

/// The process ends within ten seconds of a stop; ten times what is left of that for this half.
const STOPPED_WITHIN: Duration = Duration::from_mins(1);

#[tokio::test]
async fn a49_a_stop_cuts_an_assessment_short_and_what_was_found_is_told_all_the_same() {
    let mut town = Town::new().await;
    town.loops.config.escalation.timeout = Duration::from_hours(1);
    town.assessor = Some(Arc::new(Bad::Hangs));
    town.deployment("payments", 0, 2, 3);
    let mut running = town.start().await;
    let stop = CancellationToken::new();
    let on_phase = |phase: Phase| {
        if phase == Phase::Escalation {
            stop.cancel();
        }
    };
    let cycle = running.parts.cycle.run(Trigger::Scheduled, &stop, &on_phase);
    let ended = tokio::time::timeout(STOPPED_WITHIN, cycle).await.expect("it ends");
    let report = ended.report;
    assert!(report.escalation_decision.expect("a decision").is_fallback);
    running.settle().await;
    assert_eq!(town.posted().len(), 1);
}

#[tokio::test]
async fn b05_health_says_what_waits_and_stops_saying_it_once_it_was_told() {
    let town = Town::new().await;
    town.slack.always(Reply::No("invalid_auth"));
    town.deployment("payments", 0, 2, 3);
    let mut running = town.start().await;
    running.cycle().await;
    let untold = running.view().people.not_notified.clone().expect("health is degraded");
    assert!(
        untold.contains("confirmed 1 message of the outbox") && untold.contains("invalid_auth"),
        "{untold}"
    );
    running.stop().await;
    let mut running = town.start().await;
    running.cycle().await;
    assert!(running.view().people.not_notified.is_some(), "after a restart too");
    town.slack.always(Reply::Fine);
    running.later(61).await;
    assert_eq!(running.view().people.not_notified, None);
}

#[tokio::test]
async fn b31_both_halves_that_fail_are_both_in_the_report() {
    let mut town = Town::new().await;
    town.api.down();
    town.loops.prometheus.be(super::fakes::Mood::Answers(500)).await;
    let report = town.start().await.cycle().await;
    assert_eq!((report.status, report.phase), (CycleStatus::Failed, Some(Phase::Monitor)));
    let error = report.error.expect("why");
    assert!(error.contains("prometheus") && error.contains("pods"), "{error}");
}

/// The network, with a defect for one server.
#[derive(Debug)]
struct Defective(Http);

#[async_trait]
impl HttpTransport for Defective {
    fn client(&self) -> &Client {
        self.0.client()
    }

    async fn send(&self, request: Request) -> Result<Response, Failure> {
        assert_ne!(request.url().host_str(), Some("github.invalid"), "a defect");
        self.0.send(request).await
    }
}

#[tokio::test]
async fn b07_a_panic_in_what_is_for_people_is_told_reported_and_stops_no_healing() {
    let mut town = Town::new().await;
    town.assessor = Some(Arc::new(Broken));
    town.deployment("search", 0, 2, 10);
    let mut running = town.start().await;
    // The first alarm reaches nobody, and no file can keep it: it is sent again.
    town.slack.always(Reply::No("invalid_auth"));
    let spool = town.logs().join("incidents");
    std::fs::create_dir_all(town.logs()).expect("a folder");
    std::fs::write(&spool, "in the way").expect("a file");
    assert_eq!(running.cycle().await.notifications_sent, 0);
    town.posted();
    std::fs::remove_file(&spool).expect("out of the way");
    town.slack.always(Reply::Fine);
    // More often than a loop that panics lives.
    for failed in 2..=6 {
        let report = running.cycle().await;
        assert_eq!((report.status, report.phase), (CycleStatus::Error, Some(Phase::Escalation)));
        assert_eq!(report.failed_cycles, failed);
        assert!(report.error.expect("why").contains("a defect"));
        assert!(report.basis.is_some(), "the loop's own half went on");
    }
    assert!(town.posted().is_empty(), "once in half an hour");
    running.later(61).await;
    let told = town.posted();
    assert_eq!(told.len(), 1);
    assert!(told[0].shown().contains("Unable to assess"), "{}", told[0].shown());
    assert_eq!(town.files("").iter().filter(|name| name.starts_with("cycle_")).count(), 6);
}

#[tokio::test]
async fn b07_a_panic_in_looking_for_deployments_costs_the_explanation_alone() {
    let mut town = Town::new().await;
    let anywhere = Url::parse("http://localhost").expect("a URL");
    let http = Http::reaching(&anywhere, None, Connections::default()).expect("a client");
    town.wire = Some(Arc::new(Defective(http)));
    town.catalogue(&json!([{"name": "search", "namespace": "shop", "tier": "P1",
                            "gitops_paths": ["deploy/search"]}]));
    let github = &mut town.loops.config.github;
    github.enabled = true;
    github.api_url = "http://github.invalid".parse().expect("a URL");
    (github.owner, github.repository) = (Some("acme".to_owned()), Some("shop".to_owned()));
    town.deployment("search", 0, 2, 10);
    let mut running = town.start().await;
    for _ in 0..2 {
        assert_eq!(running.cycle().await.status, CycleStatus::Completed);
    }
    assert_eq!(town.posted().len(), 1);
}

#[tokio::test]
async fn b05_what_waits_needs_no_file_of_the_machine_that_is_gone() {
    let town = Town::new().await;
    town.slack.always(Reply::No("invalid_auth"));
    town.deployment("payments", 0, 2, 3);
    let mut running = town.start().await;
    running.cycle().await;
    assert_eq!(town.files("incidents").len(), 1);
    running.stop().await;
    // The store is shared, the folder was of the machine that is gone.
    std::fs::remove_dir_all(town.logs()).expect("the folder goes");
    town.posted();
    town.slack.always(Reply::Fine);
    let mut running = town.start().await;
    running.cycle().await;
    running.later(61).await;
    assert_eq!(town.posted().len(), 1, "the outbox has it");
    running.cycle().await;
    assert!(town.posted().is_empty(), "once");
}

#[tokio::test]
async fn b37_a_stop_while_it_is_blind_tells_no_end() {
    let (town, mut running) = Box::pin(blind()).await;
    // Before anything is read nobody can see that it is over; after that everybody sees that it is not.
    for (at, failed) in [(Phase::Monitor, 3), (Phase::Plan, 4)] {
        let stop = CancellationToken::new();
        let cycle = &mut running.parts.cycle;
        let on_phase = |phase: Phase| {
            if phase == at {
                stop.cancel();
            }
        };
        let ended = cycle.run(Trigger::Scheduled, &stop, &on_phase).await;
        assert_eq!(ended.report.failed_cycles, failed, "stopped in {at:?}");
        assert_ne!(ended.report.status, CycleStatus::Healthy);
        assert!(town.posted().is_empty());
        let open = ended.view.people.incidents;
        assert_eq!(open.len(), 1, "{open:#?}");
    }
}

#[tokio::test]
async fn b05_what_no_file_can_keep_is_said_by_health_and_stays_due() {
    let mut town = Town::new().await;
    town.loops.config.escalation.reports_dir = None;
    town.slack.always(Reply::No("invalid_auth"));
    town.deployment("payments", 0, 2, 3);
    let mut running = town.start().await;
    let report = running.cycle().await;
    assert!(!report.notification_result.expect("a result").backed_up);
    let untold = running.view().people.not_notified.clone().expect("health says so");
    assert!(untold.contains("invalid_auth"), "{untold}");
    town.posted();
    town.slack.always(Reply::Fine);
    running.later(61).await;
    assert_eq!(town.posted().len(), 1);
    assert_eq!(running.view().people.not_notified, None);
}
