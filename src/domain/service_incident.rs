//! An incident of a service, as people are told of it: one for each (service, class), of the loop's own one a record.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::catalogue::Tier;
use super::decision::Sev;
use super::deployment::Suspect;
use super::finding::{Finding, IncidentClass};
use super::message::Thread;
use super::time::Time;

/// The numbers by which an incident becomes worse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Numbers {
    /// Ready and desired replicas of the worst owner.
    pub ready: Option<u32>,
    pub desired: Option<u32>,
    /// Pods that show it.
    pub pods: u32,
    pub tier: Option<Tier>,
    /// Restarts of all its containers so far.
    pub restarts: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceIncident {
    /// `INC-YYYYMMDD_HHMMSS-NNN`, by its first decision.
    pub id: String,
    pub service: String,
    pub class: IncidentClass,
    /// The loop's own record that it is about.
    pub record: Option<Uuid>,
    /// The onset: when it was first observed, or the object's own time if that is earlier.
    pub since: Time,
    pub opened_at: Time,
    pub last_seen_at: Time,
    pub ended_at: Option<Time>,
    pub severity: Sev,
    pub numbers: Numbers,
    /// What was found the last time it was seen; bounded.
    pub findings: Vec<Finding>,
    /// Where it was first announced.
    pub thread: Option<Thread>,
    /// The last full alert that was delivered, or is in a backup; `None`: nobody has been told yet.
    pub told_at: Option<Time>,
    pub told_severity: Option<Sev>,
    /// The last brief update, and the last edit of its message.
    pub updated_at: Option<Time>,
    pub edited_at: Option<Time>,
    /// It waits for business hours.
    #[serde(default)]
    pub is_queued: bool,
    /// Its end still has to be told.
    #[serde(default)]
    pub end_is_due: bool,
    /// The deployment that may be behind it.
    pub suspect: Option<Suspect>,
}
