//! R10: what is done about an open incident, or why nothing is: `status` and `explain incident` say it alike.

use super::{State, incident, run};
use mape_k::domain::incident::IncidentStatus;

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
