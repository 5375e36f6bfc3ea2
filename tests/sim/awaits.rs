//! Where the loop's task waits: counted, so that a run can be repeated and its process killed at exactly one of them.

use std::collections::BTreeSet;

use mape_k::knowledge::store::{Collection, Write};

use super::outside::Outside;

#[derive(Default)]
pub struct Awaits {
    /// The cycle in which each was, by number of cycles that had been saved before.
    pub cycles: Vec<u64>,
    /// Cycles that wrote down something about an action, a verdict or a word to people.
    pub of_note: BTreeSet<u64>,
    /// At which the process dies: the number of waits before it.
    pub die_at: Option<usize>,
}

impl Outside {
    /// A loop's task has just stopped to wait; does its process die there?
    pub fn awaited(&mut self, daemon: u32) -> bool {
        let dies = self.awaits.die_at == Some(self.awaits.cycles.len());
        self.awaits.cycles.push(self.watch.cycles);
        if dies {
            self.dies(daemon);
        }
        dies
    }

    pub fn noted(&mut self, writes: &[Write]) {
        let of_note = writes.iter().any(|write| {
            let (Write::Put { collection, .. }
            | Write::Touch { collection, .. }
            | Write::Delete { collection, .. }) = write;
            match collection {
                Collection::Policies
                | Collection::Executions
                | Collection::Verifications
                | Collection::ExpiringActions
                | Collection::Outcomes
                | Collection::Needs => true,
                Collection::Alerts
                | Collection::Violations
                | Collection::Analyses
                | Collection::Insights
                | Collection::Treatments
                | Collection::Incidents
                | Collection::Outbox
                | Collection::Cycles
                | Collection::Facts
                | Collection::Pauses => false,
            }
        });
        if of_note {
            self.awaits.of_note.insert(self.watch.cycles);
        }
    }
}
