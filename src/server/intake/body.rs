//! Reads a request's body within a size and a time.

use std::time::Duration;

use axum::body::Body;
use futures::StreamExt;

/// How much more than the limit is read and thrown away, so that a sender that is slightly over hears its 413 instead
/// of a reset connection, which it would only try again.
const DRAINED: usize = 4;

#[derive(Debug)]
pub(super) enum BodyError {
    TooLarge,
    TooSlow,
    Broken(String),
}

/// The whole body, at most `max` bytes of it, within `time`.
pub(super) async fn read(body: Body, max: usize, time: Duration) -> Result<Vec<u8>, BodyError> {
    tokio::time::timeout(time, collect(body, max)).await.unwrap_or(Err(BodyError::TooSlow))
}

async fn collect(body: Body, max: usize) -> Result<Vec<u8>, BodyError> {
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
        read.extend_from_slice(&chunk);
    }
    Ok(read)
}
