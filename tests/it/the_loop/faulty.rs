//! A store in memory whose disk a test can let fail, hang or be slow.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use mape_k::knowledge::lease::Lease;
use mape_k::knowledge::memory::MemoryStore;
use mape_k::knowledge::store::{Bound, Collection, Query, Record, Store, Write};
use mape_k::knowledge::{StoreError, Written};

#[derive(Debug, Default)]
pub struct Faulty {
    memory: MemoryStore,
    state: AtomicU8,
    /// Milliseconds for each call, and for each record of a write.
    call: AtomicU64,
    record: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub enum Disk {
    Well,
    Fails,
    Hangs,
}

impl Faulty {
    pub fn be(&self, disk: Disk) {
        self.state.store(disk as u8, Ordering::SeqCst);
    }

    /// So many milliseconds for each call, and for each record of a write.
    pub fn takes(&self, call: u64, record: u64) {
        self.call.store(call, Ordering::SeqCst);
        self.record.store(record, Ordering::SeqCst);
    }

    async fn works(&self, records: u64) {
        let took = self.call.load(Ordering::SeqCst) + records * self.record.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(took)).await;
    }

    async fn answers(&self) -> Result<(), StoreError> {
        match self.state.load(Ordering::SeqCst) {
            state if state == Disk::Hangs as u8 => std::future::pending().await,
            state if state == Disk::Fails as u8 => Err(StoreError::Unavailable {
                store: "the test's".to_owned(),
                what: "used",
                cause: "its disk fails".to_owned(),
                advice: "",
            }),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Store for Faulty {
    fn is_shared(&self) -> bool {
        self.memory.is_shared()
    }
    async fn lead(&self, holder: &str, ttl: Duration) -> Result<Lease, StoreError> {
        self.memory.lead(holder, ttl).await
    }
    async fn resign(&self, holder: &str) -> Result<(), StoreError> {
        self.memory.resign(holder).await
    }
    async fn wake(&self) -> Result<(), StoreError> {
        self.memory.wake().await
    }
    async fn write_under(
        &self,
        fence: Option<u64>,
        writes: Vec<Write>,
    ) -> Result<Vec<Written>, StoreError> {
        self.answers().await?;
        self.works(writes.len() as u64).await;
        self.memory.write_under(fence, writes).await
    }
    async fn get(&self, collection: Collection, key: &str) -> Result<Option<Record>, StoreError> {
        self.answers().await?;
        self.memory.get(collection, key).await
    }
    async fn list(&self, collection: Collection, query: Query) -> Result<Vec<Record>, StoreError> {
        self.answers().await?;
        self.works(0).await;
        self.memory.list(collection, query).await
    }
    async fn count(&self, collection: Collection, tag: &str) -> Result<usize, StoreError> {
        self.answers().await?;
        self.memory.count(collection, tag).await
    }
    async fn prune_under(
        &self,
        fence: Option<u64>,
        bound: &Bound,
        at_most: usize,
    ) -> Result<BTreeMap<String, u64>, StoreError> {
        self.answers().await?;
        self.memory.prune_under(fence, bound, at_most).await
    }
    async fn check(&self) -> Result<(), StoreError> {
        self.answers().await
    }
    async fn close(&self) {}
}
