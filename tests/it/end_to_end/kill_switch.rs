//! The kill switch as a person uses it: the commands, a process that is killed, the log.

use serde_json::{Value, json};

use super::daemon::{Daemon, Settings};
use super::target::Target;
use super::{LATER, SOON, SPEED};
use crate::fake_charter::FakeCharter;
use crate::support::eventually::eventually;
use crate::support::process::{Finished, Process};

async fn run(args: &[&str]) -> Finished {
    let finished = Process::start_mape_k(args, &[]).finished(SOON).await;
    println!("$ mape-k {}\n{}{}", args.join(" "), finished.stdout, finished.stderr);
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    finished
}

/// The log line with this message, as soon as it is there.
async fn logged(daemon: &mut Daemon, message: &str) -> Value {
    let process = daemon.process();
    eventually(SOON, message, async || {
        let log = process.stderr();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let found = lines.into_iter().find(|line| line.to_string().contains(message));
        found.ok_or_else(|| log.clone())
    })
    .await
}

/// S04: whoever paused it finds it paused, also after `kill -9`; it ends by itself, and each change is in the log.
#[tokio::test]
async fn s04_a_pause_outlives_kill_9_ends_by_itself_and_is_in_the_log() {
    let charter = FakeCharter::start().await;
    let target = Target::start(1.5, 0.0, 2).await;
    let mut settings = Settings::scraping(&target.url, &charter.base, SPEED);
    settings.file["orchestrator"]["auto_approve"] = json!(true);
    let url = format!("http://{}", settings.api);
    let mut daemon = Daemon::start(settings, &[]).await;
    let pause = ["pause", "--reason", "deploying", "--by", "ada", "--url", &url];
    let said = run(&[&pause[..], &["--for", "2h"]].concat()).await.stdout;
    assert!(said.contains("paused by ada until") && said.contains("deploying"), "{said}");
    let line = logged(&mut daemon, "a person paused the loop: no action is sent").await.to_string();
    assert!(line.contains("INFO") && line.contains("ada"), "{line}");

    daemon.kill();
    daemon.start_again(&[]).await;
    let status = run(&["status", "--url", &url]).await.stdout;
    assert!(status.contains("paused by ada until"), "{status}");
    // Long enough to have wanted to act.
    daemon.cycles(4).await;
    assert!(charter.seen().iter().all(|seen| seen.method == "GET"), "{:?}", charter.seen());

    // A shorter one that is told to takes its place, and ends by itself.
    let said = run(&[&pause[..], &["--for", "1s", "--replace"]].concat()).await.stdout;
    assert!(said.contains("it replaces: paused by ada"), "{said}");
    let line = logged(&mut daemon, "a pause ended").await.to_string();
    assert!(line.contains("INFO") && line.contains("ada"), "{line}");
    eventually(LATER, "it acts", async || {
        if charter.changes().is_empty() { Err("no change") } else { Ok(()) }
    })
    .await;
    let line = logged(&mut daemon, "action changed state").await.to_string();
    assert!(line.contains(r#""approved_by":"auto""#), "{line}");
    let said = run(&["resume", "--by", "bob", "--url", &url]).await.stdout;
    assert!(said.contains("was not paused"), "{said}");
}
