//! The store of the simulation: the memory store, whose disk may fail, lose an answer or be slow, and in front of which
//! every write is watched.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mape_k::knowledge::memory::MemoryStore;
use mape_k::knowledge::store::{
    Bound, Collection, Lease, Query, Record, Store, StoreError, Write, Written,
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
            if outside.cut_off.get(&self.daemon).is_some_and(|until| now < *until) {
                return Some(StoreTrouble::Down);
            }
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
        if self.trouble().await == Some(StoreTrouble::Down) {
            return Err(Self::failed("read"));
        }
        tokio::task::yield_now().await;
        Ok(())
    }
}

#[async_trait]
impl Store for Disk {
    fn is_shared(&self) -> bool {
        self.memory.is_shared()
    }

    async fn lead(&self, holder: &str, ttl: Duration) -> Result<Lease, StoreError> {
        if self.trouble().await == Some(StoreTrouble::Down) {
            return Err(Self::failed("written"));
        }
        let lease = self.memory.lead(holder, ttl).await?;
        if self.is_shared() {
            let mut outside = self.outside.lock();
            let now = outside.now();
            outside.granted(now, self.daemon, &lease);
        }
        Ok(lease)
    }

    async fn resign(&self, holder: &str) -> Result<(), StoreError> {
        self.readable().await?;
        self.memory.resign(holder).await
    }

    async fn wake(&self) -> Result<(), StoreError> {
        self.readable().await?;
        self.memory.wake().await
    }

    async fn write_under(
        &self,
        fence: Option<u64>,
        writes: Vec<Write>,
    ) -> Result<Vec<Written>, StoreError> {
        if self.outside.lock().crashes(self.daemon, false) {
            return std::future::pending().await;
        }
        let trouble = self.trouble().await;
        if matches!(trouble, Some(StoreTrouble::Down | StoreTrouble::Full)) {
            return Err(Self::failed("written"));
        }
        // A real disk makes one wait; and there one may die, before it is written or after.
        tokio::task::yield_now().await;
        let written = self.memory.write_under(fence, writes.clone()).await?;
        {
            let mut outside = self.outside.lock();
            let now = outside.now();
            outside.fenced(now, self.daemon, fence, &writes);
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

    async fn prune_under(
        &self,
        fence: Option<u64>,
        bound: &Bound,
        at_most: usize,
    ) -> Result<BTreeMap<String, u64>, StoreError> {
        match self.trouble().await {
            Some(StoreTrouble::Down | StoreTrouble::Full) => Err(Self::failed("written")),
            _ => self.memory.prune_under(fence, bound, at_most).await,
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
