//! What a cycle did, put into the timelines of the incidents that it belongs to; and the causes of their evidence.

use std::collections::{BTreeMap, BTreeSet};

use super::super::timeline::{Happened, is_held_already};
use super::AlertPipeline;
use crate::domain::analysis::RootCause;
use crate::domain::incident::{Anchor, AtWork, Happening};
use crate::domain::need::Need;
use crate::domain::violation::Violation;
use crate::incidents::Changes;

impl AlertPipeline {
    /// What the loop itself left for people in this cycle.
    pub(in crate::cycle) fn heard(
        &mut self,
        told: &Changes,
        causes: &[RootCause],
        acting: Vec<AtWork>,
    ) {
        self.opened = told.opened.iter().map(|need| need.id).collect();
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

    /// Each line goes to the incident of its treatment or need and to those of its evidence, as they are or last were;
    /// without either to that of its target.
    pub(super) fn note(&mut self, happened: &[Happened]) {
        if happened.is_empty() {
            return;
        }
        let mut lies_in: BTreeMap<String, String> = BTreeMap::new();
        for incident in self.board.incidents() {
            let own = incident.findings.iter().map(|f| (f.fingerprint(), incident.id.clone()));
            lies_in.extend(own);
        }
        for one in happened {
            let shows = |id: &&String| {
                let incident = self.board.incident(id);
                one.applied_since.is_none_or(|since| {
                    incident.is_some_and(|incident| {
                        let mut lines = incident.timeline.iter();
                        lines.any(|line| line.what == Happening::Applied && line.at >= since)
                    })
                })
            };
            let evidence = one.evidence.iter().filter_map(|fp| lies_in.get(fp)).filter(shows);
            let mut incidents: BTreeSet<String> =
                evidence.chain(one.incident.as_ref()).cloned().collect();
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

    /// Needs that this cycle opened, once they are linked to their incidents.
    pub(super) fn note_needs(&mut self) {
        for id in std::mem::take(&mut self.opened) {
            let need = self.records.iter().find(|need| need.id == id).cloned();
            let Some((need, incident)) = need.and_then(|n| Some((n.clone(), n.incident?))) else {
                continue;
            };
            self.board.note(&incident, Happening::Needed, &said(&need), need.opened_at);
        }
    }
}

fn said(need: &Need) -> String {
    format!("{} ({}): {}", need.reason.as_str(), need.subject, need.detail)
}
