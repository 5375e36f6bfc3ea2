//! Pauses between tries: exponential with jitter, the jitter seeded by the caller so that a run can be repeated.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder, Retryable};

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

fn builder(tries: u32, seed: u64) -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_jitter()
        .with_jitter_seed(seed)
        .with_min_delay(FIRST_PAUSE)
        .with_max_delay(LONGEST_PAUSE)
        .with_max_times(tries.saturating_sub(1) as usize)
}

/// One pause before each further try; none left when the tries are used up.
pub(crate) fn pauses(tries: u32, seed: u64) -> ExponentialBackoff {
    builder(tries, seed).build()
}

/// Repeats a call that changes nothing until it answers, is refused, or the tries are used up.
pub(super) async fn read<T, E, F>(
    tries: u32,
    seed: u64,
    is_final: impl Fn(&E) -> bool,
    call: impl FnMut() -> F,
) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    call.retry(builder(tries, seed)).when(|error| !is_final(error)).await
}
