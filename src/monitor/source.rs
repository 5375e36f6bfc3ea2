//! Where metrics come from: the one trait behind Prometheus and the direct scrape.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::domain::reading::{
    CounterBaseline, ReadFailure, RuleReading, SeriesHistory, SourceReading,
};
use crate::domain::rule::Rule;
use crate::domain::time::Time;

/// A source of rule readings. Implementations: Prometheus' query API, direct scrape.
#[async_trait]
pub trait MetricSource: Send + Sync + std::fmt::Debug {
    /// Reads every rule once, by the deadline; one reading for each rule, in order.
    async fn read(
        &mut self,
        rules: &[Arc<Rule>],
        baselines: &[CounterBaseline],
        deadline: Instant,
    ) -> (Vec<RuleReading>, SourceReading);

    /// The past of these rules, one point for each poll interval.
    async fn history(
        &mut self,
        rules: &[Arc<Rule>],
        from: Time,
        to: Time,
        deadline: Instant,
    ) -> Result<Vec<SeriesHistory>, ReadFailure>;
}

/// Every rule fails alike when its source as a whole was not read.
pub(super) fn all_failed(rules: &[Arc<Rule>], failure: &ReadFailure) -> Vec<RuleReading> {
    rules
        .iter()
        .map(|rule| RuleReading {
            rule: rule.clone(),
            points: Err(failure.clone()),
            empty_is_clear: false,
            label_change: None,
        })
        .collect()
}
