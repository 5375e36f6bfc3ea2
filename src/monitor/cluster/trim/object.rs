//! One object of a list or a watch, read by itself: one that cannot be read costs nothing but itself.
//!
//! As the API's own decoder has it, null is the same as nothing said. An object that follows the API is decoded straight
//! from its text; only one that does not is taken apart first, to forgive its nulls or to name the field that is wrong.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Meta, Trimmed};
use crate::monitor::cluster::failure::short;

/// The fields of one kind that are read.
pub(in crate::monitor::cluster) trait HttpTransport:
    DeserializeOwned
{
    fn meta(&self) -> &Meta;
    fn trim(self) -> Trimmed;
}

/// What is kept of an object, and where it belongs.
#[derive(Debug)]
pub(in crate::monitor::cluster) struct Slim {
    /// `namespace/name`.
    pub key: String,
    /// Where a watch goes on after it.
    pub version: String,
    pub object: Trimmed,
}

/// An object that cannot be read, as far as it says what it is. Each may be empty but the cause.
#[derive(Debug)]
pub(in crate::monitor::cluster) struct Unread {
    pub namespace: String,
    pub name: String,
    pub version: String,
    /// The field, and what is wrong with it.
    pub cause: String,
}

impl Unread {
    /// Where it would be if it could be read.
    pub(in crate::monitor::cluster) fn key(&self) -> String {
        key(&self.namespace, &self.name)
    }
}

fn key(namespace: &str, name: &str) -> String {
    format!("{namespace}/{name}")
}

/// Reads one object of a list or a watch from its text.
pub(in crate::monitor::cluster) fn read<W: HttpTransport>(text: &str) -> Result<Slim, Unread> {
    if let Some(slim) = serde_json::from_str::<W>(text).ok().and_then(|wire| slim(wire).ok()) {
        return Ok(slim);
    }
    // Nested too deeply for its tree, it cannot even say its name.
    let mut object: Value = serde_json::from_str(text).unwrap_or_default();
    without_nulls(&mut object);
    let said = |field: &str| {
        let field = object.get("metadata").and_then(|metadata| metadata.get(field));
        short(field.and_then(Value::as_str).unwrap_or_default())
    };
    let (namespace, name, version) = (said("namespace"), said("name"), said("resourceVersion"));
    decode::<W>(object).map_err(|cause| Unread { namespace, name, version, cause: short(&cause) })
}

/// Decodes an object without nulls. The error names the field.
pub(super) fn decode<W: HttpTransport>(object: Value) -> Result<Slim, String> {
    let wire: W = serde_path_to_error::deserialize(object).map_err(|error| {
        let path = error.path().to_string();
        if path == "." { error.into_inner().to_string() } else { error.to_string() }
    })?;
    slim(wire)
}

fn slim<W: HttpTransport>(wire: W) -> Result<Slim, String> {
    let meta = wire.meta();
    if meta.name.is_empty() {
        return Err("metadata.name: it is empty".to_owned());
    }
    let key = key(meta.namespace.as_deref().unwrap_or_default(), &meta.name);
    let version = meta.resource_version.clone().unwrap_or_default();
    Ok(Slim { key, version, object: wire.trim() })
}

/// Drops every null, of objects and of lists. A text of JSON nests 128 levels deep at most, or it is refused.
pub(super) fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => {
            items.retain(|item| !item.is_null());
            items.iter_mut().for_each(without_nulls);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
