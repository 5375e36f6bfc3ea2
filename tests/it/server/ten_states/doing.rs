//! R10: what is done about an open incident, or why nothing is: `status` and `explain incident` say it alike.

use mape_k::domain::incident::IncidentStatus;
use mape_k::domain::need::{Need, NeedReason};
use mape_k::domain::policy::Approval;
use mape_k::domain::reading::Source;
use mape_k::domain::rule::Severity;

use super::super::explain::recorded::{EXECUTION, policy};
use super::super::violation;
use super::{State, WELL, approval_needed, incident, later, run, waiting};

/// docs/SEVERITIES.md: an incident whose evidence cannot be read says UNKNOWN and since when.
#[tokio::test]
async fn r10_an_incident_says_what_is_done_about_it_and_that_it_is_unknown() {
    let state = State {
        fill: |batch| {
            let mut unread = incident(1, None);
            unread.doing =
                "UNKNOWN: its evidence could not be read since 2026-11-18T11:06:40Z".to_owned();
            batch.put(&unread);
            let mut applied = incident(2, None);
            applied.status = IncidentStatus::Verifying;
            applied.doing = "restart applied, verifying until 2026-11-18T11:21:40Z".to_owned();
            batch.put(&applied);
            batch.put(&incident(3, None));
        },
        ..State::HEALTHY
    };
    let says = [
        "cart-1 has no ready replica (open; UNKNOWN: its evidence could not be read since 2026-11-18T11:06:40Z) since ",
        "cart-2 has no ready replica (verifying; restart applied, verifying until 2026-11-18T11:21:40Z) since ",
        "cart-3 has no ready replica (open) since ",
    ];
    state.says(&["status"], &says, &[]).await;
    let surface = state.start().await;
    let pages = [
        ("UNKNOWN: its evidence could not be read since 2026-11-18T11:06:40Z.", "under way"),
        ("restart applied, verifying until 2026-11-18T11:21:40Z.", "under way"),
        ("no action on it is under way.", "UNKNOWN"),
    ];
    for (number, (said, never)) in (1..).zip(pages) {
        let id = incident(number, None).id;
        let page = run(&["explain", "incident", &id], &surface.url("")).await.stdout;
        let flowed = page.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flowed.contains("It has been open since 2026-11-18T11:06:40Z"), "{page}");
        assert!(flowed.contains(said) && !flowed.contains(never), "{said}: {page}");
    }
    surface.stop().await;
}

/// A finding of the cluster is among the violations that are counted and listed, and said to be one.
#[tokio::test]
async fn r10_status_says_how_many_of_the_violations_are_findings() {
    let state = State {
        view: |view| {
            let sources = [Source::Prometheus, Source::Kubernetes, Source::Kubernetes];
            view.violations = (1..)
                .zip(sources)
                .map(|(n, source)| violation(n, Severity::Warning, source, None))
                .collect();
            // Read first now, active for longer: as `explain` and the incident count it.
            view.violations[0].detected_at = later();
        },
        ..State::HEALTHY
    };
    let says = [
        "violations active: 3 (0 critical, 3 warning, 0 info; 2 of them findings of the cluster)",
        "since 2026-11-18T11:06:41Z (for 3 min)",
    ];
    state.says(&["status"], &says, &[]).await;
    State::HEALTHY.says(&["status"], &WELL[..1], &["of them findings"]).await;
}

/// The API and `status` name the same command for a need.
#[tokio::test]
async fn r10_the_api_and_status_name_the_same_command_for_a_need() {
    let unknown = State {
        fill: |batch| {
            batch.put(&Need {
                reason: NeedReason::OutcomeUnknown,
                subject: EXECUTION.to_string(),
                approval: None,
                ..approval_needed()
            });
            batch.put(&incident(1, None));
        },
        ..State::HEALTHY
    };
    let explain = format!("mape-k explain action {EXECUTION}");
    let approve = format!("mape-k approve {}", policy(Approval::Pending).short_hash());
    for (state, command) in [(unknown, explain), (waiting(), approve)] {
        let surface = state.start().await;
        let (open, _) = surface.items("/api/v1/incidents?open=true").await;
        let served = open[0]["needs"][0]["command"].as_str().expect("a command");
        assert!(served.starts_with(&command), "{served}");
        let page = run(&["status"], &surface.url("")).await.stdout;
        assert!(page.contains(&format!("    {command} --url ")), "{page}");
        surface.stop().await;
    }
}
