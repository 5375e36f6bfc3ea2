//! Where two configurations differ, key by key.
//!
//! Pure: both arrive as the JSON that a configuration is printed as, in which a secret is `***`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// One key whose value differs. A value that only one of the two has is null in the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ConfigurationDifference)]
pub struct Difference {
    /// The full path, such as `guardrails.budget.per_hour` or `monitor.metrics[latency].threshold`.
    pub key: String,
    #[schema(value_type = Option<Value>)]
    pub from: Value,
    #[schema(value_type = Option<Value>)]
    pub to: Value,
}

impl Difference {
    /// A secret of this section differs: neither value may be shown.
    #[must_use]
    pub fn of_secret(section: &str) -> Self {
        let hidden = || Value::from(crate::domain::secret::Secret::REDACTED);
        Self { key: format!("{section} (a secret)"), from: hidden(), to: hidden() }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} → {}", self.key, shown(&self.from), shown(&self.to))
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) if !text.is_empty() => text.clone(),
        other => other.to_string(),
    }
}

/// Every key whose value differs, in the order of the keys. Items of a list that have a name are compared by it; any other
/// list is one value.
#[must_use]
pub fn differences(from: &Value, to: &Value) -> Vec<Difference> {
    let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
    flatten(String::new(), from, &mut before);
    flatten(String::new(), to, &mut after);
    let keys: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let value = |of: &BTreeMap<String, Value>, key| of.get(key).cloned().unwrap_or_default();
    keys.into_iter()
        .map(|key| Difference {
            key: key.clone(),
            from: value(&before, key),
            to: value(&after, key),
        })
        .filter(|difference| difference.from != difference.to)
        .collect()
}

fn flatten(path: String, value: &Value, into: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(entries) if !entries.is_empty() => {
            for (key, value) in entries {
                let dot = if path.is_empty() { "" } else { "." };
                flatten(format!("{path}{dot}{key}"), value, into);
            }
        }
        Value::Array(items)
            if !items.is_empty() && items.iter().all(|item| name(item).is_some()) =>
        {
            for item in items {
                flatten(format!("{path}[{}]", name(item).unwrap_or_default()), item, into);
            }
        }
        leaf => {
            into.insert(path, leaf.clone());
        }
    }
}

fn name(item: &Value) -> Option<&str> {
    item.get("name")?.as_str()
}
