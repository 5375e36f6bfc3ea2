//! The `alertmanager` section.

use std::sync::Arc;

use super::analyze::no_such_rule;
use super::reader::{Accepted, Item, Section};
use super::target;
use super::tree::Value;
use super::values::{
    base_url, boolean, cause, count, duration_or_zero, host, label_name, severity, text,
};
use crate::domain::rule::Rule;
use crate::monitor::settings::{AlertmanagerSettings, Handler};
use crate::server;

/// What the API serves by itself when both share a listener.
const OWN_PATHS: [&str; 4] = ["/health", "/ready", "/metrics", "/api"];

pub(super) fn read(
    mut section: Section<'_>,
    rules: &[Arc<Rule>],
    api: &server::Settings,
    auto_approve: bool,
) -> AlertmanagerSettings {
    let mut settings = AlertmanagerSettings::default();
    section.read("enabled", &mut settings.enabled, boolean);
    section.read("url", &mut settings.url, base_url);
    settings.http = section.http(Some(&settings.url), None);
    section.read("webhook_host", &mut settings.webhook_host, host);
    // Port 0 takes any free port.
    section.read("webhook_port", &mut settings.webhook_port, count(0..=u16::MAX));
    if settings.webhook_port == api.port && !section.is_given("webhook_host") {
        // They share a listener, which has one address.
        settings.webhook_host.clone_from(&api.host);
    }
    section.read("webhook_path", &mut settings.webhook_path, webhook_path);
    section.secret("webhook_token", "webhook_token_file", &mut settings.webhook_token);
    section.optional("receiver", &mut settings.receiver, text);
    section.read("wake_gap", &mut settings.wake_gap, duration_or_zero);
    // The largest accepted body bounds the memory of every request in flight.
    section.read("max_body_bytes", &mut settings.max_body_bytes, count(1024..=64 * 1024 * 1024));
    for (word, item) in section.map("severities").unwrap_or_default() {
        if let Some(severity) = item.parse(severity)
            && !settings.severities.set(word, severity)
        {
            item.error(format!(
                "{word:?} is no word of its own: it is empty, or another key has it in another spelling (upper and lower case, -, _, . and spaces make no difference)"
            ));
        }
    }
    if let Some(items) = section.list("handlers") {
        settings.handlers = items.into_iter().filter_map(|item| handler(item, rules)).collect();
    }
    if let Some(items) = section.list("ignore") {
        settings.ignore = items.into_iter().filter_map(|item| item.parse(text)).collect();
    }
    check_shared_listener(&section, &settings, api);
    check_exposed(&section, &settings, auto_approve);
    settings
}

/// Anybody who reaches the webhook can start a cycle at once, and learn receivers: where actions need no approval,
/// only this machine, or a caller with the token, may.
fn check_exposed(section: &Section<'_>, settings: &AlertmanagerSettings, auto_approve: bool) {
    let host = &settings.webhook_host;
    let is_open =
        settings.enabled && !settings.is_on_loopback() && settings.webhook_token.is_none();
    if auto_approve && is_open {
        section.error(
            "webhook_token",
            format!(
                "none, while orchestrator.auto_approve is on and webhooks are taken on {host}, from anybody who reaches port \
                 {}: set alertmanager.webhook_token (or webhook_token_file; Alertmanager sends it by http_config.authorization \
                 of its webhook_configs), or alertmanager.webhook_host: 127.0.0.1",
                settings.webhook_port
            ),
        );
    }
}

/// One port is one listener: it has one host, and the webhook may not hide what the API serves.
fn check_shared_listener(
    section: &Section<'_>,
    settings: &AlertmanagerSettings,
    api: &server::Settings,
) {
    if !settings.enabled || settings.webhook_port != api.port || api.port == 0 {
        return;
    }
    if settings.webhook_host != api.host {
        section.error(
            "webhook_host",
            format!(
                "{} and api.host {} differ while webhook_port equals api.port; accepted: the same host",
                settings.webhook_host, api.host
            ),
        );
    }
    let path = &settings.webhook_path;
    let taken = |own: &str| path == own || path.starts_with(&format!("{own}/"));
    if let Some(own) = OWN_PATHS.into_iter().find(|own| taken(own)) {
        section.error(
            "webhook_path",
            format!(
                "{own} is the API's own while webhook_port equals api.port; accepted: another path"
            ),
        );
    }
}

fn webhook_path(value: &Value) -> Result<String, Accepted> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "/_-.~".contains(c);
    text(value)
        .ok()
        .filter(|path| path.starts_with('/') && path.len() > 1 && path.chars().all(fits))
        .ok_or_else(|| "a path such as /webhooks/alerts".to_owned())
}

fn handler(item: Item<'_>, rules: &[Arc<Rule>]) -> Option<Handler> {
    let mut section = item.into_section()?;
    let pattern = section.required("pattern", text);
    let (mut names_cause, mut rule, mut component, mut label, mut level) =
        (None, None, None, None, None);
    section.optional("cause", &mut names_cause, cause);
    section.optional("rule", &mut rule, text);
    if let Some(text) = rule.as_ref().and_then(|name| no_such_rule(name, rules)) {
        section.error("rule", text);
    }
    section.optional("component", &mut component, text);
    section.optional("component_label", &mut label, label_name);
    section.optional("severity", &mut level, severity);
    let target = target::read(&mut section);
    let mut ignore = false;
    section.read("ignore", &mut ignore, boolean);
    Some(Handler {
        pattern: pattern?,
        cause: names_cause,
        rule,
        component,
        component_label: label.unwrap_or_else(|| "component".to_owned()),
        target,
        severity: level,
        ignore,
    })
}
