//! Puts the second half together, of the configuration and the world around it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{People, Watch};
use crate::analyzer::cluster::Onsets;
use crate::clock::Clock;
use crate::config::{self, CatalogueFile, Config};
use crate::cycle::assess::{Assessor, Rules};
use crate::domain::view;
use crate::escalation::board::{BoardState, IncidentBoard};
use crate::knowledge::report_files::ReportFiles;
use crate::metrics::Metrics;
use crate::monitor;
use crate::monitor::github::Github;
use crate::notify::{Notifiers, Setup, SetupError};
use crate::wire::Wire;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Catalogue(#[from] config::Errors),
    #[error(transparent)]
    Notify(#[from] SetupError),
    #[error(transparent)]
    Github(#[from] monitor::Error),
}

/// What it meets.
#[derive(Debug, Default)]
pub struct Outside {
    /// Instead of the network.
    pub wire: Option<Arc<dyn Wire>>,
    /// Instead of the rules.
    pub assessor: Option<Arc<dyn Assessor>>,
    /// Where Kubernetes is looked at.
    pub watch: Watch,
}

impl People {
    pub fn new(
        config: &Config,
        outside: Outside,
        metrics: &Arc<Metrics>,
        clock: Clock,
    ) -> Result<Self, Error> {
        let settings = config.escalation.clone();
        let (catalogue, warnings) = CatalogueFile::open(&settings)?;
        for warning in warnings {
            tracing::warn!(%warning, "the service catalogue is accepted with a warning");
        }
        let setup = Setup {
            slack: &config.slack,
            notify: &config.notify,
            alertmanager_url: &config.alertmanager.url,
            interval: config.orchestrator.loop_interval,
            reports_dir: settings.reports_dir.as_deref(),
            metrics: metrics.clone(),
        };
        let notifiers = match &outside.wire {
            Some(wire) => Notifiers::over(wire.clone(), setup)?,
            None => Notifiers::new(setup)?,
        };
        let github = match (&outside.wire, config.github.enabled) {
            (_, false) => None,
            (Some(wire), true) => Some(Github::over(wire.clone(), &config.github, clock)?),
            (None, true) => Some(Github::new(&config.github, clock)?),
        };
        let files = settings
            .reports_dir
            .clone()
            .map(|folder| ReportFiles::new(folder, settings.reports_max_files));
        Ok(Self {
            watch: outside.watch,
            log_lines: config.kubernetes.log_lines > 0,
            catalogue,
            assessor: outside.assessor.unwrap_or_else(|| Arc::new(Rules)),
            timeout: settings.timeout,
            notifiers,
            github: github.map(|github| (github, config.github.window)),
            files,
            board: IncidentBoard::restore(&settings, Vec::new(), BoardState::default()),
            settings,
            onsets: Onsets::default(),
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
