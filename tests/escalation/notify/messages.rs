//! Messages as the escalation makes them.

use chrono::TimeDelta;
use mape_k::domain::decision::Sev;
use mape_k::domain::finding::IncidentClass;
use mape_k::domain::message::{Entry, Form, Message, Thread};
use mape_k::domain::time::Time;

pub fn at(second: i64) -> Time {
    let start: Time = "2026-11-22T02:50:12Z".parse().expect("a time");
    start + TimeDelta::seconds(second)
}

pub fn entry(number: u32, service: &str, severity: Sev) -> Entry {
    Entry {
        incident: format!("INC-20261122_025012-{number:03}"),
        service: service.to_owned(),
        class: IncidentClass::Availability,
        severity,
        namespace: Some("production".to_owned()),
        since: at(-240),
        ended_at: None,
        news: Vec::new(),
        findings: vec![format!(
            "Deployment/{service}: 0 of 2 pods ready: CrashLoopBackOff, exit code 1"
        )],
        recommendations: vec![format!("Read the log: kubectl logs -n production deploy/{service}")],
        runbook_url: Some(format!("https://runbooks.example/{service}?a=1&b=2")),
        deployment: None,
    }
}

/// An alert about one service.
pub fn alert(severity: Sev, service: &str) -> Message {
    Message {
        form: Form::Alert,
        severity,
        channel: severity.channel(),
        at: at(0),
        cycle_id: "20261122_025012".to_owned(),
        title: format!("{severity}: {service} is down"),
        root_cause: format!("{service} has no ready pod of 2 since 02:46 UTC"),
        impact: "Customers cannot pay".to_owned(),
        actions: vec![
            "Read the log of the crashing container".to_owned(),
            "Roll back if it began with a deployment".to_owned(),
        ],
        confidence: 90,
        is_partial: false,
        entries: vec![entry(1, service, severity)],
    }
}

/// The same at another time, about another incident.
pub fn alert_at(severity: Sev, service: &str, second: i64, number: u32) -> Message {
    let mut message = alert(severity, service);
    message.at = at(second);
    message.entries = vec![entry(number, service, severity)];
    message
}

pub fn with_form(message: Message, form: Form) -> Message {
    Message { form, ..message }
}

pub fn thread(channel: &str, ts: &str) -> Thread {
    Thread { channel: channel.to_owned(), ts: ts.to_owned() }
}
