//! What the store holds of incidents and messages: taken up at the beginning of a leadership, kept in every cycle.

use std::pin::pin;
use std::time::Duration;

use tokio::time::timeout;

use super::{AlertPipeline, ENDED, ENDED_WITHIN, Remembered};
use crate::analyzer::cluster::Onsets;
use crate::domain::incident::Incident;
use crate::domain::outbox::Outgoing;
use crate::domain::time::Time;
use crate::knowledge::documents::{CLOSED, Fact, OPEN};
use crate::knowledge::{Knowledge, StoreError, When};
use crate::notify::spool::{Backup, Done};

/// Messages wait for the store no longer: what it does not take by then is sent all the same.
pub(super) const TAKEN_WITHIN: Duration = Duration::from_secs(5);

/// Incidents and needs stored in one transaction, so that a slow store takes some of a storm in each.
const KEPT_AT_ONCE: usize = 100;

/// The transactions of one cycle together: the next goes on with what is left.
const KEPT_WITHIN: Duration = Duration::from_secs(30);

impl AlertPipeline {
    /// The outbox as the store has it, and what waits in files: of the version before, or of a process whose store was in
    /// memory.
    pub(super) async fn messages(
        &self,
        knowledge: &Knowledge,
    ) -> Result<Vec<Outgoing>, StoreError> {
        let notifiers = self.desk.notifiers();
        let files = notifiers.waiting_files().await.unwrap_or_else(|error| {
            tracing::error!(error, "the backup files cannot be read: the messages in them are not sent. Check the folder escalation.reports_dir");
            Vec::new()
        });
        if !knowledge.is_durable() {
            return Ok(files.into_iter().map(|file| file.into_entry(true)).collect());
        }
        // A file with an entry is a copy of what the store has.
        let files: Vec<Backup> = files.into_iter().filter(|file| file.entry.is_none()).collect();
        let mut batch = knowledge.batch();
        for file in &files {
            batch.put_if(&file.clone().into_entry(false), When::Absent);
        }
        knowledge.commit(batch).await?;
        for file in files {
            tracing::info!(
                file = file.file,
                "a message from a backup file was put into the outbox"
            );
            notifiers.finish(&file.file, Done::Queued).await;
        }
        let (entries, unread) = knowledge.outbox().await?;
        for one in unread {
            tracing::error!(
                entry = one.key,
                cause = one.cause,
                "a message of the outbox cannot be read and is not sent: look at its incident"
            );
        }
        Ok(entries)
    }

    /// Stores what changed, messages with their incidents; what could not be stored is tried again with the next. Messages
    /// wait for it for so long.
    pub(super) async fn keep(
        &mut self,
        knowledge: &Knowledge,
        onsets: &Onsets,
        now: Time,
        messages_wait: Duration,
    ) -> Result<(), StoreError> {
        let desk = self.desk.clone();
        let write = knowledge.answers(KEPT_WITHIN, self.write(knowledge, onsets, now));
        let mut write = pin!(write);
        let written = timeout(messages_wait, &mut write).await;
        // What the store does not take is sent all the same.
        desk.outbox.ready();
        match written {
            Ok(written) => written,
            Err(_) => write.await,
        }
    }

    async fn write(
        &mut self,
        knowledge: &Knowledge,
        onsets: &Onsets,
        now: Time,
    ) -> Result<(), StoreError> {
        for incident in self.board.take_changed() {
            self.unsaved.insert(incident.id.clone(), incident);
        }
        while self.unsaved.len() + self.unlinked.len() > KEPT_AT_ONCE {
            let piece: Vec<String> = self.unsaved.keys().take(KEPT_AT_ONCE).cloned().collect();
            let needs = self.unlinked.len().min(KEPT_AT_ONCE - piece.len());
            let mut batch = knowledge.batch();
            for id in &piece {
                batch.put(&self.unsaved[id]);
            }
            for need in &self.unlinked[..needs] {
                batch.put(need);
            }
            knowledge.answers(TAKEN_WITHIN, knowledge.commit(batch)).await?;
            self.unsaved.retain(|id, _| !piece.contains(id));
            self.unlinked.drain(..needs);
        }
        let remembered = Remembered { board: self.board.state().clone(), onsets: onsets.clone() };
        let mut batch = knowledge.batch();
        for incident in self.unsaved.values() {
            batch.put(incident);
        }
        for need in &self.unlinked {
            batch.put(need);
        }
        let outbox = &self.desk.outbox;
        let messages = outbox.unsaved();
        for (_, entry) in &messages {
            batch.put(entry);
        }
        for id in &self.settled {
            batch.delete::<Outgoing>(id);
        }
        for report in &self.reports {
            batch.put(report);
        }
        if self.saved.as_ref() != Some(&remembered) {
            let value = serde_json::to_value(&remembered).unwrap_or_default();
            batch.put(&Fact { name: Fact::PEOPLE.to_owned(), value, at: now });
        }
        knowledge.answers(TAKEN_WITHIN, knowledge.commit(batch)).await?;
        outbox.saved(&messages);
        self.drop_unsaved();
        self.settled.clear();
        self.reports.clear();
        self.saved = Some(remembered);
        Ok(())
    }
}

/// All that is open, and what ended lately.
pub(super) async fn stored(
    knowledge: &Knowledge,
    now: Time,
) -> Result<(Vec<Incident>, Remembered), StoreError> {
    let mut incidents = knowledge.all::<Incident>(Some(OPEN)).await?;
    let ended = knowledge.page::<Incident>(Some(CLOSED), None, ENDED).await?.items;
    let lately = |one: &Incident| one.ended_at.is_some_and(|at| now - at < ENDED_WITHIN);
    incidents.extend(ended.into_iter().filter(lately));
    let remembered = knowledge.fact::<Remembered>(Fact::PEOPLE).await?.unwrap_or_default();
    Ok((incidents, remembered))
}
