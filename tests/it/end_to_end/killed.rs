//! S12: the daemon is killed, without a word to it, the moment an acknowledgement has been read.

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde_json::json;

use super::daemon::{Daemon, Settings};
use super::target::Target;
use super::{SOON, SPEED};
use crate::fake_charter::FakeCharter;
use crate::support::ledger::Ledger;
use crate::support::long::short_or_long;
use crate::support::ports::free_port;

/// Every check, and `make nightly`.
const KILLS: (usize, usize) = (14, 40);

/// Connections at once, one life after another: with one nothing else is in flight at the kill.
const SENDERS: [usize; 4] = [1, 2, 4, 8];

/// Kills come after the first to the seventh acknowledgement of a life; 7 and 4 share no factor, so all pairs occur.
const ACKNOWLEDGEMENTS: usize = 7;

#[tokio::test]
async fn s12_kill_9_right_after_a_200_loses_nothing_that_was_acknowledged() {
    let kills = short_or_long(KILLS.0, KILLS.1);
    let charter = FakeCharter::start().await;
    let target = Target::start(0.2, 0.0, 3).await;
    let mut settings = Settings::scraping(&target.url, &charter.base, SPEED);
    settings.file["alertmanager"]["enabled"] = json!(true);
    // Its list is not read here: nobody is there.
    settings.file["alertmanager"]["url"] = json!(format!("http://127.0.0.1:{}", free_port()));
    let store = settings.folder().join("data/knowledge.db");
    let mut ledger = Ledger::default();
    let (mut others, mut unanswered) = (0, 0);

    let mut daemon = Daemon::start(settings, &[]).await;
    for life in 0..kills {
        // New connections: those of the life before are cut.
        let http = reqwest::Client::builder().timeout(SOON).build().expect("an HTTP client");
        let url = daemon.settings.webhook.clone();
        let mut in_flight = FuturesUnordered::new();
        for _ in 0..=life % ACKNOWLEDGEMENTS {
            while in_flight.len() < SENDERS[life % SENDERS.len()] {
                let (number, body) = ledger.payload();
                let request = http.post(&url).body(body);
                in_flight.push(async move {
                    (number, request.send().await.map(|answer| answer.status().as_u16()))
                });
            }
            let (number, status) = in_flight.next().await.expect("a request is in flight");
            assert_eq!(status.expect("an answer of a living daemon"), 200);
            ledger.acknowledged(number);
        }
        daemon.kill();
        others += in_flight.len();
        while let Some((number, status)) = in_flight.next().await {
            match status {
                // It was on its way when the end came.
                Ok(200) => ledger.acknowledged(number),
                Ok(status) => panic!("payload {number} was answered with {status}"),
                Err(_) => unanswered += 1,
            }
        }
        daemon.start_again(&[]).await;
    }
    daemon.stop(SOON).await;
    println!("{kills} kills with {others} other requests in flight, {unanswered} unanswered");
    assert!(unanswered > 0, "no kill came while a request was in flight");
    ledger.check_file(&store).await;
}
