//! A reload of the configuration: the stages made of the new one take the places of the old ones between two cycles.
//!
//! What is in flight lives in the store: the next [`Cycle::lead`] takes it up from there. What only this process remembers,
//! such as a journal that failed or since when the metrics cannot be read, goes on.

use std::fmt;
use std::sync::Arc;

use super::observe::Observe;
use super::{Cycle, Hands, Stages};
use crate::config::Config;
use crate::knowledge::Knowledge;

/// A configuration that was accepted, and everything that is made of it.
pub struct Renewal {
    pub config: Arc<Config>,
    pub stages: Stages,
    /// The store, without a term.
    pub knowledge: Knowledge,
    /// Puts the configuration into effect outside the loop, in the moment in which the loop takes it.
    pub on_taken: Box<dyn FnOnce() + Send>,
}

impl fmt::Debug for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewal").field("config", &self.config.hash()).finish_non_exhaustive()
    }
}

impl Cycle {
    /// Incidents that the store has not taken yet would be lost: then the reload waits for it.
    #[must_use]
    pub fn may_be_renewed(&self) -> bool {
        self.people.is_saved()
    }

    /// Another process leads: what it stores counts, and what this one could not store does not any more.
    pub fn follow(&mut self) {
        self.people.drop_unsaved();
    }

    /// Between two cycles. What this process has counted since its start goes on.
    pub fn renew(&mut self, renewal: Renewal) {
        let Renewal { config, stages, knowledge, on_taken } = renewal;
        let Stages { monitor, charter, executor, cluster, mut people } = stages;
        people.succeed(&mut self.people);
        self.people = people;
        self.settle.renewed();
        self.decide.renewed(self.kit.config.execute.charter_url == config.execute.charter_url);
        self.observe = Observe::new(monitor);
        self.hands = Hands { charter, executor };
        self.cluster = cluster;
        self.kit.config = config;
        // Without a term it does not lead, so that the next cycle takes up the store with the new stages.
        self.kit.knowledge = knowledge;
        on_taken();
    }
}
