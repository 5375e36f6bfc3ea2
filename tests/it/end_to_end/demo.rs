//! The demo as a stranger runs it: every fault once, told, and ended as the reference Charter's table says.

use std::time::Duration;

use serde_json::Value;

use crate::support::process::Process;

/// Five minutes are the demo's promise, for a machine of its own.
const GIVE_UP: &str = "600";
const WITHIN: Duration = Duration::from_mins(11);

const FAULTS: [&str; 9] = [
    "overload",
    "slow_leak",
    "misconfigured_policy",
    "hot_shard",
    "bad_configuration",
    "retry_storm",
    "transient_blip",
    "telemetry_gap",
    "shared_shock",
];

/// Both outputs at once: they are two processes with two plants.
#[tokio::test]
async fn the_demo_ends_every_fault_as_it_should_and_tells_it_to_people_and_machines() {
    let mut people = Process::start_mape_k(&["demo", "--duration", GIVE_UP], &[]);
    let mut machine = Process::start_mape_k(&["demo", "--duration", GIVE_UP, "-o", "json"], &[]);
    let (text, data) = tokio::join!(people.finished(WITHIN), machine.finished(WITHIN));

    println!("{}", text.stdout);
    assert_eq!(text.status.code(), Some(0), "{}\n{}", text.stdout, text.stderr);
    assert_eq!(text.stderr, "", "nothing beside the story");
    for fault in FAULTS {
        let rows = text.stdout.lines().filter(|line| line.starts_with(&format!("{fault} ")));
        assert_eq!(rows.count(), 1, "one row of the table is {fault}'s");
    }
    assert!(!text.stdout.contains("NOT AS EXPECTED"));

    assert_eq!(data.status.code(), Some(0), "{}\n{}", data.stdout, data.stderr);
    let lines: Vec<Value> = data
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    let table = lines.last().expect("at least the table");
    let rows = table["faults"].as_array().expect("the table comes last");
    assert_eq!(rows.len(), FAULTS.len(), "{table}");
    for fault in FAULTS {
        let row = rows.iter().find(|row| row["fault"] == fault).expect("a row");
        assert_eq!(row["as_expected"], true, "{row}");
    }
    let actions = |fault: &str| &rows.iter().find(|row| row["fault"] == fault).unwrap()["actions"];
    assert_eq!(actions("overload"), &serde_json::json!(["scale_up"]));
    assert_eq!(actions("hot_shard"), &serde_json::json!(["rebalance_load"]));
    assert_eq!(actions("slow_leak"), &serde_json::json!(["rebalance_load", "restart_service"]));
    assert_eq!(actions("retry_storm"), &serde_json::json!(["scale_up", "throttle_requests"]));
    assert_eq!(actions("misconfigured_policy"), &serde_json::json!(["apply_policy"]));
    assert_eq!(actions("bad_configuration"), &serde_json::json!(["rebalance_load"]));
    assert_eq!(actions("transient_blip"), &serde_json::json!([]));
    assert_eq!(actions("telemetry_gap"), &serde_json::json!([]));
}
