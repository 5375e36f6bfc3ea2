//! The catalogue's file over time: what a change does, and what a bad one does not.

use std::path::Path;
use std::process::Command;

use mape_k::clock::Clock;
use mape_k::config::{CatalogueFile, Refreshed};
use mape_k::domain::catalogue::Tier;
use mape_k::incidents::settings::Settings;
use mape_k::metrics::Metrics;
use serde_json::{Value, json};

use super::written;

fn opened(path: &Path) -> CatalogueFile {
    let settings = Settings { services_file: path.to_owned(), ..Settings::default() };
    let (file, warnings) = CatalogueFile::open(&settings).expect("accepted");
    assert_eq!(warnings, []);
    file
}

fn tier(file: &CatalogueFile) -> Option<Tier> {
    let catalogue = file.catalogue();
    catalogue.named("web").map_or(catalogue.default_tier, |service| Some(service.tier))
}

fn web(tier: &str) -> String {
    format!("services: [{{name: web, tier: {tier}}}]\n")
}

#[test]
fn b22_a_tier_change_takes_effect_without_a_restart() {
    let (_folder, path) = written(&web("P2"));
    let mut file = opened(&path);
    assert_eq!((file.refresh(), tier(&file)), (Refreshed::Unchanged, Some(Tier::P2)));
    // As long as before, and within the same tick of the file system's clock.
    std::fs::write(&path, web("P0")).expect("written");
    assert_eq!((file.refresh(), tier(&file)), (Refreshed::Reloaded, Some(Tier::P0)));
    assert_eq!(file.refresh(), Refreshed::Unchanged);
}

#[test]
fn b22_a_change_that_is_refused_is_told_once_and_leaves_the_one_before() {
    let (_folder, path) = written(&web("P1"));
    let mut file = opened(&path);
    std::fs::write(&path, "services:\n  - {name: web, tier: P7}\n").expect("written");
    let Refreshed::Refused(errors) = file.refresh() else { panic!("accepted") };
    let report = errors.to_string();
    assert!(report.contains("services[0].tier, line 2: \"P7\" given"), "{report}");
    assert_eq!(tier(&file), Some(Tier::P1));
    // Nothing new to say, and still not well.
    assert_eq!(file.refresh(), Refreshed::Unchanged);
    assert_eq!(file.refusal(), Some(&errors));
    let complaint = file.complaint().expect("a line for health");
    assert!(complaint.contains("services[0].tier, line 2: \"P7\" given"), "{complaint}");
    assert!(
        !complaint.contains('\n') && complaint.contains("read before it stays in effect"),
        "{complaint}"
    );
    std::fs::write(&path, "services: [").expect("written");
    assert!(matches!(file.refresh(), Refreshed::Refused(_)));
    std::fs::write(&path, web("P0")).expect("written");
    assert_eq!(
        (file.refresh(), file.refusal(), tier(&file)),
        (Refreshed::Reloaded, None, Some(Tier::P0))
    );
}

#[test]
fn b22_what_was_there_before_a_refused_change_is_accepted_again() {
    let (_folder, path) = written(&web("P1"));
    let mut file = opened(&path);
    std::fs::write(&path, "").expect("written");
    assert!(matches!(file.refresh(), Refreshed::Refused(_)));
    std::fs::write(&path, web("P1")).expect("written");
    assert_eq!((file.refresh(), file.refusal()), (Refreshed::Reloaded, None));
}

#[test]
fn b22_a_file_that_is_gone_takes_no_tier_away() {
    let (_folder, path) = written(&web("P0"));
    let mut file = opened(&path);
    std::fs::remove_file(&path).expect("removed");
    let Refreshed::Refused(errors) = file.refresh() else { panic!("accepted") };
    assert!(errors.to_string().contains("services.yaml is refused"), "{errors}");
    assert_eq!((file.refresh(), tier(&file)), (Refreshed::Unchanged, Some(Tier::P0)));
    std::fs::write(&path, web("P1")).expect("written");
    assert_eq!((file.refresh(), tier(&file)), (Refreshed::Reloaded, Some(Tier::P1)));
}

/// Kubernetes brings a mounted `ConfigMap` up to date by swapping a link to a folder.
#[cfg(unix)]
#[test]
fn b22_a_config_map_that_is_swapped_is_read_again() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    for (version, tier) in [("..v1", "P2"), ("..v2", "P0")] {
        std::fs::create_dir(at(version)).expect("made");
        std::fs::write(at(version).join("services.yaml"), web(tier)).expect("written");
    }
    symlink("..v1", at("..data")).expect("linked");
    symlink("..data/services.yaml", at("services.yaml")).expect("linked");
    let mut file = opened(&at("services.yaml"));
    assert_eq!(tier(&file), Some(Tier::P2));
    symlink("..v2", at("..data_tmp")).expect("linked");
    std::fs::rename(at("..data_tmp"), at("..data")).expect("swapped");
    assert_eq!((file.refresh(), tier(&file)), (Refreshed::Reloaded, Some(Tier::P0)));
}

#[test]
fn a_named_catalogue_that_is_missing_is_an_error() {
    let settings = Settings { services_file: "/nowhere/s.yaml".into(), ..Settings::default() };
    let report = CatalogueFile::open(&settings).expect_err("missing").to_string();
    assert!(report.contains("/nowhere/s.yaml") && report.contains("cannot be read"), "{report}");
}

#[test]
fn without_the_default_file_there_are_no_services_and_one_warning_says_so() {
    let folder = tempfile::tempdir().expect("an empty folder");
    let checked = Command::new(env!("CARGO_BIN_EXE_mape-k"))
        .args(["check-config", "--output", "json"])
        .env_clear()
        .current_dir(folder.path())
        .output()
        .expect("it runs");
    let report: Value = serde_json::from_slice(&checked.stdout).expect("JSON");
    assert!(checked.status.success() && report["valid"] == true, "{report}");
    assert_eq!(report["catalogue"]["services"], json!([]));
    let warnings = report["warnings"].as_array().expect("warnings");
    let told: Vec<_> =
        warnings.iter().filter(|w| w["path"] == "escalation.services_file").collect();
    assert_eq!(told.len(), 1, "{report}");
    let text = "there is no config/services.yaml: a workload that is down for 10 minutes is SEV-3, and people are notified of nothing \
                else of the cluster (escalation.default_tier)";
    assert_eq!(told[0]["text"], text);
}

#[test]
fn b22_the_metric_says_whether_the_last_change_was_taken() {
    let metrics = Metrics::new(Clock::start().now());
    let shown = |value: u8| {
        metrics.gather().contains(&format!("\nmape_k_catalogue_last_reload_successful {value}\n"))
    };
    assert!(shown(1));
    metrics.catalogue(false);
    assert!(shown(0));
}
