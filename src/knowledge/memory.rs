//! The store in memory: the same contract without files or threads, so that it also runs under a paused clock.
//!
//! Nothing survives the process. A journal kept here cannot speak after a crash: `knowledge.database: memory` is for
//! trials and simulations.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::SubsecRound;

use super::lease::{Lease, Seat};
use super::store::{Bound, Collection, Query, Record, Store, StoreError, When, Write, Written};
use crate::domain::time::Time;

#[derive(Debug, Default)]
pub struct MemoryStore {
    tables: Mutex<Tables>,
    shared: bool,
}

#[derive(Debug, Default)]
struct Tables {
    seat: Seat,
    last_sequence: i64,
    by_collection: HashMap<Collection, Table>,
}

#[derive(Debug, Default)]
struct Table {
    sequences: HashMap<String, i64>,
    records: BTreeMap<i64, Record>,
}

impl Table {
    fn get(&self, key: &str) -> Option<&Record> {
        self.records.get(self.sequences.get(key)?)
    }

    fn get_mut(&mut self, key: &str) -> Option<&mut Record> {
        self.records.get_mut(self.sequences.get(key)?)
    }

    fn remove(&mut self, key: &str) {
        if let Some(sequence) = self.sequences.remove(key) {
            self.records.remove(&sequence);
        }
    }

    fn prune(&mut self, bound: &Bound, at_most: usize) -> BTreeMap<String, u64> {
        let bounded = |record: &&Record| bound.tag.as_ref().is_none_or(|tag| record.tag == *tag);
        let not_before = bound.not_before.map(to_microsecond);
        let doomed: Vec<(String, String)> = self
            .records
            .values()
            .rev()
            .filter(bounded)
            .enumerate()
            .filter(|(place, record)| {
                *place >= bound.newest || not_before.is_some_and(|time| record.at < time)
            })
            .map(|(_, record)| (record.key.clone(), record.tag.clone()))
            .take(at_most)
            .collect();
        let mut dropped = BTreeMap::new();
        for (key, tag) in doomed {
            self.remove(&key);
            *dropped.entry(tag).or_default() += 1;
        }
        dropped
    }
}

impl Tables {
    fn table(&mut self, collection: Collection) -> &mut Table {
        self.by_collection.entry(collection).or_default()
    }

    fn apply(&mut self, write: Write) -> Written {
        match write {
            Write::Put { collection, key, tag, at, body, when } => {
                let at = to_microsecond(at);
                let present = self.table(collection).get_mut(&key);
                let holds = match (&when, &present) {
                    (When::Always, _) | (When::Absent, None) => true,
                    (When::Tag(tag), Some(record)) => record.tag == *tag,
                    (When::Version(version), Some(record)) => record.version == *version,
                    (When::Absent, Some(_)) | (When::Tag(_) | When::Version(_), None) => false,
                };
                if !holds {
                    return Written::Skipped;
                }
                if let Some(record) = present {
                    record.tag = tag;
                    record.at = at;
                    record.body = body;
                    record.version += 1;
                } else {
                    self.last_sequence += 1;
                    let sequence = self.last_sequence;
                    let table = self.table(collection);
                    table.sequences.insert(key.clone(), sequence);
                    table
                        .records
                        .insert(sequence, Record { key, tag, at, body, sequence, version: 1 });
                }
                Written::Done
            }
            Write::Touch { collection, key, tag, at } => {
                match self.table(collection).get_mut(&key).filter(|record| record.tag == tag) {
                    Some(record) => {
                        record.at = to_microsecond(at);
                        Written::Done
                    }
                    None => Written::Skipped,
                }
            }
            Write::Delete { collection, key } => {
                self.table(collection).remove(&key);
                Written::Done
            }
        }
    }
}

impl MemoryStore {
    /// For several loops in one process, of which one leads: simulations.
    #[must_use]
    pub fn shared() -> Self {
        Self { shared: true, ..Self::default() }
    }

    // No code that holds the lock can panic halfway through a record, so a poisoned lock guards whole tables.
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn to_microsecond(at: Time) -> Time {
    at.trunc_subsecs(6)
}

#[async_trait]
impl Store for MemoryStore {
    async fn close(&self) {}

    fn is_shared(&self) -> bool {
        self.shared
    }

    // Epochs from 1: it has no past, and its time may be a simulation's.
    async fn lead(&self, holder: &str, ttl: Duration) -> Result<Lease, StoreError> {
        Ok(self.tables().seat.lead(holder, ttl, 1))
    }

    async fn resign(&self, holder: &str) -> Result<(), StoreError> {
        self.tables().seat.resign(holder);
        Ok(())
    }

    async fn wake(&self) -> Result<(), StoreError> {
        self.tables().seat.wake();
        Ok(())
    }

    async fn write_under(
        &self,
        fence: Option<u64>,
        writes: Vec<Write>,
    ) -> Result<Vec<Written>, StoreError> {
        let mut tables = self.tables();
        tables.seat.admits("memory", fence)?;
        Ok(writes.into_iter().map(|write| tables.apply(write)).collect())
    }

    async fn get(&self, collection: Collection, key: &str) -> Result<Option<Record>, StoreError> {
        Ok(self.tables().table(collection).get(key).cloned())
    }

    async fn list(&self, collection: Collection, query: Query) -> Result<Vec<Record>, StoreError> {
        let before = query.after.unwrap_or(i64::MAX);
        Ok(self
            .tables()
            .table(collection)
            .records
            .range(..before)
            .rev()
            .map(|(_, record)| record)
            .filter(|record| query.tag.as_ref().is_none_or(|tag| record.tag == *tag))
            .take(query.limit)
            .cloned()
            .collect())
    }

    async fn count(&self, collection: Collection, tag: &str) -> Result<usize, StoreError> {
        let mut tables = self.tables();
        Ok(tables.table(collection).records.values().filter(|record| record.tag == tag).count())
    }

    async fn prune_under(
        &self,
        fence: Option<u64>,
        bound: &Bound,
        at_most: usize,
    ) -> Result<BTreeMap<String, u64>, StoreError> {
        let mut tables = self.tables();
        tables.seat.admits("memory", fence)?;
        Ok(tables.table(bound.collection).prune(bound, at_most))
    }

    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
