//! What can go wrong with a call to Charter, sorted by the one question that matters: may it have taken effect?

use super::call::{Call, CallStatus};
use crate::http;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error(
        "{call} did not reach Charter at {url}: {detail}; check that Charter runs there and that execute.charter_url names it"
    )]
    NotSent { call: Call, url: String, detail: String },

    #[error(
        "Charter at {url} is not serving {call} now (503{}); it changed nothing: look at Charter's own log", colon(.detail)
    )]
    Unavailable { call: Call, url: String, detail: String },

    #[error("Charter at {url} refused {call} with {status}{}: {error}", space(.code.as_deref()))]
    Refused { call: Call, url: String, status: u16, code: Option<String>, error: String },

    #[error(
        "Charter at {url} refused {call}: epoch {epoch} is not the latest leader's ({error}); it changed nothing"
    )]
    StaleEpoch { call: Call, url: String, epoch: u64, error: String },

    #[error(
        "Charter at {url} refused {call} with 401: {}",
        if *.key_configured {
            "the configured key is not accepted: correct execute.charter_api_key (CHARTER_API_KEY), or execute.http"
        } else {
            "it wants a key and none is configured: set execute.charter_api_key (CHARTER_API_KEY), or execute.http for a proxy before it"
        }
    )]
    Unauthorized { call: Call, url: String, key_configured: bool },

    #[error(
        "Charter at {url} gave no usable answer to {call}: {detail}; look at Charter's own log"
    )]
    Unclear {
        call: Call,
        url: String,
        detail: String,
        /// Timed out rather than answered: a metric label, nothing else.
        timed_out: bool,
        /// The request may still be on its way or being worked on: its effect may yet come.
        may_still_land: bool,
    },
}

impl Error {
    /// May the same call be sent again although it changes something, without looking first?
    #[must_use]
    pub fn surely_no_effect(&self) -> bool {
        match self {
            Self::NotSent { .. } | Self::Unavailable { .. } => true,
            Self::Refused { .. }
            | Self::StaleEpoch { .. }
            | Self::Unauthorized { .. }
            | Self::Unclear { .. } => false,
        }
    }

    /// Charter has decided: sending it again gets the same answer.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::StaleEpoch { .. } | Self::Unauthorized { .. } => true,
            Self::NotSent { .. } | Self::Unavailable { .. } | Self::Unclear { .. } => false,
        }
    }

    /// May a request of which nothing is to be seen yet still take effect?
    #[must_use]
    pub fn may_still_land(&self) -> bool {
        match self {
            Self::Unclear { may_still_land, .. } => *may_still_land,
            Self::NotSent { .. }
            | Self::Unavailable { .. }
            | Self::Refused { .. }
            | Self::StaleEpoch { .. }
            | Self::Unauthorized { .. } => false,
        }
    }

    /// The status of a refusal that is about the request; one that is about who sends it says nothing of what it would do.
    #[must_use]
    pub fn refused_with(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            Self::Unauthorized { .. } => Some(401),
            Self::NotSent { .. }
            | Self::Unavailable { .. }
            | Self::StaleEpoch { .. }
            | Self::Unclear { .. } => None,
        }
    }

    pub(super) fn label(&self) -> CallStatus {
        match self {
            Self::NotSent { .. } => CallStatus::Unreachable,
            Self::Unavailable { .. } => CallStatus::Unavailable,
            Self::Refused { .. } | Self::StaleEpoch { .. } | Self::Unauthorized { .. } => {
                CallStatus::Refused
            }
            Self::Unclear { timed_out: true, .. } => CallStatus::Timeout,
            Self::Unclear { timed_out: false, .. } => CallStatus::Failed,
        }
    }
}

/// The client could not be built from its settings.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error(
        "execute.charter_api_key cannot be sent as a header: it holds a line break or another control character"
    )]
    Key,
    #[error("execute.charter_url {0} cannot carry a path: give an http:// or https:// address")]
    Address(String),
    #[error("Charter cannot be reached: {0}")]
    Http(#[from] http::SetupError),
}

fn colon(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(": {detail}") }
}

fn space(code: Option<&str>) -> String {
    code.map(|code| format!(" {code}")).unwrap_or_default()
}
