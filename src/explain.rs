//! Explain: turns what the loop recorded into a page that a person reads: what was seen, concluded, weighed and done,
//! and for what was not done, why not.
//!
//! Pure. Works on domain values alone; reading them from the store is the caller's. The lines of a page are made here,
//! once: the API serves them and the command prints them, so the two never disagree.

mod action;
mod candidate;
mod cycle;
mod incident;
mod measured;
mod policy;
mod unread;
mod verified;
mod violation;
mod weighed;
mod why;
mod words;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::domain::legible;

pub use action::{ActionFacts, action};
pub use candidate::{hold, impossibility, ineligibility};
pub use cycle::{CycleFacts, cycle};
pub use incident::{IncidentFacts, incident};
pub use policy::{PolicyFacts, policy};
pub use violation::{ViolationFacts, violation};
pub(crate) use words::{actions, answers, count, short, span, times};

/// A terminal has at least this and two columns of indentation.
const WIDTH: usize = 96;
const INDENT: &str = "  ";

/// What a page is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Cycle,
    Violation,
    Policy,
    Action,
    Incident,
}

/// What a page is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Subject {
    pub kind: Kind,
    pub id: String,
}

/// A page in sentences.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    pub subject: Subject,
    pub title: String,
    /// The first says it in short.
    pub sections: Vec<Section>,
    /// The whole page as it is printed.
    pub text: String,
    /// The values that the page was written from, as they are stored.
    pub facts: Value,
}

/// A part of a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Section {
    pub heading: String,
    /// Cut to the width of a terminal.
    pub lines: Vec<String>,
}

/// What one value of an enum of reasons means, as it follows "because", and what would change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning {
    pub because: &'static str,
    pub changes: &'static str,
}

/// A page while it is written. What stands in its lines is made legible here, before they are cut.
struct Page {
    sections: Vec<Section>,
}

impl Page {
    /// The first section says in short what the page says.
    fn begin(short: &[String]) -> Self {
        let mut page = Self { sections: Vec::new() };
        page.section("In short");
        for text in short {
            page.say(text);
        }
        page
    }

    fn section(&mut self, heading: &str) {
        let heading = legible::line(heading).into_owned();
        self.sections.push(Section { heading, lines: Vec::new() });
    }

    fn say(&mut self, text: &str) {
        self.put(text, "", "");
    }

    fn item(&mut self, text: &str) {
        self.put(text, "- ", "  ");
    }

    /// Belongs to the item above.
    fn under(&mut self, text: &str) {
        self.put(text, "  ", "  ");
    }

    fn put(&mut self, text: &str, first: &str, rest: &str) {
        if let Some(section) = self.sections.last_mut() {
            section.lines.extend(words::wrapped(&legible::line(text), WIDTH, first, rest));
        }
    }

    fn end(mut self, kind: Kind, id: String, title: &str, facts: Value) -> Explanation {
        self.sections.retain(|section| !section.lines.is_empty());
        let title = legible::line(title).into_owned();
        let mut printed = vec![title.clone()];
        for section in &self.sections {
            printed.extend([String::new(), section.heading.clone()]);
            printed.extend(section.lines.iter().map(|line| format!("{INDENT}{line}")));
        }
        let text = printed.join("\n") + "\n";
        Explanation { subject: Subject { kind, id }, title, sections: self.sections, text, facts }
    }
}
