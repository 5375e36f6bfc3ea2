//! The shipped alerts about the daemon itself, by promtool's own clock: what makes each fire, and what must not.

use serde_json::json;

use crate::support::tools::{check, root, tools};

const EVERY: &str = "15s";

/// Twenty minutes.
const LASTS: usize = 80;

/// What replica `a` and `b` of one job show: who leads, and how many cycles each ends in 15 s.
fn replicas(leads: [u8; 2], cycles: [u8; 2]) -> Vec<serde_json::Value> {
    let mut series = Vec::new();
    for (at, instance) in ["a", "b"].into_iter().enumerate() {
        let of = format!("{{job=\"mape-k\", instance=\"{instance}\"}}");
        series.extend([
            json!({"series": format!("up{of}"), "values": format!("1x{LASTS}")}),
            json!({"series": format!("mape_k_leader{of}"), "values": format!("{}x{LASTS}", leads[at])}),
            json!({"series": format!("mape_k_loop_duration_seconds_count{of}"),
                   "values": format!("1+{}x{LASTS}", cycles[at])}),
        ]);
    }
    series
}

/// Exactly these alerts fire at the end, each with the instance that it is about.
fn fires(series: &[serde_json::Value], expected: &[(&str, Option<&str>)]) {
    let samples = expected.iter().map(|(name, instance)| {
        let of = instance.map(|i| format!(", instance=\"{i}\"")).unwrap_or_default();
        json!({"labels": format!("{{alertname=\"{name}\"{of}}}"), "value": 1})
    });
    let test = json!({
        "rule_files": [root().join("config/rules/mape_k.yml")],
        "evaluation_interval": EVERY,
        "tests": [{"interval": EVERY, "input_series": series, "promql_expr_test": [{
            "expr": "sum by (alertname, instance) (ALERTS{alertstate=\"firing\"})",
            "eval_time": "20m", "exp_samples": samples.collect::<Vec<_>>()}]}],
    });
    let folder = tempfile::tempdir().expect("a folder");
    // JSON is YAML.
    std::fs::write(folder.path().join("test.yml"), test.to_string()).expect("written");
    check(&tools().promtool, &["test", "rules", "test.yml"], folder.path())
        .unwrap_or_else(|printed| panic!("{printed}"));
}

#[test]
fn a_replica_that_follows_and_so_runs_no_cycle_wakes_nobody() {
    fires(&replicas([1, 0], [1, 0]), &[]);
}

#[test]
fn a_leader_whose_loop_stands_still_is_a_page() {
    fires(&replicas([1, 0], [0, 0]), &[("MAFEKLoopFailure", Some("a"))]);
}

#[test]
fn replicas_of_which_none_leads_are_a_page() {
    fires(&replicas([0, 0], [0, 0]), &[("MapeKNoLeader", None)]);
}
