//! `mape-k check-config --diff`: against the defaults, and against the daemon that runs.

use serde_json::{Value, json};

use super::daemon::{Daemon, Settings};
use super::{SOON, SPEED};
use crate::fake_charter::FakeCharter;
use crate::support::process::{Finished, Process};

async fn diff(args: &[&str]) -> Finished {
    let args = [&["check-config", "--diff"], args].concat();
    let finished = Process::start_mape_k(&args, &[]).finished(SOON).await;
    println!("$ mape-k {}\n{}{}", args.join(" "), finished.stdout, finished.stderr);
    finished
}

#[tokio::test]
async fn r09_check_config_names_what_differs_from_the_defaults_and_from_the_running_daemon() {
    let charter = FakeCharter::start().await;
    let settings = Settings::scraping("http://127.0.0.1:9", &charter.base, SPEED);
    let mut daemon = Daemon::start(settings, &[]).await;
    let file = daemon.settings.write();
    let file = file.to_str().expect("a plain path");
    let same = diff(&["--config", file]).await;
    assert!(same.status.success(), "{same:?}");
    assert!(same.stdout.contains("orchestrator.loop_interval: 30 → 2"), "{}", same.stdout);
    assert!(same.stdout.contains("→ yours: no difference"), "as it runs: {}", same.stdout);
    assert!(same.stdout.contains("# warning: notify: no notifier is enabled"), "{}", same.stdout);

    daemon.settings.file["guardrails"]["budget"]["per_hour"] = json!(5);
    daemon.settings.write();
    let url = format!("http://{}", daemon.settings.api);
    let changed = diff(&["--config", file, "--url", &url]).await;
    assert!(changed.stdout.contains("→ yours: 1 difference"), "{}", changed.stdout);
    let line = "guardrails.budget.per_hour: 6 → 5";
    assert_eq!(changed.stdout.lines().filter(|one| *one == line).count(), 2, "{}", changed.stdout);
    let report = diff(&["--config", file, "-o", "json"]).await;
    let report: Value = serde_json::from_str(&report.stdout).expect("JSON and nothing else");
    let expected = json!([{"key": "guardrails.budget.per_hour", "from": 6, "to": 5}]);
    assert_eq!(report["from_running"], expected, "{report}");

    // Nobody answers: said, and an error only where a daemon was named.
    daemon.stop(SOON).await;
    let alone = diff(&["--config", file]).await;
    assert!(alone.status.success(), "{alone:?}");
    assert!(alone.stdout.contains("# not compared with a running daemon: no daemon"), "{alone:?}");
    assert_eq!(diff(&["--config", file, "--url", &url]).await.status.code(), Some(1));
    // What is not valid has no differences.
    daemon.settings.file["guardrails"]["budget"]["per_hour"] = json!("many");
    daemon.settings.write();
    let refused = diff(&["--config", file]).await;
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(refused.stderr.contains("guardrails.budget.per_hour"), "{refused:?}");
}
