//! A file for each message whose delivery failed: what people find on the machine, and what a store that does not outlive
//! the process needs to send it after a restart.
//!
//! `backup_<YYYYMMDD_HHMMSS>_<SEV-n>.json` waits; `….sent.json` was delivered, `….queued.json` is in the outbox of the store
//! by now, `….broken.json` could not be read, `….dropped.json` had to make room. A file is whole or not there.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};
use tokio::fs::{self, File};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use uuid::Uuid;

use super::call::hide;
use crate::domain::decision::Sev;
use crate::domain::message::{Message, NotifierName};
use crate::domain::outbox::Outgoing;
use crate::domain::secret::Secret;
use crate::domain::speed;

/// Files that wait, of some 10 KB each: as many messages as may wait in the outbox.
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
    #[error("the backup {path} cannot be renamed: {source}. Check who may write there")]
    Rename { path: PathBuf, source: io::Error },
}

#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    secrets: Vec<Secret>,
    /// A rehearsal and a normal run may have one folder. Neither sends what the other could not.
    is_rehearsal: bool,
}

#[derive(Serialize, Deserialize)]
struct Content {
    notifier: NotifierName,
    error: String,
    /// Its entry in the outbox; the version before had none, and its files are the only trace of what waits.
    #[serde(default)]
    entry: Option<String>,
    message: Message,
}

/// A file that waits.
#[derive(Clone, Debug, PartialEq)]
pub struct Backup {
    pub file: String,
    pub notifier: NotifierName,
    /// Why it was not delivered.
    pub error: String,
    pub entry: Option<String>,
    pub message: Message,
}

impl Backup {
    /// As an entry of the outbox, which keeps its file until it is delivered or does not need it. It was tried before, and
    /// the report of its cycle says so.
    #[must_use]
    pub fn into_entry(self, keeps_file: bool) -> Outgoing {
        let Self { file, notifier, error, message, .. } = self;
        Outgoing {
            attempts: 1,
            taken_in: 1,
            is_reported: true,
            error: Some(error),
            backup: keeps_file.then(|| file.clone()),
            ..Outgoing::new(file, notifier, message)
        }
    }
}

/// How a file ends that no longer waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Done {
    Sent,
    Queued,
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
    /// Backups in this folder, which is made when there is something to keep.
    #[must_use]
    pub fn new(folder: PathBuf, secrets: Vec<Secret>, is_rehearsal: bool) -> Self {
        Self { folder, secrets, is_rehearsal }
    }

    /// Writes the message of an entry that could not be delivered and answers its file's name. It is on the disk when this
    /// returns.
    pub async fn keep(&self, entry: &Outgoing, error: &str) -> Result<String, SpoolError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| SpoolError::Write { path, source }
        };
        // Readable by its owner alone, as the files are: it tells what is wrong inside.
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder).await;
        made.map_err(failed(&self.folder))?;
        self.make_room().await?;
        let content = Content {
            notifier: entry.notifier,
            error: hide(&self.secrets, error.to_owned()),
            entry: Some(entry.id.clone()),
            message: self.without_secrets(&entry.message),
        };
        let text = written(content).map_err(failed(&self.folder))?;
        let temporary = self.folder.join(format!("{TEMPORARY}{}", Uuid::new_v4()));
        let kept = self.publish(&temporary, &text, &entry.message).await;
        let _ = fs::remove_file(&temporary).await;
        kept.map_err(failed(&self.folder))
    }

    async fn publish(&self, temporary: &Path, text: &str, message: &Message) -> io::Result<String> {
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(temporary).await?;
        file.write_all(text.as_bytes()).await?;
        file.sync_all().await?;
        // All files of a second have distinct numbers; there are never more than fit the two bounds.
        for number in 1..=MAX_WAITING + MAX_DONE + 1 {
            let stem = Name::of(message, number).stem();
            let mut is_taken = false;
            for done in Done::ALL {
                is_taken |= fs::try_exists(self.done(&stem, done)).await.unwrap_or(false);
            }
            if is_taken {
                continue;
            }
            // A link does not replace what another process has put there.
            match fs::hard_link(temporary, self.folder.join(format!("{stem}.json"))).await {
                Ok(()) => {
                    // The name is durable with the folder. Without that it is there all the same.
                    let folder = async { File::open(&self.folder).await?.sync_all().await };
                    if let Err(error) = folder.await {
                        tracing::warn!(%error, stem, "a backup may not survive a power cut");
                    }
                    return Ok(format!("{stem}.json"));
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other("every file name of this second is taken"))
    }

    /// A server's answer may stand in any text; names and ids stay what they are.
    fn without_secrets(&self, message: &Message) -> Message {
        let mut message = message.clone();
        let Message { title, root_cause, impact, actions, entries, .. } = &mut message;
        let own = [title, root_cause, impact].into_iter().chain(actions);
        let of_entries = entries.iter_mut().flat_map(|entry| {
            let lists = entry.news.iter_mut().chain(&mut entry.findings);
            let lists = lists.chain(&mut entry.recommendations);
            lists.chain(&mut entry.runbook_url).chain(&mut entry.deployment)
        });
        for text in own.chain(of_entries) {
            *text = hide(&self.secrets, std::mem::take(text));
        }
        message
    }

    /// All that waits: the worst first, then the oldest. A file that cannot be read as a message is set aside and said
    /// once; what an earlier process left half written is removed.
    pub async fn waiting(&self) -> Result<Vec<Backup>, SpoolError> {
        for file in self.files().await?.iter().filter(|file| file.starts_with(TEMPORARY)) {
            let _ = fs::remove_file(self.folder.join(file)).await;
        }
        let mut waiting = Vec::new();
        for name in self.names().await?.into_iter().take(MAX_WAITING) {
            let file = format!("{}.json", name.stem());
            match read(&self.folder.join(&file)).await {
                Ok(Content { message, .. })
                    if speed::is_marked(&message.title) != self.is_rehearsal =>
                {
                    // What a rehearsal leaves is of no use to anybody; what production could not send waits for production.
                    if !self.is_rehearsal
                        && let Err(error) = self.finish(&file, Done::Dropped).await
                    {
                        tracing::error!(%error, "the backup file of a rehearsal cannot be set aside");
                    }
                }
                Ok(Content { notifier, error, entry, message }) => {
                    waiting.push(Backup { file, notifier, error, entry, message });
                }
                Err(why) => {
                    tracing::error!(
                        file,
                        why,
                        "a backup file cannot be read as a message; it is set aside and not sent"
                    );
                    if let Err(error) = self.finish(&file, Done::Broken).await {
                        tracing::error!(%error, "a broken backup file cannot be set aside");
                    }
                }
            }
        }
        Ok(waiting)
    }

    /// It does not wait any more.
    pub async fn finish(&self, file: &str, done: Done) -> Result<(), SpoolError> {
        let from = self.folder.join(file);
        let stem = file.strip_suffix(".json").unwrap_or(file);
        let renamed = fs::rename(&from, self.done(stem, done)).await;
        renamed.map_err(|source| SpoolError::Rename { path: from, source })?;
        self.prune().await;
        Ok(())
    }

    fn done(&self, stem: &str, done: Done) -> PathBuf {
        self.folder.join(format!("{stem}.{}.json", done.suffix()))
    }

    /// At the bound the least severe, then oldest, is set aside for the new one.
    async fn make_room(&self) -> Result<(), SpoolError> {
        let names = self.names().await?;
        if names.len() < MAX_WAITING {
            return Ok(());
        }
        let least = names.iter().min_by_key(|name| (name.severity.0, &name.second, name.number));
        if let Some(name) = least {
            let file = format!("{}.json", name.stem());
            tracing::error!(
                file,
                waiting = names.len(),
                "too many backup files wait; the least severe and oldest is given up"
            );
            self.finish(&file, Done::Dropped).await?;
        }
        Ok(())
    }

    async fn names(&self) -> Result<BTreeSet<Name>, SpoolError> {
        Ok(self.files().await?.iter().filter_map(|file| Name::read(file)).collect())
    }

    async fn files(&self) -> Result<Vec<String>, SpoolError> {
        let failed = |source| SpoolError::Read { path: self.folder.clone(), source };
        let mut entries = match fs::read_dir(&self.folder).await {
            // Nothing was ever kept.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(failed)?,
        };
        let mut files = Vec::new();
        while let Some(entry) = entries.next_entry().await.map_err(failed)? {
            files.push(entry.file_name().to_string_lossy().into_owned());
        }
        Ok(files)
    }

    /// Removes what is done with, beyond the newest. What cannot be removed is tried again with the next one.
    async fn prune(&self) {
        let is_done = |file: &String| {
            file.starts_with("backup_")
                && Done::ALL.iter().any(|done| file.ends_with(&format!(".{}.json", done.suffix())))
        };
        let mut done: Vec<String> =
            self.files().await.unwrap_or_default().into_iter().filter(is_done).collect();
        // Their names begin with their time.
        done.sort_unstable();
        for file in done.iter().rev().skip(MAX_DONE) {
            let _ = fs::remove_file(self.folder.join(file)).await;
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

async fn read(path: &Path) -> Result<Content, String> {
    let file = File::open(path).await.map_err(|error| error.to_string())?;
    let mut text = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut text).await.map_err(|error| error.to_string())?;
    if text.len() as u64 > MAX_BYTES {
        return Err(format!("it is larger than {} MiB", MAX_BYTES >> 20));
    }
    serde_json::from_slice(&text).map_err(|error| error.to_string())
}
