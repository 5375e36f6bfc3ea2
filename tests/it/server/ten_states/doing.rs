//! R10: what is done about an open incident, or why nothing is: `status` and `explain incident` say it alike.

use mape_k::domain::incident::IncidentStatus;
use mape_k::domain::reading::Source;
use mape_k::domain::rule::Severity;

use super::super::violation;
use super::{State, WELL, incident, later, run};

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
