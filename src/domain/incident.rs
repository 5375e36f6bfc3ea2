//! An incident of a service, as people are told of it: one for each (service, class), of the loop's own one a record.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::catalogue::Tier;
use super::decision::Sev;
use super::deployment::Suspect;
use super::finding::{Finding, IncidentClass};
use super::message::{Notified, NotifierName, Thread};
use super::time::Time;

/// The numbers by which an incident becomes worse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Numbers {
    /// Ready and desired replicas of the worst owner.
    pub ready: Option<u32>,
    pub desired: Option<u32>,
    /// Pods that show it.
    pub pods: u32,
    pub tier: Option<Tier>,
    /// Restarts of all its containers so far.
    pub restarts: u32,
    /// Restarts an hour over the last assessments; `None`: too few of them yet.
    #[serde(default)]
    pub restart_rate: Option<f64>,
}

/// How it has gone so far: what deciding the next message needs of the past.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Course {
    /// By the table of severities alone, before what raises it.
    pub base: Option<Sev>,
    /// Everything found is known and expected, or what a rollout does.
    pub is_excused: bool,
    /// Without a ready replica since then; with fewer than it should have since then.
    pub down_since: Option<Time>,
    pub short_since: Option<Time>,
    /// When it came back after an end, within the last hour.
    pub returns: Vec<Time>,
    /// Numbers and table's severity when it was first told, until then those at its beginning: what worse is held against.
    pub baseline: Option<(Numbers, Sev)>,
    /// It is worse than its baseline, and its severity raised for it.
    pub is_raised: bool,
    /// The severity of the last decision that it was part of.
    pub decided: Option<Sev>,
    /// What people heard last, in an alert or an update: its numbers, and a hash of all that is no time.
    pub told_numbers: Option<Numbers>,
    pub told_gist: String,
    /// The same hash of what its first message shows.
    pub shown_gist: String,
    /// When people were told that it was over.
    pub end_told_at: Option<Time>,
    /// Written by the version before: what was told of it last is in a backup only, a file of one machine.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_backup: bool,
}

/// What people are told of one service, from its onset to its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Incident {
    /// `INC-YYYYMMDD_HHMMSS-NNN`, by its first decision.
    pub id: String,
    pub service: String,
    /// Services of one name in two namespaces are two.
    #[serde(default)]
    pub namespace: Option<String>,
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
    /// A line for each of them: why it is as severe as it is, and what was found.
    #[serde(default)]
    pub lines: Vec<String>,
    /// Where it was first announced.
    pub thread: Option<Thread>,
    /// When the last full alert went into the outbox; `None`: nobody is notified yet.
    pub told_at: Option<Time>,
    pub told_severity: Option<Sev>,
    /// What became of that at each notifier; empty: none is configured. Only `delivered` says that people were notified.
    #[serde(default)]
    pub notified: BTreeMap<NotifierName, Notified>,
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
    #[serde(default)]
    pub course: Course,
}

impl Incident {
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.ended_at.is_none()
    }
}
