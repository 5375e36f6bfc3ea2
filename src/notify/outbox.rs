//! The outbox as this process works on it, and which of its messages goes next.
//!
//! ```text
//! cycle ─ put, saved ─▶ entries ─ next ─▶ a worker of (notifier, urgency, lane) ─ done ─▶ entries ─ answered ─▶ cycle
//! ```
//! In order for one notifier and one incident: a message waits for earlier ones about an incident that they share. An alert
//! that is more severe than an earlier message goes first. So does one that is about all of its incidents: it takes the
//! news of that message along. SEV-1 and SEV-2 have workers of their own.
//! Decides order and time; the caller writes to the store and sends.

mod sending;
mod turns;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::late;
use crate::domain::decision::Sev;
use crate::domain::message::{Entry, Message, NotifierName, Thread};
use crate::domain::outbox::{GivenUp, Outgoing, State};
use crate::domain::time::{Time, since};

/// Messages that may wait: with Slack away for days, more than anybody reads.
const MAX_WAITING: usize = 500;

/// A message that waits for so long is a problem although no attempt has failed.
const TOO_LONG: Duration = Duration::from_secs(60);

/// What the cycle knows and the outbox needs: for the order, and for what late messages say.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// In which incident each one goes on: in itself while it is open, in what it was merged into, or in none when it is
    /// resolved. Of one that is not here nobody knows that it is resolved.
    pub incidents: BTreeMap<String, Option<String>>,
    /// Where each incident is followed.
    pub threads: BTreeMap<String, Thread>,
    /// What is posted to an Alertmanager again and again.
    pub standing: Vec<Entry>,
}

impl Known {
    pub(super) fn is_resolved(&self, incident: &str) -> bool {
        matches!(self.incidents.get(incident), Some(None))
    }
}

/// Who sends: messages of one worker go one after the other, the workers beside each other. None begins while another
/// sends on its lane what is more urgent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Worker {
    pub notifier: NotifierName,
    /// `None`: it sends what may wait.
    pub urgency: Option<Sev>,
    pub lane: String,
}

impl Worker {
    pub(super) fn is_free(&self, busy: &BTreeSet<Self>) -> bool {
        !busy.iter().any(|other| {
            other.notifier == self.notifier
                && other.lane == self.lane
                && other.urgency >= self.urgency
        })
    }
}

/// One message to be sent now, and the entries that it settles: one, or those of a summary.
#[derive(Clone, Debug)]
pub struct Job {
    pub worker: Worker,
    pub message: Message,
    pub ids: Vec<String>,
    /// Earlier entries whose news it takes along: they are delivered when it is.
    pub covers: Vec<String>,
    /// It may be sent although the store cannot be written.
    pub is_direct: bool,
}

/// The entries of a job as they were claimed.
#[derive(Clone, Debug, Default)]
pub struct Claimed {
    pub all: Vec<Outgoing>,
    pub stored: Vec<(u64, Outgoing)>,
}

/// Cheap to clone; all clones share one outbox.
#[derive(Clone, Debug, Default)]
pub struct Outbox(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    inner: Mutex<Inner>,
    changed: Notify,
    answered: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    entries: Vec<Held>,
    known: Known,
    /// The cycle has handed over what stands since it was last posted.
    is_standing_new: bool,
    refresh_problem: Option<String>,
}

#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is written by another side, none excludes another"
)]
struct Held {
    entry: Outgoing,
    /// Not before its first write was tried.
    is_ready: bool,
    in_hand: bool,
    /// That another message gets through on its lane says nothing of this one.
    is_own_fault: bool,
    /// Never stored: the daemon's own alarm, which must not depend on the store.
    is_unstored: bool,
    /// Rises with every change; what the store has of it.
    revision: u64,
    saved: Option<u64>,
    /// Its incidents have not taken in yet what became of it.
    is_news: bool,
    /// Given up, and its file is not written yet.
    wants_backup: bool,
}

impl Held {
    fn new(entry: Outgoing) -> Self {
        Self {
            entry,
            is_ready: false,
            in_hand: false,
            is_own_fault: false,
            is_unstored: false,
            revision: 1,
            saved: None,
            is_news: false,
            wants_backup: false,
        }
    }

    fn stored(entry: Outgoing) -> Self {
        let is_news = !entry.waits() || entry.attempts > entry.taken_in;
        let wants_backup = needs_file(&entry) && entry.backup.is_none();
        Self { is_ready: true, saved: Some(1), is_news, wants_backup, ..Self::new(entry) }
    }

    fn change(&mut self, change: impl FnOnce(&mut Outgoing)) {
        change(&mut self.entry);
        self.revision += 1;
    }

    fn give_up(&mut self, why: GivenUp, now: Time) {
        self.change(|entry| entry.give_up(why, now));
        self.is_news = true;
        self.wants_backup = needs_file(&self.entry);
    }
}

impl Outbox {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something is to be done.
    pub async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// Messages were sent or failed, and their incidents have not taken that in yet.
    pub async fn has_answers(&self) {
        self.0.answered.notified().await;
    }
}

/// The cycle's side.
impl Outbox {
    /// Has [`Outbox::has_answers`] come back once more.
    pub fn say_answered(&self) {
        self.0.answered.notify_one();
    }

    /// What the store holds, in its order, takes the place of all that this process had of it.
    pub fn load(&self, entries: Vec<Outgoing>) {
        let mut inner = self.inner();
        inner.entries.retain(|held| held.is_unstored);
        inner.entries.splice(0..0, entries.into_iter().map(Held::stored));
        drop(inner);
        self.0.changed.notify_one();
        self.0.answered.notify_one();
    }

    /// Puts in messages that are sent once [`Outbox::ready`] is called. Beyond the bound the least severe and oldest is
    /// given up.
    pub fn put(&self, entries: Vec<Outgoing>, now: Time) {
        let mut inner = self.inner();
        inner.entries.extend(entries.into_iter().map(Held::new));
        inner.keep_the_bound(now);
    }

    /// One that no store keeps, to be sent at once.
    pub fn put_unstored(&self, entries: Vec<Outgoing>) {
        let held = |entry| Held { is_unstored: true, is_ready: true, ..Held::new(entry) };
        self.inner().entries.extend(entries.into_iter().map(held));
        self.0.changed.notify_one();
    }

    /// Entries that the store does not have as they are, with the revision to name in [`Outbox::saved`].
    #[must_use]
    pub fn unsaved(&self) -> Vec<(u64, Outgoing)> {
        let inner = self.inner();
        let unsaved = inner
            .entries
            .iter()
            .filter(|held| !held.is_unstored && held.saved != Some(held.revision));
        unsaved.map(|held| (held.revision, held.entry.clone())).collect()
    }

    pub fn saved(&self, entries: &[(u64, Outgoing)]) {
        let mut inner = self.inner();
        for (revision, entry) in entries {
            if let Some(held) = inner.of(&entry.id) {
                held.saved = held.saved.max(Some(*revision));
            }
        }
    }

    /// The store was asked to take what was put in, and whatever it answered, it is sent now.
    pub fn ready(&self) {
        for held in &mut self.inner().entries {
            held.is_ready = true;
        }
        self.0.changed.notify_one();
    }

    /// The entries that the incidents must take in.
    #[must_use]
    pub fn answered(&self) -> Vec<(u64, Outgoing)> {
        let inner = self.inner();
        let news = inner.entries.iter().filter(|held| held.is_news && !held.in_hand);
        news.map(|held| (held.revision, held.entry.clone())).collect()
    }

    /// The incidents have taken these in.
    pub fn taken_in(&self, entries: &[(u64, Outgoing)]) {
        let mut inner = self.inner();
        for (revision, entry) in entries {
            let held = inner.of(&entry.id).filter(|held| held.revision == *revision);
            if let Some(held) = held {
                held.is_news = false;
                held.change(|entry| entry.taken_in = entry.attempts);
            }
        }
    }

    /// All messages of a cycle that are not in its report yet, edits aside, if each of them was tried: one that waits
    /// behind another that failed counts as tried. `None`: some were not.
    #[must_use]
    pub fn tried(&self, cycle: &str) -> Option<Vec<Outgoing>> {
        let inner = self.inner();
        let own = inner.entries.iter().filter(|held| {
            held.entry.message.cycle_id == cycle && !held.entry.is_edit() && !held.entry.is_reported
        });
        let own = own.map(|held| {
            let entry = &held.entry;
            let is_tried = !held.in_hand && (!entry.waits() || entry.error.is_some());
            is_tried.then(|| entry.clone())
        });
        own.collect::<Option<Vec<_>>>().filter(|own| !own.is_empty())
    }

    /// Cycles whose reports do not say yet what became of their messages.
    #[must_use]
    pub fn unreported(&self) -> BTreeSet<String> {
        let inner = self.inner();
        let open = inner.entries.iter().filter(|h| !h.entry.is_reported && !h.entry.is_edit());
        open.map(|held| held.entry.message.cycle_id.clone()).collect()
    }

    pub fn reported(&self, cycle: &str) {
        for held in &mut self.inner().entries {
            if held.entry.message.cycle_id == cycle && !held.entry.is_reported {
                held.change(|entry| entry.is_reported = true);
            }
        }
    }

    /// Forgets what is settled and known everywhere, and answers the ids that the store may forget too.
    #[must_use]
    pub fn forget_settled(&self) -> Vec<String> {
        let is_over = |held: &mut Held| {
            let entry = &held.entry;
            let is_notified = entry.is_reported || entry.is_edit();
            !entry.waits() && is_notified && !held.is_news && !held.wants_backup
        };
        let gone = self.inner().entries.extract_if(.., is_over).collect::<Vec<_>>();
        gone.into_iter().filter(|held| !held.is_unstored).map(|held| held.entry.id).collect()
    }

    pub fn know(&self, known: Known) {
        let mut inner = self.inner();
        inner.known = known;
        inner.is_standing_new = true;
        drop(inner);
        self.0.changed.notify_one();
    }

    /// The incidents of which people will be notified when what waits is sent.
    #[must_use]
    pub fn waiting_incidents(&self) -> BTreeSet<String> {
        let inner = self.inner();
        // What was answered and not taken in yet is not lost either.
        let waiting = inner.entries.iter().filter(|held| held.entry.waits() || held.is_news);
        waiting.flat_map(|held| held.entry.incidents().map(str::to_owned)).collect()
    }

    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.inner().entries.iter().filter(|held| held.entry.waits()).count()
    }

    /// What was given up because too many messages waited may be put in anew.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.waiting() < MAX_WAITING / 2
    }

    /// Why people are not notified; `None`: nothing is in the way.
    #[must_use]
    pub fn problem(&self, now: Time) -> Option<String> {
        let inner = self.inner();
        let stuck: Vec<&Outgoing> = inner
            .entries
            .iter()
            .map(|held| &held.entry)
            .filter(|entry| entry.waits() && !entry.is_edit())
            .filter(|entry| entry.error.is_some() || since(now, entry.message.at) > TOO_LONG)
            .collect();
        let error = stuck.iter().find(|entry| entry.attempts > 0).and_then(|e| e.error.as_ref());
        let error = error.map(|error| format!(": {error}")).unwrap_or_default();
        let waiting = (!stuck.is_empty()).then(|| {
            let (count, plural) = (stuck.len(), if stuck.len() == 1 { "" } else { "s" });
            format!("no notifier has confirmed {count} message{plural} of the outbox yet{error}")
        });
        let problems: Vec<String> =
            waiting.into_iter().chain(inner.refresh_problem.clone()).collect();
        (!problems.is_empty()).then(|| problems.join("; "))
    }
}

/// People find in a file what was given up; nobody misses an edit, or the end of what is open again.
fn needs_file(entry: &Outgoing) -> bool {
    match &entry.state {
        State::GivenUp { why: GivenUp::OpenAgain, .. } => entry.backup.is_some(),
        State::GivenUp { why, .. } => *why != GivenUp::Edit,
        State::Pending | State::Claimed { .. } | State::Delivered { .. } => false,
    }
}

pub(super) fn is_urgent(severity: Sev) -> bool {
    severity >= Sev::Sev2
}
