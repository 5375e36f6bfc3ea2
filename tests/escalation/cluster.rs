//! Watch caches against a fake of the API server that speaks HTTP.

pub mod api_server;
mod budget;
mod failing;
pub mod objects;
mod trimming;
mod unread;
mod watching;

use std::path::Path;
use std::time::Duration;

use mape_k::domain::cluster::{ClusterReading, Kind};
use mape_k::domain::time::Time;
use mape_k::monitor::cluster::settings::Settings;
use mape_k::monitor::cluster::{ClusterWatch, WatchTimeouts};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::api_server::ApiServer;
use crate::support::eventually::eventually;

/// Everything here happens within a second or two; ten times that is trouble.
pub const WITHIN: Duration = Duration::from_secs(20);

/// As in production, an order of magnitude shorter; a watch ends by itself after two seconds.
const PATIENCE: WatchTimeouts = WatchTimeouts {
    answer: Duration::from_secs(3),
    watch: Duration::from_secs(2),
    quiet: Duration::from_secs(4),
    grace: Duration::from_secs(2),
    pause: Duration::from_millis(300),
};

/// A watch that runs until it is dropped.
struct Watching {
    watch: ClusterWatch,
    _stop: DropGuard,
}

impl Watching {
    async fn of(server: &ApiServer, change: impl FnOnce(&mut Settings)) -> Self {
        Self::with(server, PATIENCE, change).await
    }

    async fn with(
        server: &ApiServer,
        patience: WatchTimeouts,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        Self::begin(&server.kubeconfig(), patience, change).await
    }

    async fn of_kubeconfig(path: &Path, change: impl FnOnce(&mut Settings)) -> Self {
        Self::begin(path, PATIENCE, change).await
    }

    async fn begin(
        path: &Path,
        patience: WatchTimeouts,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let mut settings =
            Settings { enabled: true, kubeconfig: Some(path.to_owned()), ..Settings::default() };
        change(&mut settings);
        let made = ClusterWatch::new(&settings, patience).await;
        let (watch, driver) = made.expect("a watch of the cluster");
        let stop = CancellationToken::new();
        tokio::spawn(driver.run(stop.clone()));
        Self { watch, _stop: stop.drop_guard() }
    }

    fn read(&self) -> ClusterReading {
        self.watch.read(now())
    }

    /// Waits for a reading of which this holds.
    async fn until(&self, what: &str, holds: impl Fn(&ClusterReading) -> bool) -> ClusterReading {
        eventually(WITHIN, what, async || {
            let reading = self.read();
            if holds(&reading) { Ok(reading) } else { Err(format!("{reading:?}")) }
        })
        .await
    }

    async fn until_whole(&self) -> ClusterReading {
        self.until("everything is read", ClusterReading::is_whole).await
    }
}

/// The present of the objects in these tests.
fn now() -> Time {
    "2026-11-22T12:00:00Z".parse().expect("a time")
}

fn only(kinds: &[Kind]) -> impl FnOnce(&mut Settings) {
    move |settings| settings.kinds = kinds.iter().copied().collect()
}

fn pods(reading: &ClusterReading) -> Vec<&str> {
    reading.cluster.pods.iter().map(|pod| pod.name.as_str()).collect()
}
