//! Which domain values are kept, under which key, and by which tag and time their lists and bounds work.
//!
//! The bodies are the domain values' own JSON; no value is stored in two forms.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::store::Collection;
use crate::domain::alert::{AlertStatus, InboxAlert};
use crate::domain::analysis::Analysis;
use crate::domain::cycle::CycleReport;
use crate::domain::execution::Execution;
use crate::domain::expiring_action::ExpiringAction;
use crate::domain::incident::Incident;
use crate::domain::need::Need;
use crate::domain::outcome::{Insight, Outcome, PendingVerification};
use crate::domain::pause::PauseRecord;
use crate::domain::policy::Policy;
use crate::domain::time::Time;
use crate::domain::treatment::Treatment;
use crate::domain::violation::TrackedViolation;

/// A value that has a collection of its own.
pub trait Document: Serialize + DeserializeOwned {
    const COLLECTION: Collection;

    fn key(&self) -> String;

    /// What lists filter and bounds select by; empty where nobody filters.
    fn tag(&self) -> &'static str {
        ""
    }

    /// The time from which its age counts: the last one at which it still mattered.
    fn at(&self) -> Time;
}

/// A single fact under a name: learnt receivers, the last change of size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fact {
    pub name: String,
    pub value: serde_json::Value,
    pub at: Time,
}

impl Fact {
    /// The names of receivers that accepted webhook payloads carried: a list of texts. The webhook's intake writes it,
    /// the cycle reads it to tell which listed alerts are routed to us.
    pub const RECEIVERS: &str = "receivers";

    /// What clears by itself ([`crate::domain::natural::Natural`]). The cycle writes it, statistics read it.
    pub const NATURAL: &str = "natural_recovery";

    /// A person's pause ([`crate::domain::pause::Pause`]), or null after a resume. People write it, the cycle reads it.
    pub const PAUSE: &str = "pause";

    /// What the phases for people remember from cycle to cycle. The cycle alone writes and reads it.
    pub const PEOPLE: &str = "people";

    /// Its presence says that the store is one of rehearsals (`run --speed`). The first rehearsal writes it.
    pub const REHEARSAL: &str = "rehearsal";
}

/// An alert that is firing, whether a cycle has taken it in or not.
pub const FIRING: &str = "firing";
/// An alert that resolved, which no cycle has taken in yet.
pub const RESOLVED: &str = "resolved";
/// An alert that resolved and was taken in: only its key is still of use.
pub const DONE: &str = "done";
pub const ACTIVE: &str = "active";
pub const CLEARED: &str = "cleared";
pub const OPEN: &str = "open";
pub const CLOSED: &str = "closed";

impl Document for InboxAlert {
    const COLLECTION: Collection = Collection::Alerts;

    fn key(&self) -> String {
        InboxAlert::key(self)
    }

    fn tag(&self) -> &'static str {
        match (self.status, self.processed) {
            (AlertStatus::Firing, _) => FIRING,
            (AlertStatus::Resolved, false) => RESOLVED,
            (AlertStatus::Resolved, true) => DONE,
        }
    }

    fn at(&self) -> Time {
        self.received_at
    }
}

impl Document for TrackedViolation {
    const COLLECTION: Collection = Collection::Violations;

    fn key(&self) -> String {
        self.violation.fingerprint.clone()
    }

    fn tag(&self) -> &'static str {
        if self.violation.cleared_at.is_some() { CLEARED } else { ACTIVE }
    }

    // From clearing: one that was active for longer than the retention must still be known when it comes back.
    fn at(&self) -> Time {
        self.violation.cleared_at.unwrap_or(self.violation.active_since)
    }
}

impl Document for Analysis {
    const COLLECTION: Collection = Collection::Analyses;

    fn key(&self) -> String {
        self.id.to_string()
    }

    fn at(&self) -> Time {
        self.at
    }
}

impl Document for Policy {
    const COLLECTION: Collection = Collection::Policies;

    fn key(&self) -> String {
        self.id.to_string()
    }

    fn tag(&self) -> &'static str {
        self.approval.as_str()
    }

    fn at(&self) -> Time {
        self.updated_at
    }
}

impl Document for Execution {
    const COLLECTION: Collection = Collection::Executions;

    fn key(&self) -> String {
        self.id.to_string()
    }

    fn tag(&self) -> &'static str {
        self.status.into()
    }

    fn at(&self) -> Time {
        self.ended_at.unwrap_or(self.started_at)
    }
}

impl Document for PendingVerification {
    const COLLECTION: Collection = Collection::Verifications;

    fn key(&self) -> String {
        self.execution_id.to_string()
    }

    fn at(&self) -> Time {
        self.intent_at
    }
}

impl Document for ExpiringAction {
    const COLLECTION: Collection = Collection::ExpiringActions;

    fn key(&self) -> String {
        self.key.to_string()
    }

    fn at(&self) -> Time {
        self.expires_at
    }
}

impl Document for Outcome {
    const COLLECTION: Collection = Collection::Outcomes;

    fn key(&self) -> String {
        self.id.to_string()
    }

    fn tag(&self) -> &'static str {
        self.outcome_type.as_str()
    }

    fn at(&self) -> Time {
        self.judged_at
    }
}

impl Document for Insight {
    const COLLECTION: Collection = Collection::Insights;

    fn key(&self) -> String {
        self.key.clone()
    }

    fn at(&self) -> Time {
        self.updated_at
    }
}

impl Document for Treatment {
    const COLLECTION: Collection = Collection::Treatments;

    fn key(&self) -> String {
        self.id.to_string()
    }

    // An incident that still has evidence never grows old.
    fn at(&self) -> Time {
        self.last_evidence_at
    }
}

impl Document for Need {
    const COLLECTION: Collection = Collection::Needs;

    fn key(&self) -> String {
        self.id.to_string()
    }

    fn tag(&self) -> &'static str {
        if self.closed_at.is_some() { CLOSED } else { OPEN }
    }

    fn at(&self) -> Time {
        self.closed_at.unwrap_or(self.opened_at)
    }
}

impl Document for Incident {
    const COLLECTION: Collection = Collection::Incidents;

    fn key(&self) -> String {
        self.id.clone()
    }

    fn tag(&self) -> &'static str {
        // One that ended still waits for its end, or for business hours, to be told.
        let waits = self.end_is_due || self.is_queued;
        if self.ended_at.is_some() && !waits { CLOSED } else { OPEN }
    }

    fn at(&self) -> Time {
        // One that lasts never grows old.
        self.ended_at.unwrap_or(self.last_seen_at)
    }
}

impl Document for CycleReport {
    const COLLECTION: Collection = Collection::Cycles;

    fn key(&self) -> String {
        self.id.clone()
    }

    fn tag(&self) -> &'static str {
        self.status.as_str()
    }

    fn at(&self) -> Time {
        self.started_at
    }
}

impl Document for Fact {
    const COLLECTION: Collection = Collection::Facts;

    fn key(&self) -> String {
        self.name.clone()
    }

    fn at(&self) -> Time {
        self.at
    }
}

impl Document for PauseRecord {
    const COLLECTION: Collection = Collection::Pauses;

    fn key(&self) -> String {
        self.pause.since.to_rfc3339()
    }

    fn at(&self) -> Time {
        self.end()
    }
}
