//! The store cannot be written any more: nothing is done, nothing is taken in, and the doors say why.

use std::process::Command;

use serde_json::json;

use super::daemon::{Daemon, Settings};
use super::target::Target;
use super::{LATER, SOON, SPEED};
use crate::fake_charter::FakeCharter;
use crate::support::alertmanager::Alertmanager;
use crate::support::eventually::eventually;

/// The largest that any file of the running daemon may grow to: 0 is a disk without room.
fn room_for(daemon: &mut Daemon, bytes: &str) {
    let process = daemon.process().id().to_string();
    let limited = Command::new("prlimit")
        .args(["--pid", &process, &format!("--fsize={bytes}:")])
        .status()
        .expect("the command prlimit exists (Debian package util-linux)");
    assert!(limited.success(), "prlimit --fsize={bytes}");
}

fn one_alert(name: &str) -> Vec<u8> {
    let labels = json!({ "alertname": name, "severity": "warning" });
    let alert = json!({ "status": "firing", "labels": labels, "startsAt": "2026-01-01T00:00:00Z" });
    json!({ "version": "4", "receiver": "mape-k", "alerts": [alert] }).to_string().into_bytes()
}

#[tokio::test]
async fn a_full_store_stops_actions_and_intake_until_there_is_room_again() {
    let charter = FakeCharter::start().await;
    let target = Target::start(0.2, 0.0, 3).await;
    let mut settings = Settings::scraping(&target.url, &charter.base, SPEED);
    let alertmanager = Alertmanager::start(&settings.webhook, None).await;
    settings.file["alertmanager"]["enabled"] = json!(true);
    settings.file["alertmanager"]["url"] = json!(alertmanager.server.url());
    settings.file["orchestrator"]["auto_approve"] = json!(true);
    // Without the signal that would end the process a file that is too large is an error of its write, as a full disk.
    let mut daemon = Daemon::start_after(settings, "trap '' XFSZ").await;
    daemon.is_well().await;
    assert_eq!(daemon.webhook(one_alert("Before")).await.0, 200);

    room_for(&mut daemon, "0");
    target.set(2.0, 0.0, 3);
    let (status, said) = daemon.webhook(one_alert("Meanwhile")).await;
    println!("the webhook said: {said}");
    assert_eq!(status, 503, "{said}");
    assert!(said.contains("store"), "{said}");
    eventually(SOON, "/health says why", async || {
        let (status, health) = daemon.ask("/health").await?;
        let store = &health["components"]["store"];
        if status == 200 && health["status"] == "degraded" && store["status"] == "degraded" {
            println!("/health said: {store}");
            return Ok(());
        }
        Err(health.to_string())
    })
    .await;
    // As many cycles as would long have led to an action.
    daemon.cycles(6).await;
    let state = daemon.get("/api/v1/state").await.expect("a state");
    println!("state: {}", state["last_error"]);
    assert_eq!(state["last_status"], "error", "{state}");
    assert!(state["violations"].as_u64() >= Some(1), "it still sees: {state}");
    assert_eq!(charter.changes(), Vec::<String>::new(), "nothing is done that cannot be recorded");

    room_for(&mut daemon, "unlimited");
    assert_eq!(daemon.webhook(one_alert("Meanwhile")).await.0, 200, "the sender's next try");
    eventually(LATER, "with room again it does what was due", async || {
        if charter.replicas() == 5 { Ok(()) } else { Err(format!("{:?}", charter.changes())) }
    })
    .await;
    eventually(SOON, "/health is content with the store", async || {
        let health = daemon.get("/health").await?;
        let well = health["components"]["store"]["status"] == "ok";
        if well { Ok(()) } else { Err(health.to_string()) }
    })
    .await;
    assert_eq!(daemon.metric("mape_k_alerts_total{outcome=\"accepted\"}").await, Ok(2.0));
}
