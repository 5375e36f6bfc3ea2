//! S14: few open files, and strangers who want all of them: the daemon keeps what its store, Charter and probes need.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::TcpSocket;
use tokio::task::JoinSet;

use super::daemon::{Daemon, Settings};
use super::target::Target;
use super::{LATER, SOON, SPEED};
use crate::fake_charter::FakeCharter;
use crate::support::eventually::eventually;
use crate::support::process::Process;

/// Fewer than two listeners would take, and than many systems begin with.
const FILES: u32 = 256;

/// More connections than there are files.
const STRANGERS: u8 = 75;

/// Connects again and again from this address and holds on, without a word.
async fn hold_on(from: IpAddr, to: SocketAddr) {
    loop {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::new(from, 0)).expect("an address of this machine");
        if let Ok(mut stream) = socket.connect(to).await {
            // Until it is closed.
            stream.read_u8().await.ok();
        }
        // Often enough that no place stays free, and no load that is about something else.
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn crowd(to: &[SocketAddr]) -> JoinSet<()> {
    rlimit::increase_nofile_limit(u64::MAX).expect("the limit of open files");
    let mut crowd = JoinSet::new();
    for to in to {
        for last in 2..6 {
            for _ in 0..STRANGERS {
                crowd.spawn(hold_on(IpAddr::from([127, 0, 0, last]), *to));
            }
        }
    }
    crowd
}

fn address(of: &str) -> SocketAddr {
    of.trim_start_matches("http://").split('/').next().unwrap_or_default().parse().expect(of)
}

fn open_files(of: &mut Daemon) -> usize {
    let folder = format!("/proc/{}/fd", of.process().id());
    std::fs::read_dir(folder).expect("an own process").count()
}

/// Soft and hard limit of open files of a running daemon.
fn limits(of: &mut Daemon) -> (String, String) {
    let text = std::fs::read_to_string(format!("/proc/{}/limits", of.process().id()));
    let text = text.expect("an own process");
    let line = text.lines().find(|line| line.starts_with("Max open files")).expect("a line");
    let words: Vec<&str> = line.split_whitespace().collect();
    (words[3].to_owned(), words[4].to_owned())
}

/// Issue 14: both listeners full at a low limit. The loop reads, acts on Charter and writes its store all the same, probes
/// are answered, and the log says it once.
#[tokio::test]
async fn s14_full_listeners_leave_the_loop_its_files() {
    let charter = FakeCharter::start().await;
    let target = Target::start(0.2, 0.0, 2).await;
    let mut settings = Settings::scraping(&target.url, &charter.base, SPEED);
    settings.file["orchestrator"]["auto_approve"] = json!(true);
    settings.file["alertmanager"]["enabled"] = json!(true);
    settings.file["alertmanager"]["url"] = json!("http://127.0.0.1:9");
    let (api, webhook) = (address(&settings.api), address(&settings.webhook));
    let mut daemon = Daemon::start_after(settings, &format!("ulimit -n {FILES}")).await;
    let _crowd = crowd(&[api, webhook]);
    // 48 of 64 for each listener, beside what else is open: 16 are kept for 127.0.0.1.
    eventually(SOON, "both listeners are full", async || match open_files(&mut daemon) {
        open if open >= 110 => Ok(()),
        open => Err(open),
    })
    .await;

    let before = daemon.get("/api/v1/state").await.expect("a state")["iteration"].as_u64();
    target.set(1.5, 0.0, 2);
    eventually(LATER, "it acts on Charter", async || {
        if charter.changes().is_empty() { Err("no change") } else { Ok(()) }
    })
    .await;
    eventually(LATER, "what it did is in the store", async || {
        let executions = daemon.list("executions").await?;
        if executions.is_empty() { Err("no execution".to_owned()) } else { Ok(()) }
    })
    .await;
    let after = daemon.get("/api/v1/state").await.expect("a state")["iteration"].as_u64();
    assert!(after > before, "{before:?} {after:?}");

    let file = daemon.settings.write();
    let file = file.to_str().expect("a plain path");
    let health = Process::start_mape_k(&["health", "--config", file], &[]).finished(SOON).await;
    assert!(health.status.success(), "{health:?}");
    for to in [api, webhook] {
        let from = reqwest::Client::builder().local_address(IpAddr::from([127, 0, 0, 9]));
        let from = from.timeout(SOON).build().expect("an HTTP client");
        let answer = from.get(format!("http://{to}/health")).send().await;
        assert!(answer.is_ok(), "{to} from elsewhere: {answer:?}");
    }
    let files = usize::try_from(FILES).expect("a small number");
    assert!(open_files(&mut daemon) < files - 50, "a reserve is left");
    let log = daemon.process().stderr();
    for said in ["connections could not be accepted", "connections were closed at once"] {
        assert!(log.matches(said).count() <= 2, "{said}: {log}");
    }
    assert_eq!(log.matches("the hard limit of open files is low").count(), 1, "{log}");
}

/// Issue 14: the soft limit, with which most systems begin, is raised to the hard one; nothing is said then.
#[tokio::test]
async fn s14_the_soft_limit_of_open_files_is_raised_at_the_start() {
    let charter = FakeCharter::start().await;
    let target = Target::start(0.2, 0.0, 2).await;
    let settings = Settings::scraping(&target.url, &charter.base, SPEED);
    let mut daemon = Daemon::start_after(settings, "ulimit -Sn 256 && ulimit -Hn 4096").await;
    assert_eq!(limits(&mut daemon), ("4096".to_owned(), "4096".to_owned()));
    let log = daemon.process().stderr();
    assert!(!log.contains("limit of open files"), "{log}");
}
