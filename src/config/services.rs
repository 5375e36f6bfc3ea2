//! The service catalogue (`config/services.yaml`): what is accepted in it. When it is read: `catalogue_file`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::problem::Problem;
use super::reader::{Accepted, Item, Problems, Section, nearest};
use super::tree::{self, Node, Value};
use super::values::{boolean, duration_or_zero, namespace, positive_up_to, text, tier, url};
use crate::domain::Labels;
use crate::domain::catalogue::{Catalogue, KnownIssue, Service, Tier};

/// The tree's 50,000 nodes leave 50 for each, and each pod of a cycle is compared with all of them.
const MAX_SERVICES: usize = 1000;

/// Each is a call to GitHub whenever its service is in trouble.
const MAX_GITOPS_PATHS: usize = 20;

/// A service that needs more than this needs everything.
const MAX_DEPENDENCIES: usize = 100;

/// Names that a wrong one is compared with: in a file where all are wrong, guessing must not hold the loop up.
const MAX_GUESSED: usize = 200;

/// Shorter texts stand in nearly every reason there is.
const SHORTEST_MATCH: usize = 3;

/// What is expected for longer than a month is how the service is.
const LONGEST_GRACE: Duration = Duration::from_secs(30 * 24 * 3600);

/// Kubernetes' own limit of a name.
const LONGEST_NAME: usize = 253;

/// Kubernetes' own limit of a label's value, and of the part of its key behind the slash.
const LONGEST_LABEL: usize = 63;

/// The catalogue of a text, or everything that is wrong with it.
pub(super) fn parse(text: &str, default_tier: Option<Tier>) -> Result<Catalogue, Vec<Problem>> {
    let tree = tree::parse(text).map_err(|problem| vec![problem])?;
    let problems = Problems::default();
    let root = Section::root(&tree, &problems);
    // While it is being written a file is empty for a moment, or ends after its first line: that must not pass for a
    // catalogue without services.
    if !has_services(&tree) {
        root.error("services", "nothing given; accepted: a list, `services: []` for none");
    }
    let services = read(root);
    let (errors, _) = problems.into_sorted();
    if errors.is_empty() { Ok(Catalogue { services, default_tier }) } else { Err(errors) }
}

fn has_services(tree: &Node) -> bool {
    let Value::Map(entries) = &tree.value else { return false };
    entries.iter().any(|entry| entry.key == "services" && entry.node.value != Value::Null)
}

fn read(mut root: Section<'_>) -> Vec<Service> {
    let items = root.list("services").unwrap_or_default();
    if items.len() > MAX_SERVICES {
        let text = format!("{} services; accepted: up to {MAX_SERVICES}", items.len());
        root.error("services", text);
        return Vec::new();
    }
    let mut names = BTreeMap::new();
    for (at, name) in
        items.iter().enumerate().filter_map(|(at, item)| Some((at, name_in(item.node)?)))
    {
        names.entry(name).or_insert(at);
    }
    let mut services = Vec::new();
    for (at, item) in items.into_iter().enumerate() {
        let service = service(item, at, &names, &services);
        services.extend(service);
    }
    services
}

/// Known before the rest is read: a service may depend on a later one.
fn name_in(node: &Node) -> Option<&str> {
    let Value::Map(entries) = &node.value else { return None };
    match &entries.iter().find(|entry| entry.key == "name")?.node.value {
        Value::Text(name) => Some(name),
        _ => None,
    }
}

fn service(
    item: Item<'_>,
    at: usize,
    names: &BTreeMap<&str, usize>,
    before: &[Service],
) -> Option<Service> {
    let mut section = item.into_section()?;
    let name = section.required("name", service_name);
    if let Some(first) = name.as_deref().and_then(|name| names.get(name)).filter(|n| **n != at) {
        section.error("name", format!("given twice; services[{first}] has it, too"));
    }
    let mut home = "default".to_owned();
    section.read("namespace", &mut home, namespace);
    let selector = selector(&mut section);
    if let Some(hiding) = before.iter().find(|other| hides(other, &home, &selector)) {
        let text = format!(
            "{} comes first and takes all that it selects; put this service before that one, or ask for less there",
            hiding.name
        );
        section.error("selector", text);
    }
    let tier = section.required("tier", tier);
    let mut max_downtime = None;
    section.optional("max_downtime", &mut max_downtime, duration_or_zero);
    let depends_on = depends_on(&mut section, name.as_deref(), names);
    let (mut data_layer, mut ingress, mut runbook_url) = (false, false, None);
    section.read("data_layer", &mut data_layer, boolean);
    section.read("ingress", &mut ingress, boolean);
    let known_issues = known_issues(&mut section);
    section.optional("runbook_url", &mut runbook_url, runbook);
    let gitops_paths = section.distinct("gitops_paths", MAX_GITOPS_PATHS, repository_path);
    Some(Service {
        name: name?,
        namespace: home,
        selector,
        tier: tier?,
        max_downtime,
        depends_on,
        data_layer,
        ingress,
        known_issues,
        runbook_url,
        gitops_paths: gitops_paths.unwrap_or_default(),
    })
}

/// The first whose selector fits has a pod: one that asks for no more leaves the later one nothing.
fn hides(earlier: &Service, namespace: &str, selector: &Labels) -> bool {
    let asked = |(key, value): (&String, &String)| selector.get(key) == Some(value);
    earlier.namespace == namespace
        && !earlier.selector.is_empty()
        && earlier.selector.iter().all(asked)
}

fn selector(section: &mut Section<'_>) -> Labels {
    let mut labels = Labels::new();
    let Some(entries) = section.map("selector") else { return labels };
    if entries.is_empty() {
        section.error(
            "selector",
            "empty; accepted: labels, or no selector for the workload of the service's name",
        );
    }
    for (key, item) in entries {
        if !is_label_key(key) {
            item.error("no label of Kubernetes; accepted: app, app.kubernetes.io/name, …");
        }
        labels.extend(item.parse(label_value).map(|value| (key.to_owned(), value)));
    }
    labels
}

fn depends_on(
    section: &mut Section<'_>,
    own: Option<&str>,
    names: &BTreeMap<&str, usize>,
) -> Vec<String> {
    let other = |value: &Value| {
        let name = text(value)?;
        if own == Some(name.as_str()) {
            return Err("another service than itself".to_owned());
        }
        if names.contains_key(name.as_str()) {
            return Ok(name);
        }
        let known: Vec<&str> = names.keys().copied().take(MAX_GUESSED).collect();
        Err(match nearest(&name, &known) {
            Some(near) => format!("a service of this file; did you mean {near}?"),
            None => "a service of this file".to_owned(),
        })
    };
    section.distinct("depends_on", MAX_DEPENDENCIES, other).unwrap_or_default()
}

fn known_issues(section: &mut Section<'_>) -> Vec<KnownIssue> {
    let mut issues: Vec<KnownIssue> = Vec::new();
    for item in section.list("known_issues").unwrap_or_default() {
        let Some(mut section) = item.into_section() else { continue };
        let matches = section.required("match", issue_match);
        let grace = section.required("grace", positive_up_to(LONGEST_GRACE));
        let mut note = String::new();
        section.read("note", &mut note, text);
        let (Some(matches), Some(grace)) = (matches, grace) else { continue };
        if issues.iter().any(|issue| issue.matches.eq_ignore_ascii_case(&matches)) {
            section.error("match", format!("{matches:?} given twice"));
        }
        issues.push(KnownIssue { matches, grace, note });
    }
    issues
}

fn issue_match(value: &Value) -> Result<String, Accepted> {
    let given = text(value)?.trim().to_owned();
    if given.chars().count() < SHORTEST_MATCH {
        return Err(format!(
            "at least {SHORTEST_MATCH} characters of a finding's kind or reason; fewer would match nearly everything"
        ));
    }
    Ok(given)
}

fn service_name(value: &Value) -> Result<String, Accepted> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    text(value).ok().filter(|name| name.len() <= LONGEST_NAME && name.chars().all(fits)).ok_or_else(
        || format!("a name of letters, digits, -, _ and ., up to {LONGEST_NAME} characters"),
    )
}

fn is_label_key(key: &str) -> bool {
    match key.split_once('/') {
        Some((prefix, name)) => {
            let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
            is_label(name) && (1..=LONGEST_NAME).contains(&prefix.len()) && prefix.chars().all(fits)
        }
        None => is_label(key),
    }
}

fn is_label(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= LONGEST_LABEL
        && text.chars().all(fits)
        && ends(text.chars().next())
        && ends(text.chars().next_back())
}

fn label_value(value: &Value) -> Result<String, Accepted> {
    let text = text(value)?;
    if is_label(&text) {
        Ok(text)
    } else {
        Err(format!(
            "a label's value: letters, digits, -, _ and ., up to {LONGEST_LABEL} characters"
        ))
    }
}

/// It is shown to everybody who reads the alert.
fn runbook(value: &Value) -> Result<String, Accepted> {
    let url = url(value)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a URL without user and password: it is shown in messages".to_owned());
    }
    Ok(url.into())
}

fn repository_path(value: &Value) -> Result<String, Accepted> {
    let given = text(value)?;
    let path = given.trim_end_matches('/');
    let fits = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('*');
    if path.split('/').all(fits) {
        Ok(path.to_owned())
    } else {
        Err("a file or folder of the repository (apps/web), without / before it and without . or .. or *".to_owned())
    }
}
