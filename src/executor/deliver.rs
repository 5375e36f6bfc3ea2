//! Getting one change to a system exactly once, or knowing that it is not known.
//!
//! ```text
//! write ─▶ may it? ─▶ send ─┬ answered ───────────────────▶ done
//!   ▲            ┌──────────┘
//!   │            ├ surely no effect (refused connection, 503) ─┐
//!   │            ├ 4xx ───────────────────────────▶ refused    │
//!   │            └ answer lost ─▶ look ─┬ there ──▶ done       │
//!   │                                   ├ not there ───────────┤
//!   │                                   └ cannot tell ─▶ unknown, unless the key is honoured ─┐
//!   └──────────────── pause ◀─────────────────────────────────────────────────────────────────────┘
//! ```
//! A change that is not seen may still be on its way. Only a system that honours keys, or a change whose repetition changes
//! nothing, takes another try then; otherwise its end is unknown.
//! The key is the same for every try; there are at most `execute.max_retries` of them.

use serde_json::Value;
use uuid::Uuid;

use super::transaction::{Halt, Transaction};
use super::window::{Cut, Phase};
use crate::actuators::{Doubt, Failure, Probe, Refusal, Step, retry};
use crate::domain::execution::ActionState;
use crate::domain::time::Time;

#[derive(Clone, Debug)]
pub(super) enum Delivery {
    Done {
        /// What is kept of it from now on.
        prior: Option<Value>,
    },
    Refused {
        why: String,
        /// Whose decision it was, when somebody decided.
        refusal: Option<Refusal>,
    },
    Unknown {
        why: String,
    },
    /// Somebody else has changed the same thing; what became of ours is not known either.
    Foreign {
        why: String,
    },
}

fn cut_short(cut: Cut) -> Failure {
    let text = format!("its answer was not waited for: {cut}");
    Failure { text, doubt: Doubt::UnderWay, refusal: None }
}

const NOT_SENT: &str = "not sent";

const MAY_LAND: &str =
    "it may still arrive, and idempotency keys are not known to be honoured there";

/// The same reason is said once.
fn not_again(last: &str, cut: &impl std::fmt::Display) -> String {
    let cut = cut.to_string();
    if last == NOT_SENT {
        format!("{NOT_SENT}: {cut}")
    } else if last.ends_with(&cut) {
        format!("{last}, so it is not sent again")
    } else {
        format!("{last}; not sent again: {cut}")
    }
}

impl Transaction<'_> {
    pub(super) async fn deliver(
        &mut self,
        index: usize,
        step: Step,
        key: Uuid,
        at: Time,
    ) -> Result<Delivery, Halt> {
        let (actuator, prior) = self.at_hand(index);
        let tries = self.settings.max_retries.max(1);
        let seed = key.as_u64_pair().1;
        let mut pauses = retry::pauses(tries, seed);
        let mut doubt = Doubt::None;
        let mut last = String::from(NOT_SENT);
        loop {
            if let Err(cut) = self.window.admits_change() {
                return Ok(end(doubt, not_again(&last, &cut), None));
            }
            if let Err(halt) = self.write_try(index).await {
                self.abandon(index, doubt > Doubt::None);
                return Err(halt);
            }
            match self.barred(index).await {
                Ok(None) => {}
                Ok(Some(why)) => {
                    self.take_back_try(index);
                    return Ok(end(doubt, not_again(&last, &why), None));
                }
                Err(halt) => {
                    self.take_back_try(index);
                    self.abandon(index, doubt > Doubt::None);
                    return Err(halt);
                }
            }
            let request = self.request(index, key, at);
            let sending = async {
                match step {
                    Step::Apply => actuator.apply(&request, &prior).await.map(Some),
                    Step::Undo => actuator.undo(&request, &prior).await.map(|()| None),
                }
            };
            let failure = match self.window.within(Phase::Send, sending).await {
                Ok(Ok(prior)) => return Ok(Delivery::Done { prior }),
                Ok(Err(failure)) => failure,
                Err(cut) => cut_short(cut),
            };
            self.log_setback(index, &failure.text);
            if failure.refusal == Some(Refusal::Superseded) {
                // Nothing more is sent in this execution, not even to undo; the one who leads takes it from here.
                self.journal.superseded(&failure.text);
                self.hands_off = Some(failure.text.clone());
            }
            doubt = doubt.max(failure.doubt);
            last = failure.text;
            let is_final = failure.refusal.is_some();
            if doubt > Doubt::None {
                let probed = self.probe(index, step, key, at).await;
                let action = &self.execution.actions[index].action;
                let by_key = actuator.honours_keys(action) && !is_final;
                if let Some(delivery) = settled(probed, &last, by_key) {
                    return Ok(delivery);
                }
                let repeatable = by_key || actuator.is_repeatable(step, action);
                if doubt == Doubt::UnderWay && !repeatable {
                    return Ok(end(doubt, not_again(&last, &MAY_LAND), None));
                }
            }
            let Some(pause) = pauses.next().filter(|_| !is_final) else {
                return Ok(end(doubt, last, failure.refusal));
            };
            if let Err(cut) = self.window.within(Phase::Prepare, tokio::time::sleep(pause)).await {
                return Ok(end(doubt, not_again(&last, &cut), None));
            }
            // What is undone may have been changed by somebody else during the pause.
            if step == Step::Undo {
                match self.probe(index, step, key, at).await {
                    Probe::CannotTell(why) => return Ok(end(doubt, not_again(&last, &why), None)),
                    probed => {
                        if let Some(delivery) = settled(probed, &last, false) {
                            return Ok(delivery);
                        }
                    }
                }
            }
        }
    }

    pub(super) async fn probe(&self, index: usize, step: Step, key: Uuid, at: Time) -> Probe {
        let (actuator, prior) = self.at_hand(index);
        let request = self.request(index, key, at);
        match self.window.within(Phase::Look, actuator.probe(step, &request, &prior)).await {
            Ok(seen) => seen,
            Err(cut) => Probe::CannotTell(format!("no time to look at what became of it: {cut}")),
        }
    }

    /// Makes the coming try durable: no call may exist that the journal does not know of.
    async fn write_try(&mut self, index: usize) -> Result<(), Halt> {
        let record = &mut self.execution.actions[index];
        if record.state == ActionState::Sent {
            record.tries += 1;
            record.sent_at = Some((self.now)());
        } else {
            record.undo_under_way = true;
        }
        self.write().await
    }

    /// The try that was written down was not made; the record that follows says so.
    fn take_back_try(&mut self, index: usize) {
        let record = &mut self.execution.actions[index];
        if record.state == ActionState::Sent {
            record.tries -= 1;
            if record.tries == 0 {
                record.sent_at = None;
            }
        }
    }
}

/// What the look settles; `None`: not there, so it may be sent again.
fn settled(seen: Probe, last: &str, by_key: bool) -> Option<Delivery> {
    match seen {
        Probe::Found(prior) => Some(Delivery::Done { prior: Some(prior) }),
        Probe::Absent => None,
        Probe::Ended(what) => {
            Some(Delivery::Refused { why: format!("{last}; {what}"), refusal: None })
        }
        // The key answers what the look cannot: a repeat changes nothing.
        Probe::CannotTell(_) if by_key => None,
        Probe::CannotTell(what) => Some(Delivery::Unknown { why: format!("{last}; {what}") }),
        Probe::Foreign(what) => Some(Delivery::Foreign { why: format!("{last}; {what}") }),
    }
}

/// No further try: what may still be under way is not known, everything else did not happen.
fn end(doubt: Doubt, why: String, refusal: Option<Refusal>) -> Delivery {
    match doubt {
        Doubt::None | Doubt::Answered => Delivery::Refused { why, refusal },
        Doubt::UnderWay => Delivery::Unknown { why },
    }
}
