//! What the escalation phase decides about a cycle's findings: their severity, who is affected, and whether people are
//! notified.

use serde::{Deserialize, Serialize};
use strum::{Display, IntoStaticStr, VariantArray};
use utoipa::ToSchema;

/// SEV-1 is the worst, and the greatest.
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
    Display,
    IntoStaticStr,
    VariantArray,
)]
pub enum Sev {
    #[serde(rename = "SEV-4")]
    #[strum(serialize = "SEV-4")]
    Sev4,
    #[serde(rename = "SEV-3")]
    #[strum(serialize = "SEV-3")]
    Sev3,
    #[serde(rename = "SEV-2")]
    #[strum(serialize = "SEV-2")]
    Sev2,
    #[serde(rename = "SEV-1")]
    #[strum(serialize = "SEV-1")]
    Sev1,
}

impl Sev {
    pub const ALL: [Self; Self::VARIANTS.len()] = *Self::VARIANTS.as_array().unwrap();

    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// One worse, at most SEV-1.
    #[must_use]
    pub fn raised(self) -> Self {
        match self {
            Self::Sev4 => Self::Sev3,
            Self::Sev3 => Self::Sev2,
            Self::Sev2 | Self::Sev1 => Self::Sev1,
        }
    }

    #[must_use]
    pub fn channel(self) -> Channel {
        match self {
            Self::Sev1 => Channel::Critical,
            Self::Sev2 | Self::Sev3 | Self::Sev4 => Channel::Infrastructure,
        }
    }
}

/// The channel of the message; `slack.channels` gives the names.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    Critical,
    Infrastructure,
}

/// Whether people are notified, how urgently, and of which incidents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Decision {
    pub severity: Sev,
    /// 0 to 100.
    pub confidence: u8,
    pub should_notify: bool,
    pub affected_services: Vec<String>,
    pub root_cause: String,
    pub impact: String,
    pub actions: Vec<String>,
    pub channel: Channel,
    /// Made without an assessment, because that failed.
    pub is_fallback: bool,
    /// Of the incidents that it is about.
    pub incidents: Vec<String>,
}
