//! All of it in one store: it starts, sends nothing forward, and API and pages show what is old as what is new.

use mape_k::actuators::charter::Call;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{FORMS, OLD_NAMES, lists, throttle, world};

#[tokio::test]
async fn r11_the_whole_store_is_taken_up_and_shown() {
    for form in FORMS {
        let mut world = world(&[], form).await;
        lists(&world, &[("ours", throttle())]);
        world.start().await;
        world.cycles(4).await;
        for list in ["executions", "outcomes", "policies", "incidents", "cycles", "violations"] {
            let (status, page) = world.get(&format!("/api/v1/{list}?limit=500")).await;
            assert_eq!(status, StatusCode::OK, "{form:?} {list}: {page}");
            assert!(!page["items"].as_array().expect("items").is_empty() || list == "violations");
            let text = page.to_string();
            let old: Vec<&&str> = OLD_NAMES.iter().filter(|name| text.contains(**name)).collect();
            assert!(old.is_empty(), "{form:?} {list}: {old:?}");
        }
        let mut reports = world.reports().await;
        // That version's own, which could not read anything.
        let before = reports.iter().position(|r| r.id == "20260301_030000").expect("it is shown");
        reports.remove(before);
        assert!(reports.iter().all(|r| r.error.is_none()), "{form:?}: {reports:?}");
        let outcomes = world.items("outcomes?limit=500").await;
        let target = |t: &str| outcomes.iter().any(|o| o["target"] == json!(t));
        assert!(target("charter") && target("charter/enforcer"), "{form:?}: {outcomes:?}");
        for execution in world.items("executions?limit=500").await {
            let id = execution["id"].as_str().expect("an id");
            let (status, page) = world.get(&format!("/api/v1/explain/actions/{id}")).await;
            assert_eq!(status, StatusCode::OK, "{form:?} {id}: {page}");
            kept_is_shown(&execution, page["text"].as_str().expect("a text"));
        }
        for call in [Call::Apply, Call::Restart] {
            assert!(world.charter.seen_of(call).is_empty(), "{form:?}: {:?}", world.changes());
        }
        world.stop().await;
    }
}

/// What a record keeps for its undo is on its page, whichever version kept it.
fn kept_is_shown(execution: &Value, page: &str) {
    for action in execution["actions"].as_array().expect("actions") {
        if let Some(id) = action["prior"]["policy_id"].as_str() {
            assert!(page.contains(id), "{id} is not in: {page}");
        }
    }
}
