//! The first of it: the cluster is looked at, and the catalogue's file.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::{Instant, timeout};

use super::People;
use crate::analyzer::cluster;
use crate::config::Refreshed;
use crate::domain::catalogue::Catalogue;
use crate::domain::cluster::{ClusterReading, UnreadObject};
use crate::domain::finding::Finding;
use crate::domain::fleet::ClusterHealth;
use crate::domain::reading::{FailureKind, Source};
use crate::domain::target::System;
use crate::domain::time::Time;
use crate::metrics::Metrics;
use crate::monitor::cluster::ClusterWatch;
use crate::planner;

/// The first lists of a large cluster; a first cycle that comes too soon is failed, and says so.
const FIRST_LISTS: Duration = Duration::from_secs(10);

/// Unknown words that are logged and counted in a process's life: more are not Kubernetes', but somebody's game.
const UNKNOWN_WORDS: usize = 200;

/// Findings whose logs are read in one cycle, at once, and for how long an alert waits for them.
const LOGS: usize = 5;
const LOGS_WITHIN: Duration = Duration::from_secs(2);

/// Objects that cannot be read that a report and `/health` name; the log names each, the metric counts them.
const UNREAD_NAMED: usize = 20;

/// Where Kubernetes is looked at.
#[derive(Clone, Debug, Default)]
pub enum Watch {
    /// Nowhere: `kubernetes.enabled` is false.
    #[default]
    Off,
    On(ClusterWatch),
    /// It is wanted, and nobody can say where the API server is: every cycle fails, and the other half goes on.
    Broken(String),
}

/// What a cycle saw of the cluster.
#[derive(Debug, Default)]
pub(super) struct Looked {
    /// `None`: Kubernetes is not looked at.
    pub reading: Option<ClusterReading>,
    pub findings: Vec<Finding>,
    /// What could not be read.
    pub error: Option<String>,
    /// Objects that cannot be read, of kinds that can, in words; bounded.
    pub unread_objects: Vec<String>,
}

impl Looked {
    /// A stop came before it was looked: nothing is known, and nothing is concluded.
    pub fn nothing() -> Self {
        Self { reading: Some(ClusterReading::default()), ..Self::default() }
    }

    pub fn is_partial(&self) -> bool {
        self.error.is_some() || !self.unread_objects.is_empty()
    }

    /// What keeps anybody from saying that all of the cluster is well.
    pub fn problem(&self) -> Option<String> {
        let unread = (!self.unread_objects.is_empty()).then(|| {
            format!(
                "objects of the cluster that cannot be read, of which nothing is known: {}. Correct them, or look at what \
                 answers in the API server's place",
                self.unread_objects.join("; ")
            )
        });
        self.error.clone().or(unread)
    }
}

impl People {
    pub(super) fn refresh_catalogue(&mut self, metrics: &Metrics) {
        match self.catalogue.refresh() {
            Refreshed::Unchanged => {}
            Refreshed::Reloaded => {
                tracing::info!(
                    services = self.catalogue.catalogue().services.len(),
                    "the service catalogue was read again"
                );
            }
            Refreshed::Refused(errors) => {
                tracing::error!(%errors, "the service catalogue has changed and is refused; the one before stands");
            }
        }
        metrics.catalogue(self.catalogue.refusal().is_none());
    }

    /// The services that people are told of.
    pub(in crate::cycle) fn catalogue(&self) -> Arc<Catalogue> {
        self.catalogue.catalogue().clone()
    }

    /// The watch caches as they stand while the loop decides, and how much of the cluster is sick; nothing where no action
    /// could be about it.
    pub(in crate::cycle) fn around(
        &self,
        plan: &planner::Settings,
        now: Time,
    ) -> (Option<ClusterReading>, Option<ClusterHealth>) {
        if !plan.acts_on(System::Kubernetes) {
            return (None, None);
        }
        match &self.watch {
            Watch::Off => (None, None),
            Watch::Broken(_) => (Some(ClusterReading::default()), None),
            Watch::On(watch) => {
                let reading = watch.read(now);
                let findings =
                    cluster::findings(&reading, self.catalogue.catalogue(), &self.onsets, now);
                let within = plan.guardrails.kubernetes.storm.within;
                let health = cluster::health(&reading, &findings, within, now);
                (Some(reading), health)
            }
        }
    }

    pub(super) async fn look(&mut self, now: Time, metrics: &Metrics) -> Looked {
        let watch = match &self.watch {
            Watch::Off => return Looked::default(),
            Watch::Broken(error) => {
                metrics.source_read(Source::Kubernetes, Some(FailureKind::Unreachable), now);
                let error = Some(format!("{error}. Mend it, then restart this mape-k"));
                return Looked {
                    reading: Some(ClusterReading::default()),
                    error,
                    ..Looked::default()
                };
            }
            Watch::On(watch) => watch,
        };
        if !std::mem::replace(&mut self.has_looked, true) {
            watch.ready(Instant::now() + FIRST_LISTS).await;
        }
        let reading = watch.read(now);
        let failed = reading.failures.values().next().map(|failure| failure.kind);
        metrics.source_read(Source::Kubernetes, failed, now);
        metrics.unread_objects(&reading.unread);
        let mut findings = if reading.is_unreadable() {
            Vec::new()
        } else {
            cluster::findings(&reading, self.catalogue.catalogue(), &self.onsets, now)
        };
        self.onsets.update(&findings, &reading);
        self.note_unknown_words(&reading, metrics);
        self.read_logs(&reading, &mut findings).await;
        let failures: Vec<String> =
            reading.failures.values().map(|failure| failure.text.clone()).collect();
        let error = (!failures.is_empty()).then(|| failures.join("; "));
        let unread_objects = named(&reading.unread);
        Looked { reading: Some(reading), findings, error, unread_objects }
    }
}

/// The first of them, and how many more there are.
fn named(unread: &[UnreadObject]) -> Vec<String> {
    let mut named: Vec<String> =
        unread.iter().take(UNREAD_NAMED).map(ToString::to_string).collect();
    if unread.len() > UNREAD_NAMED {
        named.push(format!("and {} more", unread.len() - UNREAD_NAMED));
    }
    named
}

impl People {
    /// Findings do not depend on the words, but somebody should know that there are new ones: each is told once.
    fn note_unknown_words(&mut self, reading: &ClusterReading, metrics: &Metrics) {
        for unknown in cluster::unknown_words(reading) {
            if self.unknown.len() >= UNKNOWN_WORDS || self.unknown.contains(&unknown) {
                continue;
            }
            metrics.unknown_word(unknown.kind);
            tracing::warn!(
                kind = <&str>::from(unknown.kind),
                word = ?unknown.word,
                "a pod shows a word that this version does not know; if the pod is not ready, it is a finding all the same. Please report the word"
            );
            self.unknown.insert(unknown);
        }
    }

    /// The last words of what crashes, when they are asked for.
    async fn read_logs(&self, reading: &ClusterReading, findings: &mut [Finding]) {
        let Watch::On(watch) = &self.watch else { return };
        if !self.log_lines {
            return;
        }
        let logs = findings.iter_mut().filter_map(|finding| {
            let log = cluster::log_of(reading, finding)?;
            Some((finding, log))
        });
        let read = logs.take(LOGS).map(async |(finding, log)| {
            let cluster::LogOf { namespace, pod, container, previous } = log;
            let lines = watch.last_lines(&namespace, &pod, &container, previous);
            let lines = timeout(LOGS_WITHIN, lines).await.ok().flatten();
            finding.log_lines = lines.unwrap_or_default();
        });
        join_all(read).await;
    }
}
