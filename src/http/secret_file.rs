//! Reading a file that holds one secret: a regular file, of bounded size, and whether others may read or change it.

use std::fmt;
use std::fs::OpenOptions;
use std::io::Read as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Component, Path};

use rustix::fs::OFlags;

/// Tokens are far shorter; this bounds what a wrong path can make us read.
const MAX_BYTES: u64 = 64 * 1024;

/// Container engines and Kubernetes mount secrets here, readable by everybody inside the container and by nobody outside.
const MOUNTED: [&str; 2] = ["/run/secrets", "/var/run/secrets"];

#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    #[error("cannot read the secret from {path}: {cause}")]
    Unread { path: String, cause: std::io::Error },
    #[error("{path} is a {kind}; accepted: a regular file that holds the secret")]
    NotAFile { path: String, kind: &'static str },
}

/// Who else may do what with the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loose {
    /// Its group or everybody may change it.
    Writable(u32),
    /// Everybody on this machine may read it.
    Readable(u32),
}

impl fmt::Display for Loose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Writable(mode) => write!(
                f,
                "its mode is {mode:04o}: others than its owner may replace the secret; `chmod 600` it"
            ),
            Self::Readable(mode) => write!(
                f,
                "its mode is {mode:04o}: everybody on this machine may read the secret; `chmod 600` it"
            ),
        }
    }
}

/// The text of the file without the white space around it. A FIFO, socket, device or folder is refused before it is opened,
/// since opening one may never return. Symbolic links are followed: Kubernetes mounts are made of them.
pub fn read_secret_file(path: &Path) -> Result<(String, Option<Loose>), SecretFileError> {
    let shown = || path.display().to_string();
    let unread = |cause| SecretFileError::Unread { path: shown(), cause };
    let not_a_file = |of| SecretFileError::NotAFile { path: shown(), kind: kind(of) };
    // What is checked is what was opened, whatever takes the path's place in between. Without NONBLOCK the opening of a named
    // pipe would wait for a writer; reading a regular file is not changed by it.
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path);
    let file = opened.map_err(|cause| match std::fs::metadata(path) {
        // A socket cannot be opened at all.
        Ok(metadata) if !metadata.is_file() => not_a_file(metadata.file_type()),
        Ok(_) | Err(_) => unread(cause),
    })?;
    let metadata = file.metadata().map_err(unread)?;
    if !metadata.is_file() {
        return Err(not_a_file(metadata.file_type()));
    }
    let mut text = String::new();
    file.take(MAX_BYTES).read_to_string(&mut text).map_err(unread)?;
    Ok((text.trim().to_owned(), loose(path, metadata.permissions().mode() & 0o7777)))
}

fn kind(of: std::fs::FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt as _;
    if of.is_dir() {
        "folder"
    } else if of.is_fifo() {
        "named pipe (FIFO)"
    } else if of.is_socket() {
        "socket"
    } else {
        "device"
    }
}

fn loose(path: &Path, mode: u32) -> Option<Loose> {
    if mode & 0o022 != 0 {
        Some(Loose::Writable(mode))
    } else if mode & 0o004 != 0 && !is_mounted(path) {
        Some(Loose::Readable(mode))
    } else {
        None
    }
}

/// Kubernetes writes the files of a volume with mode 0644 by default, into a folder whose name begins with two dots.
fn is_mounted(path: &Path) -> bool {
    let Ok(real) = path.canonicalize() else { return false };
    let in_volume = real.components().any(|part| match part {
        Component::Normal(name) => name.as_encoded_bytes().starts_with(b".."),
        _ => false,
    });
    in_volume || MOUNTED.iter().any(|folder| path.starts_with(folder) || real.starts_with(folder))
}
