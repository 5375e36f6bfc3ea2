//! The store of the simulation: the memory store, whose disk may fail, lose an answer or be slow, and in front of which
//! every write is watched.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mape_k::knowledge::memory::MemoryStore;
use mape_k::knowledge::store::{
    Bound, Collection, Query, Record, Store, StoreError, Write, Written,
};

use super::outside::Shared;
use super::script::StoreTrouble;

#[derive(Debug)]
pub struct Disk {
    pub memory: Arc<MemoryStore>,
    pub outside: Shared,
    pub daemon: u32,
}

impl Disk {
    async fn trouble(&self) -> Option<StoreTrouble> {
        let trouble = {
            let mut outside = self.outside.lock();
            let now = outside.now();
            outside.store.now(now)
        };
        if trouble == Some(StoreTrouble::Slow) {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        trouble
    }

    fn failed(what: &'static str) -> StoreError {
        StoreError::Unavailable {
            store: "the simulated disk".to_owned(),
            what,
            cause: "it is out of order".to_owned(),
            advice: "Wait",
        }
    }

    async fn readable(&self) -> Result<(), StoreError> {
        match self.trouble().await {
            Some(StoreTrouble::Down) => Err(Self::failed("read")),
            _ => {
                tokio::task::yield_now().await;
                Ok(())
            }
        }
    }
}

#[async_trait]
impl Store for Disk {
    async fn write(&self, writes: Vec<Write>) -> Result<Vec<Written>, StoreError> {
        if self.outside.lock().crashes(self.daemon, false) {
            return std::future::pending().await;
        }
        let trouble = self.trouble().await;
        if matches!(trouble, Some(StoreTrouble::Down | StoreTrouble::Full)) {
            return Err(Self::failed("written"));
        }
        // A real disk makes one wait; and there one may die, before it is written or after.
        tokio::task::yield_now().await;
        let written = self.memory.write(writes.clone()).await?;
        {
            let mut outside = self.outside.lock();
            let now = outside.now();
            outside.stored(now, self.daemon, &writes, &written);
            outside.noted(&writes);
        }
        tokio::task::yield_now().await;
        if self.outside.lock().crashes(self.daemon, true) {
            return std::future::pending().await;
        }
        if trouble == Some(StoreTrouble::LosesReplies) && self.outside.lock().chance() < 0.3 {
            return Err(Self::failed("written"));
        }
        Ok(written)
    }

    async fn get(&self, collection: Collection, key: &str) -> Result<Option<Record>, StoreError> {
        self.readable().await?;
        self.memory.get(collection, key).await
    }

    async fn list(&self, collection: Collection, query: Query) -> Result<Vec<Record>, StoreError> {
        self.readable().await?;
        self.memory.list(collection, query).await
    }

    async fn count(&self, collection: Collection, tag: &str) -> Result<usize, StoreError> {
        self.readable().await?;
        self.memory.count(collection, tag).await
    }

    async fn prune(
        &self,
        bound: &Bound,
        at_most: usize,
    ) -> Result<BTreeMap<String, u64>, StoreError> {
        match self.trouble().await {
            Some(StoreTrouble::Down | StoreTrouble::Full) => Err(Self::failed("written")),
            _ => self.memory.prune(bound, at_most).await,
        }
    }

    async fn check(&self) -> Result<(), StoreError> {
        match self.trouble().await {
            Some(StoreTrouble::Down | StoreTrouble::Full) => Err(Self::failed("written")),
            _ => Ok(()),
        }
    }

    async fn close(&self) {}
}
