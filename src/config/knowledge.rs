//! The `knowledge` section.

use super::reader::Section;
use super::values::{boolean, count, one_of, path, positive};
use crate::knowledge::settings::{Database, PostgresUrl, Settings};

const URL: &str = "postgres_url";
const URL_FILE: &str = "postgres_url_file";

pub(super) fn read(mut section: Section<'_>) -> Settings {
    let mut settings = Settings::default();
    let databases = one_of(&[
        ("memory", Database::Memory),
        ("sqlite", Database::Sqlite),
        ("postgres", Database::Postgres),
    ]);
    section.read("database", &mut settings.database, databases);
    section.read("sqlite_path", &mut settings.sqlite_path, path);
    settings.postgres_url = postgres_url(&mut section, settings.database);
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

/// A secret as a whole: with a password in it, it may have to come from a file.
fn postgres_url(section: &mut Section<'_>, database: Database) -> Option<PostgresUrl> {
    let mut given = None;
    section.secret(URL, URL_FILE, &mut given);
    let key = if section.is_given(URL_FILE) { URL_FILE } else { URL };
    let url = given.as_ref().and_then(|url| {
        PostgresUrl::parse(url.expose()).map_err(|accepted| section.error(key, accepted)).ok()
    });
    match database {
        Database::Postgres if given.is_none() => {
            section.error(URL, format!("missing; database postgres needs it, or {URL_FILE}"));
        }
        Database::Memory | Database::Sqlite if given.is_some() => {
            section.warn(key, "not used: database is not postgres");
        }
        Database::Postgres => {
            if let Some(text) = url.as_ref().and_then(PostgresUrl::plain_text) {
                section.warn(key, text);
            }
        }
        Database::Memory | Database::Sqlite => {}
    }
    url
}
