//! What a cycle did, put into the timelines of the incidents that it belongs to; and the causes of their evidence.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::timeline::{Happened, is_held_already};
use super::AlertPipeline;
use crate::domain::analysis::RootCause;
use crate::domain::incident::{Anchor, AtWork, Happening};
use crate::domain::time::{Time, since};
use crate::domain::treatment::Treatment;
use crate::domain::violation::Violation;
use crate::incidents::Changes;
use crate::knowledge::{Knowledge, StoreError};

impl AlertPipeline {
    /// What the loop itself left for people in this cycle.
    pub(in crate::cycle) fn heard(
        &mut self,
        told: &Changes,
        causes: &[RootCause],
        acting: Vec<AtWork>,
    ) {
        let open = told.opened.iter().chain(&told.refreshed).chain(&told.unchanged);
        self.records = open.cloned().collect();
        self.causes = causes.to_vec();
        self.acting = acting;
        // It was answered before any incident had it; what failed is said all the same.
        let unseen = told.closed.iter().filter(|need| need.incident.is_none());
        self.brief = unseen.cloned().collect();
        self.heard = true;
    }

    /// The incident in which each violation lies, by fingerprint: treatments are linked by it.
    pub(in crate::cycle) fn incidents_of(&self, active: &[Violation]) -> BTreeMap<String, String> {
        let incident = |v: &Violation| {
            let incident = self.board.open_at(&Anchor::of_violation(v))?;
            Some((v.fingerprint.clone(), incident.id.clone()))
        };
        active.iter().filter_map(incident).collect()
    }

    /// Follows merged incidents: their treatments belong to the one that goes on. And a treatment lasts for as long as its
    /// incident: what was tried in it counts until it is resolved, and it is stored before it would be taken for ended.
    pub(in crate::cycle) async fn follow(
        &self,
        knowledge: &Knowledge,
        treatments: &mut [Treatment],
        ended_after: Duration,
        now: Time,
    ) -> Result<(), StoreError> {
        let mut moved = knowledge.batch();
        for treatment in treatments {
            let Some(id) = &mut treatment.incident else { continue };
            let Some(open) = self.board.going_on(id) else { continue };
            // One that has ended stays so: a fault that is back long after in the same incident is treated afresh.
            let age = since(now, treatment.last_evidence_at);
            if age >= ended_after {
                continue;
            }
            // In time for the next cycles to find it still open.
            let is_stale = age >= ended_after / 2;
            let has_moved = open.id != *id;
            id.clone_from(&open.id);
            treatment.last_evidence_at = now;
            if has_moved || is_stale {
                moved.put(treatment);
            }
        }
        knowledge.commit(moved).await?;
        Ok(())
    }

    /// Each line goes to the incident of its treatment or need and to those of its evidence, as they are or last were;
    /// without either to that of its target.
    pub(super) fn note(&mut self, happened: &[Happened]) {
        if happened.is_empty() {
            return;
        }
        let mut lies_in: BTreeMap<String, String> = BTreeMap::new();
        // What lies in an ended one and in an open one lies in the open one.
        for is_open in [false, true] {
            for incident in self.board.incidents().iter().filter(|one| one.is_open() == is_open) {
                let own = incident.findings.iter().map(|f| (f.fingerprint(), incident.id.clone()));
                lies_in.extend(own);
            }
        }
        for one in happened {
            let going_on = |id: &String| {
                self.board.going_on(id).map_or_else(|| id.clone(), |one| one.id.clone())
            };
            let shows = |id: &String| {
                let incident = self.board.incident(id);
                one.applied_since.is_none_or(|since| {
                    incident.is_some_and(|incident| {
                        let mut lines = incident.timeline.iter();
                        lines.any(|line| line.what == Happening::Applied && line.at >= since)
                    })
                })
            };
            let evidence = one.evidence.iter().filter_map(|fp| lies_in.get(fp));
            let mut incidents: BTreeSet<String> = evidence.map(going_on).filter(shows).collect();
            incidents.extend(one.incident.as_ref().map(going_on));
            if incidents.is_empty()
                && let Some(target) = &one.target
            {
                let there = self.board.open_at(&Anchor::of(target));
                incidents.extend(there.map(|incident| incident.id.clone()));
            }
            if one.what == Happening::Held {
                let is_new = |id: &String| {
                    self.board.incident(id).is_some_and(|held| !is_held_already(held, &one.text))
                };
                incidents.retain(is_new);
            }
            for incident in incidents {
                self.board.note(&incident, one.what, &one.text, one.at);
            }
        }
    }
}
