//! S12: the store cannot be written any more, on a real file system: nothing is done, nothing is taken in, the doors say
//! why, and what was acknowledged is there afterwards.
//!
//! The kernel keeps a file system writable while a file of it is open for writing, unless the file system itself breaks
//! off. That takes one on a loop device, and root. Anybody else meets the nearest thing: every write fails, at once.

use std::process::Command;

use serde_json::json;

use super::daemon::{Daemon, Settings};
use super::target::Target;
use super::{LATER, SOON, SPEED};
use crate::fake_charter::FakeCharter;
use crate::support::alertmanager::Alertmanager;
use crate::support::disk::Disk;
use crate::support::eventually::eventually;
use crate::support::ledger::Ledger;
use crate::support::process::Process;

/// Refusals in a row after which no room is left in the log either, which keeps what it once had.
const REFUSED: usize = 10;
/// Payloads until then at most: the whole disk would not hold so many.
const OFFERED: usize = 5_000;

struct World {
    charter: FakeCharter,
    target: Target,
    _alertmanager: Alertmanager,
    ledger: Ledger,
}

impl World {
    async fn start() -> (Self, Settings) {
        let charter = FakeCharter::start().await;
        let target = Target::start(0.2, 0.0, 3).await;
        let mut settings = Settings::scraping(&target.url, &charter.base, SPEED);
        let alertmanager = Alertmanager::start(&settings.webhook, None).await;
        settings.file["alertmanager"]["enabled"] = json!(true);
        settings.file["alertmanager"]["url"] = json!(alertmanager.server.url());
        settings.file["orchestrator"]["auto_approve"] = json!(true);
        let ledger = Ledger::default();
        (Self { charter, target, _alertmanager: alertmanager, ledger }, settings)
    }

    /// Offers one payload: was it taken? If not, the answer says what a sender needs to hear.
    async fn offer(&mut self, daemon: &Daemon) -> bool {
        let (number, body) = self.ledger.payload();
        let answer = daemon.deliver(body).await.expect("the webhook answers");
        let (status, again) =
            (answer.status().as_u16(), answer.headers().get("retry-after").cloned());
        let said = answer.text().await.expect("text");
        match status {
            200 => self.ledger.acknowledged(number),
            503 => {
                assert!(again.is_some(), "503 without Retry-After: {said}");
                assert!(said.contains("knowledge store") && said.contains("free space"), "{said}");
            }
            status => panic!("{status} {said}"),
        }
        status == 200
    }

    async fn some_are_taken(&mut self, daemon: &Daemon) {
        for _ in 0..5 {
            assert!(self.offer(daemon).await, "a payload was refused");
        }
    }

    /// The store takes nothing any more: what the daemon says and does until it can be written again.
    async fn nothing_goes(&mut self, daemon: &Daemon) {
        let (mut refused, mut offered) = (0, 0);
        while refused < REFUSED {
            refused = if self.offer(daemon).await { 0 } else { refused + 1 };
            offered += 1;
            assert!(offered < OFFERED, "the store takes everything");
        }
        println!("{offered} payloads until {REFUSED} in a row were refused");
        eventually(SOON, "/health names the store", async || {
            let (status, health) = daemon.ask("/health").await?;
            let store = &health["components"]["store"];
            let detail = store["detail"].as_str().unwrap_or_default();
            let named = detail.contains("knowledge.db") && detail.contains("free space");
            if status == 200 && health["status"] == "degraded" && named {
                println!("/health said: {store}");
                return Ok(());
            }
            Err(health.to_string())
        })
        .await;
        self.target.set(2.0, 0.0, 3);
        // As many cycles as would long have led to an action.
        daemon.cycles(6).await;
        let state = daemon.get("/api/v1/state").await.expect("a state");
        assert_eq!(state["last_status"], "error", "{state}");
        assert!(state["violations"].as_u64() >= Some(1), "it still sees: {state}");
        let done = self.charter.changes();
        assert_eq!(done, Vec::<String>::new(), "nothing is done that cannot be recorded");
        assert!(!self.offer(daemon).await, "no room came from anywhere");
    }

    /// The store can be written again.
    async fn all_goes_again(&mut self, daemon: &Daemon) {
        self.some_are_taken(daemon).await;
        eventually(LATER, "it does what was due", async || {
            let done = self.charter.changes();
            if self.charter.replicas() == 5 { Ok(()) } else { Err(format!("{done:?}")) }
        })
        .await;
        eventually(SOON, "/health is content with the store", async || {
            let health = daemon.get("/health").await?;
            let well = health["components"]["store"]["status"] == "ok";
            if well { Ok(()) } else { Err(health.to_string()) }
        })
        .await;
    }
}

#[tokio::test]
async fn s12_a_full_disk_stops_intake_and_actions_until_there_is_room_again() {
    let disk = Disk::small();
    let (mut world, mut settings) = World::start().await;
    let store = disk.path().join("data/knowledge.db");
    settings.file["knowledge"]["sqlite_path"] = json!(store);
    let mut daemon = Daemon::start_on(settings, &disk).await;
    daemon.is_well().await;
    world.some_are_taken(&daemon).await;

    disk.fill();
    world.nothing_goes(&daemon).await;

    disk.make_room();
    world.all_goes_again(&daemon).await;
    daemon.stop(SOON).await;
    let copy = daemon.settings.folder().join("copy.db");
    disk.copy_out(&store, &copy);
    world.ledger.check_file(&copy).await;
}

#[tokio::test]
async fn s12_a_store_that_becomes_read_only_stops_intake_and_actions() {
    match Disk::breakable() {
        Ok(disk) => read_only(&disk).await,
        Err(why) => {
            println!(
                "no file system here can become read-only, so every write fails instead: {why}"
            );
            unwritable().await;
        }
    }
}

async fn read_only(disk: &Disk) {
    let (mut world, mut settings) = World::start().await;
    let store = disk.path().join("data/knowledge.db");
    settings.file["knowledge"]["sqlite_path"] = json!(store);
    let mut daemon = Daemon::start_on(settings, disk).await;
    daemon.is_well().await;
    world.some_are_taken(&daemon).await;

    disk.become_read_only();
    world.nothing_goes(&daemon).await;
    daemon.stop(SOON).await;
    let mut refused = Process::start("mape-k run, on a broken disk", &mut daemon.command_on(disk));
    let end = refused.finished(SOON).await;
    println!("a start on it said: {}", end.stderr);
    assert!(!end.status.success(), "it starts on a store that cannot be written");
    assert!(
        end.stderr.contains("knowledge.db") && end.stderr.contains("Read-only"),
        "{}",
        end.stderr
    );

    disk.repair();
    daemon.start_again_on(disk).await;
    world.all_goes_again(&daemon).await;
    daemon.stop(SOON).await;
    let copy = daemon.settings.folder().join("copy.db");
    disk.copy_out(&store, &copy);
    world.ledger.check_file(&copy).await;
}

async fn unwritable() {
    let (mut world, settings) = World::start().await;
    let store = settings.folder().join("data/knowledge.db");
    // Without the signal that would end the process a file that is too large is an error of its write.
    let mut daemon = Daemon::start_after(settings, "trap '' XFSZ").await;
    daemon.is_well().await;
    world.some_are_taken(&daemon).await;

    largest_file(&mut daemon, "0");
    world.nothing_goes(&daemon).await;

    largest_file(&mut daemon, "unlimited");
    world.all_goes_again(&daemon).await;
    daemon.stop(SOON).await;
    world.ledger.check_file(&store).await;
}

/// The largest that any file of the running daemon may grow to.
fn largest_file(daemon: &mut Daemon, bytes: &str) {
    let process = daemon.process().id().to_string();
    let limited = Command::new("prlimit")
        .args(["--pid", &process, &format!("--fsize={bytes}:")])
        .status()
        .expect("the command prlimit exists (Debian package util-linux)");
    assert!(limited.success(), "prlimit --fsize={bytes}");
}
