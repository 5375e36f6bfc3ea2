//! Waiting for a condition instead of sleeping for luck.

use std::fmt::Display;
use std::time::Duration;

use tokio::time::Instant;

/// Short enough that measured times mean something, long enough to leave two cores to what is awaited.
const BETWEEN_PROBES: Duration = Duration::from_millis(50);

/// Probes until the closure answers `Ok`, and prints how long that took; panics at the time-out with the last `Err`.
pub async fn eventually<T, E: Display>(
    timeout: Duration,
    what: &str,
    mut probe: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let began = Instant::now();
    let mut last = String::from("nothing: the first probe did not return");
    while began.elapsed() < timeout {
        let left = timeout.saturating_sub(began.elapsed());
        match tokio::time::timeout(left, probe()).await {
            Ok(Ok(value)) => {
                println!("{what}: after {:.2} s", began.elapsed().as_secs_f64());
                return value;
            }
            Ok(Err(seen)) => last = seen.to_string(),
            Err(_) => break,
        }
        tokio::time::sleep(BETWEEN_PROBES).await;
    }
    panic!("waited {timeout:?} for {what}; seen last: {last}");
}
