//! The nine actions as values: read, printed and written as Charter speaks them.

use mape_k::domain::action::{Action, ActionKind};
use serde_json::{Value, json};

/// One of each, as on the wire, with how it reads for people.
fn nine() -> [(Value, &'static str); 9] {
    [
        (json!({"action": "scale_up", "replicas": 6}), "scale_up to 6 replicas"),
        (json!({"action": "scale_down", "replicas": 2}), "scale_down to 2 replicas"),
        (
            json!({"action": "restart_service", "service": "ingest", "graceful": true}),
            "restart_service ingest",
        ),
        (json!({"action": "apply_policy", "policy_set": "baseline"}), "apply_policy baseline"),
        (
            json!({"action": "bypass_validation", "validation_type": "schema", "duration_seconds": 60}),
            "bypass_validation schema for 60 s",
        ),
        (
            json!({"action": "throttle_requests", "rate_limit": 812.5, "duration_seconds": 900}),
            "throttle_requests to 812 ops/s for 900 s",
        ),
        (
            json!({"action": "activate_emergency_override", "duration_seconds": 900}),
            "activate_emergency_override for 900 s",
        ),
        (
            json!({"action": "rebalance_load", "strategy": "least_loaded"}),
            "rebalance_load least_loaded",
        ),
        (
            json!({"action": "update_configuration", "settings": {"workers": 4, "mode": "calm"}}),
            "update_configuration of 2 settings",
        ),
    ]
}

/// A15: each of the nine parses from its flat form, prints for people, and serializes to the very same form.
#[test]
fn a15_nine_actions_parse_print_and_serialize_flat() {
    for (wire, printed) in nine() {
        let action: Action = serde_json::from_value(wire.clone()).expect("one of the nine");
        assert_eq!(action.to_string(), printed);
        assert_eq!(serde_json::to_value(&action).expect("it serializes"), wire);
        assert_eq!(wire["action"], action.kind().as_str());
    }
}

/// A15: the nine above are all there are, each under one name everywhere.
#[test]
fn a15_there_are_nine_kinds_each_with_one_name() {
    let of_wire: Vec<ActionKind> = nine()
        .into_iter()
        .map(|(wire, _)| serde_json::from_value::<Action>(wire).expect("one of the nine").kind())
        .collect();
    assert_eq!(of_wire, ActionKind::ALL);
    for kind in ActionKind::ALL {
        assert_eq!(kind.to_string(), kind.as_str());
        assert_eq!(serde_json::to_value(kind).expect("a name"), json!(kind.as_str()));
        assert_eq!(serde_json::from_value::<ActionKind>(json!(kind.as_str())).ok(), Some(kind));
    }
}

/// A restart without a service is the whole committee and says so; the key is then absent on the wire.
#[test]
fn a_restart_of_everything_names_no_service() {
    let all = Action::RestartService { service: None, graceful: false };
    let wire = json!({"action": "restart_service", "graceful": false});
    assert_eq!(serde_json::to_value(&all).expect("it serializes"), wire);
    assert_eq!(all.to_string(), "restart_service of all");
}

#[test]
fn what_is_none_of_the_nine_is_refused() {
    for wire in [
        json!({"action": "reboot"}),
        json!({"action": "scale_up"}),
        json!({"action": "scale_up", "replicas": -1}),
        json!({"action": "rebalance_load", "strategy": "random"}),
        json!({"replicas": 3}),
    ] {
        assert!(serde_json::from_value::<Action>(wire.clone()).is_err(), "{wire}");
    }
}
