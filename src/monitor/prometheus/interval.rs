//! How far apart the samples are that the metric rules read: what a rehearsal has to know before it shortens windows.
//!
//! Measured on the samples themselves. `/api/v1/targets` and `/api/v1/status/config` are Prometheus' alone; every server
//! that speaks its query API hands out the raw samples of a series.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;

use super::super::promql;
use super::Prometheus;
use super::client::Batch;
use super::wire::Answer;
use crate::domain::reading::ReadFailure;
use crate::domain::rule::{Measure, MetricRule, Rule};

/// How far back the samples of one series are asked for: what is scraped less often than twice in it is of no use to
/// Prometheus itself, which forgets a sample after 5 minutes.
const LOOK_BACK: Duration = Duration::from_secs(300);

/// Two gaps: with one alone, a scrape that was missed would pass for the interval.
const LEAST_SAMPLES: usize = 3;

/// The samples behind one rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampled {
    pub rule: String,
    /// The median gap between them.
    pub interval: Duration,
}

impl Prometheus {
    /// Of the metric rules that have a series, the one whose samples are furthest apart. `None` while no rule has a series
    /// with enough samples.
    pub async fn slowest_sampled(
        &self,
        rules: &[Arc<Rule>],
        deadline: Instant,
    ) -> Result<Option<Sampled>, ReadFailure> {
        let batch = &Batch::new(&self.peer, &self.method, deadline);
        let measured = rules.iter().filter_map(|rule| match &rule.measure {
            Measure::Metric(metric) => Some(self.sampled(batch, rule, metric)),
            Measure::Query { .. } | Measure::Condition { .. } => None,
        });
        let (mut slowest, mut failure): (Option<Sampled>, _) = (None, None);
        for measured in join_all(measured).await {
            match measured {
                Ok(Some(other)) if slowest.as_ref().is_none_or(|s| s.interval < other.interval) => {
                    slowest = Some(other);
                }
                Ok(_) => {}
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        match (slowest, failure) {
            (None, Some(failure)) => Err(failure),
            (slowest, _) => Ok(slowest),
        }
    }

    /// Of one series of the rule: a hundred thousand of them would be a large answer, and are scraped alike.
    async fn sampled(
        &self,
        batch: &Batch<'_>,
        rule: &Rule,
        metric: &MetricRule,
    ) -> Result<Option<Sampled>, ReadFailure> {
        let series = self.vector(batch, rule, &promql::any_series(metric, &self.scope)).await?;
        let Some((labels, _)) = series.first() else { return Ok(None) };
        let query = promql::samples(&metric.metric, labels, LOOK_BACK);
        let rows = match batch.instant(&rule.name, &query).await? {
            Answer::Matrix(rows) => rows,
            Answer::Vector(_) | Answer::Scalar(_) => {
                return Err(self.nonsense(&query, "the answer holds no samples of a series"));
            }
        };
        let times = rows.into_iter().next().map(|(_, points)| points).unwrap_or_default();
        let times: Vec<f64> = times.into_iter().map(|(at, _)| at).collect();
        Ok(median_gap(&times).map(|interval| Sampled { rule: rule.name.clone(), interval }))
    }
}

/// The middle one of the gaps between times in seconds: a missed scrape or a restart makes single gaps longer.
fn median_gap(times: &[f64]) -> Option<Duration> {
    if times.len() < LEAST_SAMPLES {
        return None;
    }
    let mut gaps: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]).abs()).collect();
    gaps.sort_by(f64::total_cmp);
    let middle = Duration::try_from_secs_f64(gaps[(gaps.len() - 1) / 2]).ok()?;
    (!middle.is_zero()).then_some(middle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_the_usual_gap_whatever_was_missed() {
        let seconds = Duration::from_secs;
        assert_eq!(median_gap(&[10.0, 11.0, 12.0, 13.0]), Some(seconds(1)));
        assert_eq!(median_gap(&[10.0, 25.0, 40.0, 100.0, 115.0]), Some(seconds(15)));
        assert_eq!(median_gap(&[10.0, 11.0]), None);
        assert_eq!(median_gap(&[]), None);
        assert_eq!(median_gap(&[10.0, 10.0, 10.0]), None);
    }
}
