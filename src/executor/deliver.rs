//! Getting one change to Charter exactly once, or knowing that it is not known.
//!
//! ```text
//! write ─▶ may it? ─▶ send ─┬ answered ───────────────────▶ done
//!   ▲            ┌──────────┘
//!   │            ├ surely no effect (refused connection, 503) ─┐
//!   │            ├ 4xx ───────────────────────────▶ refused    │
//!   │            └ answer lost ─▶ look ─┬ there ──▶ done       │
//!   │                                   ├ not there ───────────┤
//!   │                                   └ cannot tell ─▶ unknown, unless Charter honours the key ─┐
//!   └──────────────── pause ◀─────────────────────────────────────────────────────────────────────┘
//! ```
//! What is not there may still be on its way. Only a Charter that honours keys, or a change whose repetition changes
//! nothing, takes another try then; otherwise its end is unknown.
//! The key is the same for every try; there are at most `execute.max_retries` of them.

use uuid::Uuid;

use super::charter::{Client, Error};
use super::look::{Sight, Trace, look};
use super::retry;
use super::transaction::{Halt, Transaction};
use super::window::{Cut, Phase};
use crate::domain::action::Action;
use crate::domain::execution::ActionState;
use crate::domain::time::Time;

/// A call that changes Charter. Everything in its body is fixed here, so that every try sends the same bytes.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Apply { action: Action, at: Time },
    Scale { replicas: u32 },
    Restart { service: Option<String>, graceful: bool },
    Rollback { policy_id: String },
}

impl Change {
    async fn send(&self, client: &Client, key: Uuid) -> Result<Option<String>, Error> {
        match self {
            Self::Apply { action, at } => client.apply(action, *at, key).await.map(Some),
            Self::Scale { replicas } => client.scale(*replicas, key).await.map(|()| None),
            Self::Restart { service, graceful } => {
                client.restart(service.as_deref(), *graceful, key).await.map(|()| None)
            }
            Self::Rollback { policy_id } => client.rollback(policy_id, key).await.map(|()| None),
        }
    }

    /// Does a second arrival of the same call change nothing more, even at a Charter that ignores keys?
    fn may_be_repeated(&self) -> bool {
        match self {
            // A size is absolute; what is rolled back cannot be rolled back again (409).
            Self::Scale { .. } | Self::Rollback { .. } => true,
            Self::Apply { .. } | Self::Restart { .. } => false,
        }
    }
}

/// A change and where its effect would show.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) change: Change,
    pub(super) trace: Trace,
}

#[derive(Clone, Debug)]
pub(super) enum Delivery {
    Done {
        policy_id: Option<String>,
    },
    Refused {
        why: String,
        /// Charter's status when the refusal is its own.
        status: Option<u16>,
    },
    Unknown {
        why: String,
    },
    /// Somebody else has changed the same thing; what became of ours is not known either.
    Foreign {
        why: String,
    },
}

/// How much of what was sent may have taken effect unseen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Doubt {
    None,
    /// Charter answered, but not with what the contract knows: nothing is under way any more.
    Answered,
    /// The request may still arrive or be worked on.
    UnderWay,
}

/// A try that was not answered as hoped.
struct Setback {
    text: String,
    doubt: Doubt,
    is_final: bool,
    /// Charter has heard of a later leader.
    superseded: bool,
    status: Option<u16>,
}

impl Setback {
    fn of(result: Result<Error, Cut>) -> Self {
        match result {
            Ok(error) => Self {
                doubt: if error.surely_no_effect() || error.is_final() {
                    Doubt::None
                } else if error.may_still_land() {
                    Doubt::UnderWay
                } else {
                    Doubt::Answered
                },
                is_final: error.is_final(),
                superseded: matches!(error, Error::StaleEpoch { .. }),
                status: error.refused_with(),
                text: error.to_string(),
            },
            Err(cut) => Self {
                text: format!("its answer was not waited for: {cut}"),
                doubt: Doubt::UnderWay,
                is_final: false,
                superseded: false,
                status: None,
            },
        }
    }
}

const NOT_SENT: &str = "not sent";

const MAY_LAND: &str = "it may still arrive, and Charter is not known to honour idempotency keys";

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
        step: &Step,
        key: Uuid,
    ) -> Result<Delivery, Halt> {
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
            let sent = self.window.within(Phase::Send, step.change.send(self.client, key)).await;
            let setback = match sent {
                Ok(Ok(policy_id)) => return Ok(Delivery::Done { policy_id }),
                Ok(Err(error)) => Setback::of(Ok(error)),
                Err(cut) => Setback::of(Err(cut)),
            };
            self.log_setback(index, &setback.text);
            if setback.superseded {
                // Nothing more is sent in this execution, not even to undo; the one who leads takes it from here.
                self.journal.superseded(&setback.text);
                self.hands_off = Some(setback.text.clone());
            }
            doubt = doubt.max(setback.doubt);
            last = setback.text;
            if doubt > Doubt::None {
                let sight = self.look(&step.trace, seed).await;
                let by_key = self.client.honours_keys() && !setback.is_final;
                if let Some(delivery) = settled(sight, &last, by_key) {
                    return Ok(delivery);
                }
                if doubt == Doubt::UnderWay && !step.change.may_be_repeated() && !by_key {
                    return Ok(end(doubt, not_again(&last, &MAY_LAND), None));
                }
            }
            let Some(pause) = pauses.next().filter(|_| !setback.is_final) else {
                return Ok(end(doubt, last, setback.status));
            };
            if let Err(cut) = self.window.within(Phase::Prepare, tokio::time::sleep(pause)).await {
                return Ok(end(doubt, not_again(&last, &cut), None));
            }
            // A size that is taken back may have been changed by somebody else during the pause.
            let undoing = self.execution.actions[index].state == ActionState::UndoSent;
            if undoing && matches!(step.change, Change::Scale { .. }) {
                let sight = self.look(&step.trace, seed).await;
                if let Some(delivery) = settled(sight, &last, false) {
                    return Ok(delivery);
                }
            }
        }
    }

    pub(super) async fn look(&self, trace: &Trace, seed: u64) -> Sight {
        let tries = self.settings.max_retries;
        match self.window.within(Phase::Look, look(self.client, trace, tries, seed)).await {
            Ok(sight) => sight,
            Err(cut) => Sight::Hidden(format!("no time to look at Charter's state: {cut}")),
        }
    }

    /// Makes the coming try durable: no call may exist that the journal does not know of.
    async fn write_try(&mut self, index: usize) -> Result<(), Halt> {
        let record = &mut self.execution.actions[index];
        if record.state == ActionState::Sent {
            record.tries += 1;
            record.sent_at = Some((self.now)());
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
fn settled(sight: Sight, last: &str, by_key: bool) -> Option<Delivery> {
    match sight {
        Sight::Found { policy_id } => Some(Delivery::Done { policy_id }),
        Sight::Absent => None,
        Sight::Ended(what) => {
            Some(Delivery::Refused { why: format!("{last}; {what}"), status: None })
        }
        // The key answers what the look cannot: a repeat changes nothing.
        Sight::Hidden(_) if by_key => None,
        Sight::Hidden(what) => Some(Delivery::Unknown { why: format!("{last}; {what}") }),
        Sight::Foreign(what) => Some(Delivery::Foreign { why: format!("{last}; {what}") }),
    }
}

/// No further try: what may still be under way is not known, everything else did not happen.
fn end(doubt: Doubt, why: String, status: Option<u16>) -> Delivery {
    match doubt {
        Doubt::None | Doubt::Answered => Delivery::Refused { why, status },
        Doubt::UnderWay => Delivery::Unknown { why },
    }
}
