//! Metrics by Prometheus' query API: every rule's values with the age of their samples by the server's own clock.
//!
//! The server's `time()` is asked in the same batch: ages are differences on one clock, and the difference between the
//! two clocks is the skew. What is broken or missing is concluded elsewhere.

mod client;
mod interval;
pub mod wire;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::{join, join_all, try_join, try_join_all};
use tokio::time::Instant;
use url::Url;

use self::client::{Batch, Method};
pub use self::interval::Sampled;
use self::wire::Answer;
use super::http::{self, Peer};
use super::source::{MetricSource, all_failed};
use super::window::windows;
use super::{Error, Settings, label_change, promql};
use crate::clock::Clock;
use crate::domain::Labels;
use crate::domain::reading::{
    CounterBaseline, FailureKind, Point, ReadFailure, RuleReading, SeriesHistory, Source,
    SourceReading,
};
use crate::domain::rule::{Measure, MetricRule, Rule};
use crate::domain::time::{Time, since};
use crate::http::{HttpTransport, network};

#[derive(Debug)]
pub struct Prometheus {
    peer: Peer,
    method: Method,
    scope: Labels,
    poll_interval: Duration,
    max_skew: Duration,
    clock: Clock,
}

/// One series as answered; its sample's time in seconds by the server's clock where that is known.
type Row = (Labels, f64, Option<f64>);

/// A rule's answer before the server's clock is known.
struct Raw {
    rows: Vec<Row>,
    empty_is_clear: bool,
    /// Nothing answered, and the metric has series with other labels.
    label_change: Option<String>,
}

/// The two clocks at one moment.
struct Moment {
    ours: Time,
    theirs: f64,
    skew: f64,
}

impl Prometheus {
    pub fn new(url: &Url, settings: &Settings, clock: Clock) -> Result<Self, Error> {
        let wire = network(url, settings.http.as_deref())?;
        Ok(Self::with_transport(wire, url, settings, clock))
    }

    #[must_use]
    pub fn with_transport(
        wire: Arc<dyn HttpTransport>,
        url: &Url,
        settings: &Settings,
        clock: Clock,
    ) -> Self {
        let peer = Peer::new(
            Source::Prometheus,
            url.clone(),
            "monitor.prometheus_url",
            settings.access(),
            wire,
        );
        Self {
            peer,
            method: Method::default(),
            scope: settings.scope.clone(),
            poll_interval: settings.poll_interval,
            max_skew: settings.max_skew,
            clock,
        }
    }

    async fn moment(&self, batch: &Batch<'_>) -> Result<Moment, ReadFailure> {
        let asked_at = self.clock.now();
        let answer = batch.instant("its clock", "time()").await?;
        let took = since(self.clock.now(), asked_at);
        let theirs = match answer {
            Answer::Scalar(Some(seconds)) => Some(seconds),
            // VictoriaMetrics has no scalars: a series without labels stands for one.
            Answer::Vector(rows) => rows.first().map(|(_, seconds)| *seconds),
            Answer::Scalar(None) | Answer::Matrix(_) => None,
        };
        let Some(theirs) = theirs else {
            return Err(self.nonsense("its clock by time()", "the answer is no time"));
        };
        let ours = crate::domain::time::after(asked_at, took / 2);
        Ok(Moment { ours, theirs, skew: theirs - ours.timestamp_micros() as f64 / 1e6 })
    }

    /// The two clocks are near enough for ages to mean something.
    fn is_near(&self, moment: Moment) -> Result<Moment, ReadFailure> {
        let skew = moment.skew;
        if skew.abs() > self.max_skew.as_secs_f64() {
            let what = format!(
                "its clock is {:.1} s {} ours, more than {:.0} s",
                skew.abs(),
                if skew > 0.0 { "ahead of" } else { "behind" },
                self.max_skew.as_secs_f64()
            );
            return Err(self.peer.failure(FailureKind::Skew, "its clock by time()", &what));
        }
        Ok(moment)
    }

    fn nonsense(&self, asked: &str, what: &str) -> ReadFailure {
        self.peer.failure(FailureKind::Nonsense, asked, what)
    }

    async fn ask(
        &self,
        batch: &Batch<'_>,
        rule: &Rule,
        baselines: &[CounterBaseline],
    ) -> Result<Raw, ReadFailure> {
        match &rule.measure {
            Measure::Metric(metric) => self.ask_metric(batch, rule, metric, baselines).await,
            Measure::Query { promql, .. } => {
                // timestamp() of an expression is only the moment of its evaluation, so its rows are as old as the
                // batch; freshness of what lies behind it is the query's own affair.
                let rows = match batch.instant(&rule.name, promql).await? {
                    Answer::Vector(rows) => rows,
                    Answer::Scalar(value) => {
                        value.map(|value| (Labels::new(), value)).into_iter().collect()
                    }
                    Answer::Matrix(_) => return Err(self.not_a_vector(rule, promql)),
                };
                let rows = rows.into_iter().map(|(labels, value)| (labels, value, None)).collect();
                Ok(Raw { rows, empty_is_clear: false, label_change: None })
            }
            Measure::Condition { promql, present } => {
                self.ask_condition(batch, rule, promql, present.as_deref()).await
            }
        }
    }

    async fn ask_metric(
        &self,
        batch: &Batch<'_>,
        rule: &Rule,
        metric: &MetricRule,
        baselines: &[CounterBaseline],
    ) -> Result<Raw, ReadFailure> {
        let windows = metric.increase_over.map(|over| {
            windows(rule, metric, over, baselines, self.clock.now(), self.poll_interval)
        });
        let queries = promql::queries(metric, &self.scope, windows.as_ref());
        let values = queries.values.iter().map(|query| self.vector(batch, rule, query));
        let (values, stamps) =
            try_join(try_join_all(values), self.vector(batch, rule, &queries.timestamps)).await?;
        let stamps: HashMap<Labels, f64> = stamps.into_iter().collect();
        // increase() still answers for a series that is gone; without a present sample it is absent.
        let rows: Vec<Row> = values
            .into_iter()
            .flatten()
            .filter_map(|(labels, value)| {
                let stamp = stamps.get(&labels).copied()?;
                Some((labels, value, Some(stamp)))
            })
            .collect();
        let label_change =
            if stamps.is_empty() { self.label_change(batch, rule, metric).await } else { None };
        Ok(Raw { rows, empty_is_clear: false, label_change })
    }

    /// Why nothing answered, if the metric has series that the rule does not take. Only a hint, so its failure is none.
    async fn label_change(
        &self,
        batch: &Batch<'_>,
        rule: &Rule,
        metric: &MetricRule,
    ) -> Option<String> {
        let (wanted, query) = promql::chosen_by(metric, &self.scope)?;
        let rows = self.vector(batch, rule, &query).await.ok()?;
        let found: Vec<&Labels> = rows.iter().map(|(labels, _)| labels).collect();
        label_change::described(&wanted, &found)
    }

    async fn ask_condition(
        &self,
        batch: &Batch<'_>,
        rule: &Rule,
        promql: &str,
        present: Option<&str>,
    ) -> Result<Raw, ReadFailure> {
        let proof = async {
            match present {
                Some(query) => match batch.instant(&rule.name, query).await? {
                    Answer::Vector(rows) => Ok(!rows.is_empty()),
                    Answer::Scalar(value) => Ok(value.is_some()),
                    Answer::Matrix(_) => Err(self.not_a_vector(rule, query)),
                },
                None => Ok(false),
            }
        };
        let (rows, proof) = join(self.vector(batch, rule, promql), proof).await;
        let rows: Vec<Row> = rows?.into_iter().map(|(labels, _)| (labels, 1.0, None)).collect();
        // What holds, holds; only an empty answer needs the proof.
        let empty_is_clear = match proof {
            Err(failure) if rows.is_empty() => return Err(failure),
            proof => proof.unwrap_or(false),
        };
        Ok(Raw { rows, empty_is_clear, label_change: None })
    }

    async fn vector(
        &self,
        batch: &Batch<'_>,
        rule: &Rule,
        query: &str,
    ) -> Result<Vec<(Labels, f64)>, ReadFailure> {
        match batch.instant(&rule.name, query).await? {
            Answer::Vector(rows) => Ok(rows),
            Answer::Scalar(_) | Answer::Matrix(_) => Err(self.not_a_vector(rule, query)),
        }
    }

    fn not_a_vector(&self, rule: &Rule, query: &str) -> ReadFailure {
        let asked = format!("{} by {query}", rule.name);
        self.nonsense(&asked, "the answer is not one number for each series")
    }
}

#[async_trait]
impl MetricSource for Prometheus {
    async fn read(
        &mut self,
        rules: &[Arc<Rule>],
        baselines: &[CounterBaseline],
        deadline: Instant,
    ) -> (Vec<RuleReading>, SourceReading) {
        let started = Instant::now();
        let batch = Batch::new(&self.peer, &self.method, deadline);
        let asked = join_all(rules.iter().map(|rule| self.ask(&batch, rule, baselines)));
        let (moment, answers) = join(self.moment(&batch), asked).await;
        let skew = moment.as_ref().ok().map(|moment| moment.skew);
        let (readings, result) = match moment.and_then(|moment| self.is_near(moment)) {
            Err(failure) => (all_failed(rules, &failure), Err(failure)),
            Ok(moment) => {
                let readings: Vec<RuleReading> = rules
                    .iter()
                    .zip(answers)
                    .map(|(rule, answer)| reading(rule, answer, &moment))
                    .collect();
                let result = whole(&readings);
                (readings, result)
            }
        };
        let took = started.elapsed();
        (readings, SourceReading { source: Source::Prometheus, took, skew, result })
    }

    async fn history(
        &mut self,
        rules: &[Arc<Rule>],
        from: Time,
        to: Time,
        deadline: Instant,
    ) -> Result<Vec<SeriesHistory>, ReadFailure> {
        let this = &*self;
        let batch = &Batch::new(&this.peer, &this.method, deadline);
        let answers = rules.iter().filter_map(|rule| {
            let query = match &rule.measure {
                Measure::Metric(metric) => {
                    let windows = metric
                        .increase_over
                        .map(|over| windows(rule, metric, over, &[], to, this.poll_interval));
                    promql::queries(metric, &this.scope, windows.as_ref()).values.remove(0)
                }
                Measure::Query { promql, .. } => promql.clone(),
                Measure::Condition { .. } => return None,
            };
            Some(async move {
                match batch.range(&rule.name, &query, (from, to), this.poll_interval).await? {
                    Answer::Matrix(rows) => Ok(rows
                        .into_iter()
                        .map(|(labels, points)| past(&rule.name, labels, points))
                        .collect::<Vec<_>>()),
                    Answer::Vector(_) | Answer::Scalar(_) => {
                        Err(this.nonsense(&query, "the answer to a range query is no matrix"))
                    }
                }
            })
        });
        Ok(try_join_all(answers).await?.into_iter().flatten().collect())
    }
}

/// A source of which no rule could be read was not read, whatever its clock said.
fn whole(readings: &[RuleReading]) -> Result<(), ReadFailure> {
    let mut failures = readings.iter().map(|reading| reading.points.as_ref().err());
    match failures.next() {
        Some(Some(first)) if failures.all(|failure| failure.is_some()) => Err(first.clone()),
        _ => Ok(()),
    }
}

fn reading(rule: &Arc<Rule>, answer: Result<Raw, ReadFailure>, moment: &Moment) -> RuleReading {
    let empty_is_clear = answer.as_ref().is_ok_and(|raw| raw.empty_is_clear);
    let label_change = answer.as_ref().ok().and_then(|raw| raw.label_change.clone());
    let points = answer.map(|raw| {
        raw.rows
            .into_iter()
            .filter_map(|(labels, value, stamp)| {
                let sampled_at = match stamp {
                    Some(stamp) => shifted(moment.ours, stamp - moment.theirs)?,
                    None => moment.ours,
                };
                Some(Point { labels, value, sampled_at })
            })
            .collect()
    });
    RuleReading { rule: rule.clone(), points, empty_is_clear, label_change }
}

fn past(rule: &str, labels: Labels, points: Vec<(f64, f64)>) -> SeriesHistory {
    let at = |seconds| shifted(Time::UNIX_EPOCH, seconds);
    let points = points.into_iter().filter_map(|(t, value)| Some((at(t)?, value))).collect();
    SeriesHistory { rule: rule.to_owned(), labels, points }
}

/// `at` moved by seconds of either sign; `None` beyond the end of time.
fn shifted(at: Time, seconds: f64) -> Option<Time> {
    let by = Duration::try_from_secs_f64(seconds.abs()).ok()?;
    let by = chrono::TimeDelta::from_std(by).ok()?;
    if seconds < 0.0 { at.checked_sub_signed(by) } else { at.checked_add_signed(by) }
}
