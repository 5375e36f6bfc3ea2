//! What every stage works with and none of them changes: the configuration, time, new ids, the store under the present
//! term, the metrics; and, for the two stages that change something outside, those through whom they do.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::Ids;
use crate::actuators::charter::Charter;
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::charter::CharterView;
use crate::domain::leader::Lead;
use crate::executor::Executor;
use crate::knowledge::{Knowledge, StoreError, Term};
use crate::metrics::Metrics;
use crate::metrics::labels::StoreOperation;

#[derive(Debug)]
pub(super) struct Kit {
    pub config: Arc<Config>,
    pub clock: Clock,
    pub knowledge: Knowledge,
    pub metrics: Arc<Metrics>,
    pub ids: Ids,
}

impl Kit {
    /// Counts it, unless the store only said that another one leads by now: then it is well.
    pub fn store_failed(&self, operation: StoreOperation, error: &StoreError) {
        if !matches!(error, StoreError::Superseded { .. }) {
            self.metrics.store_error(operation);
        }
    }

    /// Whether it leads, at this moment.
    pub fn lead_now(&self) -> Lead {
        self.knowledge.term().map_or_else(Lead::default, Term::lead)
    }
}

/// Given to `settle` and `act` alone: no other stage can change anything outside.
#[derive(Debug)]
pub(super) struct Hands {
    /// `None`: it is turned off.
    pub charter: Option<Arc<Charter>>,
    pub executor: Executor,
}

impl Hands {
    /// Within the time that the sources have: a Charter that hangs holds a cycle up no longer than they do.
    pub fn see_charter(&self, kit: &Kit) -> impl Future<Output = CharterView> + use<> {
        let (charter, at) = (self.charter.clone(), kit.clock.now());
        let limit = kit.config.monitor.query_timeout;
        async move {
            match charter {
                Some(charter) => charter.observe_within(at, limit).await,
                None => CharterView::turned_off(at),
            }
        }
    }
}

/// How the two stages that act do it in this cycle.
#[derive(Clone, Copy)]
pub(super) struct Means<'a> {
    pub kit: &'a Kit,
    pub hands: &'a Hands,
    pub stop: &'a CancellationToken,
    /// Of the cycle.
    pub number: u64,
}
