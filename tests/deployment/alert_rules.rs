//! The shipped alerts, by promtool's own clock: what makes each fire, what comes close and must not, and that a healthy
//! system is told of by none. And what whoever is woken by one finds: a severity, a text, a section that exists.

mod cases;
mod inhibition;

use std::collections::BTreeSet;
use std::time::Duration;

use mape_k::charter_sandbox::service::Request;
use mape_k::charter_sandbox::{Charter, Options};
use mape_k::clock::Clock;
use mape_k::metrics::Metrics;
use serde_json::{Value, json};

use crate::support::config::{rules, shipped, shipped_rule_files};
use crate::support::tools::{check, root, tools};
use crate::support::troubleshooting::sections;
use cases::cases;

/// The shipped scrape and evaluation interval, in seconds.
const EVERY: usize = 15;
const RUNBOOKS: &str = "https://mape-k.example/docs/OPERATIONS.md#";

/// Every shipped alert with the file that it is in.
fn alerts() -> Vec<(String, Value)> {
    let files = shipped_rule_files();
    let of = |file: &String| {
        let file = format!("rules/{file}");
        rules(&shipped(&file)).map(|rule| (file.clone(), rule.clone())).collect::<Vec<_>>()
    };
    files.iter().flat_map(of).collect()
}

fn name(alert: &Value) -> &str {
    alert["alert"].as_str().expect("an alert has a name")
}

/// A series of promtool's, with the labels that a scrape adds where it does not name them itself.
fn series(name: &str, values: &str) -> Value {
    let (name, labels) = name.split_once('{').unwrap_or((name, "}"));
    let labels = labels.trim_end_matches('}');
    let mut labels: Vec<String> =
        Some(labels).filter(|text| !text.is_empty()).map(str::to_owned).into_iter().collect();
    for (label, value) in [("job", "mape-k"), ("instance", "a")] {
        let is_there =
            labels.iter().any(|text| text.split(',').any(|l| l.starts_with(&format!("{label}="))));
        if !is_there {
            labels.push(format!("{label}=\"{value}\""));
        }
    }
    json!({"series": format!("{name}{{{}}}", labels.join(",")), "values": values})
}

/// How many samples these are: `ax3` and `a+bx3` are four.
fn samples(values: &str) -> usize {
    let count = |run: &str| {
        run.split_once('x').map_or(1, |(_, more)| more.parse::<usize>().expect("a number") + 1)
    };
    values.split(' ').map(count).sum()
}

/// Asked where the first series ends: which alerts have ever fired?
fn group(title: &str, series: &[Value], expected: Option<&str>) -> Value {
    let values = series.iter().map(|one| samples(one["values"].as_str().expect("samples")));
    let lasts = (values.min().expect("a series") - 1) * EVERY;
    let sample = |name| json!({"labels": format!("{{alertname=\"{name}\"}}"), "value": 1});
    let samples: Vec<Value> = expected.map(sample).into_iter().collect();
    let ever = format!("count_over_time(ALERTS{{alertstate=\"firing\"}}[{lasts}s])");
    json!({"name": title, "interval": format!("{EVERY}s"), "input_series": series, "promql_expr_test": [
        {"expr": format!("count by (alertname) ({ever}) > bool 0"), "eval_time": format!("{lasts}s"), "exp_samples": samples}]})
}

/// Rules that promtool is to run all groups with: few are fast.
fn test_rules(rules: &[Value], groups: &[Value]) {
    let folder = tempfile::tempdir().expect("a folder");
    // JSON is YAML.
    let write = |name: &str, content: Value| {
        std::fs::write(folder.path().join(name), content.to_string()).expect("written");
    };
    write("rules.yml", json!({"groups": [{"name": "tried", "rules": rules}]}));
    write(
        "test.yml",
        json!({"rule_files": ["rules.yml"], "evaluation_interval": format!("{EVERY}s"), "tests": groups}),
    );
    check(&tools().promtool, &["test", "rules", "test.yml"], folder.path())
        .unwrap_or_else(|printed| panic!("{printed}"));
}

#[test]
fn d03_every_alert_fires_at_its_cause_and_not_at_what_comes_close() {
    let alerts = alerts();
    for case in cases() {
        let (_, rule) = alerts
            .iter()
            .find(|(_, alert)| name(alert) == case.alert)
            .unwrap_or_else(|| panic!("no rule is named {}", case.alert));
        let mut groups = Vec::new();
        for (expected, sets) in [(Some(case.alert), case.fires), (None, case.quiet)] {
            assert!(!sets.is_empty(), "{} has no case that expects {expected:?}", case.alert);
            for (number, set) in sets.iter().enumerate() {
                let title = format!("{}: {expected:?}, number {number}", case.alert);
                let series: Vec<Value> =
                    set.iter().map(|(name, values)| series(name, values)).collect();
                groups.push(group(&title, &series, expected));
            }
        }
        test_rules(std::slice::from_ref(rule), &groups);
    }
}

#[test]
fn d03_no_alert_is_without_a_case_and_no_case_without_an_alert() {
    let alerts = alerts();
    let shipped: BTreeSet<&str> = alerts.iter().map(|(_, alert)| name(alert)).collect();
    let tried: BTreeSet<&str> = cases().map(|case| case.alert).collect();
    assert_eq!(tried, shipped);
    assert_eq!(tried.len(), cases().count());
    for named in ["MAFEKLoopFailure", "CharterAPIDown", "PrometheusScrapeFailure"] {
        assert!(shipped.contains(named), "{named}");
    }
}

/// What the rules ask for of all that daemon and Charter export, when nothing is wrong for two hours and a half of a loop
/// of 30 s or of 300 s.
fn healthy(interval: usize) -> Vec<Value> {
    let every = interval / EVERY;
    let steps = 2 * 3600 / EVERY + 1800 / EVERY;
    // A value that each cycle moves by `by`.
    let moved = |by: usize| {
        let runs = (0..steps / every).map(|n| format!("{}x{}", (n + 1) * by, every - 1));
        runs.collect::<Vec<_>>().join(" ")
    };
    let constant = |value: &str| format!("{value}x{steps}");
    let ours = Metrics::new(Clock::start().now()).gather();
    let charter = Charter::simulated(Options::default()).expect("a reference Charter");
    // Past its first seconds, in which it has served nothing yet.
    charter.advance(Duration::from_secs(120));
    let charters = charter.call(&Request::get("/metrics")).body;
    let asked_for: BTreeSet<String> = alerts().iter().flat_map(|(_, a)| metrics_of(a)).collect();
    let mut all = Vec::new();
    for (job, page) in [("mape-k", &ours), ("charter", &charters)] {
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.rsplit_once(' ').expect("a sample has a value");
            if !asked_for.contains(name.split('{').next().unwrap_or_default()) {
                continue;
            }
            let values = match name {
                "mape_k_leader" | "mape_k_notifiers_configured" => constant("1"),
                "mape_k_loop_duration_seconds_count" => moved(1),
                "mape_k_source_last_success_timestamp_seconds{source=\"prometheus\"}"
                | "mape_k_source_last_success_timestamp_seconds{source=\"alertmanager\"}" => {
                    moved(interval)
                }
                _ => constant(value),
            };
            let name = match name.split_once('{') {
                Some((name, labels)) => format!("{name}{{job=\"{job}\",{labels}"),
                None => format!("{name}{{job=\"{job}\"}}"),
            };
            all.push(series(&name, &values));
        }
    }
    for job in ["charter", "mape-k", "prometheus", "alertmanager"] {
        all.push(series(&format!("up{{job=\"{job}\"}}"), &constant("1")));
    }
    all
}

#[test]
fn d03_nothing_fires_while_all_is_well_however_long_the_interval() {
    let groups: Vec<Value> = [30, 300]
        .into_iter()
        .map(|interval| group(&format!("every {interval} s"), &healthy(interval), None))
        .collect();
    let rules: Vec<Value> = alerts().into_iter().map(|(_, alert)| alert).collect();
    test_rules(&rules, &groups);
}

/// GitHub's: lower case, spaces to hyphens, the rest of the punctuation gone.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let text = line.trim_start_matches('#').trim().to_lowercase();
            let kept = text.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

#[test]
fn d03_whoever_is_woken_finds_severity_text_and_a_section_that_exists() {
    let page = std::fs::read_to_string(root().join("docs/OPERATIONS.md")).expect("the page");
    let anchors = anchors(&page);
    for (file, alert) in alerts() {
        let name = name(&alert);
        let severity = alert["labels"]["severity"].as_str().unwrap_or_default();
        assert!(["info", "warning", "critical"].contains(&severity), "{name}: {severity:?}");
        for annotation in ["summary", "description"] {
            let text = alert["annotations"][annotation].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "{name} has no {annotation}");
        }
        let url = alert["annotations"]["runbook_url"].as_str().unwrap_or_default();
        assert_eq!(url, format!("{RUNBOOKS}{}", name.to_lowercase()), "{name}");
        assert!(
            anchors.contains(&name.to_lowercase()),
            "docs/OPERATIONS.md has no heading for {name}"
        );
        let is_ours = file == "rules/mape_k.yml";
        assert_eq!(alert["labels"]["origin"] == "mape-k", is_ours, "origin of {name}");
        let names_ours = alert["expr"].as_str().unwrap_or_default().contains("mape_k_");
        assert!(is_ours || !names_ours, "{name} is about the daemon: rules/mape_k.yml");
    }
}

/// The metrics that an alert asks for: words of its expression outside of braces.
fn metrics_of(alert: &Value) -> BTreeSet<String> {
    let expression = alert["expr"].as_str().expect("an expression");
    let mut outside = String::new();
    let mut depth = 0_u32;
    for c in expression.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ if depth == 0 => outside.push(c),
            _ => {}
        }
    }
    let words = outside.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    let is_metric = |word: &&str| {
        word.starts_with("mape_k_")
            || word.contains("charter")
            || ["up", "process_start_time_seconds"].contains(word)
    };
    words.filter(is_metric).map(str::to_owned).collect()
}

#[test]
fn d03_every_metric_of_a_rule_is_exported_by_the_daemon_or_by_charter() {
    let ours = Metrics::new(Clock::start().now()).gather();
    let charter = Charter::new(Options::default()).expect("a reference Charter");
    let charters = charter.call(&Request::get("/metrics")).body;
    let exported: BTreeSet<&str> = [&ours, &charters]
        .into_iter()
        .flat_map(|page| page.lines())
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .chain(["up"])
        .collect();
    for (_, alert) in alerts() {
        let named = metrics_of(&alert);
        assert!(!named.is_empty(), "{} names no metric", name(&alert));
        for metric in named {
            assert!(exported.contains(metric.as_str()), "{}: {metric}", name(&alert));
        }
    }
}

/// What the test on the stack reads: numbered steps, each with what is typed and what it shows.
#[test]
fn a61_every_symptom_has_steps_with_a_command_and_its_evidence() {
    let page = std::fs::read_to_string(root().join("docs/OPERATIONS.md")).expect("the page");
    let sections = sections(&page).unwrap_or_else(|problem| panic!("{problem}"));
    assert!(sections.len() >= 8, "only {} symptoms found", sections.len());
    for section in &sections {
        assert!(!section.steps.is_empty(), "{} has no steps", section.title);
        assert_eq!(
            section.make.is_empty(),
            section.undo.is_empty(),
            "{}: what is made is to be undone",
            section.title
        );
    }
}
