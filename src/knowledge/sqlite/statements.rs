//! The statements that change records, each on a connection that its caller holds.

use sqlx::{QueryBuilder, SqliteConnection};

use crate::domain::time::Time;
use crate::knowledge::store::{Bound, Collection, When, Write, Written};

/// Rows put by one statement. Each statement is a trip to the connection's own thread, and a storm opens thousands of
/// violations in one cycle; more rows than this save next to nothing.
pub(super) const ROWS: usize = 50;

/// A put without a condition, which may share a statement with others.
pub(super) struct Row {
    pub collection: Collection,
    pub key: String,
    pub tag: String,
    pub at: Time,
    pub body: String,
}

/// Applies unconditional puts in order and empties `rows`: a full set in one statement, fewer one by one, so that few
/// texts are ever prepared.
pub(super) async fn put_rows(
    connection: &mut SqliteConnection,
    rows: &mut Vec<Row>,
) -> Result<(), sqlx::Error> {
    if rows.len() < ROWS {
        for Row { collection, key, tag, at, body } in rows.drain(..) {
            let write = Write::Put { collection, key, tag, at, body, when: When::Always };
            apply(&mut *connection, write).await?;
        }
        return Ok(());
    }
    let mut query =
        QueryBuilder::new("INSERT INTO records (collection, key, tag, at, body, version) ");
    query.push_values(rows.drain(..), |mut values, row| {
        values
            .push_bind(row.collection.as_str())
            .push_bind(row.key)
            .push_bind(row.tag)
            .push_bind(row.at.timestamp_micros())
            .push_bind(row.body)
            .push("1");
    });
    query.push(
        " ON CONFLICT (collection, key) DO UPDATE
         SET tag = excluded.tag, at = excluded.at, body = excluded.body, version = version + 1",
    );
    query.build().execute(connection).await?;
    Ok(())
}

/// Applies one write; its condition is part of the statement.
pub(super) async fn apply(
    connection: &mut SqliteConnection,
    write: Write,
) -> Result<Written, sqlx::Error> {
    let query = match write {
        Write::Put { collection, key, tag, at, body, when } => {
            let sql = match when {
                When::Always => {
                    "INSERT INTO records (collection, key, tag, at, body, version) VALUES (?1, ?2, ?3, ?4, ?5, 1)
                     ON CONFLICT (collection, key) DO UPDATE
                     SET tag = excluded.tag, at = excluded.at, body = excluded.body, version = version + 1"
                }
                When::Absent => {
                    "INSERT INTO records (collection, key, tag, at, body, version) VALUES (?1, ?2, ?3, ?4, ?5, 1)
                     ON CONFLICT (collection, key) DO NOTHING"
                }
                When::Tag(_) => {
                    "UPDATE records SET tag = ?3, at = ?4, body = ?5, version = version + 1
                     WHERE collection = ?1 AND key = ?2 AND tag = ?6"
                }
                When::Version(_) => {
                    "UPDATE records SET tag = ?3, at = ?4, body = ?5, version = version + 1
                     WHERE collection = ?1 AND key = ?2 AND version = ?6"
                }
            };
            let query = sqlx::query(sql)
                .bind(collection.as_str())
                .bind(key)
                .bind(tag)
                .bind(at.timestamp_micros())
                .bind(body);
            match when {
                When::Always | When::Absent => query,
                When::Tag(tag) => query.bind(tag),
                When::Version(version) => query.bind(version),
            }
        }
        Write::Touch { collection, key, tag, at } => sqlx::query(
            "UPDATE records SET at = ?4 WHERE collection = ?1 AND key = ?2 AND tag = ?3",
        )
        .bind(collection.as_str())
        .bind(key)
        .bind(tag)
        .bind(at.timestamp_micros()),
        Write::Delete { collection, key } => {
            sqlx::query("DELETE FROM records WHERE collection = ?1 AND key = ?2")
                .bind(collection.as_str())
                .bind(key)
                .execute(connection)
                .await?;
            return Ok(Written::Done);
        }
    };
    let changed = query.execute(connection).await?.rows_affected();
    Ok(if changed == 0 { Written::Skipped } else { Written::Done })
}

/// Deletes at most `at_most` of what a bound leaves out; the tag of each.
pub(super) async fn prune(
    connection: &mut SqliteConnection,
    bound: &Bound,
    at_most: usize,
) -> Result<Vec<String>, sqlx::Error> {
    let sql = if bound.tag.is_some() {
        "DELETE FROM records WHERE sequence IN (
             SELECT sequence FROM records WHERE collection = ?1 AND tag = ?5 AND at < ?2
             UNION ALL
             SELECT sequence FROM (SELECT sequence FROM records WHERE collection = ?1 AND tag = ?5
                                   ORDER BY sequence DESC LIMIT -1 OFFSET ?3)
             LIMIT ?4)
         RETURNING tag"
    } else {
        "DELETE FROM records WHERE sequence IN (
             SELECT sequence FROM records WHERE collection = ?1 AND at < ?2
             UNION ALL
             SELECT sequence FROM (SELECT sequence FROM records WHERE collection = ?1
                                   ORDER BY sequence DESC LIMIT -1 OFFSET ?3)
             LIMIT ?4)
         RETURNING tag"
    };
    let query = sqlx::query_scalar(sql)
        .bind(bound.collection.as_str())
        .bind(bound.not_before.map_or(i64::MIN, |time| time.timestamp_micros()))
        .bind(count(bound.newest))
        .bind(count(at_most));
    let query = match &bound.tag {
        Some(tag) => query.bind(tag),
        None => query,
    };
    query.fetch_all(connection).await
}

pub(super) fn count(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
