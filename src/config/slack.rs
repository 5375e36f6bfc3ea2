//! The `slack` section.

use url::Url;

use super::reader::{Accepted, Section};
use super::tree::Value;
use super::values::{base_url, boolean, text};
use crate::domain::secret::Secret;
use crate::notify::settings::{Channels, Slack};

const TOKEN: &str = "token";
const URL: &str = "webhook_url";
const URL_FILE: &str = "webhook_url_file";

/// Slack's names of channels have up to 80 characters; a # may stand before them.
const LONGEST_CHANNEL: usize = 81;

pub(super) fn read(mut section: Section<'_>) -> Slack {
    let mut settings = Slack::default();
    section.read("enabled", &mut settings.enabled, boolean);
    section.read("api_url", &mut settings.api_url, base_url);
    let mut accepted = section.secret(TOKEN, "token_file", &mut settings.token);
    accepted &= section.secret(URL, URL_FILE, &mut settings.webhook_url);
    accepted &= check_webhook(&section, settings.webhook_url.as_ref());
    let token = settings.token.as_ref().map(|_| "token");
    settings.http = section.http(Some(&settings.server()), token);
    channels(section.section("channels"), &mut settings.channels);
    section.read("test_mode", &mut settings.test_mode, boolean);
    // What was refused has been told already.
    if settings.enabled && accepted {
        check_access(&section, &settings);
    }
    settings
}

/// Anybody who has the address may post: no text repeats it.
fn check_webhook(section: &Section<'_>, url: Option<&Secret>) -> bool {
    let is_address = |url: &Secret| {
        let url = Url::parse(url.expose()).ok();
        url.is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
    };
    let fits = url.is_none_or(is_address);
    if !fits {
        section.error(
            given_as(section),
            "not an address; accepted: https://hooks.slack.com/services/… as Slack shows it",
        );
    }
    fits
}

fn given_as(section: &Section<'_>) -> &'static str {
    if section.is_given(URL_FILE) { URL_FILE } else { URL }
}

fn check_access(section: &Section<'_>, settings: &Slack) {
    match (&settings.token, &settings.webhook_url) {
        (None, None) => section.error(
            "enabled",
            "true without a token or a webhook; accepted: with token or token_file (SLACK_BOT_TOKEN), or with webhook_url \
             or webhook_url_file",
        ),
        (Some(_), Some(_)) => section.error(
            given_as(section),
            "given beside token; accepted: one of the two (SLACK_BOT_TOKEN is the token, too)",
        ),
        (None, Some(_)) if settings.test_mode => section.warn(
            "test_mode",
            "an incoming webhook posts to its own channel, in test mode too",
        ),
        (Some(_), None) if settings.test_mode => section.warn(
            "test_mode",
            format!("everything goes to {} only, SEV-1 too", settings.channels.test),
        ),
        (Some(_), None) | (None, Some(_)) => {}
    }
}

fn channels(mut section: Section<'_>, channels: &mut Channels) {
    section.read("critical", &mut channels.critical, channel);
    section.read("infrastructure", &mut channels.infrastructure, channel);
    section.read("test", &mut channels.test, channel);
}

fn channel(value: &Value) -> Result<String, Accepted> {
    let fits = |name: &String| {
        name != "#"
            && name.chars().count() <= LONGEST_CHANNEL
            && !name.contains(|c: char| c.is_whitespace() || c.is_control())
    };
    text(value).ok().filter(fits).ok_or_else(|| {
        "a channel in quotes, \"#alerts\" (a # without quotes begins a comment), or its id"
            .to_owned()
    })
}
