//! Metrics by scraping Charter itself, for systems without Prometheus and for the demo.
//!
//! Each read scrapes once into a ring of its own and evaluates the rules on it as Prometheus would. A series that is
//! not in the present scrape is absent.

mod evaluate;
pub mod exposition;
mod ring;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use self::ring::{MAX_SERIES, Ring};
use super::http::{Budget, Peer};
use super::promql::is_plain;
use super::source::{MetricSource, all_failed};
use super::window::windows;
use super::{Error, Settings, label_change};
use crate::clock::Clock;
use crate::domain::Labels;
use crate::domain::reading::{
    CounterBaseline, FailureKind, Point, ReadFailure, RuleReading, SeriesHistory, Source,
    SourceReading,
};
use crate::domain::rule::{Measure, MetricRule, Rule};
use crate::domain::time::{Time, after};
use crate::http::HttpTransport;

/// A range of more points than the ring can hold is cut, as a bound of the loop over it.
const MAX_STEPS: usize = 11_000;

const ASKED: &str = "its metrics";

/// Dots and the like come as underscores.
const PLAIN: &str = "text/plain;version=0.0.4";

/// Names as they are, where the server knows how; asked for only by rules that have such names.
const UTF_8: &str = "text/plain;version=1.0.0;escaping=allow-utf-8, text/plain;version=0.0.4;q=0.5";

#[derive(Debug)]
pub struct Scrape {
    peer: Peer,
    scope: Labels,
    poll_interval: Duration,
    /// The metrics that some rule reads; nothing else is kept.
    wanted: BTreeSet<String>,
    /// What the server is asked for.
    format: &'static str,
    ring: Ring,
    clock: Clock,
}

impl Scrape {
    pub fn with_transport(
        wire: Arc<dyn HttpTransport>,
        settings: &Settings,
        clock: Clock,
    ) -> Result<Self, Error> {
        let url = settings.scrape_url.clone().ok_or(Error::NoScrapeUrl)?;
        let peer = Peer::new(Source::Scrape, url, "monitor.scrape_url", settings.access(), wire);
        let longest = settings.rules.iter().filter_map(|rule| rule.increase_over()).max();
        let metrics = || settings.rules.iter().filter_map(|rule| metric_of(rule));
        let format = if metrics().all(has_plain_names) { PLAIN } else { UTF_8 };
        Ok(Self {
            peer,
            scope: settings.scope.clone(),
            poll_interval: settings.poll_interval,
            wanted: metrics().map(|metric| metric.metric.clone()).collect(),
            format,
            ring: Ring::new(longest.unwrap_or_default(), settings.poll_interval),
            clock,
        })
    }

    /// Scrapes into the ring and returns the scrape's time.
    async fn scrape(&mut self, deadline: Instant) -> Result<Time, ReadFailure> {
        let at = self.clock.now();
        let request = self.peer.get_base().header("accept", self.format);
        let reply = self.peer.fetch(request, ASKED, &Budget::of_one_cycle(), deadline).await?;
        let body = String::from_utf8(reply.body).map_err(|_| {
            self.peer.failure(FailureKind::Nonsense, ASKED, "the exposition is not UTF-8")
        })?;
        if !reply.status.is_success() {
            return Err(self.peer.refused(reply.status, &body, ASKED));
        }
        let samples = exposition::parse(&body, |name| self.wanted.contains(name))
            .map_err(|error| self.peer.failure(FailureKind::Nonsense, ASKED, &error.to_string()))?;
        if !self.ring.record(at, samples) {
            let what = format!("the rules' metrics have more than {MAX_SERIES} series");
            return Err(self.peer.failure(FailureKind::TooLarge, ASKED, &what));
        }
        Ok(at)
    }

    fn points(
        &self,
        rule: &Rule,
        metric: &MetricRule,
        baselines: &[CounterBaseline],
        at: Time,
    ) -> Vec<Point> {
        let windows = metric
            .increase_over
            .map(|over| windows(rule, metric, over, baselines, at, self.poll_interval));
        evaluate::points(&self.ring, metric, &self.scope, windows.as_ref(), at)
    }

    /// Why nothing answered, if series of the metric are there with other labels.
    fn label_change(&self, metric: &MetricRule, at: Time) -> Option<String> {
        let here: Vec<&Labels> = self
            .ring
            .of_metric(&metric.metric)
            .filter(|(_, series)| self.ring.sample(series, at).is_some())
            .map(|(labels, _)| labels)
            .collect();
        label_change::described(&metric.labels, &here)
    }
}

fn has_plain_names(metric: &MetricRule) -> bool {
    let mut labels = metric.labels.keys().chain(&metric.by);
    is_plain(&metric.metric, true) && labels.all(|label| is_plain(label, false))
}

fn metric_of(rule: &Rule) -> Option<&MetricRule> {
    match &rule.measure {
        Measure::Metric(metric) => Some(metric),
        Measure::Query { .. } | Measure::Condition { .. } => None,
    }
}

#[async_trait]
impl MetricSource for Scrape {
    async fn read(
        &mut self,
        rules: &[Arc<Rule>],
        baselines: &[CounterBaseline],
        deadline: Instant,
    ) -> (Vec<RuleReading>, SourceReading) {
        let started = Instant::now();
        let scraped = self.scrape(deadline).await;
        let readings = match &scraped {
            Err(failure) => all_failed(rules, failure),
            Ok(at) => rules
                .iter()
                .map(|rule| {
                    let mut label_change = None;
                    let points = match metric_of(rule) {
                        Some(metric) => {
                            let points = self.points(rule, metric, baselines, *at);
                            if points.is_empty() {
                                label_change = self.label_change(metric, *at);
                            }
                            Ok(points)
                        }
                        None => Err(self.peer.failure(
                            FailureKind::Nonsense,
                            &rule.name,
                            "a rule of monitor.queries needs monitor.source prometheus",
                        )),
                    };
                    let rule = rule.clone();
                    RuleReading { rule, points, empty_is_clear: false, label_change }
                })
                .collect(),
        };
        let took = started.elapsed();
        // A target tells no time of its own: ages are by our clock alone.
        let result = scraped.map(|_| ());
        (readings, SourceReading { source: Source::Scrape, took, skew: None, result })
    }

    /// From the ring alone: what was not scraped by this process is not known.
    async fn history(
        &mut self,
        rules: &[Arc<Rule>],
        from: Time,
        to: Time,
        _deadline: Instant,
    ) -> Result<Vec<SeriesHistory>, ReadFailure> {
        let mut history = Vec::new();
        for rule in rules {
            let Some(metric) = metric_of(rule) else { continue };
            let mut series: BTreeMap<Labels, Vec<(Time, f64)>> = BTreeMap::new();
            let steps =
                std::iter::successors(Some(from), |at| Some(after(*at, self.poll_interval)));
            for at in steps.take(MAX_STEPS).take_while(|at| *at <= to) {
                for point in self.points(rule, metric, &[], at) {
                    series.entry(point.labels).or_default().push((at, point.value));
                }
            }
            history.extend(series.into_iter().map(|(labels, points)| SeriesHistory {
                rule: rule.name.clone(),
                labels,
                points,
            }));
        }
        Ok(history)
    }
}
