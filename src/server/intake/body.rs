//! Reads a request's body within a size, a time, and the room that there is for all.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use futures::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How much more than the limit is read and thrown away, so that a sender that is slightly over hears its 413 instead
/// of a reset connection, which it would only try again.
const DRAINED: usize = 4;

#[derive(Debug)]
pub(super) enum BodyError {
    TooLarge,
    TooSlow,
    NoRoom,
    Broken(String),
}

/// The part that one body takes of the memory for all: what has arrived of it, and at least a little.
#[derive(Debug)]
pub(super) struct Room {
    all: Arc<Semaphore>,
    held: OwnedSemaphorePermit,
}

impl Room {
    pub fn take(all: &Arc<Semaphore>, least: usize) -> Option<Self> {
        let held = all.clone().try_acquire_many_owned(u32::try_from(least).ok()?).ok()?;
        Some(Self { all: all.clone(), held })
    }

    fn cover(&mut self, bytes: usize) -> Result<(), BodyError> {
        let more = u32::try_from(bytes.saturating_sub(self.held.num_permits()));
        let more = more.map_err(|_| BodyError::NoRoom)?;
        let more = self.all.clone().try_acquire_many_owned(more);
        self.held.merge(more.map_err(|_| BodyError::NoRoom)?);
        Ok(())
    }

    pub fn into_permit(self) -> OwnedSemaphorePermit {
        self.held
    }
}

/// The whole body, at most `max` bytes of it, within `time`.
pub(super) async fn read(
    body: Body,
    max: usize,
    time: Duration,
    room: &mut Room,
) -> Result<Vec<u8>, BodyError> {
    tokio::time::timeout(time, collect(body, max, room)).await.unwrap_or(Err(BodyError::TooSlow))
}

async fn collect(body: Body, max: usize, room: &mut Room) -> Result<Vec<u8>, BodyError> {
    let mut chunks = body.into_data_stream();
    let mut read = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| BodyError::Broken(error.to_string()))?;
        if read.len() + chunk.len() > max {
            drop(read);
            let mut left = max.saturating_mul(DRAINED);
            while let Some(Ok(chunk)) = chunks.next().await {
                match left.checked_sub(chunk.len()) {
                    Some(less) => left = less,
                    None => break,
                }
            }
            return Err(BodyError::TooLarge);
        }
        room.cover(read.len() + chunk.len())?;
        read.extend_from_slice(&chunk);
    }
    Ok(read)
}
