//! The loop's own escalations as findings: what it cannot or may not fix enters the phase that decides whom to tell.

use crate::domain::finding::{Finding, FindingKind, FindingSeverity};
use crate::domain::need::{Need, NeedReason as Reason};
use crate::domain::time::Time;

/// The service under which the daemon speaks of itself.
pub const SELF: &str = "mape-k";

/// Findings of the records that are open, and of the daemon itself when `failing` says why cycle after cycle fails.
/// `unnamed`: the service that a record without a component is about.
#[must_use]
pub fn findings(open: &[Need], failing: Option<&Failing>, unnamed: &str) -> Vec<Finding> {
    // Blind is one thing, whatever makes it so: the record of the metrics and the failed cycles are told as one.
    let blind = open.iter().find(|record| record.reason == Reason::Blind);
    let own = match (blind, failing) {
        (Some(record), _) => Some(blind_finding(&record.detail, record.opened_at)),
        (None, Some(failing)) => Some(blind_finding(&failing.said(), failing.since)),
        (None, None) => None,
    };
    let records = open.iter().filter(|record| record.reason != Reason::Blind);
    records.map(|record| finding(record, unnamed)).chain(own).collect()
}

/// Cycles that failed one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Failing {
    pub since: Time,
    pub phase: String,
    pub error: String,
}

impl Failing {
    fn said(&self) -> String {
        format!(
            "cycle after cycle has failed since {} UTC (phase {}): {}",
            self.since.format("%H:%M:%S"),
            self.phase,
            self.error
        )
    }
}

fn blind_finding(detail: &str, since: Time) -> Finding {
    about(Reason::Blind, SELF.to_owned(), detail.to_owned(), since)
}

fn finding(record: &Need, unnamed: &str) -> Finding {
    let service = record.component.clone().unwrap_or_else(|| unnamed.to_owned());
    let cause = record.cause.as_ref().map(|cause| format!(" [{cause}]")).unwrap_or_default();
    let reason = format!("{}{cause}: {}", record.subject, record.detail);
    Finding { record: Some(record.id), ..about(record.reason, service, reason, record.opened_at) }
}

fn about(reason: Reason, service: String, text: String, since: Time) -> Finding {
    Finding {
        kind: FindingKind::Loop(reason),
        severity: FindingSeverity::High,
        priority: None,
        owner: SELF.to_owned(),
        service,
        namespace: None,
        pods: Vec::new(),
        ready: None,
        desired: None,
        restarts: 0,
        within_rollout: false,
        data_at_risk: None,
        reason: text,
        exit_code: None,
        log_lines: Vec::new(),
        since,
        recommendation: recommendation(reason).to_owned(),
        record: None,
    }
}

/// What a person does first; docs/OPERATIONS.md has the rest.
fn recommendation(reason: Reason) -> &'static str {
    match reason {
        Reason::UnknownCause | Reason::UnknownAlert => {
            "look into it: no remedy is configured for it (`mape-k explain` shows what was seen)"
        }
        Reason::UnconfirmedAlert => {
            "look into it: Alertmanager does not confirm it, so nothing is done about it (its text says why)"
        }
        Reason::ApprovalNeeded => "decide: `mape-k approve` or `mape-k reject`",
        Reason::CapacityExhausted => {
            "raise plan.scaling.max_replicas, or find out what the load is made of"
        }
        Reason::ActionFailed => "read why: `mape-k explain action`; then mend it by hand",
        Reason::Ineffective | Reason::Degradation | Reason::RemediesExhausted => {
            "take over: what the loop can do did not help (`mape-k explain`)"
        }
        Reason::OutcomeUnknown => "look at its target and decide whether it took effect",
        Reason::Flapping => "find out why it comes and goes; nothing is planned for it meanwhile",
        Reason::AmbiguousScope => "set monitor.scope to the labels of what this loop heals",
        Reason::DataMissing => "find out why the metric is not there any more",
        Reason::Blind => {
            "see `mape-k status` for what cannot be read: it is neither watched nor healed meanwhile"
        }
        Reason::HandsTied => "remove what holds the remedy, or apply it by hand",
        Reason::Breaker => "see why the breaker opened: `mape-k status`, `mape-k explain`",
        Reason::Storm => "look for one common cause: the loop does nothing to single components",
        Reason::Budget => "apply the remedy by hand, or widen guardrails.budget",
    }
}
