//! A63: JSON lines parse, files rotate by size, text is for people.

use std::path::Path;

use mape_k::telemetry::{self, LogFormat, Settings};
use serde_json::Value;
use tracing::dispatcher::with_default;

fn settings(path: &Path, format: LogFormat) -> Settings {
    Settings { format, file: Some(path.to_owned()), ..Settings::default() }
}

/// Runs with this logging; everything is written when it returns.
fn logged(settings: &Settings, run: impl FnOnce()) {
    let (dispatch, guard) = telemetry::build(settings).expect("set up");
    with_default(&dispatch, run);
    drop(guard);
}

#[test]
fn a63_every_json_line_parses_and_carries_message_fields_and_cycle() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("logs/mape-k.log");
    logged(&settings(&path, LogFormat::Json), || {
        let _cycle = tracing::info_span!("cycle", iteration = 7).entered();
        tracing::info!(rule = "validation_latency", value = 1.5, "violation \"began\"\nhere");
        tracing::debug!("not at level info");
    });
    let text = std::fs::read_to_string(&path).expect("the log");
    let lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 1, "{text}");
    assert_eq!(lines[0]["level"], "INFO");
    assert_eq!(lines[0]["message"], "violation \"began\"\nhere");
    assert_eq!(lines[0]["rule"], "validation_latency");
    assert_eq!(lines[0]["value"], 1.5);
    assert_eq!(lines[0]["span"]["iteration"], 7);
    let at = lines[0]["timestamp"].as_str().expect("a time");
    assert!(chrono::DateTime::parse_from_rfc3339(at).is_ok(), "{at}");
}

#[test]
fn a63_text_is_readable_and_without_colours_in_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mape-k.log");
    logged(&settings(&path, LogFormat::Text), || tracing::warn!(replicas = 6, "scaled up"));
    let text = std::fs::read_to_string(&path).expect("the log");
    assert!(text.contains("WARN") && text.contains("scaled up replicas=6"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text:?}");
}

#[test]
fn a63_files_rotate_at_max_bytes_between_lines_and_only_backup_count_old_ones_stay() {
    for backup_count in [0, 3] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("mape-k.log");
        let rotating =
            Settings { max_bytes: 2048, backup_count, ..settings(&path, LogFormat::Json) };
        // Twice, so that a restart continues the same files.
        for run in 0..2 {
            logged(&rotating, || {
                for number in 0..100 {
                    tracing::info!(run, number, "a line of some length that fills the file");
                }
            });
        }
        let files: Vec<_> = std::fs::read_dir(folder.path())
            .expect("the folder")
            .map(|entry| entry.expect("an entry").path())
            .collect();
        assert_eq!(files.len(), backup_count + 1, "{files:?}");
        for file in files {
            let text = std::fs::read_to_string(&file).expect("a log");
            assert!(text.len() <= 2048, "{} has {} bytes", file.display(), text.len());
            for line in text.lines() {
                serde_json::from_str::<Value>(line).expect("whole lines only");
            }
        }
        let newest = std::fs::read_to_string(&path).expect("the log");
        let last: Value =
            serde_json::from_str(newest.lines().last().expect("a line")).expect("JSON");
        assert_eq!((&last["run"], &last["number"]), (&1.into(), &99.into()));
    }
}

#[test]
fn a_level_by_target_is_accepted_and_a_wrong_one_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mape-k.log");
    let by_target =
        Settings { level: "warn,it=debug".to_owned(), ..settings(&path, LogFormat::Json) };
    logged(&by_target, || {
        tracing::debug!("ours");
        tracing::info!(target: "sqlx", "theirs");
    });
    let text = std::fs::read_to_string(&path).expect("the log");
    assert!(text.contains("ours") && !text.contains("theirs"), "{text}");
    for level in ["info", "DEBUG", "off", "warn,mape_k::planner=trace"] {
        assert!(telemetry::is_level(level), "{level}");
    }
    for level in ["loud", "", "3", "info,mape_k=loud"] {
        assert!(!telemetry::is_level(level), "{level}");
    }
}

#[test]
fn a_log_file_that_cannot_be_opened_is_named() {
    let error = telemetry::build(&settings(Path::new("/proc/nowhere/x.log"), LogFormat::Json))
        .expect_err("refused");
    let text = error.to_string();
    assert!(text.contains("/proc/nowhere/x.log") && text.contains("logging.file"), "{text}");
}

/// §2: what others name their things begins no line of the log, colours nothing and hides nothing, as text and as JSON.
#[test]
fn hostile_text_in_fields_and_messages_forges_no_line_of_the_log() {
    const HOSTILE: &str = "c\u{1b}[2J\r\n2026-11-01T00:00:00Z  INFO forged\u{202e}\u{9b}\u{200b}";
    for format in [LogFormat::Text, LogFormat::Json] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("mape-k.log");
        logged(&settings(&path, format), || {
            let _span = tracing::info_span!("cycle", component = HOSTILE).entered();
            tracing::warn!(component = HOSTILE, error = %HOSTILE, debug = ?HOSTILE, "broken: {HOSTILE}");
            tracing::warn!(component = "größe: c0001", error = %"a, b", "fine: 50 % of c0001");
        });
        let text = std::fs::read_to_string(&path).expect("the log");
        assert_eq!(text.lines().count(), 2, "{format:?}: {text}");
        let hidden = |c: char| (c.is_control() && c != '\n') || "\u{202e}\u{200b}".contains(c);
        assert!(!text.contains(hidden), "{format:?}: {text:?}");
        let fine = text.lines().nth(1).expect("two lines");
        assert!(fine.contains("fine: 50 % of c0001") && fine.contains("größe: c0001"), "{fine}");
        if format == LogFormat::Json {
            let line: Value =
                serde_json::from_str(text.lines().next().expect("one")).expect("JSON");
            assert_eq!(line["component"], HOSTILE, "JSON says the value itself");
        } else {
            assert!(
                fine.contains("fine: 50 % of c0001 component=\"größe: c0001\" error=a, b"),
                "{fine}"
            );
            assert!(text.contains("\\u{1b}[2J\\r\\n") && text.contains("\\u{202e}"), "{text}");
        }
    }
}
