//! One cause, one alert: what a real Alertmanager with the shipped configuration holds down, and what it must not.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::alertmanager::Alertmanager;
use crate::support::eventually::eventually;

struct Case {
    cause: &'static str,
    held_down: &'static [&'static str],
    /// Beside the cause.
    told: &'static [&'static str],
}

/// Alerts as `Name key=value …`; those about the daemon are of one instance unless they say otherwise.
const CASES: &[Case] = &[
    Case {
        cause: "MapeKDown severity=critical",
        held_down: &[
            "PrometheusScrapeFailure severity=warning",
            "MapeKRestarting severity=critical",
        ],
        told: &["PrometheusScrapeFailure severity=warning instance=b"],
    },
    Case {
        cause: "CharterAPIDown severity=critical job=charter",
        held_down: &[
            "PrometheusScrapeFailure severity=warning job=charter",
            "MapeKEscalated severity=warning reason=unknown_alert",
            "MapeKEscalated severity=warning reason=data_missing",
            "MapeKCannotHeal severity=critical reason=hands_tied",
        ],
        told: &[
            "MapeKEscalated severity=warning reason=unknown_cause",
            "MapeKCannotHeal severity=critical reason=outcome_unknown",
        ],
    },
    Case {
        cause: "MAFEKLoopFailure severity=critical",
        held_down: &[
            "MapeKSourceStale severity=warning",
            "MapeKJournalFailing severity=critical",
            "MapeKEscalated severity=warning reason=blind",
        ],
        told: &["MapeKEscalated severity=warning reason=unknown_cause"],
    },
    Case {
        cause: "MapeKRestarting severity=critical",
        held_down: &["MAFEKLoopFailure severity=critical"],
        told: &["MAFEKLoopFailure severity=critical instance=b"],
    },
    Case {
        cause: "MapeKNoLeader severity=critical instance=",
        held_down: &[
            "MapeKJournalFailing severity=critical",
            "MapeKIntakeRejecting severity=warning reason=too_slow",
        ],
        told: &["MapeKNotificationFailing severity=warning"],
    },
    Case {
        cause: "MapeKJournalFailing severity=critical",
        held_down: &["MapeKIntakeRejecting severity=warning reason=store_failed"],
        told: &["MapeKIntakeRejecting severity=warning reason=unauthorized"],
    },
    Case {
        cause: "MapeKApprovalOverdue severity=critical",
        held_down: &["MapeKApprovalPending severity=warning"],
        told: &[],
    },
    Case {
        cause: "MapeKPeopleNotTold severity=critical",
        held_down: &["MapeKNotificationFailing severity=warning"],
        told: &[],
    },
    // What the daemon posts by itself.
    Case {
        cause: "MapeKEscalation severity=warning class=loop job= instance=",
        held_down: &[
            "MapeKEscalated severity=warning reason=flapping",
            "MapeKRemediationIneffective severity=warning",
            "MapeKPolicyExecutionFailed severity=warning",
        ],
        told: &["MapeKCannotHeal severity=critical", "MapeKBreakerOpen severity=critical"],
    },
    Case {
        cause: "MapeKEscalation severity=critical class=availability job= instance=",
        held_down: &[],
        told: &["MapeKEscalated severity=warning reason=flapping"],
    },
];

/// An empty label is none.
fn alert(text: &str) -> Value {
    let (name, labels) = text.split_once(' ').expect("a name and labels");
    let mut alert =
        json!({"alertname": name, "origin": "mape-k", "job": "mape-k", "instance": "a"});
    for (key, value) in labels.split(' ').filter_map(|label| label.split_once('=')) {
        alert[key] = json!(value);
    }
    json!({"labels": alert})
}

#[tokio::test]
async fn d03_one_cause_is_one_alert_and_nothing_else_is_held_down() {
    for case in CASES {
        let alertmanager = Alertmanager::start("http://127.0.0.1:9/", None).await;
        let all: Vec<Value> = [case.cause]
            .iter()
            .chain(case.held_down)
            .chain(case.told)
            .map(|text| alert(text))
            .collect();
        alertmanager.post_alerts(&json!(all)).await.expect("taken");
        let labels = |alert: &Value| {
            let mut labels = alert["labels"].clone();
            labels.as_object_mut().expect("labels").retain(|_, value| value != "");
            labels.to_string()
        };
        let expected: BTreeSet<String> =
            [case.cause].iter().chain(case.told).map(|text| labels(&alert(text))).collect();
        eventually(Duration::from_secs(20), case.cause, async || {
            let told: BTreeSet<String> = alertmanager.alerts().await?.iter().map(labels).collect();
            if told == expected {
                Ok(())
            } else {
                Err(format!("told are {told:#?}, not {expected:#?}"))
            }
        })
        .await;
    }
}
