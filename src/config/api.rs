//! The `api` section.

use std::num::NonZeroU32;

use url::Url;

use super::reader::{Accepted, Section};
use super::tree::Value;
use super::values::{count, host, path, positive, text};
use crate::server::Settings;
use crate::server::settings::TlsFiles;
use crate::server::tls::Tls;

/// `openssl rand -hex 16` gives twice as many; a shorter one can be guessed within the rate limit.
const SHORTEST_TOKEN: usize = 16;

pub(super) fn read(mut section: Section<'_>, loop_interval: std::time::Duration) -> Settings {
    let mut settings = reach(&mut section);
    check_tokens(&section, &settings);
    section.read("rate_limit", &mut settings.rate_limit, per_second);
    if let Some(items) = section.list("allowed_hosts") {
        settings.allowed_hosts = items.into_iter().filter_map(|item| item.parse(host)).collect();
    }
    if let Some(items) = section.list("cors_origins") {
        settings.cors_origins = items.into_iter().filter_map(|item| item.parse(origin)).collect();
    }
    settings.tls = tls(section.section("tls"));
    section.read("stall_after", &mut settings.stall_after, positive);
    if settings.stall_after <= loop_interval {
        section.warn(
            "stall_after",
            "not longer than orchestrator.loop_interval: /health may answer 503 between two cycles",
        );
    }
    settings
}

/// Keys that say where the daemon is: a command must not guess them.
pub(super) const FINDS_IT: [&str; 7] =
    ["", "api", "api.host", "api.port", "api.tls", "api.tls.cert", "api.tls.key"];

/// Keys that say what to show it: the command line and the environment may have it, too.
pub(super) const OPENS_IT: [&str; 4] =
    ["api.token", "api.token_file", "api.read_token", "api.read_token_file"];

/// Neither file of TLS is opened.
pub(super) fn read_client(mut section: Section<'_>) -> Settings {
    let mut settings = reach(&mut section);
    settings.tls = tls_files(&mut section.section("tls"));
    settings
}

fn reach(section: &mut Section<'_>) -> Settings {
    let mut settings = Settings::default();
    section.read("host", &mut settings.host, host);
    // Port 0 takes any free port.
    section.read("port", &mut settings.port, count(0..=u16::MAX));
    section.secret("token", "token_file", &mut settings.token);
    section.secret("read_token", "read_token_file", &mut settings.read_token);
    settings
}

fn per_second(value: &Value) -> Result<NonZeroU32, Accepted> {
    // A page of `mape-k status` is five requests at once, beside a dashboard; the most is more than one machine answers.
    let (least, most) = (20, 1_000_000);
    let number = count(least..=most)(value)?;
    NonZeroU32::new(number).ok_or_else(|| format!("a whole number from {least} to {most}"))
}

fn check_tokens(section: &Section<'_>, settings: &Settings) {
    if settings.token.is_some() && settings.token == settings.read_token {
        section.error(
            "read_token",
            "the same as token, so that everybody with read access could also operate",
        );
    }
    for (key, token) in [("token", &settings.token), ("read_token", &settings.read_token)] {
        if token.as_ref().is_some_and(|token| token.expose().len() < SHORTEST_TOKEN) {
            section.warn(
                key,
                format!("shorter than {SHORTEST_TOKEN} characters: `openssl rand -hex 16` makes one that nobody guesses"),
            );
        }
    }
}

/// What a browser sends as `Origin`: scheme, host and a port that is not the scheme's own.
fn origin(value: &Value) -> Result<String, Accepted> {
    let text = text(value).unwrap_or_default();
    let url = Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.filter(|url| url.origin().ascii_serialization() == text).map(|_| text).ok_or_else(|| {
        "an origin such as https://dashboard.example or http://localhost:3000; a * is not accepted"
            .to_owned()
    })
}

/// Read here too, so that `check-config` finds what the start would refuse.
fn tls(mut section: Section<'_>) -> Option<TlsFiles> {
    let files = tls_files(&mut section)?;
    match Tls::load(&files) {
        Ok(tls) => {
            if let Some(expiry) = tls.expires_soon() {
                section.warn("cert", format!("{expiry}: renew it"));
            }
        }
        Err(error) => section.error(error.key(), error.to_string()),
    }
    Some(files)
}

fn tls_files(section: &mut Section<'_>) -> Option<TlsFiles> {
    let (mut cert, mut key) = (None, None);
    section.optional("cert", &mut cert, path);
    section.optional("key", &mut key, path);
    match (cert, key) {
        (Some(cert), Some(key)) => Some(TlsFiles { cert, key }),
        (None, None) => None,
        (Some(_), None) => {
            section.error("key", "missing beside cert; accepted: both or none");
            None
        }
        (None, Some(_)) => {
            section.error("cert", "missing beside key; accepted: both or none");
            None
        }
    }
}
