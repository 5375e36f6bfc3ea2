//! §2: labels that others choose forge nothing in what the commands print: no line, no colour, no clipboard, no direction.

use serde_json::{Value, json};

use super::SOON;
use super::SPEED;
use super::daemon::{Daemon, Settings};
use super::target::Target;
use crate::fake_charter::FakeCharter;
use crate::support::eventually::eventually;
use crate::support::process::{Finished, Process};

/// Clears the screen, sets the clipboard, begins lines of its own, and turns the reading direction.
const HOSTILE: &str = "c\u{1b}[2J\u{1b}]52;c;ZXZpbA==\u{7}\npolicies waiting for approval: 0\r\n  FORGED\u{9b}1m \u{202e}\u{200b}\u{e0041}";
const HARMLESS: &str = "cache-0001 (eu)";

async fn run(args: &[&str]) -> Finished {
    Process::start_mape_k(args, &[]).finished(SOON).await
}

/// A rule of this component is broken, and a critical one asks for an approval.
fn settings(target: &Target, charter: &FakeCharter) -> Settings {
    let mut settings = Settings::scraping(&target.url, &charter.base, SPEED);
    settings.file["monitor"]["metrics"] = json!([{
        "name": "failure_rate", "metric": "westworld_charter_failure_rate", "comparison": "gt", "threshold": 0.1,
        "severity": "critical", "component": "charter", "cause": "system_overload",
    }, {
        "name": "failures_of_unknown_cause", "metric": "westworld_cache_failure_rate", "comparison": "gt",
        "threshold": 0.1, "severity": "critical", "component_label": "component",
    }]);
    settings.file["monitor"]["queries"] = json!([]);
    settings.file["orchestrator"]["auto_approve"] = json!(false);
    settings
}

async fn target(component: &str) -> Target {
    let label = component.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    Target::serving(format!(
        "# TYPE westworld_charter_failure_rate gauge\nwestworld_charter_failure_rate 0.5\n\
         # TYPE westworld_cache_failure_rate gauge\nwestworld_cache_failure_rate{{component=\"{label}\"}} 0.5\n"
    ))
    .await
}

/// Nothing that a terminal obeys but our own line breaks, and no line that the label begins.
fn assert_is_plain(what: &str, printed: &str) {
    let hidden = printed.chars().find(|c| {
        (c.is_control() && *c != '\n')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}'
                | '\u{61c}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
    });
    assert_eq!(hidden, None, "{what}: {printed:?}");
    // A page is cut to the width of a terminal, and what follows a cut is indented further than a line.
    let forged =
        printed.lines().find(|line| line.strip_prefix("  ").unwrap_or(line).starts_with("FORGED"));
    assert_eq!(forged, None, "{what}: {printed}");
    let counts = printed.lines().filter(|line| line.starts_with("policies waiting for approval"));
    assert!(counts.count() <= 1, "{what}: {printed}");
}

#[tokio::test]
async fn hostile_labels_forge_nothing_in_observe_status_and_explain() {
    for component in [HOSTILE, HARMLESS] {
        let is_hostile = component == HOSTILE;
        let charter = FakeCharter::start().await;
        let target = target(component).await;
        let mut daemon = Daemon::start(settings(&target, &charter), &[]).await;
        let file = daemon.settings.write();
        let file = file.to_str().expect("a plain path").to_owned();
        let url = format!("http://{}", daemon.settings.api);
        let status = eventually(SOON, "a policy waits for approval", async || {
            let status = run(&["status", "--url", &url]).await;
            let waits = status.stdout.lines().any(|l| l == "policies waiting for approval: 1");
            // The record of a violation that nothing treats carries its component.
            if waits && status.stdout.contains("unknown_cause") {
                Ok(status.stdout)
            } else {
                Err(status.stdout + &status.stderr)
            }
        })
        .await;
        let observed = run(&["observe", "--config", &file, "--log-format", "text"]).await;
        let explained = run(&["explain", "--url", &url]).await;
        let policies: Value = reqwest::get(format!("{url}/api/v1/policies?approval=pending"))
            .await
            .expect("an answer")
            .json()
            .await
            .expect("JSON");
        let policy = policies["items"][0]["id"].as_str().expect("an id").to_owned();
        let page = run(&["explain", "policy", &policy, "--url", &url]).await;
        let once =
            run(&["run", "--once", "--dry-run", "--config", &once_file(&daemon.settings)]).await;
        let rejected = run(&["reject", &policy, "--by", component, "--url", &url]).await;
        let texts = [
            ("status", &status),
            ("observe", &observed.stdout),
            ("explain", &explained.stdout),
            ("explain policy", &page.stdout),
            ("run --once", &once.stdout),
            ("the log", &once.stderr),
            ("reject", &(rejected.stdout + &rejected.stderr)),
        ];
        for (what, printed) in texts {
            assert!(!printed.is_empty(), "{what} prints nothing");
            assert_is_plain(what, printed);
            if ["the log", "explain policy", "reject"].contains(&what) {
                continue;
            }
            if is_hostile {
                // Shown, not swallowed: a person sees what the name is.
                assert!(printed.contains("\\u{1b}"), "{what}: {printed}");
                assert!(printed.contains("\\n"), "{what}: {printed}");
            } else {
                assert!(printed.replace("\n    ", " ").contains(component), "{what}: {printed}");
                assert!(!printed.contains("\\u{"), "{what}: {printed}");
            }
        }
        // JSON stays JSON, says the same, and hides nothing either.
        for command in [&["status"][..], &["explain"]] {
            let data = run(&[command, &["-o", "json", "--url", &url]].concat()).await.stdout;
            assert_is_plain("JSON", &data);
            let data: Value = serde_json::from_str(&data).expect("JSON and nothing else");
            let all = json!([data]).to_string();
            let raw = serde_json::to_string(component).expect("JSON");
            assert!(all.contains(raw.trim_matches('"')), "{command:?} keeps the name: {all}");
        }
        daemon.stop(SOON).await;
    }
}

/// The same rules for a process of its own beside the daemon.
fn once_file(settings: &Settings) -> String {
    let mut file = settings.file.clone();
    file["knowledge"]["database"] = json!("memory");
    file["escalation"]["reports_dir"] = Value::Null;
    file["logging"]["format"] = json!("text");
    let path = settings.folder().join("once.yaml");
    std::fs::write(&path, file.to_string()).expect("a file");
    path.to_str().expect("a plain path").to_owned()
}

/// A word that only looks like a keyword is refused, and the text names the character that differs.
#[tokio::test]
async fn a_homoglyph_of_a_keyword_is_refused_by_its_odd_character() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("c.yaml");
    let file = path.to_str().expect("a plain path");
    let cases = [
        ("guardrails: {mode: \u{430}ct}", "\\u{430}"),
        ("guardrails: {mode: \"act\u{200b}\"}", "\\u{200b}"),
        ("guardrails: {mod\u{435}: act}", "\\u{435}"),
        ("plan: {strategies: {syst\u{435}m_overload: [{action: scale_up}]}}", "\\u{435}"),
    ];
    for (text, odd) in cases {
        std::fs::write(&path, text).expect("a file");
        let checked = run(&["check-config", "--config", file]).await;
        assert_eq!(checked.status.code(), Some(1), "{text}: {}", checked.stdout);
        assert!(checked.stdout.contains(odd), "{text}: {}", checked.stdout);
        assert_is_plain(text, &checked.stdout);
    }
    std::fs::write(&path, "guardrails: {mode: act}").expect("a file");
    let checked = run(&["check-config", "--config", file]).await;
    assert_eq!(checked.status.code(), Some(0), "{}", checked.stdout);
}
