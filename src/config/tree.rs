//! The YAML text as a tree that knows where each key and value stands.
//!
//! Nothing is checked here beyond the syntax: duplicate keys, unknown keys and wrong types are kept as they are, so
//! that the sections can report all of them at once.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::Spanned;

use super::problem::{Origin, Problem};
use crate::domain::address::redact;

/// Nesting of the shipped file is five deep; sixteen leaves room for `settings` of update_configuration.
const MAX_DEPTH: usize = 16;
/// The shipped file has about 200 nodes; a thousand rules of ten keys fit.
const MAX_NODES: usize = 50_000;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    /// From an environment variable: untyped text, read as what the key wants.
    Word(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub value: Value,
    pub origin: Origin,
}

/// One key of a mapping, with where the key stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub key: String,
    pub origin: Origin,
    pub node: Node,
}

/// Reads the text; an empty one is an empty tree. The only errors are of syntax or of size.
pub(super) fn parse(text: &str) -> Result<Node, Problem> {
    let options = serde_yaml::options! {
        budget: serde_yaml::budget! {
            max_depth: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_documents: 1,
        },
        // Forwarded to the visitor, so that every duplicate is reported with its path.
        duplicate_keys: serde_yaml::options::DuplicateKeyPolicy::PassThrough,
        // `no` is a text, not false.
        strict_booleans: true,
        reject_unsupported_tags: true,
        // Reported with the path by whoever reads the number.
        non_finite_float_policy: serde_yaml::NonFiniteFloatPolicy::PassThrough,
    };
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(Node { value: Value::Map(Vec::new()), origin: Origin::Default });
    }
    serde_yaml::from_str_with_options::<Node>(text, options).map_err(|error| Problem {
        path: String::new(),
        origin: error.location().map_or(Origin::Default, |at| Origin::Line(at.line())),
        text: format!("not valid YAML: {}", error.without_snippet()),
    })
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { value: spanned.value, origin: Origin::Line(spanned.referenced.line()) })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Int(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Node>()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, node)) = map.next_entry::<Spanned<String>, Node>()? {
            let origin = Origin::Line(key.referenced.line());
            entries.push(Entry { key: key.value, origin, node });
        }
        Ok(Value::Map(entries))
    }
}

/// How an error shows what was given: short, on one line.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LONGEST: usize = 80;
        match self {
            Self::Null => f.write_str("nothing"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value}"),
            Self::Text(text) | Self::Word(text) => {
                // A URL may hold a password.
                let text = redact(text);
                let start: String = text.chars().take(LONGEST).collect();
                let more = if start.len() < text.len() { "…" } else { "" };
                write!(f, "{start:?}{more}")
            }
            Self::List(items) => write!(f, "a list of {}", items.len()),
            Self::Map(entries) => write!(f, "a section of {} keys", entries.len()),
        }
    }
}
