//! What was read of the cluster becomes findings, by the catalogue and by how it was before.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::timeout;

use crate::analyzer::Found;
use crate::analyzer::cluster::{self, Onsets};
use crate::config::{self, CatalogueFile, Config, Refreshed};
use crate::domain::Cause;
use crate::domain::catalogue::Catalogue;
use crate::domain::cluster::{ClusterReading, UnknownWord, UnreadObject};
use crate::domain::finding::Finding;
use crate::domain::fleet::ClusterHealth;
use crate::domain::reading::Source;
use crate::domain::time::Time;
use crate::metrics::Metrics;
use crate::monitor::cluster::ClusterWatch;
use crate::planner;

/// Unknown words that are logged and counted in a process's life: more are not Kubernetes', but somebody's game.
const UNKNOWN_WORDS: usize = 200;

/// Findings whose logs are read in one cycle, at once, and for how long an alert waits for them.
const LOGS: usize = 5;
const LOGS_WITHIN: Duration = Duration::from_secs(2);

/// Objects that cannot be read that a report and `/health` name; the log names each, the metric counts them.
const UNREAD_NAMED: usize = 20;

/// What a cycle saw of the cluster.
#[derive(Debug, Default)]
pub(super) struct ClusterAssessment {
    /// `None`: Kubernetes is not looked at, or nobody could read anything: nothing is known, and nothing is concluded.
    pub reading: Option<ClusterReading>,
    pub findings: Vec<Finding>,
    /// What could not be read.
    pub error: Option<String>,
    /// Objects that cannot be read, of kinds that can, in words; bounded.
    pub unread_objects: Vec<String>,
    pub catalogue: Arc<Catalogue>,
    /// What is wrong with the catalogue's file.
    pub complaint: Option<String>,
    /// The last lines of what crashes were read.
    has_logs: bool,
}

impl ClusterAssessment {
    pub fn is_partial(&self) -> bool {
        self.error.is_some() || !self.unread_objects.is_empty()
    }

    /// As the tracker takes it in. A cause is named only where an action of the configuration treats it there.
    pub fn found(&self, plan: &planner::Settings) -> Found<'_> {
        let violations = self.findings.iter().map(|finding| {
            let cause = Cause::new(finding.kind.as_str());
            let is_treated = plan.treats(&cause, &finding.target());
            finding.as_violation(is_treated.then_some(cause))
        });
        Found { violations: violations.collect(), reading: self.reading.as_ref() }
    }

    /// How much of the cluster is sick, where it could be read.
    pub fn health(&self, plan: &planner::Settings) -> Option<ClusterHealth> {
        let reading = self.reading.as_ref()?;
        let within = plan.guardrails.kubernetes.storm.within;
        cluster::health(reading, &self.findings, within, reading.read_at?)
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

    /// The last words of what crashes: people read them, the loop does not.
    pub async fn read_logs(&mut self, watch: &ClusterWatch) {
        if std::mem::replace(&mut self.has_logs, true) {
            return;
        }
        let Some(reading) = &self.reading else { return };
        let logs = self.findings.iter_mut().filter_map(|finding| {
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

/// What it goes by, and what it remembers.
#[derive(Debug)]
pub struct ClusterAnalyzer {
    catalogue: CatalogueFile,
    onsets: Onsets,
    /// Words of the cluster that no list has and that were logged.
    unknown: BTreeSet<UnknownWord>,
}

impl ClusterAnalyzer {
    /// Fails for a catalogue that cannot be taken.
    pub fn new(config: &Config) -> Result<Self, config::Errors> {
        let (catalogue, warnings) = CatalogueFile::open(&config.escalation)?;
        for warning in warnings {
            tracing::warn!(%warning, "the service catalogue is accepted with a warning");
        }
        Ok(Self { catalogue, onsets: Onsets::default(), unknown: BTreeSet::new() })
    }

    /// When each finding was first seen, as it is stored.
    pub(super) fn onsets(&self) -> &Onsets {
        &self.onsets
    }

    pub(super) fn take_up(&mut self, onsets: Onsets) {
        self.onsets = onsets;
    }

    fn refresh_catalogue(&mut self, metrics: &Metrics) {
        match self.catalogue.refresh() {
            Refreshed::Unchanged => {}
            Refreshed::Reloaded => {
                tracing::info!(
                    services = self.catalogue.catalogue().services.len(),
                    "the service catalogue was read again"
                );
            }
            Refreshed::Refused(errors) => {
                tracing::error!(%errors, "the changed service catalogue is refused: the one before stays in effect");
            }
        }
        metrics.catalogue(self.catalogue.refusal().is_none());
    }

    /// `reading`: `None` with Kubernetes off.
    pub(super) fn analyze(
        &mut self,
        reading: Option<ClusterReading>,
        now: Time,
        metrics: &Metrics,
    ) -> ClusterAssessment {
        self.refresh_catalogue(metrics);
        let known = ClusterAssessment {
            catalogue: self.catalogue.catalogue().clone(),
            complaint: self.catalogue.complaint(),
            ..ClusterAssessment::default()
        };
        let Some(reading) = reading else { return known };
        let failed = reading.failures.values().next().map(|failure| failure.kind);
        metrics.source_read(Source::Kubernetes, failed, now);
        metrics.unread_objects(&reading.unread);
        let findings = if reading.is_unreadable() {
            Vec::new()
        } else {
            cluster::findings(&reading, &known.catalogue, &self.onsets, now)
        };
        self.onsets.update(&findings, &reading);
        self.note_unknown_words(&reading, metrics);
        let mut failures: Vec<&str> = reading.failures.values().map(|f| f.text.as_str()).collect();
        // One failure of all kinds is said once.
        failures.dedup();
        let error = (!failures.is_empty()).then(|| failures.join("; "));
        let unread_objects = named(&reading.unread);
        ClusterAssessment { reading: Some(reading), findings, error, unread_objects, ..known }
    }

    /// Findings do not depend on the words, but somebody should know that there are new ones: each is logged once.
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
