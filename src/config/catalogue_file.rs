//! The catalogue's file over time: read at the start, looked at again by every cycle, never worse than it last was.
//!
//! A cycle asks; there is no watcher and no task. What is compared is the text itself, not its time: an editor that writes
//! in place, a rename and the link that Kubernetes swaps for a `ConfigMap` all end in another text. The file has at most a
//! megabyte, so that one look costs less than a query. What is accepted in it: `services`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::problem::{Errors, Origin, Problem, Subject, Warning};
use super::services;
use crate::domain::catalogue::{Catalogue, Tier};
use crate::incidents::settings::Settings;

/// The catalogue that stands, and the file that it came from.
#[derive(Debug)]
pub struct CatalogueFile {
    path: PathBuf,
    default_tier: Option<Tier>,
    catalogue: Arc<Catalogue>,
    /// What the last look found, whether it was accepted or not.
    seen: Seen,
    refusal: Option<Errors>,
}

/// The hash of the text, or why there is none.
type Seen = Result<[u8; 32], String>;

/// What a look at the file came to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Refreshed {
    /// As at the last look, also when that was refused.
    Unchanged,
    Reloaded,
    /// It has changed and cannot be taken; the catalogue read before stands. Said once for each change.
    Refused(Errors),
}

impl CatalogueFile {
    /// The first reading. The file under the default path may be missing: then there are no services, and it may come later.
    pub fn open(settings: &Settings) -> Result<(Self, Vec<Warning>), Errors> {
        let Settings { services_file: path, default_tier, .. } = settings;
        let text = read(path);
        let seen = seen(&text);
        let is_default = *path == Settings::default().services_file;
        let (catalogue, warnings) = match text {
            Err(error) if error.kind() == io::ErrorKind::NotFound && is_default => {
                let catalogue = Catalogue { default_tier: *default_tier, ..Catalogue::default() };
                (catalogue, vec![no_file(path, *default_tier)])
            }
            text => (parse(path, text, *default_tier)?, Vec::new()),
        };
        let file = Self {
            path: path.clone(),
            default_tier: *default_tier,
            catalogue: Arc::new(catalogue),
            seen,
            refusal: None,
        };
        Ok((file, warnings))
    }

    /// The last one that was accepted.
    #[must_use]
    pub fn catalogue(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }

    /// Looks at the file again, and takes it if it has changed and nothing is wrong with it.
    pub fn refresh(&mut self) -> Refreshed {
        let text = read(&self.path);
        let seen = seen(&text);
        if seen == self.seen {
            return Refreshed::Unchanged;
        }
        self.seen = seen;
        match parse(&self.path, text, self.default_tier) {
            Ok(catalogue) => {
                self.catalogue = Arc::new(catalogue);
                self.refusal = None;
                Refreshed::Reloaded
            }
            Err(errors) => {
                self.refusal = Some(errors.clone());
                Refreshed::Refused(errors)
            }
        }
    }

    /// Why the file as it is now was not taken, as long as that is so.
    #[must_use]
    pub fn refusal(&self) -> Option<&Errors> {
        self.refusal.as_ref()
    }

    /// [`Self::refusal`] in one line, with the first error, as health shows it.
    #[must_use]
    pub fn complaint(&self) -> Option<String> {
        let problems = &self.refusal()?.problems;
        let file = self.path.display();
        let more = match problems.len() {
            0 | 1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        let first = problems.first().map(ToString::to_string).unwrap_or_default();
        Some(format!(
            "the last change of {file} was refused, and the catalogue read before it stays in effect: {first}{more}"
        ))
    }
}

fn no_file(path: &Path, default_tier: Option<Tier>) -> Warning {
    Problem {
        path: "escalation.services_file".to_owned(),
        origin: Origin::Default,
        text: match default_tier {
            Some(tier) => {
                format!("there is no {}; every service counts as {}", path.display(), tier.as_str())
            }
            None => format!(
                "there is no {}: a workload that is down for 10 minutes is SEV-3, and people are notified of nothing else of \
                 the cluster (escalation.default_tier)",
                path.display()
            ),
        },
    }
}

fn read(path: &Path) -> io::Result<String> {
    // A pipe would hold the loop up until somebody writes to it.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a file"));
    }
    super::read_file(path)
}

fn seen(text: &io::Result<String>) -> Seen {
    text.as_ref().map(|text| Sha256::digest(text).into()).map_err(ToString::to_string)
}

fn parse(
    path: &Path,
    text: io::Result<String>,
    default_tier: Option<Tier>,
) -> Result<Catalogue, Errors> {
    let subject = Subject::Catalogue;
    let refused = |problems| Errors { subject, file: Some(path.to_owned()), problems };
    match text {
        Ok(text) => services::parse(&text, default_tier).map_err(refused),
        Err(error) => Err(refused(vec![Problem {
            path: String::new(),
            origin: Origin::Default,
            text: format!("cannot be read: {error}"),
        }])),
    }
}
