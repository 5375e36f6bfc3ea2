//! Puts the second half together: what the configuration says, and what the composition root hands in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{People, Watch};
use crate::analyzer::cluster::Onsets;
use crate::config::{self, CatalogueFile, Config};
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
    /// Where Kubernetes is looked at.
    pub watch: Watch,
}

impl People {
    /// Fails for a catalogue that cannot be taken.
    pub fn new(config: &Config, outside: Outside) -> Result<Self, config::Errors> {
        let Outside { notifiers, github, assessor, watch } = outside;
        let settings = config.escalation.clone();
        let (catalogue, warnings) = CatalogueFile::open(&settings)?;
        for warning in warnings {
            tracing::warn!(%warning, "the service catalogue is accepted with a warning");
        }
        let files = settings
            .reports_dir
            .clone()
            .map(|folder| ReportFiles::new(folder, settings.reports_max_files));
        Ok(Self {
            watch,
            log_lines: config.kubernetes.log_lines > 0,
            catalogue,
            assessor: assessor.unwrap_or_else(|| Arc::new(Rules)),
            timeout: settings.timeout,
            notifiers,
            github: github.map(|github| (github, config.github.window)),
            files,
            board: IncidentBoard::restore(&settings, Vec::new(), BoardState::default()),
            settings,
            onsets: Onsets::default(),
            unknown: BTreeSet::new(),
            records: Vec::new(),
            heard: false,
            failing_since: None,
            has_looked: false,
            unsaved: BTreeMap::new(),
            saved: None,
            shown: view::People::default(),
            files_problem: None,
            alarmed_at: None,
        })
    }
}
