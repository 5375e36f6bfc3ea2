//! The `kubernetes` section.

use super::reader::{Accepted, Section, nearest};
use super::tree::Value;
use super::values::{boolean, count, namespace, path, text};
use crate::domain::cluster::Kind;
use crate::monitor::cluster::settings::Settings;

/// Each is a watch of every kind, 550 in all; beyond that watching all of them is cheaper for the API server, too.
const MAX_NAMESPACES: usize = 50;

/// How much of a log a message can show at all.
const MAX_LOG_LINES: u32 = 200;

pub(super) fn read(mut section: Section<'_>) -> Settings {
    let mut settings = Settings::default();
    section.read("enabled", &mut settings.enabled, boolean);
    section.optional("kubeconfig", &mut settings.kubeconfig, path);
    // Empty: all of them.
    if let Some(namespaces) = section.distinct("namespaces", MAX_NAMESPACES, namespace) {
        settings.namespaces = namespaces;
    }
    if let Some(kinds) = section.distinct("kinds", Kind::ALL.len(), kind) {
        settings.kinds = kinds.into_iter().collect();
        if settings.kinds.is_empty() && settings.enabled {
            let text = format!("empty: nothing would be watched; accepted: some of {}", names());
            section.error("kinds", text);
        }
    }
    section.optional("cluster", &mut settings.cluster, text);
    section.read("log_lines", &mut settings.log_lines, count(0..=MAX_LOG_LINES));
    if settings.enabled {
        check_kubeconfig(&section, &settings);
    }
    settings
}

/// A file that is not there yet must not keep the rest of the loop from starting.
fn check_kubeconfig(section: &Section<'_>, settings: &Settings) {
    let Some(file) = &settings.kubeconfig else { return };
    if std::env::split_paths(file).count() > 1 {
        let text = format!(
            "{} names several files; accepted: the path of one; `kubectl config view --flatten --raw` makes one of them",
            file.display()
        );
        section.error("kubeconfig", text);
    } else if !file.is_file() {
        section.warn("kubeconfig", format!("there is no file {}", file.display()));
    }
}

fn names() -> String {
    Kind::ALL.map(Kind::as_str).join(", ")
}

fn kind(value: &Value) -> Result<Kind, Accepted> {
    let given = match value {
        Value::Text(text) => text.as_str(),
        _ => "",
    };
    // The short name that everybody has for them.
    let kind = if given == "claims" { Ok(Kind::Claims) } else { given.parse() };
    kind.map_err(|_| match nearest(&given.to_lowercase(), &Kind::ALL.map(Kind::as_str)) {
        Some(near) => format!("{}; did you mean {near}?", names()),
        None => names(),
    })
}
