//! Which deployment may be behind an incident: commits that touch its service, by the time between them and the onset.
//!
//! A commit is evidence, no proof: it raises a severity by one, never above SEV-2, and not that of a P3.

use std::time::Duration;

use super::words::{lasting, listed};
use crate::domain::catalogue::{Service, Tier};
use crate::domain::decision::Sev;
use crate::domain::deployment::{Commit, Correlation, Suspect};
use crate::domain::time::{Time, since};

const MINUTE: u64 = 60;
/// Time for a commit to be rolled out, and for what it breaks to show.
const SOONEST: Duration = Duration::from_secs(5 * MINUTE);
const STRONG: Duration = Duration::from_secs(30 * MINUTE);
const MEDIUM: Duration = Duration::from_secs(2 * 60 * MINUTE);
const WINDOW: Duration = Duration::from_secs(24 * 60 * MINUTE);

/// The commit that most likely is behind it: the strongest, and of those the last before the onset.
#[must_use]
pub fn best_suspect(service: &Service, onset: Time, commits: &[Commit]) -> Option<Suspect> {
    let suspects = commits.iter().filter(|commit| touches(commit, &service.gitops_paths));
    suspects
        .filter_map(|commit| Some((correlation(commit.at, onset)?, commit)))
        .max_by_key(|(correlation, commit)| (*correlation, commit.at))
        .map(|(correlation, commit)| Suspect { correlation, commit: commit.clone() })
}

/// High: 5 to 30 minutes before the onset. Medium: within 5 minutes, which few rollouts make, or 2 hours. Low: within 24
/// hours. `None`: after the onset, or longer ago.
#[must_use]
pub fn correlation(committed: Time, onset: Time) -> Option<Correlation> {
    if committed > onset {
        return None;
    }
    let before = since(onset, committed);
    match before {
        before if before > WINDOW => None,
        before if (SOONEST..=STRONG).contains(&before) => Some(Correlation::High),
        before if before <= MEDIUM => Some(Correlation::Medium),
        _ => Some(Correlation::Low),
    }
}

/// The severity with this suspicion.
#[must_use]
pub fn raised(severity: Sev, tier: Tier, suspect: Option<&Suspect>) -> Sev {
    let is_strong = suspect.is_some_and(|suspect| suspect.correlation == Correlation::High);
    if is_strong && tier > Tier::P3 && severity < Sev::Sev2 { severity.raised() } else { severity }
}

/// With SHA, author, pull request and files.
#[must_use]
pub fn in_words(suspect: &Suspect, onset: Time) -> String {
    let Commit { sha, author, title, at, pull_request, files, has_more_files, url } =
        &suspect.commit;
    let short = sha.get(..10).unwrap_or(sha);
    let strength = match suspect.correlation {
        Correlation::High => "likely",
        Correlation::Medium => "possible",
        Correlation::Low => "unlikely",
    };
    let brought = match pull_request {
        Some((number, name)) => format!(", pull request #{number} ({name})"),
        None => String::new(),
    };
    let before = lasting(since(onset, *at));
    let files = match (files.as_slice(), has_more_files) {
        ([], _) => "not known".to_owned(),
        (files, true) => format!("at least {}", listed(files.iter().map(String::as_str), 5)),
        (files, false) => listed(files.iter().map(String::as_str), 5),
    };
    format!(
        "{strength}: {short} by {author}, {before} before the onset: {title}{brought}; files: {files}; {url}"
    )
}

/// A path of the repository is a file, or a folder with all that is in it. GitHub was asked for the commits of these
/// paths: where not all files are known, that is what is known.
fn touches(commit: &Commit, paths: &[String]) -> bool {
    let plain = |path: &str| path.trim_start_matches("./").trim_matches('/').to_owned();
    // An empty path is none: it must not become "everything".
    paths.iter().map(|path| plain(path)).filter(|path| !path.is_empty()).any(|path| {
        let is_listed = commit.files.iter().any(|file| {
            let file = plain(file);
            path == "."
                || file
                    .strip_prefix(&path)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        is_listed || commit.files.is_empty() || commit.has_more_files
    })
}
