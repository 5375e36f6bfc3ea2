//! The `hooks` section: commands and webhooks by which other systems are changed, and the names that actions have with them.

use std::collections::BTreeSet;
use std::time::Duration;

use url::Url;

use super::environment::{self, Environment};
use super::reader::{Accepted, Item, Section};
use super::tree::Value;
use super::values::{
    self, boolean, duration_or_zero, is_what_it_looks_like, one_of, positive_up_to, share, text,
};
use crate::actuators::hook::settings::{INHERITED, Method};
use crate::actuators::hook::{Hook, Settings, Verb};
use crate::domain::CHARTER;
use crate::domain::action::{ActionKind, HookName, Risk};
use crate::domain::secret::Secret;
use crate::domain::target::Target;

/// More would be a catalogue, and every one may run a program.
const MOST: usize = 100;
const MOST_ARGUMENTS: usize = 100;
const MOST_VARIABLES: usize = 50;

/// A policy's calls have a minute by default; what takes longer is started by a hook and asked for by its probe.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(600);

/// The names by which the configuration calls actions: those of the table, and those of its hooks.
#[derive(Default)]
pub(super) struct Actions(BTreeSet<HookName>);

impl Actions {
    pub(super) fn value(&self, value: &Value) -> Result<ActionKind, Accepted> {
        match value {
            Value::Text(text) => self.named(text),
            _ => self.named(""),
        }
    }

    pub(super) fn named(&self, name: &str) -> Result<ActionKind, Accepted> {
        match name.parse() {
            Ok(ActionKind::Hook(hook)) if !self.0.contains(&hook) => Err(self.accepted()),
            Ok(kind) => Ok(kind),
            Err(_) => Err(self.accepted()),
        }
    }

    fn accepted(&self) -> String {
        let mut names: Vec<String> = ActionKind::ALL.iter().map(ToString::to_string).collect();
        names.extend(self.0.iter().map(|hook| ActionKind::Hook(*hook).to_string()));
        if self.0.is_empty() {
            names.push("hook/<name of one of hooks>".to_owned());
        }
        names.join(", ")
    }
}

/// A hook that is wrong in itself is refused, and still lends its name: what names it is not wrong for that.
pub(super) fn read(
    root: &mut Section<'_>,
    env: &Environment<'_>,
    auto_approve: bool,
) -> (Settings, Actions) {
    let items = root.list("hooks").unwrap_or_default();
    if items.len() > MOST {
        root.error("hooks", format!("{} given; accepted: up to {MOST}", items.len()));
    }
    let mut actions = Actions::default();
    let mut settings = Settings::default();
    for item in items {
        let Some(mut section) = item.into_section() else { continue };
        let name = section.required("name", name);
        if let Some(name) = name
            && !actions.0.insert(name)
        {
            section.error("name", format!("{name} given twice; each hook needs its own name"));
        }
        settings.hooks.extend(hook(section, name, env, auto_approve));
    }
    let given = INHERITED.map(|name| Some((name, environment::get(env, name)?)));
    settings.inherited = given.into_iter().flatten().collect();
    (settings, actions)
}

fn hook(
    mut section: Section<'_>,
    name: Option<HookName>,
    env: &Environment<'_>,
    auto_approve: bool,
) -> Option<Hook> {
    let target = target(&mut section, name);
    let apply = if section.is_given("apply") {
        verb(&mut section, "apply")
    } else {
        section.required("apply", |_| Err::<Verb, _>(String::new()))
    };
    // Nothing is known of a hook without its name: the rest of it is checked all the same.
    let stand_in = || HookName::new("none");
    let nothing = || Verb::Command(Vec::new());
    let mut hook = Hook::new(
        name.or_else(stand_in)?,
        target.clone().unwrap_or(Target::Charter(None)),
        apply.clone().unwrap_or_else(nothing),
    );
    hook.validate = verb(&mut section, "validate");
    hook.probe = verb(&mut section, "probe");
    hook.undo = verb(&mut section, "undo");
    section.read("timeout", &mut hook.timeout, positive_up_to(LONGEST_TIMEOUT));
    section.read("cost", &mut hook.cost, share);
    section.read(
        "risk",
        &mut hook.risk,
        one_of(&[("low", Risk::Low), ("medium", Risk::Medium), ("high", Risk::High)]),
    );
    section.read("settle", &mut hook.settle, duration_or_zero);
    section.read("idempotent", &mut hook.idempotent, boolean);
    for name in section.distinct("environment", MOST_VARIABLES, variable).unwrap_or_default() {
        let value = environment::get(env, &name);
        if value.is_none() {
            section.warn("environment", format!("{name} is not set: the hook runs without it"));
        }
        hook.environment.insert(name, value.map(Secret::new));
    }
    let verbs =
        [Some(&hook.apply), hook.validate.as_ref(), hook.probe.as_ref(), hook.undo.as_ref()];
    let url = verbs.into_iter().flatten().find_map(|verb| match verb {
        Verb::Http { url, .. } => Some(url.clone()),
        Verb::Command(_) => None,
    });
    hook.http = section.http(url.as_ref(), None);
    if hook.http.is_some() && url.is_none() {
        section.warn("http", "not used: no verb of this hook has a url");
    }
    if auto_approve && name.is_some() && hook.spec().asks() {
        section.warn_here(
            "auto_approve is on, and every call of this hook waits for `mape-k approve` all the same: only one of a component, with probe and undo, is ever called without a person",
        );
    }
    (name.is_some() && target.is_some() && apply.is_some()).then_some(hook)
}

fn name(value: &Value) -> Result<HookName, Accepted> {
    text(value).ok().and_then(|name| HookName::new(&name)).ok_or_else(|| {
        format!("a name of lower-case letters, digits, - and _, up to {}", HookName::MAX)
    })
}

/// What it changes: exactly one of the two keys says it.
fn target(section: &mut Section<'_>, hook: Option<HookName>) -> Option<Target> {
    let (mut component_given, mut target_given) = (None, None);
    section.optional("component", &mut component_given, component);
    section.optional("target", &mut target_given, kubernetes);
    match (section.is_given("component"), section.is_given("target")) {
        (true, true) => {
            section.error("target", "given beside component; accepted: one of the two");
            None
        }
        (false, false) => {
            section.error_here(
                "neither component nor target says what it changes: give one of the two",
            );
            None
        }
        (true, false) => component_given.map(|component| Target::Hook {
            hook: hook.map(|hook| hook.name().to_owned()),
            component,
        }),
        (false, true) => target_given,
    }
}

fn component(value: &Value) -> Result<String, Accepted> {
    text(value).ok().filter(|name| is_what_it_looks_like(name) && name != CHARTER).ok_or_else(|| {
        format!("the name of a component other than {CHARTER}, without characters that look like others or hide")
    })
}

fn kubernetes(value: &Value) -> Result<Target, Accepted> {
    let parsed = text(value).ok().filter(|text| is_what_it_looks_like(text)).and_then(|text| {
        let named = text.split('/').all(|part| !part.is_empty());
        text.parse().ok().filter(|_| named)
    });
    match parsed {
        Some(Target::Kubernetes { namespace: Some(namespace), .. })
            if namespace.starts_with("kube-") =>
        {
            Err("a target outside the namespaces kube-*, which are protected".to_owned())
        }
        Some(Target::Kubernetes { namespace, kind, name })
            if namespace.is_some() || kind == "node" =>
        {
            Ok(Target::Kubernetes { namespace, kind, name })
        }
        _ => Err("kubernetes/<namespace>/<kind>/<name> or kubernetes/node/<name>; anything else is a component"
            .to_owned()),
    }
}

/// A variable of the daemon's own environment.
fn variable(value: &Value) -> Result<String, Accepted> {
    let is_first = |c: char| c.is_ascii_alphabetic() || c == '_';
    let is_name = |name: &String| {
        name.starts_with(is_first) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let is_set = |name: &String| INHERITED.contains(&name.as_str()) || OWN.contains(&name.as_str());
    text(value).ok().filter(|name| is_name(name) && !is_set(name)).ok_or_else(|| {
        format!(
            "the name of a variable of the daemon's environment, such as CART_TOKEN; {} and what mape-k sets itself are given to every hook",
            INHERITED.join(", ")
        )
    })
}

/// Variables that every command gets from mape-k itself.
const OWN: [&str; 8] = [
    "MAPE_K_KEY",
    "MAPE_K_APPLY_KEY",
    "MAPE_K_EPOCH",
    "MAPE_K_ACTION",
    "MAPE_K_CAUSE",
    "MAPE_K_TARGET",
    "MAPE_K_COMPONENT",
    "MAPE_K_VERB",
];

const FORMS: &str = "a command as a list, [/usr/local/bin/restart, cart], which no shell reads; or {url: https://…}";

/// One verb; none when it is absent, null or refused.
fn verb(section: &mut Section<'_>, key: &'static str) -> Option<Verb> {
    let item = section.item(key)?;
    match &item.node.value {
        Value::Null if key != "apply" => None,
        Value::List(_) => command(item),
        Value::Map(_) => http(item),
        given => {
            item.error(format!("{given} given; accepted: {FORMS}"));
            None
        }
    }
}

fn command(item: Item<'_>) -> Option<Verb> {
    let Value::List(given) = &item.node.value else { return None };
    if given.is_empty() || given.len() > MOST_ARGUMENTS {
        item.error(format!(
            "{} words given; accepted: {FORMS}, of up to {MOST_ARGUMENTS} words",
            given.len()
        ));
        return None;
    }
    let count = given.len();
    let words: Vec<String> = item
        .into_list()?
        .iter()
        .enumerate()
        .filter_map(|(at, word)| word.parse(argument(at)))
        .collect();
    (words.len() == count).then_some(Verb::Command(words))
}

/// A program needs a name; an argument may be empty.
fn argument(at: usize) -> impl Fn(&Value) -> Result<String, Accepted> {
    move |value| match value {
        Value::Text(word) if !word.contains('\0') && (at > 0 || !word.trim().is_empty()) => {
            Ok(word.clone())
        }
        Value::Text(_) if at == 0 => Err("the name or path of a program".to_owned()),
        Value::Text(_) => Err("a word of the command, without the character NUL".to_owned()),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
            Err(format!("a text; put it into quotes: \"{value}\""))
        }
        _ => Err("a word of the command".to_owned()),
    }
}

fn http(item: Item<'_>) -> Option<Verb> {
    let mut section = item.into_section()?;
    let url = section.required("url", url);
    let mut method = "POST";
    section.read(
        "method",
        &mut method,
        one_of(&[("POST", "POST"), ("PUT", "PUT"), ("PATCH", "PATCH"), ("DELETE", "DELETE")]),
    );
    let method = Method::from_bytes(method.as_bytes()).ok()?;
    Some(Verb::Http { url: url?, method })
}

fn url(value: &Value) -> Result<Url, Accepted> {
    let url = values::url(value)?;
    if url.query() == Some(Secret::REDACTED) {
        return Err("a URL with its real query instead of ***".to_owned());
    }
    Ok(url)
}
