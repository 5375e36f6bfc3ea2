//! Secrets: given under their key, or in a file under `<key>_file`, and never shown in an error.

use std::path::Path;

use super::problem::Origin;
use super::reader::Section;
use super::tree::{Node, Value};
use super::values;
use crate::domain::secret::Secret;
use crate::http::read_secret_file;

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
        let given = self.take(key);
        let in_file =
            |node: &&Node| matches!(node.origin, Origin::Line(_)) && node.value != Value::Null;
        let is_in_file = given.iter().any(in_file);
        let files = self.take(key_file);
        if is_in_file && files.iter().any(in_file) {
            self.error(key_file, format!("given beside {key}; accepted: one of the two"));
        }
        for node in files {
            accepted &= self.of_file(key_file, node, target);
        }
        for node in given {
            let read = match &node.value {
                // A null beside `<key>_file` takes nothing away.
                Value::Null => continue,
                Value::Text(text) | Value::Word(text) => values::secret(text),
                _ => Err("accepted: a text; put it into quotes"),
            };
            match read {
                Ok(secret) => *target = Some(secret),
                Err(text) => {
                    accepted = false;
                    self.error_at(key, node.origin, text);
                }
            }
        }
        accepted
    }

    /// A secret that can be given by a file alone.
    pub(super) fn file(&mut self, key: &'static str, target: &mut Option<Secret>) {
        for node in self.take(key) {
            self.of_file(key, node, target);
        }
    }

    fn of_file(&self, key: &'static str, node: &Node, target: &mut Option<Secret>) -> bool {
        let path = match &node.value {
            Value::Null => {
                *target = None;
                return true;
            }
            Value::Text(path) if !path.is_empty() => Path::new(path),
            other => {
                let text = format!("{other} given; accepted: the path of a file, or null");
                self.error_at(key, node.origin, text);
                return false;
            }
        };
        let read = read_secret_file(path).map_err(|error| error.to_string());
        let secret = read.and_then(|(text, loose)| {
            if let Some(loose) = loose {
                self.warn(key, format!("{}: {loose}", path.display()));
            }
            values::secret(&text).map_err(|error| format!("{error}, in {}", path.display()))
        });
        match secret {
            Ok(secret) => {
                *target = Some(Secret::of_file(secret.expose().to_owned(), path.to_owned()));
                true
            }
            Err(text) => {
                self.error_at(key, node.origin, text);
                false
            }
        }
    }
}
