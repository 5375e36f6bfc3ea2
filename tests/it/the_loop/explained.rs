//! Explain over what the real loop records: a cycle that acts, the next one that is held, and what each page says why.

use mape_k::domain::cycle::{CandidateResult, CycleReport, Hold};
use reqwest::StatusCode;
use serde_json::Value;

use super::world::World;

/// The page in one line, so that a sentence is found wherever it is cut.
async fn page(world: &World, path: &str) -> String {
    let (status, body) = world.get(&format!("/api/v1/explain{path}")).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let text = body["text"].as_str().expect("a text");
    println!("{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn says(page: &str, parts: &[&str]) {
    for part in parts {
        assert!(page.contains(part), "{part:?} is not in: {page}");
    }
}

fn is_judging(report: &CycleReport) -> bool {
    let verification =
        |v: &CandidateResult| matches!(v, CandidateResult::Held { reason: Hold::Verifying, .. });
    report.candidates.iter().any(|c| verification(&c.verdict))
}

/// Why did it act, why not again, and what is all that about: from the pages alone.
#[tokio::test]
async fn a_cycle_that_acts_and_the_next_that_is_held_say_why() {
    let mut world = World::new().await;
    world.on_disk();
    world.start().await;
    world.cycles(1).await;
    says(
        &page(&world, "").await,
        &["Nothing was done because nothing is wrong", "No violation of a rule or alert is active"],
    );

    world.latency(1.8);
    world.until("held", async || world.reports().await.iter().any(is_judging)).await;
    let reports = world.reports().await;

    let acted = reports.iter().find(|r| r.execution_id.is_some()).expect("one acted");
    let basis = acted.basis.as_ref().expect("it is kept");
    assert_eq!((basis.violations.len(), basis.causes.len(), basis.policies.len()), (1, 1, 1));
    let policy = basis.policies[0].id;
    let execution = acted.execution_id.expect("just found");
    says(
        &page(&world, &format!("/cycles/{}", acted.id)).await,
        &[
            "scale_up to 5 replicas was done for validation_latency at charter, the best in turn of",
            "Read prometheus and alertmanager: 4 of 4 rules read well",
            "1.8 > 1, for",
            "validation_latency at charter, confidence 0.75 (sustained): 1 violation behind it",
            "benefit 0.75 (confidence 0.75 × effectiveness 1.00) − cost 0.15 = score 0.60",
            "Chosen: the one action of this cycle.",
            &policy.to_string(),
            &execution.to_string(),
        ],
    );

    let held = reports.iter().find(|r| is_judging(r)).expect("one was held");
    says(
        &page(&world, &format!("/cycles/{}", held.id)).await,
        &[
            "Nothing was done because an earlier action on the same target has no result yet",
            "scale_up is being verified",
            "It is weighed again after that result",
            "No action was sent.",
        ],
    );

    let fingerprint = &basis.violations[0].fingerprint;
    says(
        &page(&world, &format!("/violations/{}", &fingerprint[..8])).await,
        &["It has been active for", "Evidence for validation_latency at charter", "- scale_up 20"],
    );
    says(
        &page(&world, &format!("/policies/{policy}")).await,
        &["was carried out", "score 0.60", "without a person"],
    );
    let key = world.items("executions").await[0]["actions"][0]["key"].clone();
    let key = key.as_str().expect("a key");
    for name in [key, &execution.to_string()] {
        says(
            &page(&world, &format!("/actions/{name}")).await,
            &["scale_up to 5 replicas", key, "Kept with it, for an undo: replicas 3"],
        );
    }

    world.latency(0.2);
    // The verdict is stored before the report of the cycle that gave it.
    let judged = async || world.reports().await.into_iter().find(|r| !r.outcomes.is_empty());
    world.until("judged", async || judged().await.is_some()).await;
    let judged = judged().await.expect("just seen").id;
    says(&page(&world, &format!("/cycles/{judged}")).await, &["had the result success"]);
    says(
        &page(&world, &format!("/actions/{execution}")).await,
        &["Result: success", "1 of 1 verified runs helped"],
    );

    // The page of a cycle is made from its report as it is stored, and goes on with what came of it.
    let later = page(&world, &format!("/cycles/{}", acted.id)).await;
    let (_, body) = world.get(&format!("/api/v1/explain/cycles/{}", acted.id)).await;
    let stored: Value = world.get(&format!("/api/v1/cycles/{}", acted.id)).await.1;
    assert_eq!(body["facts"]["report"], stored, "the numbers are those that are stored");
    says(&later, &["Concluded", "had the result success"]);
    world.stop().await;
}
