//! Puts the second half together: what the configuration says, and what the composition root hands in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::People;
use crate::clock::Clock;
use crate::config::Config;
use crate::cycle::assess::{Assessor, Rules};
use crate::cycle::beside::{Background, Desk};
use crate::domain::view;
use crate::escalation::board::{BoardState, IncidentBoard};
use crate::knowledge::report_files::ReportFiles;
use crate::metrics::Metrics;
use crate::monitor::github::Github;
use crate::notify::Notifiers;

/// What it meets.
#[derive(Debug)]
pub struct Outside {
    pub notifiers: Notifiers,
    /// `None`: deployments are not looked for.
    pub github: Option<Github>,
    /// Instead of the rules.
    pub assessor: Option<Arc<dyn Assessor>>,
}

impl People {
    /// The stage, and what has to run beside it.
    #[must_use]
    pub fn new(
        config: &Config,
        outside: Outside,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> (Self, Background) {
        let Outside { notifiers, github, assessor } = outside;
        let settings = config.escalation.clone();
        let files = settings
            .reports_dir
            .clone()
            .map(|folder| ReportFiles::new(folder, settings.reports_max_files));
        let desk = Arc::new(Desk::new(notifiers, github.is_some()));
        let people = Self {
            assessor: assessor.unwrap_or_else(|| Arc::new(Rules)),
            timeout: settings.timeout,
            desk: desk.clone(),
            has_files: files.is_some(),
            board: IncidentBoard::restore(&settings, Vec::new(), BoardState::default()),
            settings,
            records: Vec::new(),
            heard: false,
            failing_since: None,
            unsaved: BTreeMap::new(),
            settled: BTreeSet::new(),
            reports: Vec::new(),
            saved: None,
            shown: view::People::default(),
            decided: None,
            catalogue: Arc::default(),
            alarmed_at: None,
        };
        let github = github.map(|github| (github, config.github.window));
        let interval = config.orchestrator.loop_interval;
        (people, Background::new(desk, clock, metrics, interval, github, files))
    }
}
