//! One cycle's calls to the query API: all at once, a bounded number in flight, one deadline, one byte budget.

use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::http::{Budget, Peer};
use super::wire::{self, Answer};
use crate::domain::reading::ReadFailure;
use crate::domain::time::Time;

/// Prometheus evaluates 20 queries at a time by default; we leave it room for others.
const IN_FLIGHT: usize = 16;

#[derive(Debug)]
pub(super) struct Batch<'a> {
    peer: &'a Peer,
    deadline: Instant,
    slots: Semaphore,
    budget: Budget,
}

impl<'a> Batch<'a> {
    pub(super) fn new(peer: &'a Peer, deadline: Instant) -> Self {
        Self { peer, deadline, slots: Semaphore::new(IN_FLIGHT), budget: Budget::of_one_cycle() }
    }

    /// An instant query, evaluated at the server's own present.
    pub(super) async fn instant(&self, rule: &str, query: &str) -> Result<Answer, ReadFailure> {
        // `nocache` keeps VictoriaMetrics from moving the evaluation 30 s into the past; the others ignore it.
        self.call("api/v1/query", rule, query, &[("nocache", "1")]).await
    }

    pub(super) async fn range(
        &self,
        rule: &str,
        query: &str,
        (from, to): (Time, Time),
        step: std::time::Duration,
    ) -> Result<Answer, ReadFailure> {
        let seconds = |at: Time| format!("{:.3}", at.timestamp_millis() as f64 / 1000.0);
        let step = format!("{}", step.as_secs_f64());
        let range = [("start", seconds(from)), ("end", seconds(to)), ("step", step)];
        let pairs: Vec<(&str, &str)> = range.iter().map(|(k, v)| (*k, v.as_str())).collect();
        self.call("api/v1/query_range", rule, query, &pairs).await
    }

    async fn call(
        &self,
        path: &str,
        rule: &str,
        query: &str,
        more: &[(&str, &str)],
    ) -> Result<Answer, ReadFailure> {
        let asked = format!("{rule} by {query}");
        let Ok(slot) = timeout_at(self.deadline, self.slots.acquire()).await else {
            return Err(self.peer.late(&asked));
        };
        let mut pairs = vec![("query", query)];
        pairs.extend_from_slice(more);
        let request = self.peer.post(path, &pairs);
        let reply = self.peer.fetch(request, &asked, &self.budget, self.deadline).await?;
        drop(slot);
        if !reply.status.is_success() {
            return Err(self.peer.refused(reply.status, &wire::error_text(&reply.body), &asked));
        }
        wire::decode(&reply.body)
            .map_err(|unusable| self.peer.failure(unusable.kind, &asked, &unusable.what))
    }
}
