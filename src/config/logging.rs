//! The `logging` section.

use super::reader::{Accepted, Section};
use super::tree::Value;
use super::values::{count, one_of, path, text};
use crate::telemetry::{self, LogFormat, Settings};

pub(super) fn read(mut section: Section<'_>) -> Settings {
    let mut settings = Settings::default();
    section.read("level", &mut settings.level, level);
    section.read(
        "format",
        &mut settings.format,
        one_of(&[("json", LogFormat::Json), ("text", LogFormat::Text)]),
    );
    section.optional("file", &mut settings.file, path);
    section.read("max_bytes", &mut settings.max_bytes, count(1024..=1 << 40));
    section.read("backup_count", &mut settings.backup_count, count(0..=1000));
    settings
}

/// A level, or directives such as `info,sqlx=warn`.
pub(super) fn level(value: &Value) -> Result<String, Accepted> {
    text(value).ok().filter(|level| telemetry::is_level(level)).ok_or_else(|| {
        "error, warn, info, debug, trace, off, or directives such as \"info,mape_k=debug\""
            .to_owned()
    })
}
