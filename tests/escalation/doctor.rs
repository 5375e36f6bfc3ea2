//! R10: `mape-k doctor` against real servers and at the wire: what is well, what to fix, and that it changes nothing.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cluster::api_server::Mood;
use crate::notify::fake_slack::{FakeSlack, Reply};
use crate::sources::Everything;
use crate::support::process::{Finished, Process};

/// For what takes a second or two on an idle machine, and up to ten where a server hangs.
const SOON: Duration = Duration::from_mins(1);

const NOBODY: &str = "http://127.0.0.1:9";

/// Breaks one thing of a configuration.
type Break<'a> = &'a dyn Fn(&mut Value);

async fn doctor(everything: &Everything, config: &Value, flags: &[&str]) -> Finished {
    let file = everything.write(config);
    let file = file.to_str().expect("a plain path");
    let args = [&["doctor", "--log-format", "text", "--config", file], flags].concat();
    let finished = Process::start_mape_k(&args, &[]).finished(SOON).await;
    println!("$ mape-k doctor {flags:?}\n{}{}", finished.stdout, finished.stderr);
    finished
}

/// With somebody to notify.
fn config(everything: &Everything) -> Value {
    let mut config = everything.config();
    config["notify"] = json!({"alertmanager": {"enabled": true}});
    config
}

fn line<'a>(finished: &'a Finished, begin: &str) -> &'a str {
    let line = finished.stdout.lines().find(|line| line.starts_with(begin));
    line.unwrap_or_else(|| panic!("no line begins {begin:?} in\n{}", finished.stdout))
}

#[tokio::test]
async fn r10_doctor_finds_nothing_to_fix_where_all_is_well_and_changes_nothing() {
    let everything = Everything::start().await;
    let mut config = config(&everything);
    config["hooks"] = json!([{
        "name": "restart-cart", "component": "cart", "apply": ["/bin/true"],
    }]);
    let reports = everything.folder.path().join("reports");
    std::fs::create_dir(&reports).expect("a folder");
    config["escalation"]["reports_dir"] = json!(reports);
    let well = doctor(&everything, &config, &[]).await;
    assert_eq!(well.status.code(), Some(0));
    assert_eq!(std::fs::read_dir(&reports).expect("it").count(), 0, "the test file is removed");
    for begin in [
        "ok    prometheus at http://",
        "ok    alertmanager at http://",
        "ok    charter at http://",
        "ok    kubernetes at http",
        "ok    store: SQLite file",
        "ok    reports: ",
        "ok    notifier alertmanager at http://",
        "off   github: turned off (github.enabled)",
        "nothing to fix",
    ] {
        line(&well, begin);
    }
    assert!(line(&well, "ok    prometheus").contains("its clock is "), "{}", well.stdout);
    assert!(line(&well, "ok    kubernetes").contains("22 of 22 permissions"), "{}", well.stdout);
    assert!(line(&well, "ok    prometheus").ends_with(" ms)"), "{}", well.stdout);
    assert!(everything.charter.changes().is_empty(), "it is asked, and nothing is changed");
    assert!(!everything.folder.path().join("knowledge.db").exists(), "no store is made");
    let alerts = everything.alertmanager.alerts().await.expect("its alerts");
    assert!(alerts.is_empty(), "nobody is sent anything: {alerts:?}");
}

#[tokio::test]
async fn r10_doctor_names_what_to_fix_and_how() {
    let everything = Everything::start().await;
    let config = config(&everything);
    let file = everything.folder.path().join("knowledge.db");
    let cases: [(&str, &[&str], Break<'_>); 9] = [
        ("FIX   prometheus at", &["monitor.prometheus_url"], &|config| {
            config["monitor"]["prometheus_url"] = json!(NOBODY);
        }),
        ("FIX   rule scraped: ", &["is it scraped"], &|config| {
            config["monitor"]["queries"][0]["promql"] = json!("no_such_metric");
        }),
        ("FIX   charter at", &["execute.charter_url"], &|config| {
            config["execute"]["charter_url"] = json!(NOBODY);
        }),
        ("FIX   notifiers: no notifier is configured", &["slack.enabled"], &|config| {
            config["notify"] = json!({});
        }),
        ("FIX   notifier alertmanager at", &["notify.alertmanager.url"], &|config| {
            config["notify"]["alertmanager"]["url"] = json!(NOBODY);
        }),
        ("FIX   reports: cannot write to /proc", &["escalation.reports_dir"], &|config| {
            config["escalation"]["reports_dir"] = json!("/proc/nowhere");
        }),
        ("FIX   guardrails.", &["the guard is disarmed"], &|config| {
            config["guardrails"] = json!({"cooldown": {"opposite": 0}});
        }),
        ("FIX   hooks[gone].apply: ", &["/nowhere/gone"], &|config| {
            config["hooks"] = json!([{
                "name": "gone", "component": "cart", "apply": ["/nowhere/gone"],
            }]);
        }),
        ("FIX   store: ", &["it is not an SQLite file", "knowledge.sqlite_path"], &|_| {
            std::fs::write(&file, "something else altogether").expect("written");
        }),
    ];
    for (begin, says, broken) in cases {
        let mut config = config.clone();
        broken(&mut config);
        let finished = doctor(&everything, &config, &[]).await;
        assert_eq!(finished.status.code(), Some(1), "{begin}");
        line(&finished, begin);
        for said in says {
            assert!(finished.stdout.contains(said), "{begin}: no {said:?} in\n{}", finished.stdout);
        }
        line(&finished, "1 thing to fix");
        let _ = std::fs::remove_file(&file);
    }
}

/// By SelfSubjectAccessReview: what is refused is named with the role that would grant it.
#[tokio::test]
async fn r10_doctor_asks_the_api_server_for_each_permission() {
    let everything = Everything::start().await;
    let config = config(&everything);
    everything.kubernetes.lists("deployments", Mood::Refuses(403));
    // Roles of earlier versions do not grant it: it is left out, which is no failure.
    everything.kubernetes.lists("cronjobs", Mood::Refuses(403));
    let finished = doctor(&everything, &config, &[]).await;
    assert_eq!(finished.status.code(), Some(1));
    line(&finished, "FIX   permission list and watch deployments: refused");
    line(&finished, "note  permission list and watch cronjobs: refused");
    let role =
        "Give mape-k's ClusterRole the verbs list and watch on deployments (apiGroup \"apps\")";
    assert!(finished.stdout.contains(role), "{}", finished.stdout);
    let data = doctor(&everything, &config, &["-o", "json"]).await.stdout;
    let data: Value = serde_json::from_str(&data).expect("JSON and nothing else");
    assert_eq!(data["to_fix"], 1, "{data}");
    everything.kubernetes.lists("deployments", Mood::Well);
    assert_eq!(doctor(&everything, &config, &[]).await.status.code(), Some(0));
}

/// `--notify`: only what a server has confirmed is said to be.
#[tokio::test]
async fn r10_doctor_sends_a_test_message_and_says_who_confirmed_it() {
    let everything = Everything::start().await;
    let mut config = config(&everything);
    config["slack"] = json!({"enabled": true, "api_url": NOBODY, "token": "xoxb-1-test"});
    let finished = doctor(&everything, &config, &["--notify"]).await;
    assert_eq!(finished.status.code(), Some(1));
    line(&finished, "ok    notifier alertmanager: it has confirmed a test message");
    line(
        &finished,
        "FIX   notifier slack channel #critical-alerts: a test message was not confirmed",
    );
    line(&finished, "FIX   notifier slack channel #infrastructure-alerts: a test message");
    assert!(!finished.stdout.contains("xoxb-1"), "no token is shown");
    let alerts = everything.alertmanager.alerts().await.expect("its alerts");
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert!(alerts[0].to_string().contains("mape-k doctor: a test message"), "{alerts:?}");
}

/// Only what Slack says of a webhook or token that works counts; any other answer is named with its status.
#[tokio::test]
async fn r10_doctor_calls_slack_well_only_when_slack_says_so() {
    let everything = Everything::start().await;
    let slack = FakeSlack::start().await;
    let by_webhook = json!({"enabled": true, "webhook_url": slack.url});
    let by_token = json!({"enabled": true, "api_url": slack.url, "token": "xoxb-1-test"});
    let ways = [(by_webhook, "notifier slack by its webhook"), (by_token, "notifier slack at")];
    let answers = [
        ([Reply::Status(400, "no_text"), Reply::Fine], "ok    ", ": it answers;", 0),
        (
            [Reply::Status(404, "no_service"), Reply::Status(404, "no_service")],
            "FIX   ",
            ": it answers 404 Not Found",
            1,
        ),
        ([Reply::Status(403, "invalid_token"), Reply::No("invalid_auth")], "FIX   ", "invalid_", 1),
        (
            [Reply::Status(302, "elsewhere"), Reply::Status(302, "elsewhere")],
            "FIX   ",
            ": it answers 302 Found",
            1,
        ),
    ];
    for (replies, state, said, code) in answers {
        for ((settings, subject), reply) in ways.iter().zip(replies) {
            slack.always(reply);
            let mut config = config(&everything);
            config["slack"] = settings.clone();
            let finished = doctor(&everything, &config, &[]).await;
            let line = line(&finished, &format!("{state}{subject}"));
            assert!(line.contains(said), "{line}");
            assert_eq!(finished.status.code(), Some(code), "{line}");
        }
    }
}
