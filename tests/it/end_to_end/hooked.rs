//! R12 through the daemon as a process: a component that Charter has no part in, healed by a command of the user's.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::daemon::{Daemon, Settings};
use super::{LATER, SOON, SPEED};
use crate::contract::commands::example;
use crate::hooks::world::is_running;
use crate::support::eventually::eventually;
use crate::support::process::Process;

/// A cart that fails while it is broken and not read-only, and the hook that switches it.
struct Cart {
    address: String,
    is_broken: Arc<AtomicBool>,
    server: JoinHandle<()>,
    /// Holds the scripts, the mode and the calls.
    folder: PathBuf,
}

impl Drop for Cart {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Cart {
    async fn start(settings: &mut Settings) -> Self {
        let folder = settings.folder().to_owned();
        let is_broken = Arc::new(AtomicBool::new(false));
        let (broken, mode) = (is_broken.clone(), folder.join("mode"));
        let metrics = move || {
            let fails = broken.load(Ordering::Relaxed) && !mode.exists();
            let share = if fails { 0.5 } else { 0.01 };
            std::future::ready(format!("# TYPE cart_error_share gauge\ncart_error_share {share}\n"))
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let app = Router::new().route("/metrics", get(metrics));
        let server = tokio::spawn(async move {
            axum::serve(listener, app).await.expect("the cart serves");
        });
        std::fs::write(folder.join("example.sh"), example()).expect("written");
        settings.file["monitor"]["source"] = json!("scrape");
        settings.file["monitor"]["scrape_url"] = json!(format!("{address}/metrics"));
        settings.file["monitor"]["metrics"] = json!([{
            "name": "cart_errors", "metric": "cart_error_share", "comparison": "gt", "threshold": 0.1,
            "component": "cart", "cause": "cart_overload",
        }]);
        settings.file["alertmanager"]["enabled"] = json!(false);
        settings.file["execute"]["charter_url"] = Value::Null;
        settings.file["orchestrator"]["auto_approve"] = json!(true);
        settings.file["plan"]["strategies"] =
            json!({"cart_overload": [{"action": "hook/cart-read-only"}]});
        Self { address, is_broken, server, folder }
    }

    fn settings() -> Settings {
        Settings::shipped(SPEED)
    }

    /// The hook of the page, with these verbs; each call is noted, then `before` is done.
    fn hook(&self, verbs: &[&str], before: &str) -> Value {
        let script = self.folder.join("hook.sh");
        let text = format!(
            "cd \"$1\"; echo \"$MAPE_K_VERB $MAPE_K_KEY\" >>calls; {before}\nCART_MODE_FILE=mode exec sh ./example.sh\n"
        );
        std::fs::write(&script, text).expect("written");
        let command = json!(["sh", script, self.folder]);
        let mut hook =
            json!({"name": "cart-read-only", "component": "cart", "settle": 4, "timeout": 20});
        for verb in verbs {
            hook[*verb] = command.clone();
        }
        hook
    }

    fn calls(&self, verb: &str) -> usize {
        let calls = std::fs::read_to_string(self.folder.join("calls")).unwrap_or_default();
        calls.lines().filter(|line| line.split(' ').next() == Some(verb)).count()
    }

    fn breaks(&self) {
        self.is_broken.store(true, Ordering::Relaxed);
    }
}

async fn success(daemon: &Daemon) -> Value {
    let outcome = eventually(LATER, "an outcome", async || {
        let outcomes = daemon.list("outcomes").await?;
        match outcomes.first() {
            Some(outcome) => Ok(outcome.clone()),
            None => Err(daemon.get("/api/v1/cycles?limit=1").await?.to_string()),
        }
    })
    .await;
    assert_eq!(outcome["outcome_type"], "success", "{outcome}");
    assert_eq!(outcome["action_type"], "hook/cart-read-only", "{outcome}");
    outcome
}

#[tokio::test]
async fn r12_a_hook_heals_what_charter_has_no_part_in() {
    let mut settings = Cart::settings();
    let cart = Cart::start(&mut settings).await;
    settings.file["hooks"] = json!([cart.hook(&["validate", "apply", "probe", "undo"], "")]);
    let mut daemon = Daemon::start(settings, &[]).await;
    daemon.is_well().await;
    assert_eq!(cart.calls("apply"), 0, "nothing is wrong with {}", cart.address);
    cart.breaks();
    success(&daemon).await;
    assert_eq!((cart.calls("validate"), cart.calls("apply")), (1, 1), "it was called once");
    assert_eq!(cart.calls("undo"), 0);
    daemon.cycles(3).await;
    assert_eq!(cart.calls("apply"), 1, "and stays at that");
    let stopped = daemon.stop(SOON).await;
    assert_eq!(stopped.status.code(), Some(0), "{}", stopped.stderr);
}

#[tokio::test]
async fn r12_a_hook_without_probe_waits_for_a_person_and_is_then_called() {
    let mut settings = Cart::settings();
    let cart = Cart::start(&mut settings).await;
    settings.file["hooks"] = json!([cart.hook(&["apply"], "")]);
    let daemon = Daemon::start(settings, &[]).await;
    daemon.is_well().await;
    cart.breaks();
    let id = eventually(LATER, "a policy that waits", async || {
        let policies = daemon.list("policies").await?;
        let waits = policies.iter().find(|policy| policy["approval"] == "pending");
        match waits {
            Some(policy) => Ok(policy["id"].as_str().expect("an id").to_owned()),
            None => Err(format!("{policies:?}")),
        }
    })
    .await;
    daemon.cycles(3).await;
    assert_eq!(cart.calls("apply"), 0, "auto_approve is on, and a person is asked");
    let url = format!("http://{}", daemon.settings.api);
    let args = ["approve", &id, "--by", "alice", "--url", &url];
    let finished = Process::start_mape_k(&args, &[]).finished(SOON).await;
    assert!(finished.status.success(), "{finished:?}");
    success(&daemon).await;
    assert_eq!(cart.calls("apply"), 1);
}

/// The end of a call that nobody knows is a person's, and the call is not made again.
#[tokio::test]
async fn r12_a_hook_that_ends_unknown_is_told_to_a_person_and_not_called_again() {
    let mut settings = Cart::settings();
    let cart = Cart::start(&mut settings).await;
    // It has probe and undo, and so goes out by itself; a probe that cannot tell clears nothing up.
    let mut hook = cart.hook(&["apply", "probe", "undo"], "echo $$ >own; sleep 600 & wait");
    hook["timeout"] = json!(1);
    settings.file["hooks"] = json!([hook]);
    let daemon = Daemon::start(settings, &[]).await;
    daemon.is_well().await;
    cart.breaks();
    let told = eventually(LATER, "a person is told", async || {
        let open = daemon.list("needs?open=true").await?;
        let unknown = open.iter().find(|one| one["reason"] == "outcome_unknown");
        unknown.cloned().ok_or_else(|| format!("{open:?}"))
    })
    .await;
    assert!(told.to_string().contains("cart"), "{told}");
    let pid = std::fs::read_to_string(cart.folder.join("own")).expect("a number");
    assert!(!is_running(pid.trim()), "the command runs on");
    daemon.cycles(6).await;
    assert_eq!(cart.calls("apply"), 1, "it was called again");
    let executions = daemon.list("executions").await.expect("a list");
    assert_eq!(executions[0]["actions"][0]["state"], "unknown", "{executions:?}");
}

/// A stop in the middle of a call: its command ends with the daemon, and the next start does not call it again.
#[tokio::test]
async fn r12_a_hooks_command_does_not_outlive_the_daemon() {
    let mut settings = Cart::settings();
    let cart = Cart::start(&mut settings).await;
    let text = "trap '' TERM; echo $$ >own; while :; do sleep 0.1; done";
    settings.file["hooks"] = json!([cart.hook(&["apply", "probe", "undo"], text)]);
    let mut daemon = Daemon::start(settings, &[]).await;
    daemon.is_well().await;
    cart.breaks();
    let own = cart.folder.join("own");
    let pid = eventually(LATER, "the hook is called", async || {
        std::fs::read_to_string(&own).ok().filter(|text| text.ends_with('\n')).ok_or("not yet")
    })
    .await;
    let stopped = daemon.stop(Duration::from_secs(60)).await;
    assert!(stopped.stderr.contains("mape-k stopped"), "{}", stopped.stderr);
    assert!(!is_running(pid.trim()), "the command outlives the daemon");
    assert_eq!(cart.calls("apply"), 1);
    daemon.start_again(&[]).await;
    daemon.cycles(5).await;
    assert_eq!(cart.calls("apply"), 1, "what became of it is not known: it is not called again");
}
