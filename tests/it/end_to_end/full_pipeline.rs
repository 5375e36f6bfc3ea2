//! A fault is seen by real Prometheus, told by a real alert, healed, judged, and counted.

use std::time::Duration;

use serde_json::Value;

use super::stack::{STAGING, Stack, Surroundings};
use super::{LATER, SOON};
use crate::support::eventually::eventually;
use crate::support::process::Process;
use crate::support::tools::promtool_check_metrics;

/// The guide's query over Charter's own metrics.
const LATENCY: &str = "westworld_charter_validation_latency_seconds{quantile=\"0.95\"}";

/// A55 with A43, A46, A40 and A41: an overload injected at the reference Charter, then a critical policy fault.
#[tokio::test]
async fn a55_an_overload_and_then_a_bad_policy_are_healed_on_the_real_thing() {
    let stack = Surroundings::start().await.with_daemon(&STAGING).await;
    stack.daemon.is_well().await;
    a43_prometheus_answers_the_query_over_charters_metrics(&stack).await;

    stack.charter.inject("overload").await;
    eventually(SOON, "A55 Prometheus sees the latency", async || {
        let broken = stack.prometheus.query(&format!("{LATENCY} > 1")).await?;
        if broken.is_empty() { Err("all below 1 s") } else { Ok(()) }.map_err(str::to_owned)
    })
    .await;
    let outcome = judged(&stack, "scale_up").await;
    assert_eq!(outcome["outcome_type"], "success", "{outcome}");
    assert_eq!(outcome["cause"], "validation_latency", "{outcome}");
    assert!(outcome["violations_before"].as_u64() >= Some(1), "{outcome}");
    assert_eq!(outcome["violations_after"], 0, "{outcome}");

    let state = stack.charter.state().await;
    assert_eq!((&state["status"], &state["replicas"]), (&"normal".into(), &5.into()), "{state}");
    let broken = stack.prometheus.query(&format!("{LATENCY} > 1")).await;
    assert_eq!(broken, Ok(Vec::new()), "the latency has recovered");
    assert_eq!(
        stack.charter.changes().await,
        ["/api/v1/committee/scale {\"replicas\":5}"],
        "one call, and nothing beside it"
    );
    // The alert came by itself: Prometheus' rule, Alertmanager's route, our webhook, a cycle.
    for series in [
        "mape_k_alerts_total{outcome=\"accepted\"}",
        "mape_k_alerts_received_total",
        "mape_k_alerts_processed_total",
        "mape_k_policy_executions_total{status=\"success\"}",
        "mape_k_outcomes_total{type=\"success\"}",
    ] {
        let value = stack.daemon.metric(series).await;
        assert!(value.as_ref().is_ok_and(|v| *v >= 1.0), "{series}: {value:?}");
    }
    assert_eq!(
        stack.daemon.metric("mape_k_policy_executions_total{status=\"failed\"}").await,
        Ok(0.0)
    );

    a46_a_critical_alert_wakes_the_loop(&stack).await;
    a41_the_guides_queries_answer_with_numbers(&stack).await;
    a40_promtool_finds_nothing_to_say(&stack).await;
    the_status_command_tells_it(&stack).await;
    let open = stack.daemon.get("/api/v1/incidents?open=true").await.expect("a list");
    let open = open["items"].as_array().cloned().unwrap_or_default();
    let nobody = Value::Array(Vec::new());
    assert!(open.iter().all(|incident| incident["needs"] == nobody), "nobody is needed: {open:?}");
}

async fn judged(stack: &Stack, action: &str) -> Value {
    eventually(LATER, &format!("the outcome of {action} is recorded"), async || {
        let outcomes = stack.daemon.list("outcomes").await?;
        match outcomes.iter().find(|outcome| outcome["action_type"] == action) {
            Some(outcome) => Ok(outcome.clone()),
            None => Err(format!(
                "{}; calls {:?}",
                stack.daemon.get("/api/v1/state").await?,
                stack.charter.changes().await
            )),
        }
    })
    .await
}

async fn a43_prometheus_answers_the_query_over_charters_metrics(stack: &Stack) {
    let series = eventually(SOON, "A43 Charter's latency in Prometheus", async || {
        let series = stack.prometheus.query(LATENCY).await?;
        if series.is_empty() { Err("no series yet".to_owned()) } else { Ok(series) }
    })
    .await;
    assert_eq!(series.len(), 3, "one for each validation_type: {series:?}");
    assert!(series.iter().all(|series| series["metric"]["job"] == "charter"), "{series:?}");
    assert!(series.iter().all(|s| number(s).is_some_and(|v| v < 1.0)), "{series:?}");
}

/// A46: rule → Alertmanager → webhook → a cycle before its time, which heals.
async fn a46_a_critical_alert_wakes_the_loop(stack: &Stack) {
    stack.charter.inject("misconfigured_policy").await;
    eventually(SOON, "A46 the critical alert has woken a cycle", async || {
        let cycles = stack.daemon.list("cycles").await?;
        let woken = cycles.iter().any(|cycle| cycle["trigger"] == "woken");
        if woken { Ok(()) } else { Err(format!("{} cycles, none woken", cycles.len())) }
    })
    .await;
    let asked = stack.daemon.metric("mape_k_wakeups_total{reason=\"critical_alert\"}").await;
    assert!(asked.as_ref().is_ok_and(|n| *n >= 1.0), "{asked:?}");
    let outcome = judged(stack, "apply_policy").await;
    assert_eq!(outcome["outcome_type"], "success", "{outcome}");
    let changes = stack.charter.changes().await;
    assert_eq!(changes.len(), 2, "the old increase starts no second action: {changes:?}");
    assert!(changes[1].starts_with("/api/v1/policies/apply "), "{changes:?}");
}

/// A41: as the guide has them; the latencies in the form that works on classic histograms.
async fn a41_the_guides_queries_answer_with_numbers(stack: &Stack) {
    let mut queries = vec![
        "mape_k_alerts_received_total".to_owned(),
        "mape_k_alerts_processed_total".to_owned(),
        "mape_k_policy_executions_total".to_owned(),
    ];
    for name in ["mape_k_loop_duration_seconds", "charter_api_response_duration_seconds"] {
        queries.push(format!("rate({name}_sum[1m])/rate({name}_count[1m])"));
        queries.push(format!("histogram_quantile(0.95, sum by (le) (rate({name}_bucket[5m])))"));
    }
    for query in queries {
        let numbers = eventually(SOON, &format!("A41 {query}"), async || {
            let series = stack.prometheus.query(&query).await?;
            let numbers: Option<Vec<f64>> = series.iter().map(number).collect();
            match numbers {
                Some(numbers) if !numbers.is_empty() && numbers.iter().all(|n| n.is_finite()) => {
                    Ok(numbers)
                }
                _ => Err(format!("{series:?}")),
            }
        })
        .await;
        println!("A41 {query} = {numbers:?}");
    }
    eventually(SOON, "A41 Prometheus has what the daemon counted", async || {
        let query = "mape_k_policy_executions_total{status=\"success\"} == 2";
        let series = stack.prometheus.query(query).await?;
        if series.is_empty() { Err("not yet".to_owned()) } else { Ok(()) }
    })
    .await;
}

async fn a40_promtool_finds_nothing_to_say(stack: &Stack) {
    let exposition = stack.daemon.metrics().await;
    for name in [
        "mape_k_loop_duration_seconds_bucket{",
        "mape_k_policy_executions_total{status=\"success\"} 2",
        "mape_k_policy_executions_total{status=\"failed\"} 0",
        "charter_api_response_duration_seconds_bucket{",
        "mape_k_alerts_received_total ",
        "mape_k_alerts_processed_total ",
    ] {
        assert!(exposition.lines().any(|line| line.starts_with(name)), "{name}\n{exposition}");
    }
    assert_eq!(promtool_check_metrics(&exposition), Ok(String::new()));
}

async fn the_status_command_tells_it(stack: &Stack) {
    let url = format!("http://{}", stack.daemon.settings.api);
    let mut status = Process::start_mape_k(&["status", "--url", &url], &[]);
    let finished = status.finished(SOON).await;
    assert!(finished.status.success(), "{finished:?}");
    println!("{}", finished.stdout);
    for word in ["scale_up", "apply_policy"] {
        assert!(finished.stdout.contains(word), "{word}\n{}", finished.stdout);
    }
}

/// The value of an instant query's series.
fn number(series: &Value) -> Option<f64> {
    series["value"][1].as_str()?.parse().ok()
}

/// The daemon leaves within its promise with everything around it running.
#[tokio::test]
async fn a49_an_idle_daemon_stops_at_once_and_says_so() {
    let mut stack = Surroundings::start().await.with_daemon(&STAGING).await;
    stack.daemon.is_well().await;
    let finished = stack.daemon.stop(Duration::from_secs(100)).await;
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    assert!(finished.stderr.contains("mape-k stopped"), "{}", finished.stderr);
}
