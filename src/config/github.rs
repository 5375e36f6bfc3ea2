//! The `github` section.

use std::time::Duration;

use super::reader::{Accepted, Section};
use super::tree::Value;
use super::values::{base_url, boolean, positive_up_to, text};
use crate::monitor::github::settings::Settings;

/// What was deployed a week ago explains nothing today, and each commit is a call.
const LONGEST_WINDOW: Duration = Duration::from_secs(7 * 24 * 3600);

pub(super) fn read(mut section: Section<'_>) -> Settings {
    let mut settings = Settings::default();
    section.read("enabled", &mut settings.enabled, boolean);
    section.read("api_url", &mut settings.api_url, base_url);
    let accepted = section.secret("token", "token_file", &mut settings.token);
    let token = settings.token.as_ref().map(|_| "token");
    settings.http = section.http(Some(&settings.api_url), token);
    section.optional("owner", &mut settings.owner, owner);
    section.optional("repository", &mut settings.repository, repository);
    section.read("window", &mut settings.window, positive_up_to(LONGEST_WINDOW));
    if settings.enabled {
        let missing = [
            ("owner", "GITHUB_REPO_OWNER", settings.owner.is_none()),
            ("repository", "GITHUB_REPO_NAME", settings.repository.is_none()),
        ];
        for (key, variable, _) in missing.into_iter().filter(|(_, _, missing)| *missing) {
            section.error(key, format!("missing; enabled needs it ({variable})"));
        }
        if settings.token.is_none() && accepted {
            section.warn(
                "token",
                "missing: GitHub answers 60 requests an hour, and only about public repositories",
            );
        }
    }
    settings
}

/// Both stand in the paths of calls.
fn owner(value: &Value) -> Result<String, Accepted> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    text(value)
        .ok()
        .filter(|name| name.len() <= 39 && name.chars().all(fits))
        .ok_or_else(|| "the name of a user or an organization at GitHub".to_owned())
}

fn repository(value: &Value) -> Result<String, Accepted> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    text(value)
        .ok()
        .filter(|name| name.len() <= 100 && name.chars().all(fits))
        .filter(|name| !matches!(name.as_str(), "." | ".."))
        .ok_or_else(|| "the repository's name alone, without its owner".to_owned())
}
