//! What reaches Charter: an intent before every change, no effect twice, no write of a leader that was replaced, nothing
//! after a pause (invariants 1 to 4).

use std::collections::{BTreeMap, BTreeSet};

use mape_k::actuators::charter::Prior;
use mape_k::charter_sandbox::service::{Request, Response};
use mape_k::domain::action::{Action, ActionKind};
use mape_k::domain::execution::{ActionRecord, ActionState, Execution};
use mape_k::executor::undo_key;
use mape_k::knowledge::store::{Collection, Lease, Write};
use reqwest::Method;
use serde_json::{Value, json};

use crate::outside::Outside;
use crate::script::CharterTrouble;

#[derive(Default)]
pub struct Effects {
    keys: BTreeMap<String, Key>,
    /// Processes that have seen Charter carry a key back.
    honoured: BTreeSet<u32>,
    highest_epoch: u64,
    /// The latest lease of a shared store.
    leader: Option<Granted>,
    pub(super) may: May,
}

/// What the operator lets the loop do, by the script.
#[derive(Default)]
pub(super) struct May {
    pub nothing: bool,
    pub forbidden: Vec<ActionKind>,
    /// Every action waits for a person.
    pub asks: bool,
    /// Policies that a person allowed, or tried to.
    pub allowed: BTreeSet<String>,
}

impl May {
    fn refuses(&self, record: &ActionRecord, policy: &str, is_undo: bool) -> Option<&'static str> {
        if self.nothing {
            return Some("the mode is observe");
        }
        if is_undo {
            return None;
        }
        if self.forbidden.contains(&record.action.kind()) {
            return Some("it is forbidden");
        }
        (self.asks && !self.allowed.contains(policy)).then_some("no person allowed it")
    }
}

struct Granted {
    epoch: u64,
    daemon: u32,
}

/// One key of the journal: an action's own, or that of its undo.
struct Key {
    record: ActionRecord,
    policy: String,
    is_undo: bool,
    /// When its latest try, or the undo, was written down.
    recorded: u64,
    tries: u32,
    sends: u32,
    arrivals: u32,
    effects: u32,
}

pub fn changes(call: &Request) -> bool {
    call.method == Method::POST && !call.path.ends_with("/validate")
}

impl Outside {
    /// Keeps what the journal says of each key.
    pub(super) fn recorded(&mut self, before: Option<&Execution>, execution: &Execution) {
        let moment = self.watch.moment;
        for (index, record) in execution.actions.iter().enumerate() {
            let was = before.map(|e| &e.actions[index]);
            self.watch.reach(format!("state {:?}", record.state));
            if let Some(was) = was.filter(|was| was.state != record.state) {
                self.watch.reach(format!("move {:?} to {:?}", was.state, record.state));
            }
            let keys = &mut self.watch.effects.keys;
            let new = |is_undo| Key {
                record: record.clone(),
                policy: execution.policy_id.to_string(),
                is_undo,
                recorded: moment,
                tries: 0,
                sends: 0,
                arrivals: 0,
                effects: 0,
            };
            let own = keys.entry(record.key.to_string()).or_insert_with(|| new(false));
            own.record = record.clone();
            if record.tries > own.tries {
                (own.tries, own.recorded) = (record.tries, moment);
            }
            if record.state == ActionState::UndoSent {
                let undo = undo_key(record.key).to_string();
                let undo = keys.entry(undo).or_insert_with(|| new(true));
                (undo.record, undo.recorded) = (record.clone(), moment);
            } else if let Some(undo) = keys.get_mut(&undo_key(record.key).to_string()) {
                undo.record = record.clone();
            }
        }
        self.watch.reach(format!("execution {:?}", execution.status));
        if let Some(defect) = execution.error.as_ref().filter(|e| e.contains("defect of mape-k")) {
            self.watch.broke(0, self.now(), defect.clone());
        }
    }

    /// Invariant 1: a changing call leaves the daemon only while the store holds this very try under its key (state
    /// `sent` with as many tries as were sent, or `undo_sent`), and it asks for what the record says.
    /// Invariant 3: it is sent by the one whose lease is the latest, under its epoch.
    /// Invariant 4: no try leaves that was written down after a pause was stored which still holds; none in the mode
    /// observe, none that is forbidden, and where a person has to be asked none that nobody allowed.
    pub fn charter_sent(&mut self, now: f64, daemon: u32, call: &Request) {
        self.watch.moment += 1;
        self.watch.tested(1);
        let key = call.idempotency_key.clone().unwrap_or_default();
        let line = format!("daemon {daemon} sends {} {key}", call.path);
        let effects = &mut self.watch.effects;
        let Some(known) = effects.keys.get_mut(&key) else {
            self.watch.broke(1, now, format!("no durable intent: {line}"));
            return;
        };
        known.sends += 1;
        let first = known.sends == 1 && !known.is_undo;
        let refused = effects.may.refuses(&known.record, &known.policy, known.is_undo);
        let fenced = effects.leader.as_ref().map(|leader| {
            daemon == leader.daemon && call.fence_epoch == Some(leader.epoch.to_string())
        });
        let wanted = if known.is_undo { ActionState::UndoSent } else { ActionState::Sent };
        let (state, recorded) = (known.record.state, known.recorded);
        let unwritten = !known.is_undo && known.sends > known.tries;
        let asked = asks_for(call, &known.record, known.is_undo);
        if state != wanted || unwritten {
            let what = format!("the journal says {state:?} and holds no such try: {line}");
            self.watch.broke(1, now, what);
        }
        if let Err(what) = asked {
            self.watch.broke(1, now, format!("{what}: {line}"));
        }
        if let Some(fenced) = fenced {
            self.watch.tested(3);
            if !fenced {
                self.watch.broke(3, now, format!("another one leads: {line}"));
            }
        }
        if let Some(refused) = refused {
            self.watch.broke(4, now, format!("{line} although {refused}"));
        }
        let wall = self.daemon_wall();
        if let Some((pause, since)) =
            self.watch.pause.clone().filter(|(pause, _)| wall < pause.until)
        {
            self.watch.tested(4);
            if since < recorded {
                self.watch.broke(4, now, format!("{line} although {pause}"));
            }
        }
        if first {
            self.first_sent(now, &key);
        }
    }

    /// After every call that arrived at Charter, with the key it was sent under and what Charter says it changed.
    ///
    /// Invariant 2: a key takes effect at most once. Where Charter had carried a key back to this process and then
    /// forgets it, the second effect is a breach of Charter's own contract and counted apart; where it honours none, or
    /// has not said that it does, the loop has to make sure by itself that the first try was not delivered. A size may
    /// be set again, since it is absolute: setting it where it stands changes nothing, and no effect is counted then.
    /// Invariant 3: what takes effect carries the highest epoch that Charter has seen. Without leader election there is none.
    pub fn charter_called(
        &mut self,
        now: f64,
        daemon: u32,
        call: &Request,
        key: &str,
        answer: &Response,
        effect: Option<&str>,
    ) {
        if !changes(call) {
            return;
        }
        self.watch.moment += 1;
        let body = String::from_utf8_lossy(&call.body).into_owned();
        let line = format!(
            "daemon {daemon}: POST {} {body} {key}: {}, effect {effect:?}",
            call.path, answer.status
        );
        self.trace.say(now, &line);
        if let Some(epoch) = call.fence_epoch.as_deref().and_then(|text| text.parse::<u64>().ok()) {
            self.watch.tested(3);
            let highest = self.watch.effects.highest_epoch;
            if epoch < highest && effect.is_some() {
                self.watch.broke(3, now, format!("epoch {epoch} after {highest}: {line}"));
            }
            self.watch.effects.highest_epoch = highest.max(epoch);
        }
        let honoured = self.watch.effects.honoured.contains(&daemon);
        let Some(known) = self.watch.effects.keys.get_mut(key) else {
            self.watch.broke(1, now, format!("no durable intent: {line}"));
            return;
        };
        known.arrivals += 1;
        let repeated = known.arrivals > 1;
        known.effects += u32::from(effect.is_some());
        let twice = effect.is_some() && known.effects > 1;
        if repeated {
            self.watch.tested(2);
        }
        if twice && honoured {
            self.watch.breaches += 1;
        } else if twice {
            self.watch.broke(2, now, format!("a second effect: {line}"));
        }
    }

    /// Who was told that it leads.
    pub fn granted(&mut self, now: f64, daemon: u32, lease: &Lease) {
        let before = self.watch.effects.leader.as_ref().map_or(0, |leader| leader.epoch);
        if lease.is_ours && lease.epoch > before {
            self.watch.effects.leader = Some(Granted { epoch: lease.epoch, daemon });
            self.trace.say(now, &format!("daemon {daemon} leads with epoch {}", lease.epoch));
        }
    }

    /// Invariant 3, in a store that is shared: only the one who leads writes to the journal, under its own epoch.
    pub fn fenced(&mut self, now: f64, daemon: u32, fence: Option<u64>, writes: &[Write]) {
        let Some(leader) = &self.watch.effects.leader else { return };
        let journal = writes
            .iter()
            .any(|write| matches!(write, Write::Put { collection: Collection::Executions, .. }));
        if fence.is_none() && !journal {
            return;
        }
        let (epoch, leads) = (leader.epoch, leader.daemon);
        self.watch.tested(3);
        if fence != Some(epoch) || daemon != leads {
            let what = format!(
                "daemon {daemon} writes under {fence:?}, and {leads} leads with epoch {epoch}"
            );
            self.watch.broke(3, now, what);
        }
    }

    /// An answer with its key came through to this process.
    pub fn carried_back(&mut self, daemon: u32) {
        self.watch.effects.honoured.insert(daemon);
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
    pub fn crashes(&mut self, daemon: u32, after: bool) -> bool {
        match &mut self.crash_in {
            Some((0, when)) if *when == after => {
                self.crash_in = None;
                self.dies(daemon);
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

/// Does the call ask for what the journal's record says?
fn asks_for(call: &Request, record: &ActionRecord, is_undo: bool) -> Result<(), String> {
    let body: Value = serde_json::from_slice(&call.body).unwrap_or(Value::Null);
    let wrong = |wanted: String| Err(format!("it asks for {body}, the journal for {wanted}"));
    match &record.action {
        Action::ScaleUp { replicas } | Action::ScaleDown { replicas } => {
            let wanted = if is_undo { Prior::of(record).replicas } else { Some(*replicas) };
            if call.path.ends_with("/scale") && body["replicas"] == json!(wanted) {
                return Ok(());
            }
            wrong(format!("{wanted:?} replicas"))
        }
        Action::RestartService { service, .. } => {
            if call.path.ends_with("/restart") && !is_undo && body["service"] == json!(service) {
                return Ok(());
            }
            wrong(format!("a restart of {service:?}"))
        }
        _ if is_undo => {
            let id = Prior::of(record).policy_id.clone().unwrap_or_default();
            if call.path.ends_with(&format!("/{id}/rollback")) {
                return Ok(());
            }
            wrong(format!("a rollback of {id}"))
        }
        action => {
            if call.path.ends_with("/apply") && body["policy"] == json!(action) {
                return Ok(());
            }
            wrong(json!(action).to_string())
        }
    }
}
