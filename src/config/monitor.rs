//! The `monitor` section.

use std::time::Duration;

use super::reader::{Item, Section};
use super::rules;
use super::values::{base_url, is_name, number, one_of, positive, text, url};
use crate::domain::Labels;
use crate::monitor::settings::{MetricsSource, Settings};

/// `charter`: it is driven, so that the shipped rules about it apply.
pub(super) fn read(mut section: Section<'_>, loop_interval: Duration, charter: bool) -> Settings {
    let mut settings = Settings::default();
    section.read(
        "source",
        &mut settings.source,
        one_of(&[("prometheus", MetricsSource::Prometheus), ("scrape", MetricsSource::Scrape)]),
    );
    section.optional("prometheus_url", &mut settings.prometheus_url, base_url);
    section.optional("scrape_url", &mut settings.scrape_url, url);
    match (settings.source, settings.server()) {
        (MetricsSource::Scrape, None) => {
            section.error("scrape_url", "needed with source scrape: http://charter:8000/metrics");
        }
        (MetricsSource::Prometheus, None) if settings.scrape_url.is_some() => section.error(
            "prometheus_url",
            "null while scrape_url is set and source is prometheus; accepted: a URL, or source: scrape",
        ),
        (MetricsSource::Scrape | MetricsSource::Prometheus, _) => {}
    }
    section.read("poll_interval", &mut settings.poll_interval, positive);
    section.read("query_timeout", &mut settings.query_timeout, positive);
    if settings.query_timeout >= loop_interval {
        section.warn(
            "query_timeout",
            "not shorter than orchestrator.loop_interval: a slow answer delays the next cycle",
        );
    }
    section.secret("bearer_token", "bearer_token_file", &mut settings.bearer_token);
    let server = settings.server().cloned();
    let token = settings.bearer_token.as_ref().map(|_| "bearer_token");
    settings.http = section.http(server.as_ref(), token);
    if let Some(scope) = section.map("scope") {
        settings.scope = labels(scope);
    }
    section.read("min_coverage", &mut settings.min_coverage, number(0.0..=1.0));
    settings.rules = rules::read(&mut section, &settings, charter);
    settings
}

pub(super) fn labels(entries: Vec<(&str, Item<'_>)>) -> Labels {
    let mut labels = Labels::new();
    for (name, item) in entries {
        if !is_name(name) {
            item.error(
                "not a label name: it holds a quote, a bracket or another sign of an expression",
            );
        }
        if let Some(value) = item.parse(text) {
            labels.insert(name.to_owned(), value);
        }
    }
    labels
}
