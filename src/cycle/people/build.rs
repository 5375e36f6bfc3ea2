//! Puts the second half together: what the configuration says, and what the composition root hands in.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::People;
use crate::config::Config;
use crate::cycle::assess::{Assessor, Rules};
use crate::domain::view;
use crate::escalation::board::{BoardState, IncidentBoard};
use crate::knowledge::report_files::ReportFiles;
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
    #[must_use]
    pub fn new(config: &Config, outside: Outside) -> Self {
        let Outside { notifiers, github, assessor } = outside;
        let settings = config.escalation.clone();
        let files = settings
            .reports_dir
            .clone()
            .map(|folder| ReportFiles::new(folder, settings.reports_max_files));
        Self {
            assessor: assessor.unwrap_or_else(|| Arc::new(Rules)),
            timeout: settings.timeout,
            notifiers,
            github: github.map(|github| (github, config.github.window)),
            files,
            board: IncidentBoard::restore(&settings, Vec::new(), BoardState::default()),
            settings,
            records: Vec::new(),
            heard: false,
            failing_since: None,
            unsaved: BTreeMap::new(),
            unlinked: Vec::new(),
            saved: None,
            shown: view::People::default(),
            files_problem: None,
            alarmed_at: None,
        }
    }

    /// Takes the place of `before`, which another configuration made: what was counted goes on.
    pub(in crate::cycle) fn succeed(&mut self, before: &mut Self) {
        self.shown = std::mem::take(&mut before.shown);
        self.alarmed_at = before.alarmed_at;
    }

    /// The store has every incident as it is.
    pub(in crate::cycle) fn is_saved(&self) -> bool {
        self.unsaved.is_empty()
    }
}
