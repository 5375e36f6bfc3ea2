//! Notifying people: Slack, an Alertmanager, and files for what could not be delivered.
//!
//! ```text
//! messages ─▶ Outbox ─ the next one ─▶ Notifiers ─┬─ Slack ─────────┐ confirmed ─▶ its thread
//!               ▲                                 └─ Alertmanager ──┴ not ───────▶ Spool (a file each)
//!               └──────────────── due again: by severity, then oldest ◀─────────────┘
//! ```
//!
//! It does not decide who is notified of what: `incidents` makes the messages, and `cycle` puts them into the outbox, claims
//! them in the store and has them sent.

pub mod alertmanager;
mod call;
mod late;
pub mod outbox;
mod set;
pub mod settings;
pub mod slack;
pub mod spool;

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::domain::message::{Form, Message, NotifierName, Thread};
use crate::http;
use crate::metrics::labels::NotificationResult;

pub use outbox::{Known, Outbox};
pub use set::{Notifiers, Setup};

/// Carries messages to people.
#[async_trait]
pub trait Notifier: Send + Sync + std::fmt::Debug {
    fn name(&self) -> NotifierName;

    /// Messages of one lane go one after the other, the lanes beside each other.
    fn lane(&self, message: &Message) -> String;

    /// Is a message of this form one that it sends? What it does not is nothing it can succeed or fail with.
    fn sends(&self, form: &Form) -> bool;

    /// Sends it and waits until the server has confirmed it. The thread is where it can be answered, where there is one.
    async fn deliver(
        &self,
        message: &Message,
        deadline: Instant,
    ) -> Result<Option<Thread>, NotifyError>;
}

/// Why a message was not confirmed. The text says what failed, on what, and what to do.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NotifyError {
    #[error("{0}")]
    Unreachable(String),
    /// It may have arrived all the same: people may get it twice, which is better than not at all.
    #[error("{0}")]
    Timeout(String),
    #[error("{text}")]
    RateLimited { text: String, retry_after: Duration },
    #[error("{text}")]
    Refused { text: String, about: Refusal },
    #[error("{0}")]
    Panicked(String),
}

/// What a refusal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// How the message is laid out, or the message itself: other messages can be sent there.
    Message,
    /// The message that it answers or edits, which is gone: it can be sent as a new one.
    Thread,
    /// Where it was to go: it can be sent elsewhere.
    Place,
    /// Who sends it: this notifier can send nothing until somebody corrects that.
    Sender,
    /// Something that passes by itself, or an answer that is not the server's own.
    Other,
}

impl NotifyError {
    #[must_use]
    pub fn result(&self) -> NotificationResult {
        match self {
            Self::Unreachable(_) => NotificationResult::Unreachable,
            Self::Timeout(_) => NotificationResult::Timeout,
            Self::RateLimited { .. } => NotificationResult::RateLimited,
            Self::Refused { .. } => NotificationResult::Refused,
            Self::Panicked(_) => NotificationResult::Panicked,
        }
    }
}

/// A configuration with which nobody can be notified.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("a notifier cannot be reached: {0}")]
    Client(#[from] http::SetupError),
    #[error(
        "slack.enabled is true, but there is neither slack.token (or token_file) nor slack.webhook_url (or \
         webhook_url_file): give one of them"
    )]
    NoWay,
    #[error(
        "slack.token holds characters that no token has; check that the file contains only the token"
    )]
    Token,
    #[error(
        "slack.webhook_url is not an http(s) URL; copy it from the app's page Incoming Webhooks"
    )]
    WebhookUrl,
}
