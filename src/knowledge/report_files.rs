//! Cycle reports as files, `cycle_<id>.json`: each one that was not healthy, and the newest healthy ones. What the store
//! keeps is the truth; these are for people and their tools, and no cycle fails for them.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::fs;
use tokio::io::AsyncWriteExt;

use crate::domain::cycle::{CycleReport, CycleStatus};

/// Healthy reports kept; the others share what `escalation.reports_max_files` leaves.
const HEALTHY: usize = 100;

/// Files that are looked at when a folder is taken up: more would be somebody else's.
const LISTED: usize = 10_000;

const PREFIX: &str = "cycle_";
const SUFFIX: &str = ".json";
/// Being written; what a crash leaves of it is removed at the next start.
const PARTIAL: &str = ".partial";

#[derive(Debug, thiserror::Error)]
#[error(
    "cannot {what} {}: {cause}. Make the folder writable, or set escalation.reports_dir (null writes no files)",
    path.display()
)]
pub struct Error {
    what: &'static str,
    path: PathBuf,
    cause: std::io::Error,
}

/// The folder of reports, and which of them there are, oldest first.
#[derive(Debug)]
pub struct ReportFiles {
    folder: PathBuf,
    max_files: usize,
    known: Option<Known>,
}

#[derive(Debug, Default)]
struct Known {
    healthy: VecDeque<String>,
    others: VecDeque<String>,
}

impl ReportFiles {
    #[must_use]
    pub fn new(folder: PathBuf, max_files: usize) -> Self {
        Self { folder, max_files, known: None }
    }

    /// Writes the report, whole or not at all, and removes the oldest beyond the bounds.
    pub async fn write(&mut self, report: &CycleReport) -> Result<(), Error> {
        let mut known = match self.known.take() {
            Some(known) => known,
            None => self.take_up().await?,
        };
        let name = format!("{PREFIX}{}{SUFFIX}", report.id);
        let written = self.replace(&name, &shown(report).to_string()).await;
        if written.is_ok() {
            let list = match report.status {
                CycleStatus::Healthy => &mut known.healthy,
                CycleStatus::Completed | CycleStatus::Failed | CycleStatus::Error => {
                    &mut known.others
                }
            };
            list.push_back(name);
        }
        let pruned = self.prune(&mut known).await;
        self.known = Some(known);
        written.and(pruned)
    }

    async fn replace(&self, name: &str, text: &str) -> Result<(), Error> {
        let partial = self.folder.join(format!("{name}{PARTIAL}"));
        let failed = |what, cause| Error { what, path: partial.clone(), cause };
        // Its owner's alone: a report names what runs where and what is wrong with it. One that a crash left may be there.
        let mut options = fs::OpenOptions::new();
        let opened = options.write(true).create(true).truncate(true).mode(0o600).open(&partial);
        let mut file = opened.await.map_err(|e| failed("create", e))?;
        file.write_all(text.as_bytes()).await.map_err(|e| failed("write", e))?;
        // Before the rename: a crash must not leave the name with nothing behind it.
        file.sync_all().await.map_err(|e| failed("write", e))?;
        fs::rename(&partial, self.folder.join(name)).await.map_err(|e| failed("rename", e))
    }

    async fn prune(&self, known: &mut Known) -> Result<(), Error> {
        let healthy = known.healthy.len().saturating_sub(HEALTHY.min(self.max_files));
        let mut over: Vec<String> = known.healthy.drain(..healthy).collect();
        let room = self.max_files.saturating_sub(known.healthy.len());
        let others = known.others.len().saturating_sub(room);
        over.extend(known.others.drain(..others));
        let mut result = Ok(());
        for name in over {
            let path = self.folder.join(name);
            match fs::remove_file(&path).await {
                Ok(()) => {}
                // Somebody else tidied up.
                Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {}
                // It is tried no more, and the others are.
                Err(cause) => result = Err(Error { what: "remove", path, cause }),
            }
        }
        result
    }

    /// Makes the folder where it is missing, and sees what earlier processes left there.
    async fn take_up(&self) -> Result<Known, Error> {
        let failed = |what, cause| Error { what, path: self.folder.clone(), cause };
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder).await;
        made.map_err(|e| failed("create", e))?;
        let mut entries = fs::read_dir(&self.folder).await.map_err(|e| failed("list", e))?;
        let mut names = Vec::new();
        while let Some(entry) = entries.next_entry().await.map_err(|e| failed("list", e))? {
            let Ok(name) = entry.file_name().into_string() else { continue };
            if !name.starts_with(PREFIX) || names.len() >= LISTED {
                continue;
            }
            if name.ends_with(PARTIAL) {
                let _ = fs::remove_file(entry.path()).await;
            } else if name.ends_with(SUFFIX) {
                names.push(name);
            }
        }
        // By time, since the names begin with it.
        names.sort_unstable();
        let mut known = Known::default();
        for name in names {
            if is_healthy(&self.folder.join(&name)).await {
                known.healthy.push_back(name);
            } else {
                known.others.push_back(name);
            }
        }
        Ok(known)
    }
}

/// One that cannot be read is kept as the others are.
async fn is_healthy(path: &Path) -> bool {
    let report = fs::read(path).await.ok().and_then(|b| serde_json::from_slice::<Value>(&b).ok());
    report.is_some_and(|report| report["status"] == CycleStatus::Healthy.as_str())
}

/// The report under the names that files have for it.
fn shown(report: &CycleReport) -> Value {
    let mut value = serde_json::to_value(report).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        for (from, to) in [
            ("id", "cycle_id"),
            ("number", "cycle_number"),
            ("duration_seconds", "cycle_duration_seconds"),
        ] {
            if let Some(field) = fields.remove(from) {
                fields.insert(to.to_owned(), field);
            }
        }
        match report.status {
            CycleStatus::Failed | CycleStatus::Error => {}
            CycleStatus::Healthy | CycleStatus::Completed => {
                fields.remove("phase");
            }
        }
    }
    value
}
