//! The Grafana dashboards: shape, and every panel's query against a real Prometheus.
//!
//! Leaves out how they look: no Grafana can be had here.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use mape_k::clock::Clock;
use mape_k::domain::Cause;
use mape_k::domain::action::ActionKind;
use mape_k::domain::outcome::ActionStatistics;
use mape_k::domain::view::LoopView;
use mape_k::metrics::Metrics;
use serde_json::{Value, json};

use crate::support::config::{rules, shipped, shipped_rule_files};
use crate::support::eventually::eventually;
use crate::support::tools::root;
use asked::{every_panel_answers, items, panels, shipped_dashboards, text};

#[path = "../e2e/dashboards.rs"]
mod asked;
#[path = "../it/end_to_end/charter.rs"]
#[allow(dead_code, reason = "shared with the end-to-end tests")]
mod charter;
#[path = "../it/end_to_end/daemon.rs"]
#[allow(dead_code, reason = "shared with the end-to-end tests")]
mod daemon;
#[path = "../it/end_to_end/stack.rs"]
#[allow(dead_code, reason = "shared with the end-to-end tests")]
mod stack;

/// How much faster than life plant and loop run.
const SPEED: f64 = 15.0;
const SOON: Duration = Duration::from_mins(1);
const LATER: Duration = Duration::from_mins(4);

/// The queries that every dashboard must answer on the real thing, after a fault was healed and judged.
#[tokio::test]
async fn d04_every_panel_answers_with_numbers_after_a_fault_was_healed() {
    let mut surroundings = stack::Surroundings::start().await;
    // So that somebody is told.
    surroundings.settings.file["notify"]["alertmanager"]["enabled"] = json!(true);
    let stack = surroundings.with_daemon(&stack::STAGING).await;
    stack.daemon.is_well().await;
    stack.charter.inject("overload").await;
    for series in [
        "mape_k_outcomes_total{type=\"success\"} > 0",
        "mape_k_remedy_runs{cause=\"validation_latency\", action=\"scale_up\"} == 1",
    ] {
        eventually(LATER, &format!("Prometheus has {series}"), async || {
            let found = stack.prometheus.query(series).await?;
            if found.is_empty() { Err("not yet".to_owned()) } else { Ok(()) }
        })
        .await;
    }
    every_panel_answers(&stack.prometheus.server.url()).await;
}

#[test]
fn d04_uids_are_those_that_links_and_bookmarks_know() {
    let dashboards = shipped_dashboards();
    let uids: Vec<&str> = dashboards.iter().map(|d| text(&d["uid"])).collect();
    assert_eq!(uids, ["charter", "mape-k-loop", "mape-k-people"]);
    for dashboard in &dashboards {
        let file = format!("config/grafana/dashboards/{}.json", text(&dashboard["uid"]));
        assert!(root().join(&file).exists(), "{file}");
        assert!(
            !text(&dashboard["title"]).is_empty() && !text(&dashboard["description"]).is_empty()
        );
        // Each leads to the others: by tag.
        assert_eq!(dashboard["tags"], json!(["mape-k"]));
        assert_eq!(dashboard["links"][0]["tags"], json!(["mape-k"]));
        assert!(dashboard.get("id").is_none(), "an id belongs to one Grafana");
    }
}

#[test]
fn d04_each_panel_says_what_it_shows_in_what_unit_and_what_to_do() {
    let kinds = ["stat", "timeseries", "table", "heatmap", "bargauge"];
    for dashboard in shipped_dashboards() {
        for panel in panels(&dashboard) {
            let title = text(&panel["title"]);
            assert!(!title.is_empty(), "{panel}");
            assert!(kinds.contains(&text(&panel["type"])), "{title}");
            // What it means, and after an empty line what to do.
            let told = text(&panel["description"]).split("\n\n").count();
            assert_eq!(told, 2, "{title}: {}", panel["description"]);
            assert!(!text(&panel["fieldConfig"]["defaults"]["unit"]).is_empty(), "{title}");
            assert!(!items(&panel["targets"]).is_empty(), "{title} asks nothing");
            let mut refs = BTreeSet::new();
            for target in items(&panel["targets"]) {
                assert!(refs.insert(text(&target["refId"])), "{title}");
                assert_eq!(target["instant"] == true, target["range"] == false, "{title}");
                for asked in [&panel["datasource"], &target["datasource"]] {
                    assert_eq!(
                        asked,
                        &json!({"type": "prometheus", "uid": "${datasource}"}),
                        "{title}"
                    );
                }
            }
            for of in items(&panel["fieldConfig"]["overrides"]) {
                let matcher = &of["matcher"];
                let known =
                    matcher["id"] != "byFrameRefID" || refs.contains(text(&matcher["options"]));
                assert!(known, "{title}: {matcher}");
            }
        }
    }
}

#[test]
fn d04_no_two_panels_share_an_id_or_a_place() {
    for dashboard in shipped_dashboards() {
        let mut ids = BTreeSet::new();
        let mut taken = BTreeSet::new();
        for panel in items(&dashboard["panels"]) {
            let title = text(&panel["title"]);
            assert!(ids.insert(panel["id"].as_u64().expect("an id")), "{title}");
            let at = |key: &str| panel["gridPos"][key].as_u64().expect("a whole number");
            assert!(at("x") + at("w") <= 24, "{title}");
            for x in at("x")..at("x") + at("w") {
                for y in at("y")..at("y") + at("h") {
                    assert!(taken.insert((x, y)), "{title} lies over another panel");
                }
            }
        }
    }
}

#[test]
fn d04_every_variable_in_a_query_exists_and_every_query_is_confined_by_them() {
    let of_grafana = ["__rate_interval", "__range", "__interval"];
    for dashboard in shipped_dashboards() {
        let variables = items(&dashboard["templating"]["list"]);
        let names: Vec<&str> = variables.iter().map(|v| text(&v["name"])).collect();
        assert_eq!(names, ["datasource", "job", "instance"]);
        assert_eq!(variables[0]["current"]["value"], "prometheus");
        for panel in panels(&dashboard) {
            for target in items(&panel["targets"]) {
                let query = text(&target["expr"]);
                for part in query.split('$').skip(1) {
                    let name = part
                        .split(|c: char| !c.is_alphanumeric() && c != '_')
                        .next()
                        .expect("a name");
                    assert!(
                        names.contains(&name) || of_grafana.contains(&name),
                        "${name}: {query}"
                    );
                }
                let confined = query.matches("{job=\"$job\", instance=~\"$instance\"").count();
                let of_prometheus = ["ALERTS{", "prometheus_rule_group_rules{"];
                let of_prometheus = of_prometheus.iter().filter(|name| query.contains(**name));
                assert_eq!(query.matches('{').count(), confined + of_prometheus.count(), "{query}");
            }
        }
    }
}

/// A panel over a metric that nobody exports is empty for ever, and looks like a quiet night.
#[tokio::test]
async fn d04_every_metric_is_one_that_the_daemon_or_charter_exports() {
    let charter = charter::Charter::start().await;
    let page = reqwest::get(format!("{}/metrics", charter.url())).await.expect("an answer");
    let exported = Metrics::new(Clock::start().now()).gather() + &page.text().await.expect("text");
    let families = exported.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let mut known: BTreeSet<&str> = families.filter_map(|line| line.split(' ').next()).collect();
    known.extend(["up", "ALERTS", "prometheus_rule_group_rules"]);
    let mut used = BTreeSet::new();
    for dashboard in shipped_dashboards() {
        let targets = panels(&dashboard).flat_map(|panel| items(&panel["targets"]));
        let marks = items(&dashboard["annotations"]["list"]).iter();
        for target in targets.chain(marks.map(|mark| &mark["target"])) {
            for name in metrics_of(text(&target["expr"])) {
                let family =
                    ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
                let is_known =
                    known.contains(name.as_str()) || family.is_some_and(|f| known.contains(f));
                assert!(is_known, "nobody exports {name}: {}", target["expr"]);
                used.insert(family.filter(|f| known.contains(f)).unwrap_or(&name).to_owned());
            }
        }
    }
    // And what is exported is shown somewhere.
    let unused: Vec<_> = known.iter().filter(|name| !used.contains(**name)).collect();
    assert!(unused.is_empty(), "no panel shows {unused:?}");
}

/// The names that stand before a selector or a range: in these dashboards every metric has one.
fn metrics_of(query: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut name = String::new();
    let mut quoted = false;
    for c in query.chars() {
        match c {
            '"' => quoted = !quoted,
            _ if quoted => {}
            c if c.is_alphanumeric() || c == '_' => name.push(c),
            '{' | '[' if !name.is_empty() => names.push(std::mem::take(&mut name)),
            _ => name.clear(),
        }
    }
    assert!(!names.is_empty(), "no metric in {query}");
    names
}

/// A red panel and an alert that is quiet, or the other way round, cost trust in both.
#[test]
fn d04_panels_that_name_an_alert_turn_where_it_fires() {
    let files: Vec<Value> =
        shipped_rule_files().iter().map(|name| shipped(&format!("rules/{name}"))).collect();
    let alerts: Vec<&Value> = files.iter().flat_map(rules).collect();
    let mut held = 0;
    for dashboard in shipped_dashboards() {
        for panel in panels(&dashboard) {
            let words = text(&panel["description"]).split('`').skip(1).step_by(2);
            for named in words.filter(|word| word.starts_with(|c: char| c.is_ascii_uppercase())) {
                let alert = alerts.iter().find(|rule| rule["alert"] == named);
                let alert = alert.unwrap_or_else(|| panic!("{}: no alert {named}", panel["title"]));
                let limit =
                    text(&alert["expr"]).rsplit_once(['<', '>']).map(|(_, limit)| limit.trim());
                let Some(limit) = limit.and_then(|limit| limit.parse::<f64>().ok()) else {
                    continue;
                };
                // Above 0 is 1 for what is counted.
                let limit = if limit == 0.0 { 1.0 } else { limit };
                if panel["type"] == "timeseries"
                    && panel["fieldConfig"]["defaults"]["custom"]["thresholdsStyle"]["mode"]
                        == "off"
                {
                    continue;
                }
                assert!(
                    turns_at(panel, limit),
                    "{} does not turn at {limit} as {named} does",
                    panel["title"]
                );
                held += 1;
            }
        }
    }
    assert!(held >= 8, "only {held} compared: the scan is blind");
}

/// An alert that the panel does not count would fire beside a green 0.
#[test]
fn d04_alerts_firing_counts_every_shipped_alert_that_is_a_warning_or_worse() {
    let files = shipped_rule_files();
    let files: Vec<Value> = files.iter().map(|name| shipped(&format!("rules/{name}"))).collect();
    let mut counted = 0;
    for dashboard in shipped_dashboards() {
        let targets = panels(&dashboard).flat_map(|panel| items(&panel["targets"]));
        for query in targets.map(|target| text(&target["expr"])).filter(|q| q.contains("ALERTS{")) {
            let names = query.split("alertname=~\"").nth(1).and_then(|rest| rest.split('"').next());
            let names = names.expect("only our own alerts");
            for alert in files.iter().flat_map(rules).map(|rule| text(&rule["alert"])) {
                let is_counted = names.split('|').any(|name| match name.strip_suffix(".*") {
                    Some(begins) => alert.starts_with(begins),
                    None => alert == name,
                });
                assert!(is_counted, "{alert} is not among {names}");
                counted += 1;
            }
        }
    }
    assert!(counted >= 40, "only {counted} compared: the scan is blind");
}

fn turns_at(panel: &Value, limit: f64) -> bool {
    let own = &panel["fieldConfig"]["defaults"]["thresholds"];
    let overrides = items(&panel["fieldConfig"]["overrides"]).iter();
    let properties = overrides.flat_map(|of| items(&of["properties"]));
    let steps = properties.map(|property| &property["value"]).chain([own]);
    let mut steps = steps.flat_map(|thresholds| items(&thresholds["steps"]));
    steps.any(|step| step["value"].as_f64().is_some_and(|at| (at - limit).abs() < 1e-9))
}

#[test]
fn d04_actions_are_marked_on_every_dashboard() {
    for dashboard in shipped_dashboards() {
        let marks = items(&dashboard["annotations"]["list"]);
        let actions =
            marks.iter().find(|mark| mark["name"] == "Actions").expect("actions are marked");
        assert!(text(&actions["target"]["expr"]).contains("mape_k_actions_total"), "{actions}");
        for mark in marks {
            assert_eq!(mark["datasource"]["uid"], "${datasource}", "{mark}");
            assert_eq!(mark["enable"], true, "{mark}");
        }
    }
}

#[test]
fn d04_the_data_source_is_the_one_that_the_dashboards_ask_for_and_its_pace_is_that_of_prometheus() {
    let sources = shipped("grafana/provisioning/datasources/prometheus.yaml");
    let source = &sources["datasources"][0];
    assert_eq!((&source["uid"], &source["type"]), (&json!("prometheus"), &json!("prometheus")));
    assert_eq!(source["url"], "http://prometheus:9090");
    assert_eq!(
        source["jsonData"]["timeInterval"],
        shipped("prometheus.yml")["global"]["scrape_interval"]
    );
    let provider = &shipped("grafana/provisioning/dashboards/mape-k.yaml")["providers"][0];
    assert_eq!(provider["type"], "file");
    assert_eq!(provider["options"]["path"], "/etc/grafana/dashboards");
}

#[test]
fn d04_the_dashboards_are_what_their_script_makes() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut python = Command::new("python3");
    python.arg("-B").arg(root().join("scripts/dashboards")).arg(folder.path());
    let output = python.output().expect("python3 runs: apt-get install python3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut compared = 0;
    for made in
        std::fs::read_dir(folder.path()).expect("a folder").map(|entry| entry.expect("an entry"))
    {
        let shipped = root().join("config/grafana/dashboards").join(made.file_name());
        let same = std::fs::read(made.path()).ok() == std::fs::read(&shipped).ok();
        assert!(
            same,
            "{} is not what it is made from: run python3 scripts/dashboards",
            shipped.display()
        );
        compared += 1;
    }
    assert_eq!(compared, shipped_dashboards().len());
}

/// The labels are closed: what only a configuration names shares one series, by the weight of its runs.
#[test]
fn what_was_learned_is_shown_by_cause_and_action() {
    let learned = |cause: &str, runs: u32, effectiveness: f64| ActionStatistics {
        cause: Cause::new(cause),
        action: ActionKind::ScaleUp,
        runs,
        successes: runs,
        partials: 0,
        success_rate: 1.0,
        mean_time_to_effect_seconds: None,
        confidence: 1.0,
        effectiveness,
        natural_recovery: 0.0,
    };
    let metrics = Metrics::new(Clock::start().now());
    let statistics = vec![
        learned("system_overload", 4, 0.75),
        learned("backlog", 3, 1.0),
        learned("queue", 1, 0.0),
    ];
    metrics.view(&LoopView { statistics, ..LoopView::default() });
    let page = metrics.gather();
    for line in [
        "mape_k_remedy_runs{action=\"scale_up\",cause=\"system_overload\"} 4",
        "mape_k_remedy_effectiveness{action=\"scale_up\",cause=\"system_overload\"} 0.75",
        "mape_k_remedy_runs{action=\"scale_up\",cause=\"other\"} 4",
        "mape_k_remedy_effectiveness{action=\"scale_up\",cause=\"other\"} 0.75",
        "mape_k_remedy_runs{action=\"scale_up\",cause=\"unknown\"} 0",
        "mape_k_remedy_effectiveness{action=\"scale_up\",cause=\"unknown\"} 1",
    ] {
        assert!(page.lines().any(|l| l == line), "{line}\n{page}");
    }
}
