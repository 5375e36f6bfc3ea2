//! What the cycle shows becomes incidents: all evidence and needs, and what became of evidence that no cycle shows any more.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::super::cluster::ClusterAssessment;
use super::AlertPipeline;
use super::early::Pass;
use super::stored::TAKEN_WITHIN;
use crate::analyzer::cluster::confined;
use crate::analyzer::{There, Tracker};
use crate::config::Config;
use crate::domain::finding::{Finding, FindingKind};
use crate::domain::incident::{Absence, Anchor, AtWork, Resolution, WorkStage};
use crate::domain::need::Need;
use crate::domain::outcome::PendingVerification;
use crate::domain::time::Time;
use crate::domain::violation::Violation;
use crate::incidents::evidence::{self, Anchors, Failing};
use crate::incidents::tracker::Observation;
use crate::knowledge::Knowledge;
use crate::monitor::cluster::Watch;

/// What else is known in this cycle.
pub(super) struct Around<'a> {
    pub watch: &'a Watch,
    pub tracker: &'a Tracker,
    pub config: &'a Config,
    pub pass: Pass,
}

impl Around<'_> {
    /// What it means that evidence which an incident holds is not shown.
    fn absence(&self, finding: &Finding, there: Option<&There<'_>>) -> Absence {
        match finding.kind {
            FindingKind::Loop(_) if self.pass == (Pass::Late { heard: true }) => Absence::Clear,
            FindingKind::Loop(_) => Absence::Unread,
            FindingKind::Violation => self.tracker.absence(&finding.fingerprint()),
            kind => match (there, self.watch) {
                (Some(there), _) => {
                    there.absence(Some(kind), finding.namespace.as_deref(), &finding.owner)
                }
                (None, Watch::On(_)) => Absence::Unread,
                (None, _) => Absence::Vanished,
            },
        }
    }
}

impl AlertPipeline {
    /// What was found, by what is known of its past. Returns all of it.
    pub(super) fn observe(
        &mut self,
        looked: &ClusterAssessment,
        failing: Option<&Failing>,
        around: &Around<'_>,
        now: Time,
    ) -> Vec<Finding> {
        let Around { tracker, config, .. } = around;
        let systems = &config.analyze.systems;
        let mut findings = looked.findings.clone();
        let anchors = Anchors::of(self.board.incidents(), &findings, tracker.active(), systems);
        let needs: Vec<Need> = self.records.iter().chain(&self.brief).cloned().collect();
        findings.extend(evidence::violations(tracker.active(), &needs, &anchors));
        findings.extend(evidence::findings(&needs, failing, &anchors));
        let reading = looked.reading.as_ref().filter(|reading| !reading.is_unreadable());
        let there = reading.map(There::of);
        let confined = reading.map(confined).unwrap_or_default();
        let absence = |finding: &Finding| around.absence(finding, there.as_ref());
        let is_treated = |(cause, target)| config.plan.treats(cause, target);
        let caused: BTreeSet<&String> =
            self.causes.iter().flat_map(|root| &root.evidence).collect();
        let treated: BTreeMap<String, String> = tracker
            .active()
            .filter(|v| v.cause.as_ref().zip(v.target.as_ref()).is_some_and(is_treated))
            .map(|v| (v.fingerprint.clone(), waits_for(v, &caused)))
            .collect();
        let at_work: Vec<AtWork> = self.acting.iter().chain(&self.verifying).cloned().collect();
        let seen = Observation {
            findings: &findings,
            catalogue: &looked.catalogue,
            confined: &confined,
            causes: &self.causes,
            at_work: &at_work,
            treated: &treated,
            now,
        };
        let observed = match around.pass {
            Pass::Early => self.board.begin_cycle(&seen, &absence),
            Pass::Late { .. } => self.board.observe(&seen, &absence),
        };
        for (what, incidents) in [
            ("incident opened", &observed.opened),
            ("incident came back", &observed.returned),
            ("", &observed.ended),
        ] {
            for one in incidents.iter().filter_map(|id| self.board.incident(id)) {
                let what = match &one.resolution {
                    Some(Resolution::Clear) => "incident resolved: all of its evidence is clear",
                    Some(Resolution::Vanished) => {
                        "incident no longer there: nothing shows its evidence any more"
                    }
                    Some(Resolution::MergedInto(_)) => {
                        "incident ended: another one goes on with it"
                    }
                    None => what,
                };
                tracing::info!(
                    incident = one.id,
                    anchor = one.anchor.as_str(),
                    title = one.title,
                    severity = one.severity.as_str(),
                    findings = one.lines.join("; "),
                    "{what}"
                );
            }
        }
        for (incident, into) in &observed.merged {
            tracing::info!(incident, into, "two incidents were merged");
        }
        self.link(&findings);
        findings
    }

    /// Each need stays with the incident that it was first seen in, or that goes on with it.
    fn link(&mut self, findings: &[Finding]) {
        let anchors: BTreeMap<Uuid, Anchor> =
            findings.iter().filter_map(|f| Some((f.record?, f.anchor()))).collect();
        for need in self.records.iter_mut().chain(&mut self.brief) {
            let daemons = need.reason.is_the_daemons().then(Anchor::daemon);
            let anchor = anchors.get(&need.id).cloned().or(daemons);
            let incident = anchor.and_then(|anchor| self.board.open_at(&anchor));
            let incident = incident.map(|one| one.id.clone());
            if incident.is_some() && need.incident != incident {
                need.incident = incident;
                self.unlinked.push(need.clone());
            }
        }
    }

    /// Actions whose result is still to be verified; what cannot be read is as it was.
    pub(super) async fn verifying(&mut self, knowledge: &Knowledge) {
        let pending = knowledge.all::<PendingVerification>(None);
        if let Ok(pending) = knowledge.answers(TAKEN_WITHIN, pending).await {
            self.verifying = pending
                .into_iter()
                .map(|verification| AtWork {
                    action: verification
                        .actions
                        .iter()
                        .map(ToString::to_string)
                        .collect::<Vec<_>>()
                        .join(", "),
                    target: verification.target,
                    stage: WorkStage::Verifying {
                        settled_at: verification.settled_at,
                        judge_by: verification.judge_by,
                    },
                })
                .collect();
        }
    }
}

/// Why no action is planned yet for a violation that one is configured for; empty: it is evidence of a cause, so that one
/// is. `caused`: what is evidence of any.
fn waits_for(violation: &Violation, caused: &BTreeSet<&String>) -> String {
    match &violation.no_evidence {
        Some(why) => format!("no action: {why}"),
        None if violation.flapping => "no action while it keeps coming back".to_owned(),
        None if !violation.confirmed => "no action until it can be read again".to_owned(),
        None if !caused.contains(&violation.fingerprint) => {
            "no action yet: it has not lasted long enough to name its cause".to_owned()
        }
        None => String::new(),
    }
}
