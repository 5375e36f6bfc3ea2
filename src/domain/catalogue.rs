//! The service catalogue: which services there are, how much they matter, and what is known to be wrong with them.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;
use utoipa::ToSchema;

use super::Labels;

/// P0 matters most. The order is by weight: P0 is the greatest.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    ToSchema,
    IntoStaticStr,
)]
pub enum Tier {
    P3,
    P2,
    P1,
    P0,
}

impl Tier {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// For how long it may be down when its service says nothing else; `None`: for any time.
    #[must_use]
    pub fn max_downtime(self) -> Option<Duration> {
        match self {
            Self::P0 => Some(Duration::ZERO),
            Self::P1 => Some(Duration::from_secs(5 * 60)),
            Self::P2 => Some(Duration::from_secs(60 * 60)),
            Self::P3 => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Service {
    pub name: String,
    pub namespace: String,
    /// Labels that its workloads or pods carry, all of them; none: the workload of its name.
    pub selector: Labels,
    pub tier: Tier,
    /// `None`: its tier's.
    #[serde(serialize_with = "super::time::optional_seconds")]
    pub max_downtime: Option<Duration>,
    /// Names of services without which it does not work.
    pub depends_on: Vec<String>,
    pub data_layer: bool,
    pub ingress: bool,
    pub known_issues: Vec<KnownIssue>,
    pub runbook_url: Option<String>,
    /// Paths of the repository whose commits change it.
    pub gitops_paths: Vec<String>,
}

/// Expected trouble of a service, of which nobody has to be notified.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KnownIssue {
    /// A part of the finding's kind or reason, in upper or lower case.
    #[serde(rename = "match")]
    pub matches: String,
    /// From its beginning; afterwards it is as any other.
    #[serde(serialize_with = "super::time::seconds")]
    pub grace: Duration,
    pub note: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Catalogue {
    pub services: Vec<Service>,
    /// Of a service that is in no catalogue; `None`: it has none.
    #[serde(skip)]
    pub default_tier: Option<Tier>,
}

impl Catalogue {
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.name == name)
    }

    /// The service that a workload, pod, job or claim of this namespace belongs to: the first whose selector its labels
    /// fulfil, or, of those without one, that has its name.
    #[must_use]
    pub fn service_of(&self, namespace: &str, name: &str, labels: &Labels) -> Option<&Service> {
        self.services.iter().find(|service| {
            let carries = |(key, value): (&String, &String)| labels.get(key) == Some(value);
            service.namespace == namespace
                && if service.selector.is_empty() {
                    service.name == name
                } else {
                    service.selector.iter().all(carries)
                }
        })
    }
}
