//! Reads a section key by key and collects what is wrong instead of stopping at it.
//!
//! A key may be there twice: from the file and from the environment, which comes last and wins; both are checked.
//! Keys that nobody asked for are reported when the section is dropped, so that no way of reading forgets them.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::http::KEYS;
use super::problem::{Origin, Problem};
use super::tree::{Entry, Node, Value};
use crate::domain::address::redact;
use crate::domain::legible;

/// What a key accepts, in words, when it refuses what it was given.
pub(super) type Accepted = String;

#[derive(Default)]
pub(super) struct Problems {
    errors: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
}

impl Problems {
    pub(super) fn error(&self, path: impl Into<String>, origin: Origin, text: impl Into<String>) {
        self.errors.borrow_mut().push(Problem { path: path.into(), origin, text: text.into() });
    }

    pub(super) fn warn(&self, path: impl Into<String>, origin: Origin, text: impl Into<String>) {
        self.warnings.borrow_mut().push(Problem { path: path.into(), origin, text: text.into() });
    }

    /// Errors and warnings, each in the order of the file.
    pub(super) fn into_sorted(self) -> (Vec<Problem>, Vec<Problem>) {
        let sorted = |problems: RefCell<Vec<Problem>>| {
            let mut problems = problems.into_inner();
            problems.sort_by_key(|problem| problem.origin);
            problems
        };
        (sorted(self.errors), sorted(self.warnings))
    }
}

/// A mapping being read.
pub(super) struct Section<'a> {
    path: String,
    origin: Origin,
    entries: Vec<&'a Entry>,
    asked: Vec<&'static str>,
    problems: &'a Problems,
}

/// A value with its full path, for the items of lists and free maps.
pub(super) struct Item<'a> {
    pub path: String,
    pub node: &'a Node,
    pub problems: &'a Problems,
}

impl<'a> Section<'a> {
    pub(super) fn root(node: &'a Node, problems: &'a Problems) -> Self {
        let mut root = Self::empty(String::new(), node.origin, problems);
        root.take_in(node);
        root
    }

    fn empty(path: String, origin: Origin, problems: &'a Problems) -> Self {
        Self { path, origin, entries: Vec::new(), asked: Vec::new(), problems }
    }

    fn take_in(&mut self, node: &'a Node) {
        match &node.value {
            Value::Map(entries) => self.entries.extend(entries),
            // A section whose keys are all commented out.
            Value::Null => {}
            other => self.problems.error(
                &self.path,
                node.origin,
                format!("{other} given; accepted: a section of keys"),
            ),
        }
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Where the value that stands for this key comes from.
    fn origin_of(&self, key: &str) -> Origin {
        self.entries.iter().rfind(|entry| entry.key == key).map_or(self.origin, |e| e.origin)
    }

    pub(super) fn is_given(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    pub(super) fn error(&self, key: &str, text: impl Into<String>) {
        self.problems.error(self.path_of(key), self.origin_of(key), text);
    }

    pub(super) fn warn(&self, key: &str, text: impl Into<String>) {
        self.problems.warn(self.path_of(key), self.origin_of(key), text);
    }

    pub(super) fn error_at(&self, key: &str, origin: Origin, text: impl Into<String>) {
        self.problems.error(self.path_of(key), origin, text);
    }

    /// About the section itself.
    pub(super) fn error_here(&self, text: impl Into<String>) {
        self.problems.error(&self.path, self.origin, text);
    }

    pub(super) fn warn_here(&self, text: impl Into<String>) {
        self.problems.warn(&self.path, self.origin, text);
    }

    /// Every value given for the key, in order; duplicates within the file are reported.
    pub(super) fn take(&mut self, key: &'static str) -> Vec<&'a Node> {
        self.asked.push(key);
        let found: Vec<_> = self.entries.iter().filter(|entry| entry.key == key).copied().collect();
        report_duplicates(&self.path_of(key), &found, self.problems);
        found.into_iter().map(|entry| &entry.node).collect()
    }

    /// Puts a given value into the target and leaves the default there otherwise.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        target: &mut T,
        parse: impl Fn(&Value) -> Result<T, Accepted>,
    ) {
        if let Some(value) = self.last(key, parse) {
            *target = value;
        }
    }

    /// Like [`Self::read`]; `null` is the absence of a value.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        target: &mut Option<T>,
        parse: impl Fn(&Value) -> Result<T, Accepted>,
    ) {
        self.read(key, target, |value| match value {
            Value::Null => Ok(None),
            value => {
                parse(value).map(Some).map_err(|accepted| format!("{accepted}, or null for none"))
            }
        });
    }

    /// A key without a default.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&Value) -> Result<T, Accepted>,
    ) -> Option<T> {
        if !self.is_given(key) {
            self.asked.push(key);
            self.error_here(format!("the key {key} is missing"));
            return None;
        }
        self.last(key, parse)
    }

    fn last<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&Value) -> Result<T, Accepted>,
    ) -> Option<T> {
        let path = self.path_of(key);
        let mut last = None;
        for node in self.take(key) {
            last = Item { path: path.clone(), node, problems: self.problems }.parse(&parse);
        }
        last
    }

    pub(super) fn section(&mut self, key: &'static str) -> Section<'a> {
        let nodes = self.take(key);
        // What the environment gives is one key; the rest of its section is none of the variable's.
        let in_file = |origin: &Origin| matches!(origin, Origin::Line(_));
        let origin = nodes.iter().map(|node| node.origin).find(in_file).unwrap_or(Origin::Default);
        let mut section = Self::empty(self.path_of(key), origin, self.problems);
        for node in nodes {
            section.take_in(node);
        }
        section
    }

    /// The items of a list; none when it is absent.
    pub(super) fn list(&mut self, key: &'static str) -> Option<Vec<Item<'a>>> {
        self.item(key)?.into_list()
    }

    /// The value as it stands, for a key that takes more than one form.
    pub(super) fn item(&mut self, key: &'static str) -> Option<Item<'a>> {
        let path = self.path_of(key);
        let node = self.take(key).pop()?;
        Some(Item { path, node, problems: self.problems })
    }

    /// The items of a list that may be empty; none when it is absent or null.
    pub(super) fn list_or_null(&mut self, key: &'static str) -> Option<Vec<Item<'a>>> {
        let is_null = self.is_null(key);
        self.list(key).filter(|_| !is_null)
    }

    /// A section that may be left out; none when it is absent or null.
    pub(super) fn optional_section(&mut self, key: &'static str) -> Option<Section<'a>> {
        if !self.is_given(key) || self.is_null(key) {
            self.take(key);
            return None;
        }
        Some(self.section(key))
    }

    fn is_null(&self, key: &str) -> bool {
        let last = self.entries.iter().rfind(|entry| entry.key == key);
        last.is_some_and(|entry| matches!(entry.node.value, Value::Null))
    }

    /// The items of a list of `most` at most, in which none may stand twice; none when it is absent or one is refused.
    pub(super) fn distinct<T: PartialEq>(
        &mut self,
        key: &'static str,
        most: usize,
        parse: impl Fn(&Value) -> Result<T, Accepted>,
    ) -> Option<Vec<T>> {
        let items = self.list(key)?;
        if items.len() > most {
            self.error(key, format!("{} given; accepted: up to {most}", items.len()));
            return None;
        }
        let mut found = Vec::new();
        let mut is_whole = true;
        for item in items {
            match item.parse(&parse) {
                Some(value) if found.contains(&value) => {
                    item.error(format!("{} given twice", item.node.value));
                    is_whole = false;
                }
                Some(value) => found.push(value),
                None => is_whole = false,
            }
        }
        is_whole.then_some(found)
    }

    /// The entries of a map whose keys are free; none when it is absent.
    pub(super) fn map(&mut self, key: &'static str) -> Option<Vec<(&'a str, Item<'a>)>> {
        let path = self.path_of(key);
        let node = self.take(key).pop()?;
        let entries = match &node.value {
            Value::Map(entries) => entries.as_slice(),
            Value::Null => &[],
            other => {
                self.error(key, format!("{other} given; accepted: a map of keys and values"));
                return None;
            }
        };
        let mut seen = BTreeSet::new();
        let mut items = Vec::new();
        for entry in entries {
            let path = format!("{path}.{}", entry.key);
            if seen.insert(entry.key.as_str()) {
                let same: Vec<_> = entries.iter().filter(|e| e.key == entry.key).collect();
                report_duplicates(&path, &same, self.problems);
            }
            let item = Item { path, node: &entry.node, problems: self.problems };
            items.push((entry.key.as_str(), item));
        }
        Some(items)
    }
}

fn report_duplicates(path: &str, entries: &[&Entry], problems: &Problems) {
    let mut in_file = entries.iter().filter(|entry| matches!(entry.origin, Origin::Line(_)));
    let Some(Entry { origin: Origin::Line(first), .. }) = in_file.next() else { return };
    for again in in_file {
        problems.error(path, again.origin, format!("given twice; first in line {first}"));
    }
}

impl<'a> Item<'a> {
    pub(super) fn error(&self, text: impl Into<String>) {
        self.problems.error(&self.path, self.node.origin, text);
    }

    pub(super) fn parse<T>(&self, parse: impl Fn(&Value) -> Result<T, Accepted>) -> Option<T> {
        parse(&self.node.value)
            .map_err(|accepted| {
                // Of a URL not a character of its password.
                let odd = match &self.node.value {
                    Value::Text(text) | Value::Word(text) => odd_character(&redact(text)),
                    _ => String::new(),
                };
                self.error(format!("{} given; accepted: {accepted}{odd}", self.node.value));
            })
            .ok()
    }

    pub(super) fn into_section(self) -> Option<Section<'a>> {
        if !matches!(self.node.value, Value::Map(_)) {
            self.error(format!("{} given; accepted: a section of keys", self.node.value));
            return None;
        }
        let mut section = Section::empty(self.path, self.node.origin, self.problems);
        section.take_in(self.node);
        Some(section)
    }

    pub(super) fn into_list(self) -> Option<Vec<Item<'a>>> {
        let Item { path, node, problems } = self;
        match &node.value {
            Value::List(nodes) => Some(
                nodes
                    .iter()
                    .enumerate()
                    .map(|(at, node)| Item { path: format!("{path}[{at}]"), node, problems })
                    .collect(),
            ),
            // A list whose items are all commented out.
            Value::Null => Some(Vec::new()),
            other => {
                problems.error(path, node.origin, format!("{other} given; accepted: a list"));
                None
            }
        }
    }
}

impl Drop for Section<'_> {
    fn drop(&mut self) {
        for entry in &self.entries {
            if self.asked.contains(&entry.key.as_str()) {
                continue;
            }
            let is_of_http = self.asked.contains(&"http") && KEYS.contains(&entry.key.as_str());
            let text = match nearest(&entry.key, &self.asked) {
                _ if is_of_http => format!("unknown key; did you mean http.{}?", entry.key),
                Some(near) => format!("unknown key; did you mean {near}?"),
                None => format!("unknown key; known here: {}", self.asked.join(", ")),
            };
            let text = text + &odd_character(&entry.key);
            self.problems.error(self.path_of(&entry.key), entry.origin, text);
        }
    }
}

/// Why a word may be refused that looks right.
fn odd_character(text: &str) -> String {
    legible::odd_character(text).map_or_else(String::new, |c| {
        format!(". It holds the character {}, which is not plain ASCII", c.escape_unicode())
    })
}

/// The known name that a mistyped one most likely meant.
pub(super) fn nearest<'k>(given: &str, known: &[&'k str]) -> Option<&'k str> {
    const SIMILAR: f64 = 0.6;
    known
        .iter()
        .map(|known| (strsim::normalized_damerau_levenshtein(given, known), *known))
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}
