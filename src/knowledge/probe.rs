//! Could the store be opened? Asked without opening it for writing, since a daemon may be running on it: for
//! `mape-k doctor`.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use rustix::fs::{Access, access};

use super::postgres::PostgresStore;
use super::settings::{Database, Settings};
use super::store::StoreError;

/// How every SQLite file begins.
const MAGIC: &[u8] = b"SQLite format 3\0";

/// What was found, for a person; an error says what to check.
pub async fn probe(settings: &Settings) -> Result<String, StoreError> {
    match (settings.database, &settings.postgres_url) {
        (Database::Memory, _) => Ok("in memory: a restart forgets everything".to_owned()),
        (Database::Postgres, Some(url)) => {
            PostgresStore::probe(url).await?;
            Ok(format!("PostgreSQL at {url} answers"))
        }
        (Database::Postgres, None) | (Database::Sqlite, _) => {
            let path = &settings.sqlite_path;
            file(path).map_err(|cause| StoreError::Unavailable {
                store: path.display().to_string(),
                what: "opened",
                cause: cause.to_string(),
                advice: "Check that the path exists and that this user may write to it (knowledge.sqlite_path)",
            })
        }
    }
}

fn file(path: &Path) -> std::io::Result<String> {
    let shown = path.display();
    match File::open(path) {
        Ok(file) => {
            let mut head = Vec::new();
            file.take(MAGIC.len() as u64).read_to_end(&mut head)?;
            if !head.is_empty() && head != MAGIC {
                return Err(std::io::Error::other("it is not an SQLite file"));
            }
            access(path, Access::READ_OK | Access::WRITE_OK)?;
            // Its log stands beside it.
            access(path.parent().unwrap_or(Path::new(".")), Access::WRITE_OK)?;
            Ok(format!("SQLite file {shown} can be read and written"))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            // The first start makes the folders that are missing.
            let folder = path.ancestors().skip(1).find(|folder| folder.exists());
            let folder = folder.unwrap_or(Path::new("."));
            access(folder, Access::WRITE_OK)?;
            Ok(format!("SQLite file {shown} does not exist yet and can be created"))
        }
        Err(error) => Err(error),
    }
}
