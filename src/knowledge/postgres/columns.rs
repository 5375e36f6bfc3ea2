//! Between writes and records, and the columns that PostgreSQL takes and gives.

use std::borrow::Cow;

use chrono::DateTime;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use crate::knowledge::store::{Collection, Record, StoreError, When, Write};

/// A batch by columns: the arguments of `write_batch`.
#[derive(Default)]
pub(super) struct Columns {
    pub whats: Vec<&'static str>,
    pub collections: Vec<&'static str>,
    pub keys: Vec<String>,
    pub tags: Vec<Option<String>>,
    pub ats: Vec<Option<i64>>,
    pub bodies: Vec<Option<String>>,
    pub if_tags: Vec<Option<String>>,
    pub if_versions: Vec<Option<i64>>,
}

impl Columns {
    pub fn of(writes: Vec<Write>) -> Self {
        let mut columns = Self::default();
        for write in writes {
            let (what, collection, key) = match &write {
                Write::Put { collection, key, when: When::Absent, .. } => {
                    ("insert", collection, key)
                }
                Write::Put { collection, key, .. } => ("put", collection, key),
                Write::Touch { collection, key, .. } => ("touch", collection, key),
                Write::Delete { collection, key } => ("delete", collection, key),
            };
            columns.whats.push(what);
            columns.collections.push(collection.as_str());
            columns.keys.push(stored(key).into_owned());
            let (tag, at, body, when) = match write {
                Write::Put { tag, at, body, when, .. } => (Some(tag), Some(at), Some(body), when),
                Write::Touch { tag, at, .. } => (Some(tag), Some(at), None, When::Always),
                Write::Delete { .. } => (None, None, None, When::Always),
            };
            let (if_tag, if_version) = match when {
                When::Always | When::Absent => (None, None),
                When::Tag(tag) => (Some(tag), None),
                When::Version(version) => (None, Some(version)),
            };
            columns.tags.push(tag.map(owned));
            columns.ats.push(at.map(|at| at.timestamp_micros()));
            columns.bodies.push(body.map(owned));
            columns.if_tags.push(if_tag.map(owned));
            columns.if_versions.push(if_version);
        }
        columns
    }
}

/// PostgreSQL's texts hold every character but NUL, which a sender of alerts may put into a fingerprint: such a record
/// would be refused for ever, and its whole batch with it. JSON writes neither NUL nor the escape as they are, so bodies
/// stay readable.
const NUL: char = '\0';
const ESCAPE: char = '\u{1}';

pub(super) fn stored(text: &str) -> Cow<'_, str> {
    if !text.contains([NUL, ESCAPE]) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace(ESCAPE, "\u{1}1").replace(NUL, "\u{1}0"))
}

fn owned(text: String) -> String {
    if text.contains([NUL, ESCAPE]) { stored(&text).into_owned() } else { text }
}

/// What [`stored`] was given.
pub(super) fn given(text: String) -> String {
    if text.contains(ESCAPE) {
        text.replace("\u{1}0", "\0").replace("\u{1}1", "\u{1}")
    } else {
        text
    }
}

pub(super) fn count(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn read_record(
    store: &str,
    collection: Collection,
    row: &PgRow,
) -> Result<Record, StoreError> {
    let key = row.try_get("key").map(given).unwrap_or_default();
    let corrupt = |cause: String| StoreError::Corrupt {
        store: store.to_owned(),
        collection: collection.as_str(),
        key: key.clone(),
        cause,
    };
    let columns = || -> Result<_, sqlx::Error> {
        Ok((
            row.try_get::<i64, _>("at")?,
            row.try_get("tag").map(given)?,
            row.try_get("body").map(given)?,
            row.try_get("sequence")?,
            row.try_get("version")?,
        ))
    };
    let (at, tag, body, sequence, version) =
        columns().map_err(|error| corrupt(error.to_string()))?;
    let at = DateTime::from_timestamp_micros(at)
        .ok_or_else(|| corrupt(format!("{at} is not a time")))?;
    Ok(Record { key, tag, at, body, sequence, version })
}
