//! What Charter remembers of its callers: the answers behind idempotency keys, the highest fence epoch, the audit.
//!
//! All of it is bounded: the oldest goes first.

use std::collections::{HashMap, VecDeque};

use axum::http::StatusCode;
use serde::Serialize;
use serde_json::Value;

/// Keys are repeated within minutes; this many changing calls take the busiest daemon days.
const KEYS: usize = 10_000;
/// Reads are most of it: about four a cycle of 30 s, so this is most of a day.
const AUDIT: usize = 10_000;
/// A body in the audit is cut there; every valid one is far shorter.
const AUDIT_BODY: usize = 4_096;

/// An answer as it was given.
#[derive(Debug, Clone)]
pub(super) struct Remembered {
    pub status: StatusCode,
    pub body: String,
}

/// The first answer to each key.
#[derive(Debug, Default)]
pub(super) struct Keys {
    answers: HashMap<String, Remembered>,
    order: VecDeque<String>,
}

impl Keys {
    pub fn answer(&self, key: &str) -> Option<&Remembered> {
        self.answers.get(key)
    }

    pub fn remember(&mut self, key: &str, answer: Remembered) {
        if self.answers.insert(key.to_owned(), answer).is_none() {
            self.order.push_back(key.to_owned());
        }
        if self.order.len() > KEYS
            && let Some(oldest) = self.order.pop_front()
        {
            self.answers.remove(&oldest);
        }
    }
}

/// One call, as GET /sandbox/audit shows it.
#[derive(Debug, Serialize)]
pub(super) struct AuditEntry {
    pub at: String,
    pub method: String,
    pub path: String,
    pub key: Option<String>,
    pub epoch: Option<String>,
    pub body: Value,
    pub status: u16,
    /// What the call changed; none for a read, a refusal or a repeat.
    pub effect: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct Audit(VecDeque<AuditEntry>);

impl Audit {
    pub fn record(&mut self, entry: AuditEntry) {
        if self.0.len() == AUDIT {
            self.0.pop_front();
        }
        self.0.push_back(entry);
    }

    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &AuditEntry> {
        self.0.iter()
    }
}

/// A body for the audit: as JSON when it is, as text when it is not, cut when it is long.
pub(super) fn audit_body(body: &[u8]) -> Value {
    if body.is_empty() {
        return Value::Null;
    }
    let cut = &body[..body.len().min(AUDIT_BODY)];
    serde_json::from_slice(cut)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(cut).into_owned()))
}
