//! The `hooks` section of the configuration: what each hook changes and how its verbs are called.

use std::collections::BTreeMap;
use std::time::Duration;

pub use reqwest::Method;
use serde::{Serialize, Serializer};
use url::Url;

use crate::domain::action::spec::ActionSpec;
use crate::domain::action::{ActionKind, HookName, Risk};
use crate::domain::address;
use crate::domain::hook::HookSpec;
use crate::domain::secret::Secret;
use crate::domain::target::Target;
use crate::http::HttpSettings;

/// Variables of the daemon's own environment that every command gets.
pub const INHERITED: [&str; 4] = ["PATH", "HOME", "LANG", "TZ"];

#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub hooks: Vec<Hook>,
    /// The values of [`INHERITED`] that are set.
    pub inherited: BTreeMap<&'static str, String>,
    /// A lost answer is cleared up this long after the call ended, at the earliest (targets.md; not a key).
    pub probe_after: Duration,
    /// From the signal that asks a command to end until the one that it cannot ignore (targets.md; not a key).
    pub kill_after: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            hooks: Vec::new(),
            inherited: BTreeMap::new(),
            probe_after: Duration::from_secs(60),
            kill_after: Duration::from_secs(10),
        }
    }
}

/// Printed as the section is written.
impl Serialize for Settings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.hooks.serialize(serializer)
    }
}

impl Settings {
    /// What the planner needs of each.
    #[must_use]
    pub fn specs(&self) -> BTreeMap<ActionKind, HookSpec> {
        self.hooks.iter().map(|hook| (ActionKind::Hook(hook.name), hook.spec())).collect()
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Hook {
    pub name: HookName,
    pub target: Target,
    pub validate: Option<Verb>,
    pub apply: Verb,
    pub probe: Option<Verb>,
    pub undo: Option<Verb>,
    /// Time-out of one call.
    pub timeout: Duration,
    pub cost: f64,
    pub risk: Risk,
    pub settle: Duration,
    /// A second arrival of the same key changes nothing more.
    pub idempotent: bool,
    /// Variables of the daemon's environment that its commands get beside [`INHERITED`]; `None` where one is not set.
    pub environment: BTreeMap<String, Option<Secret>>,
    /// How the servers of its HTTP calls are reached, and the credentials that they get.
    pub http: Option<Box<HttpSettings>>,
}

impl Hook {
    /// With the defaults of every key that may be left out.
    #[must_use]
    pub fn new(name: HookName, target: Target, apply: Verb) -> Self {
        let ActionSpec { risk, cost, settle, .. } = ActionKind::Hook(name).spec();
        Self {
            name,
            target,
            validate: None,
            apply,
            probe: None,
            undo: None,
            timeout: Duration::from_secs(30),
            cost: *cost,
            risk: *risk,
            settle: *settle,
            idempotent: false,
            environment: BTreeMap::new(),
            http: None,
        }
    }

    #[must_use]
    pub fn spec(&self) -> HookSpec {
        HookSpec {
            name: self.name,
            target: self.target.clone(),
            cost: self.cost,
            risk: self.risk,
            settle: self.settle,
            has_probe: self.probe.is_some(),
            has_undo: self.undo.is_some(),
        }
    }
}

/// How one verb is called.
#[derive(Clone, Debug, PartialEq)]
pub enum Verb {
    /// A program and its arguments. Nothing in them is ever replaced, and no shell reads them.
    Command(Vec<String>),
    Http {
        url: Url,
        method: Method,
    },
}

impl Serialize for Verb {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Call<'a> {
            url: String,
            method: &'a str,
        }
        match self {
            Self::Command(argv) => argv.serialize(serializer),
            Self::Http { url, method } => {
                Call { url: shown(url), method: method.as_str() }.serialize(serializer)
            }
        }
    }
}

/// A URL without its user and password, and without its query, which may hold a token.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    if url.query().is_some() {
        url.set_query(Some(Secret::REDACTED));
    }
    address::redacted(&url)
}

impl Serialize for Hook {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Entry<'a> {
            name: HookName,
            #[serde(skip_serializing_if = "Option::is_none")]
            component: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            target: Option<&'a Target>,
            #[serde(skip_serializing_if = "Option::is_none")]
            validate: &'a Option<Verb>,
            apply: &'a Verb,
            #[serde(skip_serializing_if = "Option::is_none")]
            probe: &'a Option<Verb>,
            #[serde(skip_serializing_if = "Option::is_none")]
            undo: &'a Option<Verb>,
            #[serde(serialize_with = "crate::domain::time::seconds")]
            timeout: Duration,
            cost: f64,
            risk: Risk,
            #[serde(serialize_with = "crate::domain::time::seconds")]
            settle: Duration,
            idempotent: bool,
            #[serde(skip_serializing_if = "Vec::is_empty")]
            environment: Vec<&'a String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            http: &'a Option<Box<HttpSettings>>,
        }
        let (component, target) = match &self.target {
            Target::Hook { component, .. } => (Some(component.as_str()), None),
            target => (None, Some(target)),
        };
        Entry {
            name: self.name,
            component,
            target,
            validate: &self.validate,
            apply: &self.apply,
            probe: &self.probe,
            undo: &self.undo,
            timeout: self.timeout,
            cost: self.cost,
            risk: self.risk,
            settle: self.settle,
            idempotent: self.idempotent,
            environment: self.environment.keys().collect(),
            http: &self.http,
        }
        .serialize(serializer)
    }
}
