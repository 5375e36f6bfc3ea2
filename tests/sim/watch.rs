//! The invariants of the design, held against every write to the store and every call to Charter as it happens.

use std::collections::{BTreeMap, BTreeSet};

use mape_k::charter_sandbox::service::{Request, Response};
use mape_k::domain::execution::{ActionState, Execution};
use mape_k::knowledge::store::{Collection, Write, Written};
use reqwest::Method;
use serde_json::{Value, json};

use super::outside::Outside;
use super::script::CharterTrouble;

/// An invariant that did not hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Broken {
    pub invariant: u8,
    pub at: f64,
    pub what: String,
}

#[derive(Default)]
pub struct Watch {
    pub broken: Vec<Broken>,
    /// Executions as they stand in the store.
    executions: BTreeMap<String, Execution>,
    /// Keys of actions, and undo keys, whose intent is in the store.
    intended: BTreeSet<String>,
    /// Effects of each key at Charter.
    effects: BTreeMap<String, u32>,
    pub reached: BTreeSet<String>,
    pub cycles: u64,
}

impl Watch {
    fn broke(&mut self, invariant: u8, at: f64, what: String) {
        // One run that goes wrong goes wrong again and again.
        if self.broken.len() < 20 {
            self.broken.push(Broken { invariant, at, what });
        }
    }
}

impl Outside {
    /// After every write that took effect.
    pub fn stored(&mut self, now: f64, daemon: u32, writes: &[Write], written: &[Written]) {
        for (write, written) in writes.iter().zip(written) {
            if *written == Written::Skipped {
                continue;
            }
            match write {
                Write::Put { collection, key, tag, body, .. } => {
                    self.trace.hash(&(collection.as_str(), key, tag, body));
                    self.put(now, daemon, *collection, key, body);
                }
                Write::Touch { collection, key, .. } => {
                    self.trace.hash(&(collection.as_str(), key));
                }
                Write::Delete { collection, key } => self.trace.hash(&(collection.as_str(), key)),
            }
        }
    }

    fn put(&mut self, now: f64, _daemon: u32, collection: Collection, key: &str, body: &str) {
        match collection {
            Collection::Cycles => self.watch.cycles += 1,
            Collection::Executions => {
                let execution: Execution = serde_json::from_str(body).expect("an execution");
                for action in &execution.actions {
                    self.watch.reached.insert(format!("state {:?}", action.state));
                    self.watch.intended.insert(action.key.to_string());
                    if action.state == ActionState::UndoSent {
                        let undo = mape_k::executor::undo_key(action.key);
                        self.watch.intended.insert(undo.to_string());
                    }
                }
                let states: Vec<String> = execution
                    .actions
                    .iter()
                    .map(|action| format!("{} {:?}", action.action.kind(), action.state))
                    .collect();
                self.trace.say(now, &format!("journal: {} {}", execution.id, states.join(", ")));
                self.watch.executions.insert(key.to_owned(), execution);
            }
            Collection::Escalations => {
                let record: Value = serde_json::from_str(body).expect("an escalation");
                if record["closed_at"].is_null() && record["times_seen"] == 1 {
                    let line = format!("told: {} {}", record["reason"], record["detail"]);
                    self.trace.say(now, &line);
                }
            }
            _ => {}
        }
    }

    /// After every call that arrived at Charter.
    pub fn charter_called(&mut self, now: f64, daemon: u32, call: &Request, answer: &Response) {
        if call.method != Method::POST || call.path.ends_with("/validate") {
            return;
        }
        let key = call.idempotency_key.clone().unwrap_or_default();
        let body = String::from_utf8_lossy(&call.body).into_owned();
        let line = format!("daemon {daemon}: POST {} {body} {key}: {}", call.path, answer.status);
        self.trace.say(now, &line);
        if !self.watch.intended.contains(&key) {
            self.watch.broke(1, now, format!("no durable intent for {line}"));
        }
    }

    /// Answers as if it had done what it was asked.
    pub fn charter_lies(&mut self, call: &Request) -> Response {
        let body = json!({"policy_id": format!("lie-{}", self.trace.lines)}).to_string();
        Response {
            status: reqwest::StatusCode::OK,
            content_type: "application/json",
            idempotency_key: call.idempotency_key.clone(),
            body,
        }
    }

    /// Is the daemon to die in this call?
    pub fn crashes(&mut self, _daemon: u32, after: bool) -> bool {
        match &mut self.crash_in {
            Some((0, when)) if *when == after => {
                self.crash_in = None;
                self.crashed.notify_one();
                true
            }
            Some((left, when)) if *when == after => {
                *left -= 1;
                false
            }
            _ => false,
        }
    }

    pub fn forgets_keys(&mut self, now: f64) -> bool {
        self.changes.now(now) == Some(CharterTrouble::ForgetsKeys)
    }
}
