//! A log file of at most so many bytes, with at most so many older ones beside it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use file_rotate::compression::Compression;
use file_rotate::suffix::AppendCount;
use file_rotate::{ContentLimit, FileRotate};

/// Logs name what runs where and what is wrong with it: its owner's alone.
const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;

/// `mape-k.log`, and `mape-k.log.1` (the newest) to `mape-k.log.<backup_count>`.
pub(super) struct RotatingFile {
    path: PathBuf,
    file: FileRotate<AppendCount>,
    written: usize,
    max_bytes: usize,
    backup_count: usize,
}

impl RotatingFile {
    /// Continues the file that is there.
    pub(super) fn open(path: &Path, max_bytes: usize, backup_count: usize) -> io::Result<Self> {
        // The crate panics or goes silent where a file cannot be opened; so it is tried here first.
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder)?;
        }
        let there = options().open(path)?.metadata()?.len();
        Ok(Self {
            path: path.to_owned(),
            file: opened(path, backup_count),
            written: usize::try_from(there).unwrap_or(usize::MAX),
            max_bytes,
            backup_count,
        })
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(FILE_MODE);
    options
}

/// The crate would cut a line in two at its own limit; the limit is kept here, between lines.
fn opened(path: &Path, backup_count: usize) -> FileRotate<AppendCount> {
    FileRotate::new(
        path,
        AppendCount::new(backup_count),
        ContentLimit::None,
        Compression::None,
        Some(options()),
    )
}

impl Write for RotatingFile {
    /// Called with one whole line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.written > 0 && self.written.saturating_add(line.len()) > self.max_bytes {
            // Looks at the folder afresh: somebody may have moved or deleted files since.
            self.file = opened(&self.path, self.backup_count);
            if self.file.rotate().is_err() {
                // A folder that allows no renaming: rather a file that grows than no log; tried again a file later.
                self.file = opened(&self.path, self.backup_count);
            }
            self.written = 0;
        }
        let written = self.file.write(line)?;
        self.written = self.written.saturating_add(written);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
