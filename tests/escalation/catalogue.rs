//! The service catalogue and the configuration of this half.

mod environment;
mod reload;
mod sections;

use std::path::{Path, PathBuf};
use std::time::Duration;

use mape_k::cli::Output;
use mape_k::cli::check_config::check;
use mape_k::config::{CatalogueFile, Errors, Origin};
use mape_k::domain::catalogue::{Catalogue, KnownIssue, Service, Tier};
use mape_k::incidents::settings::Settings;
use proptest::prelude::*;
use serde_json::Value;
use tempfile::TempDir;

const SHIPPED: &str = "config/services.yaml";

/// A folder with a catalogue of this text.
fn written(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("services.yaml");
    std::fs::write(&path, text).expect("written");
    (folder, path)
}

fn load(path: &Path, default_tier: Tier) -> Result<Catalogue, Errors> {
    let default_tier = Some(default_tier);
    let settings = Settings { services_file: path.to_owned(), default_tier, ..Settings::default() };
    CatalogueFile::open(&settings).map(|(file, _)| file.catalogue().as_ref().clone())
}

fn loaded(text: &str) -> Result<Catalogue, Errors> {
    let (_folder, path) = written(text);
    load(&path, Tier::P3)
}

fn accepted(text: &str) -> Catalogue {
    loaded(text).unwrap_or_else(|errors| panic!("{text}\n{errors}"))
}

/// The paths refused in this text, with their lines.
fn refused(text: &str) -> Vec<(String, u64)> {
    let place = |origin| match origin {
        Origin::Line(line) => line,
        Origin::Env(_) | Origin::Default => 0,
    };
    match loaded(text) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.problems.into_iter().map(|p| (p.path, place(p.origin))).collect(),
    }
}

/// One service `a`, P1, with these further keys.
fn with(keys: &str) -> String {
    format!("services:\n  - {{name: a, tier: P1, {keys}}}")
}

/// The service of [`with`].
fn service_with(keys: &str) -> Service {
    accepted(&with(keys)).services.remove(0)
}

/// Checks a configuration of this text, beside which a catalogue lies in `services.yaml`.
fn checked(config: &str, services: &str, output: Output) -> (bool, String) {
    let (folder, path) = written(services);
    let file = folder.path().join("mape_k.yaml");
    let config = config.replace("SERVICES", path.to_str().expect("Unicode"));
    std::fs::write(&file, config).expect("written");
    let mut out = Vec::new();
    let valid = check(Some(&file), &|_| None, output, &mut out).expect("printed");
    (valid, String::from_utf8(out).expect("text"))
}

#[test]
fn the_shipped_catalogue_is_accepted_and_names_no_service() {
    let catalogue = load(Path::new(SHIPPED), Tier::P2).expect("accepted");
    assert_eq!(catalogue, Catalogue { services: Vec::new(), default_tier: Some(Tier::P2) });
}

/// Uncommented it is a catalogue; and what docs/SERVICES.md shows is one, too.
#[test]
fn the_examples_are_accepted_as_they_stand() {
    let shipped = std::fs::read_to_string(SHIPPED).expect("the shipped file");
    let example: Vec<&str> = shipped
        .lines()
        .skip_while(|line| *line != "# services:")
        .filter_map(|line| line.strip_prefix("# "))
        .collect();
    let guide = std::fs::read_to_string("docs/SERVICES.md").expect("the guide");
    let block = guide.split("```text\n").nth(1).and_then(|rest| rest.split("```").next());
    let catalogue = accepted(&example.join("\n"));
    assert_eq!(catalogue, accepted(block.expect("an example")));
    assert_eq!(
        catalogue.services[0],
        Service {
            name: "checkout".to_owned(),
            namespace: "shop".to_owned(),
            selector: [("app".to_owned(), "checkout".to_owned())].into(),
            tier: Tier::P0,
            max_downtime: Some(Duration::from_secs(30)),
            depends_on: vec!["orders-db".to_owned()],
            data_layer: false,
            ingress: true,
            known_issues: vec![KnownIssue {
                matches: "probe_failing".to_owned(),
                grace: Duration::from_secs(600),
                note: "warms its cache after every deployment".to_owned(),
            }],
            runbook_url: Some("https://wiki.example/runbooks/checkout".to_owned()),
            gitops_paths: vec!["apps/checkout".to_owned()],
        }
    );
    assert!(catalogue.services[1].data_layer);
}

#[test]
fn what_is_left_out_has_its_default() {
    let service = &accepted("services: [{name: a, tier: P3}]").services[0];
    assert_eq!(service.namespace, "default");
    assert!(service.selector.is_empty() && service.max_downtime.is_none());
    assert!(!service.data_layer && !service.ingress);
    assert_eq!(service_with("max_downtime: null").max_downtime, None);
    assert_eq!(service_with("max_downtime: 0").max_downtime, Some(Duration::ZERO));
    assert_eq!(service_with("gitops_paths: [apps/a/]").gitops_paths, ["apps/a"]);
}

#[test]
fn b21_every_error_of_a_catalogue_is_told_at_once_with_field_and_line() {
    let text = "\
services:
  - name: web
    teir: P0
    tier: P5
    max_downtime: soon
  - {name: web, tier: P1, namespace: Shop}
  - tier: P2
    selector: {app: 5}
    depends_on: [wbe, db]
  - name: db
    tier: P1
    data_layer: maybe
    depends_on: [db]
    known_issues:
      - {match: '', grace: 5m}
      - {match: oom_killed, grace: 0, note: x}
      - {match: pending}
    runbook_url: wiki
    gitops_paths: [/, ../x]
owner: me
";
    let expected = [
        ("services[0].teir", 3),
        ("services[0].tier", 4),
        ("services[0].max_downtime", 5),
        ("services[1].name", 6),
        ("services[1].namespace", 6),
        ("services[2]", 7),
        ("services[2].selector.app", 8),
        ("services[2].depends_on[0]", 9),
        ("services[3].data_layer", 12),
        ("services[3].depends_on[0]", 13),
        ("services[3].known_issues[0].match", 15),
        ("services[3].known_issues[1].grace", 16),
        ("services[3].known_issues[2]", 17),
        ("services[3].runbook_url", 18),
        ("services[3].gitops_paths[0]", 19),
        ("services[3].gitops_paths[1]", 19),
        ("owner", 20),
    ];
    let found = refused(text);
    let found: Vec<_> = found.iter().map(|(path, line)| (path.as_str(), *line)).collect();
    assert_eq!(found, expected);
    let report = loaded(text).expect_err("refused").to_string();
    for told in [
        "the service catalogue ",
        "services.yaml is refused, 17 errors",
        "services[0].teir, line 3: unknown key; did you mean tier?",
        "services[0].tier, line 4: \"P5\" given; accepted: P0, P1, P2, P3",
        "services[1].name, line 6: given twice; services[0] has it, too",
        "the key name is missing",
        "\"wbe\" given; accepted: a service of this file; did you mean web?",
        "\"db\" given; accepted: another service than itself",
        "accepted: a text; put it into quotes: \"5\"",
    ] {
        assert!(report.contains(told), "{told}\n{report}");
    }
}

#[test]
fn b21_what_would_mean_everything_or_nothing_is_refused() {
    for (keys, path) in [
        ("selector: {}", "selector"),
        ("selector: ", "selector"),
        ("selector: {'': x}", "selector."),
        ("selector: {app: ''}", "selector.app"),
        ("selector: {app: 'x y'}", "selector.app"),
        ("known_issues: [{match: '  ', grace: 5m}]", "known_issues[0].match"),
        ("known_issues: [{match: er, grace: 5m}]", "known_issues[0].match"),
        ("known_issues: [{match: oom, grace: 31d}]", "known_issues[0].grace"),
        (
            "known_issues: [{match: oom, grace: 5m}, {match: OOM, grace: 6m}]",
            "known_issues[1].match",
        ),
        (
            "gitops_paths: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21]",
            "gitops_paths",
        ),
        ("gitops_paths: ['']", "gitops_paths[0]"),
        ("gitops_paths: ['/']", "gitops_paths[0]"),
        ("gitops_paths: [.]", "gitops_paths[0]"),
        ("gitops_paths: [apps/*]", "gitops_paths[0]"),
        ("gitops_paths: [apps/a, apps/a/]", "gitops_paths[1]"),
        ("runbook_url: 'https://me:hunter2@wiki.example/x'", "runbook_url"),
        ("depends_on: [b]", "depends_on[0]"),
        ("tier: P0", "tier"),
    ] {
        let path = format!("services[0].{path}");
        assert_eq!(refused(&with(keys)), [(path, 2)], "{keys}\n{:?}", loaded(&with(keys)));
        let report = loaded(&with(keys)).expect_err("refused").to_string();
        assert!(!report.contains("hunter2"), "{report}");
    }
}

#[test]
fn b21_a_service_that_an_earlier_one_hides_is_refused() {
    let two = |first: &str, second: &str| {
        format!(
            "services:\n  - {{name: a, tier: P3, {first}}}\n  - {{name: b, tier: P0, {second}}}"
        )
    };
    let hidden = [("services[1].selector".to_owned(), 3)];
    let narrow = "selector: {app: web, part: canary}";
    assert_eq!(refused(&two("selector: {app: web}", "selector: {app: web}")), hidden);
    assert_eq!(refused(&two("selector: {app: web}", narrow)), hidden);
    assert_eq!(refused(&two(narrow, "selector: {app: web}")), []);
    let elsewhere = "namespace: other, selector: {app: web}";
    assert_eq!(refused(&two("selector: {app: web}", elsewhere)), []);
}

#[test]
fn services_may_depend_on_each_other() {
    let circle =
        "services: [{name: a, tier: P1, depends_on: [b]}, {name: b, tier: P1, depends_on: [a]}]";
    assert_eq!(refused(circle), []);
}

#[test]
fn b22_malformed_yaml_is_told_with_its_line() {
    let errors = loaded("services:\n  - name: a\n    tier: [P0\n").expect_err("refused");
    assert_eq!(errors.problems.len(), 1, "{errors}");
    assert!(matches!(errors.problems[0].origin, Origin::Line(3..=4)), "{errors}");
    assert!(errors.to_string().contains("not valid YAML"), "{errors}");
}

/// That is how a file looks while somebody writes it.
#[test]
fn a_file_without_services_is_no_catalogue_and_an_empty_list_is_one() {
    for text in ["", "# nothing yet\n", "{}", "servces: []", "services:\n"] {
        assert!(refused(text).iter().any(|(path, _)| path == "services"), "{text:?}");
    }
    assert_eq!(accepted("services: []").services, []);
}

#[test]
fn a_catalogue_has_bounds() {
    let many = |count: usize| {
        let services = (0..count).map(|at| format!("  - {{name: s{at}, tier: P3}}\n"));
        format!("services:\n{}", services.collect::<String>())
    };
    assert_eq!(accepted(&many(1000)).services.len(), 1000);
    assert_eq!(refused(&many(1001)), [("services".to_owned(), 1)]);
    let huge = format!("services: []\n# {}", "x".repeat(1024 * 1024));
    let report = loaded(&huge).expect_err("refused").to_string();
    assert!(report.contains("more than 1048576 bytes"), "{report}");
    let folder = tempfile::tempdir().expect("a folder");
    let report = load(folder.path(), Tier::P3).expect_err("refused").to_string();
    assert!(report.contains("cannot be read: not a file"), "{report}");
}

#[test]
fn b21_check_config_tells_the_errors_of_both_files_at_once() {
    let config = "escalation:\n  services_file: SERVICES\n  interval: 0\napi: {port: x}\n";
    let services = "services:\n  - {name: a, tier: P9}\n";
    let (valid, text) = checked(config, services, Output::Text);
    assert!(!valid);
    for told in [
        "mape_k.yaml is refused, 2 errors",
        "escalation.interval, line 3: 0 given",
        "api.port, line 4: ",
        "services.yaml is refused, 1 error",
        "services[0].tier, line 2: \"P9\" given",
    ] {
        assert!(text.contains(told), "{told}\n{text}");
    }
    let (valid, text) = checked(config, services, Output::Json);
    let report: Value = serde_json::from_str(&text).expect("JSON");
    assert!(!valid && report["valid"] == false && report["config"].is_null());
    let errors = report["errors"].as_array().expect("errors");
    let found: Vec<_> = errors
        .iter()
        .map(|error| {
            let file = Path::new(error["file"].as_str().expect("a file"));
            (file.file_name().and_then(|name| name.to_str()).unwrap_or(""), &error["path"])
        })
        .collect();
    assert_eq!(
        found,
        [
            ("mape_k.yaml", &Value::from("escalation.interval")),
            ("mape_k.yaml", &Value::from("api.port")),
            ("services.yaml", &Value::from("services[0].tier")),
        ]
    );
}

#[test]
fn check_config_shows_the_catalogue_that_stands() {
    let config = "escalation: {services_file: SERVICES}\n";
    let services = "services: [{name: a, tier: P0, max_downtime: 1m}]\n";
    let (valid, text) = checked(config, services, Output::Text);
    assert!(valid, "{text}");
    assert!(text.contains("services.yaml: 1\n"), "{text}");
    let (valid, text) = checked(config, services, Output::Json);
    let report: Value = serde_json::from_str(&text).expect("JSON");
    assert!(valid, "{text}");
    assert_eq!(report["catalogue"]["services"][0]["tier"], "P0");
    assert_eq!(report["catalogue"]["services"][0]["max_downtime"], 60);
    let (valid, text) =
        checked("escalation: {services_file: /nowhere/services.yaml}", "", Output::Text);
    assert!(!valid);
    assert!(text.contains("/nowhere/services.yaml is refused"), "{text}");
}

proptest! {
    #[test]
    fn b22_no_text_makes_it_panic(text in "\\PC{0,200}") {
        let _ = loaded(&text);
    }

    /// Anything in the place of any value.
    #[test]
    fn b22_no_value_makes_it_panic(
        key in prop::sample::select(vec![
            "name", "namespace", "selector", "tier", "max_downtime", "depends_on", "known_issues", "runbook_url", "gitops_paths",
        ]),
        value in "[\\[\\]{}:, a-z0-9.*&!'\"\n/-]{0,40}",
    ) {
        let _ = loaded(&with(&format!("{key}: {value}")));
    }
}
