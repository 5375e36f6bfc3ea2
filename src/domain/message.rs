//! One message to people, its notifiers, and what became of it.

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};
use utoipa::ToSchema;

use super::decision::{Channel, Sev};
use super::finding::IncidentClass;
use super::time::Time;

/// Where a message is, so that mape-k can reply to it and edit it: Slack's channel id and `ts`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
pub struct Thread {
    pub channel: String,
    pub ts: String,
}

/// What is to be done with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "form", content = "thread")]
pub enum Form {
    /// A message of its own: the incident is new or worse, or its last message is old.
    Alert,
    /// The text of an earlier message, brought up to date; nobody is called by it.
    Edit(Thread),
    /// A short answer in the thread: something changed. Without a thread it is a message of its own.
    Update(Option<Thread>),
    /// It is resolved, as a reply in the thread.
    Ended(Option<Thread>),
    /// Messages that could not be delivered in time, in one.
    Summary,
}

impl Form {
    /// The message that it edits or answers.
    #[must_use]
    pub fn thread(&self) -> Option<&Thread> {
        match self {
            Self::Edit(thread) => Some(thread),
            Self::Update(thread) | Self::Ended(thread) => thread.as_ref(),
            Self::Alert | Self::Summary => None,
        }
    }
}

/// One incident as a message shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// `INC-YYYYMMDD_HHMMSS-NNN`
    pub incident: String,
    pub service: String,
    pub class: IncidentClass,
    pub severity: Sev,
    pub namespace: Option<String>,
    pub since: Time,
    pub ended_at: Option<Time>,
    /// What was decided or done, or came of it, since people last heard; it stands before all else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub news: Vec<String>,
    /// What is wrong, a line for each finding.
    pub findings: Vec<String>,
    /// What to do, the most urgent first.
    pub recommendations: Vec<String>,
    /// Where to read what it means: the service's runbook, else the findings' page.
    pub runbook_url: Option<String>,
    /// The deployment that may be behind it, in words with SHA, author, pull request and files.
    pub deployment: Option<String>,
}

impl Entry {
    pub fn lines(&self) -> impl Iterator<Item = &String> {
        self.news.iter().chain(&self.findings)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    #[serde(flatten)]
    pub form: Form,
    pub severity: Sev,
    pub channel: Channel,
    pub at: Time,
    pub cycle_id: String,
    /// One line, also what a phone shows.
    pub title: String,
    pub root_cause: String,
    pub impact: String,
    pub actions: Vec<String>,
    pub confidence: u8,
    /// Made of a reading that was not whole.
    pub is_partial: bool,
    pub entries: Vec<Entry>,
}

/// Who carries messages; a closed set for labels and reports.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[derive(IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum NotifierName {
    Slack,
    Alertmanager,
}

impl NotifierName {
    pub const ALL: [Self; Self::VARIANTS.len()] = *Self::VARIANTS.as_array().unwrap();

    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The result of the last alert, resolution or summary about an incident at one notifier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Notified {
    /// The notifier's server confirmed it.
    Delivered { at: Time },
    /// It is in the outbox and was not sent yet.
    Pending { since: Time },
    /// No server confirmed it. It is sent again, unless the error says otherwise.
    Failed { error: String, attempts: u32 },
}

/// The result of a cycle's messages, as its report says it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NotificationResult {
    /// Not every message has been tried yet; the other fields count once this is false.
    #[serde(default)]
    pub pending: bool,
    /// Everybody who carries messages has confirmed it.
    pub success: bool,
    pub error: Option<String>,
    pub backed_up: bool,
    pub severity: Sev,
    /// Until the last of them had answered or was given up.
    pub seconds: f64,
}
