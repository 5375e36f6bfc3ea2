//! An incident: what is wrong with one target, from its first evidence until that is clear, no matter who treats it.
//!
//! Evidence (findings of the cluster, violations) opens and resolves it. What a person is asked for is a [`Need`] of it,
//! with a begin and an end of its own: an answered need resolves nothing.
//!
//! [`Need`]: super::need::Need

mod timeline;

use std::fmt;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};
use utoipa::ToSchema;

use super::Cause;
use super::catalogue::Tier;
use super::decision::Sev;
use super::deployment::Suspect;
use super::finding::{Finding, IncidentClass};
use super::message::{Notified, NotifierName, Thread};
use super::reading::Source;
use super::target::Target;
use super::time::{self, Time};
use super::violation::Violation;

pub use timeline::{Happening, TimelineEntry};

/// What an incident is about, in text: a target (`kubernetes/shop/deployment/cart`, `charter/enforcer`), a component that
/// no target of ours holds (`component/db1`), or the daemon itself (`mape-k`).
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(transparent)]
pub struct Anchor(String);

impl Anchor {
    /// The daemon's own conditions: they are their own evidence.
    pub const DAEMON: &str = "mape-k";
    const COMPONENT: &str = "component/";

    #[must_use]
    pub fn daemon() -> Self {
        Self(Self::DAEMON.to_owned())
    }

    #[must_use]
    pub fn component(name: &str) -> Self {
        Self(format!("{}{name}", Self::COMPONENT))
    }

    #[must_use]
    pub fn of(target: &Target) -> Self {
        Self(match target {
            // All hooks of one component change the same thing.
            Target::Hook { component, .. } => {
                Target::Hook { hook: None, component: component.clone() }.to_string()
            }
            other => other.to_string(),
        })
    }

    /// Where a violation is; one that nothing of ours can change is known by its component, else by what its labels name.
    #[must_use]
    pub fn of_violation(violation: &Violation) -> Self {
        // An alert without a component and a known cause says nothing of Charter.
        let is_charters = violation.cause.is_some() || violation.source != Source::Alertmanager;
        match (&violation.target, &violation.component) {
            (Some(Target::Charter(None)), None) if !is_charters => Self::named(violation),
            (Some(target), _) => Self::of(target),
            (None, Some(component)) => Self::component(component),
            (None, None) => Self::named(violation),
        }
    }

    /// The host, without its port, or service that the labels name; else the rule or alert.
    fn named(violation: &Violation) -> Self {
        let labels = ["service", "node", "host", "instance"];
        let named = labels.into_iter().find_map(|label| violation.labels.get(label));
        let host = named.map(|name| name.rsplit_once(':').map_or(name.as_str(), |(host, _)| host));
        Self::component(host.filter(|host| !host.is_empty()).unwrap_or(&violation.rule))
    }

    /// `None`: nothing that an action changes.
    #[must_use]
    pub fn target(&self) -> Option<Target> {
        let is_none = self.0 == Self::DAEMON || self.0.starts_with(Self::COMPONENT);
        (!is_none && !self.0.is_empty()).then(|| self.0.parse().unwrap_or_else(|e| match e {}))
    }

    /// As people call it: Charter, a workload, node, claim or component by its bare name.
    #[must_use]
    pub fn name(&self) -> String {
        match self.target() {
            Some(Target::Charter(None)) => "Charter".to_owned(),
            Some(target) => target.component().to_owned(),
            None => self.0.strip_prefix(Self::COMPONENT).unwrap_or(&self.0).to_owned(),
        }
    }

    /// A record of an earlier version has none yet.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.0.is_empty()
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The status of an incident.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[derive(IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum IncidentStatus {
    #[default]
    Open,
    /// An action on its target is under way.
    Acting,
    /// An action on its target waits for its result.
    Verifying,
    /// A person is asked for something.
    NeedsAttention,
    Resolved,
}

impl IncidentStatus {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// How it was resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// All of its evidence was read as clear.
    Clear,
    /// Nothing can show its evidence any more: the object was deleted, or the rule removed. That is no success.
    Vanished,
    /// Another incident goes on with it, by id.
    MergedInto(String),
}

/// What it means that evidence which an incident holds is not among what a cycle found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// Read as clear.
    Clear,
    /// It could not be read: it counts as it was.
    Unread,
    /// Alertmanager lists the alert and holds it back: a silence, an inhibition or a time interval.
    Muted,
    /// Nothing can show it any more: its object or rule is gone.
    Vanished,
}

/// What is done about one target, or keeps it from being done, as an incident's status needs it.
#[derive(Clone, Debug, PartialEq)]
pub struct AtWork {
    pub target: Target,
    /// The names of its actions.
    pub action: String,
    pub stage: WorkStage,
}

/// How far that is.
#[derive(Clone, Debug, PartialEq)]
pub enum WorkStage {
    /// It is being carried out.
    Applying,
    /// Applied: it settles until the first time, and without a result by the second that is `unknown`.
    Verifying { settled_at: Time, judge_by: Time },
    /// Why it is not carried out in this cycle.
    Waiting(String),
}

/// Another anchor whose evidence an incident has taken in, for as long as that evidence lasts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Absorbed {
    pub anchor: Anchor,
    pub service: String,
    pub namespace: Option<String>,
    /// Without a ready replica since then; with fewer than it should have since then.
    pub down_since: Option<Time>,
    pub short_since: Option<Time>,
}

/// A cause of its evidence, the likeliest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RankedCause {
    pub cause: Cause,
    /// 0 to 1.
    pub confidence: f64,
    pub since: Time,
}

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

/// Its past, as far as the decision about the next message needs it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own that is stored")]
pub struct IncidentHistory {
    /// By the table of severities alone, before anything raises it.
    pub base: Option<Sev>,
    /// All of its evidence is a known issue, or belongs to a rollout.
    pub is_excused: bool,
    /// Without a ready replica since then; with fewer than it should have since then.
    pub down_since: Option<Time>,
    pub short_since: Option<Time>,
    /// When it came back after an end, within the last hour.
    pub returns: Vec<Time>,
    /// Numbers and table's severity of its first notification, until then those at its beginning: an incident is worse
    /// when it is worse than these.
    pub baseline: Option<(Numbers, Sev)>,
    /// It is worse than its baseline, and its severity raised for it.
    pub is_raised: bool,
    /// The severity of the last decision that it was part of.
    pub decided: Option<Sev>,
    /// Of the last alert or update: its numbers, and a hash of its text without the times.
    #[serde(alias = "told_numbers")]
    pub notified_numbers: Option<Numbers>,
    #[serde(alias = "told_gist")]
    pub notified_hash: String,
    /// The same hash of what its first message shows.
    #[serde(alias = "shown_gist")]
    pub shown_hash: String,
    /// When people were notified that it is resolved.
    #[serde(alias = "end_told_at")]
    pub end_notified_at: Option<Time>,
    /// Written by the version before: its last message is in a backup only, a file of one machine.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_backup: bool,
    /// All that is left of its evidence are alerts that Alertmanager holds back: nobody is notified of it meanwhile.
    #[serde(default)]
    pub is_muted: bool,
    /// The evidence that went away last was not seen clear: nothing can show it any more.
    #[serde(default)]
    pub has_vanished: bool,
    /// It was due while no notifier was configured or while too many messages waited: nobody was notified of it.
    #[serde(default, alias = "told_nobody", skip_serializing_if = "std::ops::Not::not")]
    pub notified_nobody: bool,
    /// Lines of its timeline that people are notified of at once and have not been yet: the newest of their kind. A count,
    /// because times of two processes whose clocks differ cannot be compared.
    #[serde(default)]
    pub unheard: usize,
}

/// The reader of a report must not believe that somebody else knows.
pub const NOBODY_IS_NOTIFIED: &str = "nobody is notified: no notifier is configured";

/// What is wrong with one anchor, from its first evidence until all of that is clear and nothing is asked of a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Incident {
    /// `INC-YYYYMMDD_HHMMSS-NNN`, by its first decision.
    pub id: String,
    /// At most one incident of an anchor is open.
    #[serde(default)]
    pub anchor: Anchor,
    /// The trouble and its target, in one line.
    #[serde(default)]
    pub title: String,
    #[serde(default)]
    pub status: IncidentStatus,
    /// What mape-k does about it, or waits for; empty: nothing to say.
    #[serde(default)]
    pub doing: String,
    #[serde(default)]
    pub absorbed: Vec<Absorbed>,
    /// By the catalogue, else the bare name of the anchor.
    pub service: String,
    /// Services of one name in two namespaces are two.
    #[serde(default)]
    pub namespace: Option<String>,
    /// Of the evidence that opened it.
    pub class: IncidentClass,
    /// The onset: when it was first observed, or the object's own time if that is earlier.
    pub since: Time,
    pub opened_at: Time,
    pub last_seen_at: Time,
    #[serde(rename = "resolved_at", alias = "ended_at")]
    pub ended_at: Option<Time>,
    #[serde(default)]
    pub resolution: Option<Resolution>,
    pub severity: Sev,
    #[serde(default)]
    pub causes: Vec<RankedCause>,
    pub numbers: Numbers,
    /// Its evidence and needs as they were last seen, the worst first; bounded.
    #[serde(rename = "evidence", alias = "findings")]
    pub findings: Vec<Finding>,
    /// A line for each of them: why it is as severe as it is, and what was found.
    #[serde(default)]
    pub lines: Vec<String>,
    /// The oldest first; bounded.
    #[serde(default)]
    pub timeline: Vec<TimelineEntry>,
    /// Where it was first announced.
    pub thread: Option<Thread>,
    /// When the last full alert went into the outbox; `None`: nobody is notified yet.
    #[serde(alias = "told_at")]
    pub notified_at: Option<Time>,
    #[serde(alias = "told_severity")]
    pub notified_severity: Option<Sev>,
    /// The result at each notifier; empty: none is configured. Only `delivered` says that people were notified.
    #[serde(default)]
    pub notified: BTreeMap<NotifierName, Notified>,
    /// The last brief update, and the last edit of its message.
    pub updated_at: Option<Time>,
    pub edited_at: Option<Time>,
    /// It waits for business hours.
    #[serde(default)]
    pub is_queued: bool,
    /// People still have to be notified that it is resolved.
    #[serde(default)]
    pub end_is_due: bool,
    /// The deployment that may be behind it.
    pub suspect: Option<Suspect>,
    #[serde(default)]
    #[serde(alias = "course")]
    pub course: IncidentHistory,
}

impl Incident {
    /// Lines kept of a timeline: the first ones say how it began, the newest how it goes.
    const TIMELINE: usize = 100;
    const TIMELINE_BEGIN: usize = 20;

    #[must_use]
    pub fn is_open(&self) -> bool {
        self.ended_at.is_none()
    }

    /// When people were last notified of it.
    #[must_use]
    pub fn heard_at(&self) -> Option<Time> {
        self.notified_at.max(self.updated_at).max(self.course.end_notified_at)
    }

    /// The clock may have been set back since it was written: nothing in it lies after `now`, so that no wait is longer
    /// than it should be and nothing that happens now seems older than the incident.
    pub fn not_after(&mut self, now: Time) {
        let course = &mut self.course;
        let known = [&mut self.since, &mut self.opened_at, &mut self.last_seen_at];
        let optional = [
            &mut self.ended_at,
            &mut self.notified_at,
            &mut self.updated_at,
            &mut self.edited_at,
            &mut course.end_notified_at,
            &mut course.down_since,
            &mut course.short_since,
        ];
        for at in known.into_iter().chain(optional.into_iter().flatten()).chain(&mut course.returns)
        {
            *at = now.min(*at);
        }
    }

    /// Whether anybody was notified of it, as it follows its title: only what a notifier confirmed counts.
    #[must_use]
    pub fn notification(&self, has_notifier: bool) -> String {
        if let Some(at) = self.course.end_notified_at.filter(|_| self.is_open()) {
            let waits = if self.is_queued { " (it waits for business hours)" } else { "" };
            return format!(
                "not notified yet that it is back{waits}: the message of {} says that it is resolved",
                time::text(at)
            );
        }
        let mut delivered: Vec<(NotifierName, Time)> = Vec::new();
        let mut failed = Vec::new();
        for (name, notified) in &self.notified {
            match notified {
                Notified::Delivered { at } => delivered.push((*name, *at)),
                Notified::Failed { error, .. } => {
                    failed.push(format!("{}: {error}", name.as_str()));
                }
                Notified::Pending { .. } => {}
            }
        }
        let by: Vec<&str> = delivered.iter().map(|(name, _)| name.as_str()).collect();
        match (delivered.iter().map(|(_, at)| *at).max(), self.notified_at) {
            (Some(at), _) => format!("notified {} by {}", time::text(at), by.join(" and ")),
            _ if !has_notifier => NOBODY_IS_NOTIFIED.to_owned(),
            _ if !failed.is_empty() => {
                format!("not notified yet: nobody confirmed the message ({})", failed.join("; "))
            }
            (None, Some(at)) => {
                format!("not notified yet: nobody confirmed the message of {}", time::text(at))
            }
            (None, None) if self.is_queued => {
                "not notified yet: it waits for business hours".to_owned()
            }
            (None, None) => "not notified yet".to_owned(),
        }
    }

    /// Adds a line to the timeline; one that only says again what the last of its kind said is left out.
    pub fn note(&mut self, what: Happening, text: String, at: Time) {
        let last = self.timeline.iter().rev().find(|entry| entry.what == what);
        if last.is_some_and(|last| last.text == text) {
            return;
        }
        self.timeline.push(TimelineEntry { at, what, text });
        if self.timeline.len() > Self::TIMELINE {
            self.timeline.remove(Self::TIMELINE_BEGIN);
        }
    }
}
