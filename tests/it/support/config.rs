//! The shipped configuration files, read as data and rewritten for a test's ports and pace.
//!
//! What a test does not ask to change stays as shipped, so that a test that passes speaks for the shipped files. The
//! result is written as JSON, which every YAML reader takes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::tools::root;

/// A file of `config/`, parsed.
pub fn shipped(name: &str) -> Value {
    let path = root().join("config").join(name);
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("the shipped {} cannot be read: {error}", path.display()));
    serde_yaml::from_str(&text)
        .unwrap_or_else(|error| panic!("the shipped {} is no YAML: {error}", path.display()))
}

/// The names of the shipped rule files, in order.
pub fn shipped_rule_files() -> Vec<String> {
    let folder = root().join("config/rules");
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .expect("config/rules exists")
        .map(|entry| {
            entry.expect("an entry of config/rules").file_name().to_string_lossy().into_owned()
        })
        .collect();
    names.sort();
    names
}

/// Every rule of a rule file.
pub fn rules(file: &Value) -> impl Iterator<Item = &Value> {
    list(&file["groups"]).iter().flat_map(|group| list(&group["rules"]))
}

/// The array behind a key; panics where the file has none, for then the test speaks about nothing.
pub fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap_or_else(|| panic!("a list was expected instead of {value}"))
}

/// How a duration is written in these files.
pub fn duration(value: Duration) -> String {
    format!("{}ms", value.as_millis())
}

/// Where the parts of one test listen.
pub struct Targets<'a> {
    pub charter: &'a str,
    pub mape_k: &'a str,
    pub alertmanager: &'a str,
}

/// The shipped `prometheus.yml` for a server at `own` with a test's addresses and, where asked for, its pace.
pub fn prometheus(own: &str, targets: &Targets, interval: Option<Duration>) -> Value {
    let mut config = shipped("prometheus.yml");
    for job in config["scrape_configs"].as_array_mut().expect("scrape_configs is a list") {
        let target = match job["job_name"].as_str() {
            Some("charter") => targets.charter,
            Some("mape-k") => targets.mape_k,
            Some("alertmanager") => targets.alertmanager,
            Some("prometheus") => own,
            other => panic!("no address is known for the shipped scrape job {other:?}"),
        };
        job["static_configs"] = json!([{ "targets": [target] }]);
    }
    config["alerting"]["alertmanagers"] =
        json!([{ "static_configs": [{ "targets": [targets.alertmanager] }] }]);
    if let Some(interval) = interval {
        for key in ["scrape_interval", "scrape_timeout", "evaluation_interval"] {
            config["global"][key] = json!(duration(interval));
        }
    }
    config
}

/// Puts the shipped rule files into `folder`: as they are, or with every `for` set to `all_for`.
pub fn write_rules(folder: &Path, all_for: Option<Duration>) {
    std::fs::create_dir_all(folder).expect("a folder for the rules");
    for name in shipped_rule_files() {
        let to = folder.join(&name);
        let Some(all_for) = all_for else {
            std::fs::copy(root().join("config/rules").join(&name), &to)
                .expect("a copy of the shipped rules");
            continue;
        };
        let mut file = shipped(&format!("rules/{name}"));
        for group in file["groups"].as_array_mut().expect("groups is a list") {
            for rule in group["rules"].as_array_mut().expect("rules is a list") {
                if rule.get("for").is_some() {
                    rule["for"] = json!(duration(all_for));
                }
            }
        }
        write(&to, &file);
    }
}

/// The shipped `alertmanager.yml` with the daemon's webhook at `webhook` and, where asked for, its pace: every
/// `group_wait` and `group_interval` is set to `wait`.
pub fn alertmanager(webhook: &str, wait: Option<Duration>) -> Value {
    let mut config = shipped("alertmanager.yml");
    for receiver in config["receivers"].as_array_mut().expect("receivers is a list") {
        for hook in receiver["webhook_configs"].as_array_mut().into_iter().flatten() {
            hook["url"] = json!(webhook);
        }
    }
    if let Some(wait) = wait {
        quicken(&mut config["route"], wait);
    }
    config
}

fn quicken(route: &mut Value, wait: Duration) {
    for key in ["group_wait", "group_interval"] {
        if route.get(key).is_some() {
            route[key] = json!(duration(wait));
        }
    }
    for child in route["routes"].as_array_mut().into_iter().flatten() {
        quicken(child, wait);
    }
}

/// Writes a configuration and returns its path.
pub fn write(path: &Path, config: &Value) -> PathBuf {
    let text = serde_json::to_string_pretty(config).expect("a configuration is plain data");
    std::fs::write(path, text)
        .unwrap_or_else(|error| panic!("{} cannot be written: {error}", path.display()));
    path.to_owned()
}
