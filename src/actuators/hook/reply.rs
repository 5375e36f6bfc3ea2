//! What the end of a command, or the answer of a server, means for the verb that was called: the table of docs/HOOKS.md.

use std::os::unix::process::ExitStatusExt as _;

use reqwest::StatusCode;
use serde::Deserialize;

use super::command::End;
use crate::actuators::{Doubt, Failure, Refusal, Validation};
use crate::http;

/// Exit codes that a hook gives a meaning; every other one is "not known".
const DONE: i32 = 0;
const REFUSED: i32 = 10;
const NOT_DONE: i32 = 11;
const FOREIGN: i32 = 12;

/// How one call of a verb ended.
#[derive(Debug)]
pub(super) struct Reply {
    pub came: Came,
    /// Who was called, how it ended and what it said, in one line without secrets.
    pub text: String,
}

#[derive(Debug)]
pub(super) enum Came {
    Command(End),
    /// The server's status, and the beginning of its answer.
    Http(StatusCode, Vec<u8>),
    NoAnswer(http::Failure),
}

/// What the hook's `probe` says of the effect of `apply`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Effect {
    Found,
    Absent,
    Foreign,
}

/// What a call that should change something came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Done,
    Refused(Refusal),
    /// Surely nothing was changed; the same call may go better next time.
    NotDone,
    Unknown,
}

impl Reply {
    /// Of `apply` and `undo`.
    pub(super) fn change(self) -> Result<(), Failure> {
        let (doubt, refusal) = match self.came.change() {
            Change::Done => return Ok(()),
            Change::Refused(refusal) => (Doubt::None, Some(refusal)),
            Change::NotDone => (Doubt::None, None),
            Change::Unknown => (Doubt::UnderWay, None),
        };
        Err(Failure { text: self.text, doubt, refusal })
    }

    /// Of `validate`, which changes nothing: only a plain no is about the action.
    pub(super) fn validation(self) -> Result<Validation, Failure> {
        match self.came.change() {
            Change::Done => Ok(Validation::Valid),
            Change::Refused(Refusal::Passing) | Change::NotDone | Change::Unknown => {
                Err(Failure { text: self.text, doubt: Doubt::None, refusal: None })
            }
            Change::Refused(_) => Ok(Validation::Invalid(self.text)),
        }
    }

    /// Of `probe`; the text says why it cannot tell.
    pub(super) fn effect(&self) -> Option<Effect> {
        #[derive(Deserialize)]
        struct Said {
            effect: Effect,
        }
        match &self.came {
            Came::Command(End::Exited(status)) => match status.code()? {
                DONE => Some(Effect::Found),
                REFUSED => Some(Effect::Absent),
                FOREIGN => Some(Effect::Foreign),
                _ => None,
            },
            // A page of a proxy that answers everything with 200, or with 404, must not pass for an answer.
            Came::Http(StatusCode::OK, body) => {
                serde_json::from_slice(body).ok().map(|Said { effect }| effect)
            }
            Came::Command(_) | Came::Http(..) | Came::NoAnswer(_) => None,
        }
    }
}

impl Came {
    fn change(&self) -> Change {
        match self {
            Self::Command(End::Exited(status)) => match status.code() {
                Some(DONE) => Change::Done,
                Some(REFUSED) => Change::Refused(Refusal::Other),
                Some(NOT_DONE) => Change::NotDone,
                _ => Change::Unknown,
            },
            Self::Command(End::NotStarted(_)) | Self::NoAnswer(http::Failure::NotSent(_)) => {
                Change::NotDone
            }
            Self::Command(End::Lost(_) | End::TimedOut | End::Stopped)
            | Self::NoAnswer(http::Failure::TimedOut | http::Failure::Broken(_)) => Change::Unknown,
            Self::Http(status, _) => status_of_change(*status),
        }
    }

    /// In words, for the text of a reply.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Command(End::NotStarted(error)) => format!("could not be started: {error}"),
            Self::Command(End::Exited(status)) => match (status.code(), status.signal()) {
                (Some(code), _) => format!("exited with {code}"),
                (None, Some(signal)) => format!("was ended by signal {signal}"),
                (None, None) => "ended without an exit code".to_owned(),
            },
            Self::Command(End::Lost(error)) => {
                format!("ended, and how it did is not known: {error}")
            }
            Self::Command(End::TimedOut) => "did not end in time and was ended".to_owned(),
            Self::Command(End::Stopped) => "was ended, as mape-k stops".to_owned(),
            Self::Http(status, _) if status.is_redirection() => {
                format!("answered {status}, a redirect, which is not followed: give the final URL")
            }
            Self::Http(status, _) => format!("answered {status}"),
            Self::NoAnswer(http::Failure::NotSent(why)) => format!("was not reached: {why}"),
            Self::NoAnswer(http::Failure::TimedOut) => "did not answer in time".to_owned(),
            Self::NoAnswer(http::Failure::Broken(why)) => format!("gave no whole answer: {why}"),
        }
    }
}

fn status_of_change(status: StatusCode) -> Change {
    match status.as_u16() {
        // Accepted, which somebody will do or not; and a server or gateway that gave up may have handed the request on.
        202 | 408 => Change::Unknown,
        200..=299 => Change::Done,
        // It was too early or too often: both are said before anything is done.
        425 | 429 => Change::NotDone,
        401 | 403 | 407 => Change::Refused(Refusal::Passing),
        409 => Change::Refused(Refusal::Conflict),
        410 => Change::Refused(Refusal::Gone),
        400 | 404 | 405 | 422 => Change::Refused(Refusal::Invalid),
        400..=499 => Change::Refused(Refusal::Other),
        _ => Change::Unknown,
    }
}
