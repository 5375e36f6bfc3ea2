//! Puts the second half together: what the configuration says, and what the composition root hands in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::AlertPipeline;
use crate::clock::Clock;
use crate::config::Config;
use crate::cycle::assess::{Assessor, Rules};
use crate::cycle::beside::{Background, Desk, Gear};
use crate::domain::view;
use crate::incidents::tracker::{IncidentTracker, TrackerState};
use crate::knowledge::Term;
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

impl AlertPipeline {
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
        let has_files = files.is_some();
        let desk = Arc::new(Desk::new(Gear {
            notifiers: Arc::new(notifiers),
            github: github.map(|github| (github, config.github.window)),
            files: files.map(tokio::sync::Mutex::new),
            interval: config.orchestrator.loop_interval,
        }));
        let people = Self {
            assessor: assessor.unwrap_or_else(|| Arc::new(Rules)),
            timeout: settings.timeout,
            desk: desk.clone(),
            has_files,
            board: IncidentTracker::restore(&settings, Vec::new(), TrackerState::default()),
            settings,
            records: Vec::new(),
            heard: false,
            brief: Vec::new(),
            causes: Vec::new(),
            acting: Vec::new(),
            verifying: Vec::new(),
            early: None,
            failing_since: None,
            unsaved: BTreeMap::new(),
            unlinked: Vec::new(),
            settled: BTreeSet::new(),
            reports: Vec::new(),
            saved: None,
            taken_up: None,
            shown: view::NotificationView::default(),
            catalogue: Arc::default(),
            alarmed_at: None,
        };
        (people, Background::new(desk, clock, metrics))
    }

    /// Takes the place of `before`, which another configuration made: what was counted goes on.
    pub(in crate::cycle) fn succeed(&mut self, before: &mut Self) {
        // What runs beside the cycles knows the desk of before: it gets what this configuration brings.
        before.desk.replace(self.desk.gear());
        self.desk = before.desk.clone();
        self.settled = std::mem::take(&mut before.settled);
        self.reports = std::mem::take(&mut before.reports);
        self.shown = std::mem::take(&mut before.shown);
        self.alarmed_at = before.alarmed_at;
    }

    /// It has led under this very term: a reload came between.
    pub(in crate::cycle) fn has_led(&self, term: &Term) -> bool {
        self.desk.leads_under(Some(term))
    }

    /// The store has every incident as it is.
    pub(in crate::cycle) fn is_saved(&self) -> bool {
        self.unsaved.is_empty() && self.unlinked.is_empty()
    }

    /// Of an earlier leadership.
    pub(in crate::cycle) fn drop_unsaved(&mut self) {
        self.unsaved.clear();
        self.unlinked.clear();
    }
}
