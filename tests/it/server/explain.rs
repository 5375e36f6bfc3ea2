//! Explain: recorded cycles, violations, policies and actions in a real SQLite store, read back as pages over HTTP and as
//! the command prints them. The pages are written out here, so that a reader can judge whether they say why.

mod acted;
mod broken;
mod held;
mod incident;
mod nothing;
pub(super) mod recorded;
pub mod stands;
mod subjects;

use chrono::TimeDelta;
use mape_k::cli::Output;
use mape_k::cli::client::Client;
use mape_k::cli::explain::{self, About};
use mape_k::clock::Clock;
use mape_k::domain::time::Time;
use mape_k::explain::Explanation;
use mape_k::knowledge::{Batch, Database, Knowledge, Settings};
use reqwest::StatusCode;
use serde_json::Value;
use tempfile::TempDir;

use super::{Setup, Surface, noon};

/// Wide enough for a sentence, narrow enough for any terminal.
const WIDTH: usize = 100;
/// A typical cycle's page fits a terminal.
const HEIGHT: usize = 45;

/// A daemon's doors over a store in a file. Its time is three minutes and some after noon, when the cycles were; the
/// some keeps every span that the pages show the same for as long as a test may take.
struct Kept {
    surface: Surface,
    _folder: TempDir,
}

impl Kept {
    async fn new(fill: impl FnOnce(&mut Batch)) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let settings = Settings {
            database: Database::Sqlite,
            sqlite_path: folder.path().join("knowledge.db"),
            ..Settings::default()
        };
        let knowledge = Knowledge::open(&settings).await.expect("a store");
        let mut batch = knowledge.batch();
        fill(&mut batch);
        knowledge.commit(batch).await.expect("stored");
        let clock = Clock::starting_at(later());
        let surface = Setup { knowledge, clock, ..Setup::default() }.serve().await;
        Self { surface, _folder: folder }
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.surface.get(path).await
    }

    /// The page as the API has it, held against what the command prints.
    async fn page(&self, about: About, id: Option<&str>) -> String {
        let path = match (about, id) {
            (About::Cycle, None) => "/api/v1/explain".to_owned(),
            (About::Cycle, id) => format!("/api/v1/explain/cycles/{}", id.expect("an id")),
            (About::Violation, id) => format!("/api/v1/explain/violations/{}", id.expect("an id")),
            (About::Policy, id) => format!("/api/v1/explain/policies/{}", id.expect("an id")),
            (About::Action, id) => format!("/api/v1/explain/actions/{}", id.expect("an id")),
            (About::Incident, id) => format!("/api/v1/explain/incidents/{}", id.expect("an id")),
        };
        let (status, body) = self.get(&path).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        let served: Explanation = serde_json::from_value(body).expect("an explanation");

        let client = Client::new(&self.surface.url(""), None);
        let mut printed = Vec::new();
        explain::run(&client, about, id, Output::Text, &mut printed).await.expect("printed");
        let printed = String::from_utf8(printed).expect("text");
        assert_eq!(printed, served.text, "command and API never disagree");
        let said: usize = served.sections.iter().map(|s| s.lines.len()).sum();
        assert!(
            served.sections.iter().flat_map(|s| &s.lines).all(|l| printed.contains(l.as_str()))
        );
        assert_eq!(printed.lines().count(), 1 + said + 2 * served.sections.len(), "all of it");
        for line in printed.lines() {
            assert!(line.chars().count() <= WIDTH, "too wide for a terminal: {line}");
        }
        assert!(printed.lines().count() <= HEIGHT, "too long for a terminal:\n{printed}");
        printed
    }
}

fn later() -> Time {
    noon() + TimeDelta::seconds(200)
}

/// Of a single kept cycle.
async fn latest(fill: impl FnOnce(&mut Batch)) -> String {
    let kept = Kept::new(fill).await;
    let page = kept.page(About::Cycle, None).await;
    kept.surface.stop().await;
    page
}
