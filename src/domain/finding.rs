//! A finding: something wrong in the cluster, or with the loop itself, that people may have to hear of.

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};
use utoipa::ToSchema;
use uuid::Uuid;

use super::catalogue::Tier;
use super::cluster::{ClusterReading, Kind};
use super::incident::Anchor;
use super::need::NeedReason;
use super::reading::Source;
use super::rule::{Comparison, Severity};
use super::target::Target;
use super::time::Time;
use super::violation::{Violation, fingerprint};
use super::{Cause, Labels};

/// What is wrong. docs/FINDINGS.md has a row for each.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[derive(IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum FindingKind {
    CrashLoop,
    ImagePull,
    OomKilled,
    /// Not scheduled, or scheduled and not started.
    Pending,
    InitFailed,
    ConfigError,
    ProbeFailing,
    Evicted,
    /// It has ended for good for another reason than an eviction.
    PodFailed,
    StuckTerminating,
    JobFailed,
    RolloutStuck,
    ReplicasMissing,
    ClaimPending,
    ClaimLost,
    NodeNotReady,
    NodePressure,
    /// A broken rule or an alert, as the tracker has it.
    Violation,
    /// A need: what a person is asked for.
    #[strum(transparent)]
    Loop(NeedReason),
}

impl FindingKind {
    /// Those of the cluster.
    pub const CLUSTER: [Self; 17] = [
        Self::CrashLoop,
        Self::ImagePull,
        Self::OomKilled,
        Self::Pending,
        Self::InitFailed,
        Self::ConfigError,
        Self::ProbeFailing,
        Self::Evicted,
        Self::PodFailed,
        Self::StuckTerminating,
        Self::JobFailed,
        Self::RolloutStuck,
        Self::ReplicasMissing,
        Self::ClaimPending,
        Self::ClaimLost,
        Self::NodeNotReady,
        Self::NodePressure,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// The one of the cluster that is written so.
    #[must_use]
    pub fn of_cluster(word: &str) -> Option<Self> {
        Self::CLUSTER.into_iter().find(|kind| kind.as_str() == word)
    }

    /// The kinds of object that show it, and then those that say whose it is (a run's cron job, a pod's replica set).
    fn shown_by(self) -> (&'static [Kind], &'static [Kind]) {
        match self {
            Self::RolloutStuck | Self::ReplicasMissing => (&Kind::WORKLOADS, &[]),
            Self::JobFailed => (&[Kind::Jobs], &[Kind::CronJobs]),
            Self::ClaimPending | Self::ClaimLost => (
                &[Kind::Claims],
                &[Kind::Pods, Kind::Jobs, Kind::ReplicaSets, Kind::ReplicationControllers],
            ),
            Self::NodeNotReady | Self::NodePressure => (&[Kind::Nodes], &[]),
            Self::StuckTerminating
            | Self::PodFailed
            | Self::Evicted
            | Self::ProbeFailing
            | Self::ConfigError
            | Self::InitFailed
            | Self::Pending
            | Self::OomKilled
            | Self::ImagePull
            | Self::CrashLoop => (&[Kind::Pods], &Kind::OWNERS_OF_PODS),
            // The cluster does not show them.
            Self::Violation | Self::Loop(_) => (&[], &[]),
        }
    }

    /// An object that shows it may be in this namespace without having been read, so that its absence says nothing.
    #[must_use]
    pub fn is_hidden(self, reading: &ClusterReading, namespace: Option<&str>) -> bool {
        let (shown_by, owned_by) = self.shown_by();
        shown_by.iter().chain(owned_by).any(|kind| reading.is_hidden(*kind, namespace))
    }

    /// It is looked for in this namespace at all.
    #[must_use]
    pub fn is_expected(self, reading: &ClusterReading, namespace: Option<&str>) -> bool {
        self.shown_by().0.iter().any(|kind| reading.is_expected(*kind, namespace))
    }

    /// What every rollout brings with it; a crash or an image that cannot be pulled is none of that.
    #[must_use]
    pub fn comes_with_a_rollout(self) -> bool {
        matches!(self, Self::ReplicasMissing | Self::Pending | Self::ProbeFailing)
    }

    /// The analyzer, who sees labels, says whether it is of a service of the catalogue.
    #[must_use]
    pub fn is_by_labels(self) -> bool {
        let own = matches!(self, Self::Violation | Self::Loop(_));
        !own && !matches!(self, Self::NodeNotReady | Self::NodePressure)
    }

    #[must_use]
    pub fn class(self) -> IncidentClass {
        match self {
            Self::CrashLoop
            | Self::ImagePull
            | Self::Pending
            | Self::InitFailed
            | Self::ConfigError
            | Self::ProbeFailing
            | Self::Evicted
            | Self::PodFailed
            | Self::StuckTerminating
            | Self::RolloutStuck
            | Self::ReplicasMissing => IncidentClass::Availability,
            Self::OomKilled => IncidentClass::Memory,
            Self::JobFailed => IncidentClass::Job,
            Self::ClaimPending | Self::ClaimLost => IncidentClass::Volume,
            Self::NodeNotReady | Self::NodePressure => IncidentClass::Node,
            Self::Violation => IncidentClass::Violation,
            Self::Loop(_) => IncidentClass::Loop,
        }
    }
}

/// What belongs together in one incident of a service.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[derive(IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum IncidentClass {
    Availability,
    Memory,
    Job,
    Volume,
    Node,
    /// Broken rules and alerts.
    Violation,
    /// Nothing but needs.
    Loop,
}

impl IncidentClass {
    pub const ALL: [Self; Self::VARIANTS.len()] = *Self::VARIANTS.as_array().unwrap();

    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// How bad it is by itself, whatever the service is worth.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[derive(IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum FindingSeverity {
    Info,
    Warning,
    High,
    Critical,
}

impl FindingSeverity {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Something wrong in the cluster or with the loop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    pub kind: FindingKind,
    pub severity: FindingSeverity,
    /// Of a service of the catalogue; `None`: it is in none, and counts as `escalation.default_tier`.
    pub priority: Option<Tier>,
    /// By the catalogue, else the owner's name; the node, the component or `charter`.
    pub service: String,
    pub namespace: Option<String>,
    /// `Deployment/web`, `Node/n1`, …
    pub owner: String,
    /// The pods that show it, by name.
    pub pods: Vec<String>,
    /// Replicas of the owner, where it has any.
    pub ready: Option<u32>,
    pub desired: Option<u32>,
    /// Restarts of its containers so far, all together.
    pub restarts: u32,
    /// A rollout is under way, within its deadline and within `maxUnavailable`.
    pub within_rollout: bool,
    /// Why data of a data layer is at risk: a claim of its pods is lost, or a node of theirs not ready.
    pub data_at_risk: Option<String>,
    /// In one or two sentences, with the API server's own words.
    pub reason: String,
    pub exit_code: Option<i32>,
    /// The last lines of the failing container's log, when they were asked for.
    pub log_lines: Vec<String>,
    /// By the object itself, where it says so; else when it was first seen.
    pub since: Time,
    pub recommendation: String,
    /// Of the need that it stands for.
    pub record: Option<Uuid>,
    /// Of the violation that it stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// What a title says of it, where neither kind nor replicas do: a value and its limit, an alert's name, a need's subject.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub headline: String,
    /// Its subject, where the owner does not say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<Anchor>,
}

impl Finding {
    /// No replica of at least one is ready.
    #[must_use]
    pub fn is_down(&self) -> bool {
        matches!((self.ready, self.desired), (Some(0), Some(desired)) if desired > 0)
    }

    /// Some replicas are ready, and not all.
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        matches!((self.ready, self.desired), (Some(ready), Some(desired)) if ready > 0 && ready < desired)
    }

    /// By which needs name it as their evidence: as the tracker calls what it stands for.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let own = || fingerprint(self.kind.as_str(), &self.labels());
        self.fingerprint.clone().unwrap_or_else(own)
    }

    /// The same for the same piece of evidence from cycle to cycle.
    #[must_use]
    pub fn identity(&self) -> String {
        self.record.map_or_else(|| self.fingerprint(), |need| need.to_string())
    }

    /// What a person is asked for; it is no evidence of trouble.
    #[must_use]
    pub fn is_need(&self) -> bool {
        matches!(self.kind, FindingKind::Loop(_))
    }

    fn labels(&self) -> Labels {
        let mut labels = Labels::from([("owner".to_owned(), self.owner.clone())]);
        labels.extend(self.namespace.clone().map(|name| ("namespace".to_owned(), name)));
        labels
    }

    /// The incident that it belongs to.
    #[must_use]
    pub fn anchor(&self) -> Anchor {
        self.anchor.clone().unwrap_or_else(|| Anchor::of(&self.target()))
    }

    /// The owner: the object that an action would have to change.
    #[must_use]
    pub fn target(&self) -> Target {
        let (kind, name) = self.owner.split_once('/').unwrap_or(("", &self.owner));
        Target::kubernetes(self.namespace.as_deref(), kind, name)
    }

    /// As the tracker takes it in. Without a cause it is shown, and is evidence for no detector.
    #[must_use]
    pub fn as_violation(&self, cause: Option<Cause>) -> Violation {
        let labels = self.labels();
        Violation {
            // Whoever tracks it names it.
            id: Uuid::nil(),
            fingerprint: fingerprint(self.kind.as_str(), &labels),
            severity: match self.severity {
                FindingSeverity::Critical => Severity::Critical,
                FindingSeverity::High | FindingSeverity::Warning => Severity::Warning,
                FindingSeverity::Info => Severity::Info,
            },
            source: Source::Kubernetes,
            rule: self.kind.as_str().to_owned(),
            metric: self.owner.clone(),
            value: self.ready.map(f64::from),
            threshold: self.desired.map(f64::from),
            comparison: self.desired.map(|_| Comparison::Lt),
            component: Some(self.service.clone()),
            target: Some(self.target()),
            labels,
            description: self.reason.clone(),
            actionable: cause.is_some(),
            cause,
            detected_at: self.since,
            active_since: self.since,
            cleared_at: None,
            flapping: false,
            confirmed: true,
            no_evidence: None,
        }
    }
}
