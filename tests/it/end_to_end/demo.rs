//! The demo as a stranger runs it: every fault once, told, and ended as the reference Charter's table says.

use std::time::Duration;

use serde_json::Value;

use crate::support::long::long;
use crate::support::process::{Finished, Process};

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

/// As the reference Charter's table has it, in the order of the demo's.
const ACTIONS: [(&str, &[&str]); 8] = [
    ("overload", &["scale_up"]),
    ("hot_shard", &["rebalance_load"]),
    ("slow_leak", &["rebalance_load", "restart_service"]),
    ("retry_storm", &["scale_up", "throttle_requests"]),
    ("misconfigured_policy", &["apply_policy"]),
    ("bad_configuration", &["rebalance_load"]),
    ("transient_blip", &[]),
    ("telemetry_gap", &[]),
];

/// For people in every check; `make nightly` runs the one for machines as well.
#[tokio::test]
async fn the_demo_ends_every_fault_as_it_should_and_tells_it_to_people_and_machines() {
    let mut people = Process::start_mape_k(&["demo", "--duration", GIVE_UP], &[]);
    let machine =
        long().then(|| Process::start_mape_k(&["demo", "--duration", GIVE_UP, "-o", "json"], &[]));
    let text = people.finished(WITHIN).await;

    println!("{}", text.stdout);
    assert_eq!(text.status.code(), Some(0), "{}\n{}", text.stdout, text.stderr);
    assert_eq!(text.stderr, "", "nothing beside the story");
    let rows_of = |fault: &str| -> Vec<&str> {
        text.stdout.lines().filter(|line| line.starts_with(&format!("{fault} "))).collect()
    };
    for fault in FAULTS {
        assert_eq!(rows_of(fault).len(), 1, "one row of the table is {fault}'s");
    }
    for (fault, actions) in ACTIONS {
        let action = if actions.is_empty() { "–".to_owned() } else { actions.join(", ") };
        let row = rows_of(fault)[0];
        assert!(row.contains(&format!("  {action}  ")), "{action}: {row}");
    }
    assert!(!text.stdout.contains("NOT AS EXPECTED"));
    if let Some(mut machine) = machine {
        told_to_machines(&machine.finished(WITHIN).await);
    }
}

fn told_to_machines(data: &Finished) {
    assert_eq!(data.status.code(), Some(0), "{}\n{}", data.stdout, data.stderr);
    let values: Vec<Value> = serde_json::Deserializer::from_str(&data.stdout)
        .into_iter()
        .map(|value| value.unwrap_or_else(|e| panic!("{e}: {}", data.stdout)))
        .collect();
    let table = values.last().expect("at least the table");
    let rows = table["faults"].as_array().expect("the table comes last");
    assert_eq!(rows.len(), FAULTS.len(), "{table}");
    for fault in FAULTS {
        let row = rows.iter().find(|row| row["fault"] == fault).expect("a row");
        assert_eq!(row["as_expected"], true, "{row}");
    }
    for (fault, actions) in ACTIONS {
        let row = rows.iter().find(|row| row["fault"] == fault).expect("a row");
        assert_eq!(row["actions"], serde_json::json!(actions), "{fault}");
    }
}
