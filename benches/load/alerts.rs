//! Alerts as Alertmanager's webhook and its list carry them.

/// A payload of these alerts.
pub fn payload(alerts: &[String]) -> String {
    format!(
        r#"{{"receiver":"mape-k","status":"firing","version":"4","groupKey":"{{}}:{{}}","truncatedAlerts":0,"groupLabels":{{}},"commonLabels":{{}},"commonAnnotations":{{}},"externalURL":"http://alertmanager:9093","alerts":[{}]}}"#,
        alerts.join(",")
    )
}

/// A warning of usual size, told apart by its number.
pub fn warning(number: u64) -> String {
    format!(
        r#"{{"status":"firing","labels":{{"alertname":"QueueGrows","severity":"warning","component":"component-{}","instance":"10.0.0.{}:9100","job":"charter","pod":"charter-{number}"}},"annotations":{{"summary":"The queue of charter-{number} has been growing for 10 minutes","runbook_url":"https://runbooks.example/queue-grows"}},"startsAt":"2026-01-01T00:00:00.000Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://prometheus:9090/graph","fingerprint":"{number:016x}"}}"#,
        number % 100,
        number % 250
    )
}

/// A critical one with a cause of its own, as the webhook (and, with `receivers`, the list) carries it.
pub fn critical(cause: &str) -> String {
    format!(
        r#"{{"status":"firing","labels":{{"alertname":"Stuck","severity":"critical","component":"{cause}","cause":"{cause}"}},"annotations":{{"summary":"It is stuck"}},"startsAt":"2026-01-01T00:00:00.000Z","endsAt":"0001-01-01T00:00:00Z","fingerprint":"{cause:0>16}"}}"#
    )
}

/// The same in Alertmanager's list.
pub fn listed(cause: &str) -> String {
    critical(cause).replacen(
        r#""status":"firing""#,
        r#""status":{"state":"active","silencedBy":[],"inhibitedBy":[]},"receivers":[{"name":"mape-k"}]"#,
        1,
    )
}
