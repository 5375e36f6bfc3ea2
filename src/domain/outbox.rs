//! A message on its way to people by one notifier, as the outbox holds it.
//!
//! ```text
//! pending ─▶ claimed ─┬▶ delivered
//!    ▲                ├▶ pending (failed; due again later)
//!    └── a crash ─────┘
//! given_up: nobody sends it any more
//! ```
//! The claim is durable before anything is sent, the result after it: a crash in between repeats the message once.
//! Leaves out which message goes next (`notify::outbox`) and the store.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::message::{Form, Message, NotifierName, Thread};
use super::time::{Time, after, since};

/// The longest that a failed message waits for its next attempt: what people who wait for Slack to be well again bear.
pub const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum State {
    #[default]
    Pending,
    /// Somebody sends it, or did so when the process ended that leads under this epoch.
    Claimed {
        epoch: u64,
    },
    /// A notifier's server confirmed it. The thread is where it can be answered.
    Delivered {
        at: Time,
        thread: Option<Thread>,
    },
    GivenUp {
        at: Time,
        why: GivenUp,
    },
}

/// Why a message is not sent any more although nobody confirmed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GivenUp {
    /// An edit calls nobody, and the next one says more.
    Edit,
    /// More messages waited than the outbox holds.
    TooMany,
    /// Its notifier is not configured any more.
    NotifierRemoved,
    /// It is an end, and its incidents are open again.
    OpenAgain,
}

/// One message for one notifier. The order of the outbox is the order in which the store first saw the entries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outgoing {
    pub id: String,
    pub notifier: NotifierName,
    pub message: Message,
    pub state: State,
    /// How often it was claimed.
    pub attempts: u32,
    /// A failed one is not sent again before then.
    pub next_at: Option<Time>,
    /// Why the last attempt failed, or what it waits for.
    pub error: Option<String>,
    /// When the last attempt ended.
    pub answered_at: Option<Time>,
    /// The file that a failed delivery left, for people who look there.
    pub backup: Option<String>,
    /// Of so many attempts its incidents know.
    #[serde(default)]
    pub taken_in: u32,
    /// The report of its cycle says what became of it.
    #[serde(default)]
    pub is_reported: bool,
}

impl Outgoing {
    #[must_use]
    pub fn new(id: String, notifier: NotifierName, message: Message) -> Self {
        Self {
            id,
            notifier,
            message,
            state: State::Pending,
            attempts: 0,
            next_at: None,
            error: None,
            answered_at: None,
            backup: None,
            taken_in: 0,
            is_reported: false,
        }
    }

    /// No server has confirmed it, and it is still to be sent.
    #[must_use]
    pub fn waits(&self) -> bool {
        matches!(self.state, State::Pending | State::Claimed { .. })
    }

    #[must_use]
    pub fn is_delivered(&self) -> bool {
        matches!(self.state, State::Delivered { .. })
    }

    #[must_use]
    pub fn is_edit(&self) -> bool {
        matches!(self.message.form, Form::Edit(_))
    }

    /// The ids of the incidents that it is about.
    pub fn incidents(&self) -> impl Iterator<Item = &str> {
        self.message.entries.iter().map(|entry| entry.incident.as_str())
    }

    /// A time further away than anything waits was written by a clock that has been set back since.
    #[must_use]
    pub fn is_due(&self, now: Time) -> bool {
        self.next_at.is_none_or(|at| now >= at || since(at, now) > LONGEST_WAIT)
    }

    pub fn claim(&mut self, epoch: u64) {
        self.state = State::Claimed { epoch };
        self.attempts += 1;
    }

    pub fn delivered(&mut self, thread: Option<Thread>, now: Time) {
        self.state = State::Delivered { at: now, thread };
        self.answered_at = Some(now);
        self.error = None;
        self.next_at = None;
    }

    /// An attempt failed, or could not be begun: it is due again after `wait`.
    pub fn failed(&mut self, error: String, wait: Duration, now: Time) {
        self.state = State::Pending;
        self.answered_at = Some(now);
        self.error = Some(error);
        self.next_at = Some(after(now, wait.min(LONGEST_WAIT)));
    }

    pub fn give_up(&mut self, why: GivenUp, now: Time) {
        self.state = State::GivenUp { at: now, why };
        self.answered_at = Some(now);
    }
}
