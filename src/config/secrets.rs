//! Secrets: given under their key, or in a file under `<key>_file`, and never shown in an error.

use std::io::Read;

use super::problem::Origin;
use super::reader::Section;
use super::tree::{Node, Value};
use super::values;
use crate::domain::secret::Secret;

/// Tokens are far shorter; this bounds what a wrong path can make us read.
const MAX_BYTES: u64 = 64 * 1024;

impl Section<'_> {
    /// Reads a secret from its key or from the file that `key_file` names. The environment stands over both. False when
    /// something that was given is refused.
    pub(super) fn secret(
        &mut self,
        key: &'static str,
        key_file: &'static str,
        target: &mut Option<Secret>,
    ) -> bool {
        let mut accepted = true;
        let mut refuse = |section: &Self, key, origin, text: String| {
            accepted = false;
            section.error_at(key, origin, text);
        };
        let given = self.take(key);
        let files = self.take(key_file);
        let in_file = |nodes: &[&Node]| {
            nodes
                .iter()
                .any(|node| matches!(node.origin, Origin::Line(_)) && node.value != Value::Null)
        };
        if in_file(&given) && in_file(&files) {
            self.error(key_file, format!("given beside {key}; accepted: one of the two"));
        }
        for node in files {
            match read_file(node) {
                Ok(secret) => *target = secret,
                Err(text) => refuse(self, key_file, node.origin, text),
            }
        }
        for node in given {
            match &node.value {
                // A null beside `<key>_file` takes nothing away.
                Value::Null => {}
                Value::Text(text) | Value::Word(text) => match values::secret(text) {
                    Ok(secret) => *target = Some(secret),
                    Err(text) => refuse(self, key, node.origin, text.to_owned()),
                },
                _ => {
                    let text = "accepted: a text; put it into quotes".to_owned();
                    refuse(self, key, node.origin, text);
                }
            }
        }
        accepted
    }
}

fn read_file(node: &Node) -> Result<Option<Secret>, String> {
    let path = match &node.value {
        Value::Null => return Ok(None),
        Value::Text(path) if !path.is_empty() => path,
        other => return Err(format!("{other} given; accepted: the path of a file, or null")),
    };
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text))
        .map_err(|error| format!("cannot read the secret from {path}: {error}"))?;
    values::secret(text.trim()).map(Some).map_err(|error| format!("{error}, in {path}"))
}
