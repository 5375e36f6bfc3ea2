//! The `knowledge` section.

use super::reader::Section;
use super::tree::Value;
use super::values::{boolean, count, path, positive, text};
use crate::knowledge::settings::{Database, Settings};

pub(super) fn read(mut section: Section<'_>) -> Settings {
    let mut settings = Settings::default();
    section.read("database", &mut settings.database, |value| match value {
        Value::Text(text) if text == "memory" => Ok(Database::Memory),
        Value::Text(text) if text == "sqlite" => Ok(Database::Sqlite),
        Value::Text(text) if text == "postgres" => {
            Err("memory, sqlite; this version does not have postgres yet".to_owned())
        }
        _ => Err("memory, sqlite".to_owned()),
    });
    section.read("sqlite_path", &mut settings.sqlite_path, path);
    let mut postgres_url = None;
    section.optional("postgres_url", &mut postgres_url, text);
    if postgres_url.is_some() {
        section.warn("postgres_url", "not used: this version stores in memory or sqlite only");
    }
    section.read("pattern_learning_enabled", &mut settings.pattern_learning_enabled, boolean);
    section.read(
        "confidence_saturation_point",
        &mut settings.confidence_saturation_point,
        count(1..=1_000_000),
    );
    section.read(
        "outcome_history_limit",
        &mut settings.outcome_history_limit,
        count(1..=1_000_000),
    );
    section.read("insight_generation_enabled", &mut settings.insight_generation_enabled, boolean);
    section.read("retention", &mut settings.retention, positive);
    section.read("judge_limit", &mut settings.judge_limit, positive);
    settings
}
