//! The block `target` of a rule and of an alert handler: which labels name the Kubernetes object that it is about.

use super::reader::{Accepted, Section, nearest};
use super::tree::Value;
use super::values::label_name;
use crate::domain::target::TargetLabels;

/// What an action of ours could ever change, as Kubernetes writes it.
const KINDS: [&str; 6] =
    ["Deployment", "StatefulSet", "DaemonSet", "Pod", "PersistentVolumeClaim", NODE];

/// The one of them that lies in no namespace.
const NODE: &str = "Node";

/// `None` when it is absent, or when something is wrong with it, which has been reported.
pub(super) fn read(section: &mut Section<'_>) -> Option<TargetLabels> {
    let mut section = section.optional_section("target")?;
    let kind = section.required("kind", kind);
    let mut namespace_label = None;
    section.optional("namespace_label", &mut namespace_label, label_name);
    let name_label = section.required("name_label", label_name);
    let (kind, name_label) = (kind?, name_label?);
    match (kind == NODE, &namespace_label) {
        (true, Some(_)) => {
            section.error("namespace_label", "a Node lies in no namespace; accepted: without it");
            return None;
        }
        (false, None) => {
            section.error_here(format!(
                "the key namespace_label is missing; a {kind} lies in a namespace"
            ));
            return None;
        }
        (true, None) | (false, Some(_)) => {}
    }
    Some(TargetLabels { kind: kind.to_owned(), namespace_label, name_label })
}

fn kind(value: &Value) -> Result<&'static str, Accepted> {
    let given = match value {
        Value::Text(text) | Value::Word(text) => text.as_str(),
        _ => "",
    };
    KINDS.into_iter().find(|kind| *kind == given).ok_or_else(|| {
        let all = KINDS.join(", ");
        let lower = KINDS.map(str::to_lowercase);
        let names: Vec<&str> = lower.iter().map(String::as_str).collect();
        let near = nearest(&given.to_lowercase(), &names);
        let near = KINDS.into_iter().find(|kind| Some(kind.to_lowercase().as_str()) == near);
        near.map_or(all.clone(), |near| format!("{all}; did you mean {near}?"))
    })
}
