//! Messages that could not be delivered, a file each, until they are told.
//!
//! `backup_<YYYYMMDD_HHMMSS>_<SEV-n>.json` waits; `….sent.json` was told, `….broken.json` could not be read,
//! `….dropped.json` had to make room. A file is whole or not there. When one is sent again is decided in
//! `resend`. Small files and few: they are written where they are needed, without a task of their own.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

use super::call::hide;
use crate::domain::decision::Sev;
use crate::domain::message::{Message, NotifierName};
use crate::domain::secret::Secret;
use crate::domain::speed;

/// Files that wait, of some 10 KB each: with Slack away for days, more than anybody reads. Each cycle reads them.
const MAX_WAITING: usize = 500;

/// Files that are done with; the newest are kept.
const MAX_DONE: usize = 500;

/// Of one file: 2,000 incidents of 2 KB. What is larger is not ours.
const MAX_BYTES: u64 = 4 << 20;

const TEMPORARY: &str = ".backup-";

#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    #[error(
        "the backup {path} cannot be written: {source}. Check the disk's space and who may write there"
    )]
    Write { path: PathBuf, source: io::Error },
    #[error("the backups in {path} cannot be read: {source}. Check who may read there")]
    Read { path: PathBuf, source: io::Error },
    #[error(
        "the backup {path} cannot be renamed: {source}. Check who may write there; it is not sent twice by this process"
    )]
    Rename { path: PathBuf, source: io::Error },
}

#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    secrets: Vec<Secret>,
    /// A rehearsal and a normal run may have one folder. Neither tells what the other could not.
    is_rehearsal: bool,
    /// Told, and not renamed because the disk would not have it; at most as many as wait. Not told again by this process.
    told: Mutex<BTreeSet<String>>,
}

/// A file that waits.
#[derive(Clone, Debug, PartialEq)]
pub struct Backup {
    pub file: String,
    pub notifier: NotifierName,
    /// Why it was not delivered.
    pub error: String,
    pub message: Message,
}

#[derive(Serialize, Deserialize)]
struct Content {
    notifier: NotifierName,
    error: String,
    message: Message,
}

/// How a file ends that no longer waits.
#[derive(Clone, Copy, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
enum Done {
    Sent,
    Broken,
    Dropped,
}

impl Done {
    const ALL: [Self; Self::VARIANTS.len()] = *Self::VARIANTS.as_array().unwrap();

    fn suffix(self) -> &'static str {
        self.into()
    }
}

/// The worst first, then the oldest, then the first of a second.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    severity: std::cmp::Reverse<Sev>,
    second: String,
    number: usize,
}

impl Name {
    fn of(message: &Message, number: usize) -> Self {
        let second = message.at.format("%Y%m%d_%H%M%S").to_string();
        Self { severity: std::cmp::Reverse(message.severity), second, number }
    }

    /// `None` for what is done with, temporary, or not ours.
    fn read(file: &str) -> Option<Self> {
        let stem = file.strip_prefix("backup_")?.strip_suffix(".json")?;
        let (second, rest) = (stem.get(..15)?, stem.get(15..)?.strip_prefix('_')?);
        let severity = Sev::ALL.into_iter().find(|sev| rest.starts_with(sev.as_str()))?;
        let number = match &rest[severity.as_str().len()..] {
            "" => 1,
            rest => rest.strip_prefix('-')?.parse().ok()?,
        };
        Some(Self { severity: std::cmp::Reverse(severity), second: second.to_owned(), number })
    }

    fn stem(&self) -> String {
        let (second, severity) = (&self.second, self.severity.0);
        match self.number {
            1 => format!("backup_{second}_{severity}"),
            number => format!("backup_{second}_{severity}-{number}"),
        }
    }
}

impl Spool {
    /// Backups in this folder, which is made when there is something to keep. What an earlier process left half written
    /// is removed.
    #[must_use]
    pub fn new(folder: PathBuf, secrets: Vec<Secret>, is_rehearsal: bool) -> Self {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
                let _ = fs::remove_file(entry.path());
            }
        }
        Self { folder, secrets, is_rehearsal, told: Mutex::default() }
    }

    /// Writes a message that could not be delivered and answers its file's name. It is on the disk when this returns.
    pub fn keep(
        &self,
        notifier: NotifierName,
        message: &Message,
        error: &str,
    ) -> Result<String, SpoolError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| SpoolError::Write { path, source }
        };
        // Readable by its owner alone, as the files are.
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
        made.map_err(failed(&self.folder))?;
        self.make_room()?;
        let error = hide(&self.secrets, error.to_owned());
        let text = written(Content { notifier, error, message: self.without_secrets(message) })
            .map_err(failed(&self.folder))?;
        // Readable by its owner alone: it tells what is wrong inside.
        let mut file = tempfile::Builder::new()
            .prefix(TEMPORARY)
            .tempfile_in(&self.folder)
            .map_err(failed(&self.folder))?;
        file.write_all(text.as_bytes()).map_err(failed(file.path()))?;
        file.as_file().sync_all().map_err(failed(file.path()))?;
        // All files of a second have distinct numbers; there are never more than fit the two bounds.
        for number in 1..=MAX_WAITING + MAX_DONE + 1 {
            let stem = Name::of(message, number).stem();
            if Done::ALL.iter().any(|done| self.done(&stem, *done).exists()) {
                continue;
            }
            let path = self.folder.join(format!("{stem}.json"));
            match file.persist_noclobber(&path) {
                Ok(_) => {
                    // The name is durable with the folder. Without that it is there all the same: one more file would
                    // tell it twice.
                    if let Err(error) = File::open(&self.folder).and_then(|f| f.sync_all()) {
                        tracing::warn!(%error, path = %path.display(), "a backup may not survive a power cut");
                    }
                    return Ok(format!("{stem}.json"));
                }
                Err(taken) if taken.error.kind() == io::ErrorKind::AlreadyExists => {
                    file = taken.file;
                }
                Err(other) => return Err(failed(&path)(other.error)),
            }
        }
        let source = io::Error::other("every name of this second is taken");
        Err(SpoolError::Write { path: self.folder.clone(), source })
    }

    /// A server's answer may stand in any text; names and ids stay what they are.
    fn without_secrets(&self, message: &Message) -> Message {
        let mut message = message.clone();
        let Message { title, root_cause, impact, actions, entries, .. } = &mut message;
        let own = [title, root_cause, impact].into_iter().chain(actions);
        let of_entries = entries.iter_mut().flat_map(|entry| {
            let lists = entry.findings.iter_mut().chain(&mut entry.recommendations);
            lists.chain(&mut entry.runbook_url).chain(&mut entry.deployment)
        });
        for text in own.chain(of_entries) {
            *text = hide(&self.secrets, std::mem::take(text));
        }
        message
    }

    /// How many wait.
    pub fn count(&self) -> Result<usize, SpoolError> {
        self.names().map(|names| names.len())
    }

    /// All that waits: the worst first, then the oldest. A file that cannot be read as a message is set aside and said
    /// once.
    pub fn waiting(&self) -> Result<Vec<Backup>, SpoolError> {
        let mut waiting = Vec::new();
        for name in self.names()?.into_iter().take(MAX_WAITING) {
            let file = format!("{}.json", name.stem());
            match read(&self.folder.join(&file)) {
                Ok(Content { message, .. })
                    if speed::is_marked(&message.title) != self.is_rehearsal =>
                {
                    // What a rehearsal leaves is of no use to anybody; what production could not tell waits for production.
                    if !self.is_rehearsal
                        && let Err(error) = self.finish(&file, Done::Dropped)
                    {
                        tracing::error!(%error, "a backup of a rehearsal stays where it is");
                    }
                }
                Ok(Content { notifier, error, message }) => {
                    waiting.push(Backup { file, notifier, error, message });
                }
                Err(why) => {
                    tracing::error!(file, why, "a backup cannot be read, it is set aside");
                    if let Err(error) = self.finish(&file, Done::Broken) {
                        tracing::error!(%error, "a broken backup stays where it is");
                    }
                }
            }
        }
        Ok(waiting)
    }

    /// It was told: it does not wait any more, whatever the disk says.
    pub fn sent(&self, backup: &Backup) -> Result<(), SpoolError> {
        self.finish(&backup.file, Done::Sent)
    }

    fn finish(&self, file: &str, done: Done) -> Result<(), SpoolError> {
        let from = self.folder.join(file);
        let stem = file.strip_suffix(".json").unwrap_or(file);
        if let Err(source) = fs::rename(&from, self.done(stem, done)) {
            self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(file.to_owned());
            return Err(SpoolError::Rename { path: from, source });
        }
        self.prune();
        Ok(())
    }

    fn done(&self, stem: &str, done: Done) -> PathBuf {
        self.folder.join(format!("{stem}.{}.json", done.suffix()))
    }

    /// At the bound the least severe, then oldest, is set aside for the new one.
    fn make_room(&self) -> Result<(), SpoolError> {
        let names = self.names()?;
        if names.len() < MAX_WAITING {
            return Ok(());
        }
        let least = names.iter().min_by_key(|name| (name.severity.0, &name.second, name.number));
        if let Some(name) = least {
            let file = format!("{}.json", name.stem());
            tracing::error!(file, waiting = names.len(), "too many backups wait, one is given up");
            self.finish(&file, Done::Dropped)?;
        }
        Ok(())
    }

    fn names(&self) -> Result<BTreeSet<Name>, SpoolError> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let files = self.files()?;
        Ok(files.iter().filter(|f| !told.contains(*f)).filter_map(|f| Name::read(f)).collect())
    }

    fn files(&self) -> Result<Vec<String>, SpoolError> {
        let failed = |source| SpoolError::Read { path: self.folder.clone(), source };
        let entries = match fs::read_dir(&self.folder) {
            // Nothing was ever kept.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(failed)?,
        };
        entries
            .map(|entry| entry.map(|e| e.file_name().to_string_lossy().into_owned()))
            .collect::<Result<_, _>>()
            .map_err(failed)
    }

    /// Removes what is done with, beyond the newest. What cannot be removed is tried again with the next one.
    fn prune(&self) {
        let is_done = |file: &String| {
            file.starts_with("backup_")
                && Done::ALL.iter().any(|done| file.ends_with(&format!(".{}.json", done.suffix())))
        };
        let mut done: Vec<String> =
            self.files().unwrap_or_default().into_iter().filter(is_done).collect();
        // Their names begin with their time.
        done.sort_unstable();
        for file in done.iter().rev().skip(MAX_DONE) {
            let _ = fs::remove_file(self.folder.join(file));
        }
    }
}

/// As it is kept, without the least severe incidents when it would be too large to be read again.
fn written(mut content: Content) -> io::Result<String> {
    let all = content.message.entries.len();
    let impact = content.message.impact.clone();
    loop {
        let text = serde_json::to_string_pretty(&content)?;
        if text.len() as u64 <= MAX_BYTES {
            return Ok(text);
        }
        let message = &mut content.message;
        if message.entries.is_empty() {
            return Err(io::Error::other(format!("it is larger than {} MiB", MAX_BYTES >> 20)));
        }
        message.entries.sort_by_key(|entry| std::cmp::Reverse(entry.severity));
        message.entries.truncate(message.entries.len() / 2);
        let left_out = all - message.entries.len();
        message.impact = format!("{left_out} more incidents: mape-k status. {impact}");
    }
}

fn read(path: &Path) -> Result<Content, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut text = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > MAX_BYTES {
        return Err(format!("it is larger than {} MiB", MAX_BYTES >> 20));
    }
    serde_json::from_slice(&text).map_err(|error| error.to_string())
}
