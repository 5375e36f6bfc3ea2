//! One cycle's calls to the query API: all at once, a bounded number in flight, one deadline, one byte budget.

use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::{RequestBuilder, StatusCode};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::http::{Budget, Peer, Reply};
use super::wire::{self, Answer};
use crate::domain::reading::{FailureKind, ReadFailure};
use crate::domain::time::Time;

/// Prometheus evaluates 20 queries at a time by default; we leave it room for others.
const IN_FLIGHT: usize = 16;

/// How queries are sent: as a form, which may be longer than a URL, until a server has shown that it takes a GET alone.
#[derive(Debug, Default)]
pub(super) struct Method {
    only_get: AtomicBool,
}

/// The client's own limit of a URL is 65,534 bytes; its host and path are part of it.
const LONGEST_GET: usize = 64_000;

#[derive(Debug)]
pub(super) struct Batch<'a> {
    peer: &'a Peer,
    method: &'a Method,
    deadline: Instant,
    slots: Semaphore,
    budget: Budget,
}

impl<'a> Batch<'a> {
    pub(super) fn new(peer: &'a Peer, method: &'a Method, deadline: Instant) -> Self {
        Self {
            peer,
            method,
            deadline,
            slots: Semaphore::new(IN_FLIGHT),
            budget: Budget::of_one_cycle(),
        }
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
        let reply = self.reply(path, &pairs, &asked).await?;
        drop(slot);
        wire::decode(&reply.body)
            .map_err(|unusable| self.peer.failure(unusable.kind, &asked, &unusable.what))
    }

    /// An answer with a good status. A proxy may allow reading alone, which it knows by the method (RBAC: POST is `create`):
    /// where it refuses the POST, the same query is sent by GET, and from then on if that works.
    async fn reply(
        &self,
        path: &str,
        pairs: &[(&str, &str)],
        asked: &str,
    ) -> Result<Reply, ReadFailure> {
        let refused = |reply: &Reply, how: &str| {
            let said = format!("{how}{}", wire::error_text(&reply.body));
            self.peer.refused(reply.status, &said, asked)
        };
        let only_get = self.method.only_get.load(Ordering::Relaxed);
        let mut posted = None;
        if !only_get {
            let reply = self.fetch(self.peer.post(path, pairs), asked).await?;
            if reply.status.is_success() {
                return Ok(reply);
            }
            if !is_about_the_method(reply.status) {
                return Err(refused(&reply, ""));
            }
            posted = Some(reply);
        }
        let length =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish().len();
        let too_long = |what: String| {
            let what = format!(
                "{what}: the query is too long for a GET ({length} bytes), and POST is not allowed there. Allow POST on \
                 {path}, or shorten the rule"
            );
            self.peer.failure(FailureKind::Server, asked, &what)
        };
        if length > LONGEST_GET {
            return Err(too_long("not sent".to_owned()));
        }
        let reply = self.fetch(self.peer.get(path, pairs), asked).await?;
        if reply.status.is_success() {
            if !self.method.only_get.swap(true, Ordering::Relaxed) {
                tracing::info!(
                    "prometheus refuses queries by POST and answers them by GET; they are sent by GET until the next start"
                );
            }
            return Ok(reply);
        }
        if reply.status == StatusCode::URI_TOO_LONG {
            return Err(too_long(reply.status.to_string()));
        }
        match posted {
            // The method is not what it is about: the first refusal says more.
            Some(posted) if is_about_the_method(reply.status) => {
                let how = format!("to POST, and {} to GET: ", reply.status);
                Err(refused(&posted, &how))
            }
            Some(posted) => {
                let how = format!("to GET, after {} to POST: ", posted.status);
                Err(refused(&reply, &how))
            }
            None => Err(refused(&reply, "to GET: ")),
        }
    }

    async fn fetch(&self, request: RequestBuilder, asked: &str) -> Result<Reply, ReadFailure> {
        self.peer.fetch(request, asked, &self.budget, self.deadline).await
    }
}

fn is_about_the_method(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::FORBIDDEN | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED
    )
}
