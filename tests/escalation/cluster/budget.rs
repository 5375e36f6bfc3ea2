//! What a cluster costs us: time until it is read, and memory that stays.

use std::time::Duration;

use mape_k::domain::cluster::Kind;
use mape_k::domain::reading::ReadFailure;
use tokio::time::Instant;

use super::api_server::ApiServer;
use super::objects::large_pod;
use super::{Watching, only};
use mape_k::monitor::cluster::WatchTimeouts;

/// Of this process, in MB; the fake server is part of it, with the objects that it holds.
fn resident() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("the kernel's figures");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok());
    pages.expect("resident pages") * 4096.0 / 1e6
}

async fn measure(count: usize) -> f64 {
    let server = ApiServer::start();
    let mut bytes = 0;
    for index in 0..count {
        let pod = large_pod(index);
        bytes += pod.to_string().len();
        server.put(pod);
    }
    let before = resident();
    let began = Instant::now();
    let watching = Watching::with(&server, WatchTimeouts::default(), only(&[Kind::Pods])).await;
    watching.watch.ready(began + Duration::from_secs(60)).await;
    let reading = watching.read();
    let took = began.elapsed();
    let grown = resident() - before;
    let failure = reading.failures.values().next().map(ReadFailure::to_string);
    assert_eq!((reading.cluster.pods.len(), failure), (count, None));
    println!(
        "{count} pods of {} bytes: read after {:.3} s, resident memory grew by {grown:.1} MB (the fake server's share with it)",
        bytes / count,
        took.as_secs_f64()
    );
    grown
}

#[tokio::test]
async fn b36_five_hundred_pods_take_less_than_a_hundred_megabytes() {
    let grown = measure(500).await;
    assert!(grown < 100.0, "{grown:.1} MB");
}

#[tokio::test]
#[ignore = "a minute without optimisation; run by name for the figures"]
async fn b36_five_thousand_pods_take_less_than_two_hundred_megabytes() {
    let grown = measure(5000).await;
    assert!(grown < 200.0, "{grown:.1} MB");
}
