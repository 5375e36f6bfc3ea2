//! A small world to plan in: what the planner would be given, changed by each test, and the cycle around it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use mape_k::domain::Cause;
use mape_k::domain::action::ActionKind;
use mape_k::domain::analysis::{PatternKind, RootCause};
use mape_k::domain::catalogue::Catalogue;
use mape_k::domain::charter::{CharterView, CommitteeState, CommitteeStatus};
use mape_k::domain::cluster::ClusterReading;
use mape_k::domain::cycle::{CandidateReport, CandidateResult};
use mape_k::domain::fleet::Fleet;
use mape_k::domain::follow_ups::Undone;
use mape_k::domain::grant::Grant;
use mape_k::domain::leader::Lead;
use mape_k::domain::ledger::Ledger;
use mape_k::domain::outcome::{ActionStatistics, OutcomeType, PendingVerification};
use mape_k::domain::pause::Pause;
use mape_k::domain::policy::{Approval, Policy};
use mape_k::domain::reading::{RuleStatus, Source};
use mape_k::domain::rule::{Comparison, Severity};
use mape_k::domain::target::{System, Target};
use mape_k::domain::time::Time;
use mape_k::domain::treatment::{Attempt, Treatment};
use mape_k::domain::violation::Violation;
use mape_k::planner::{self, Plan, PlanInput, ReclaimableReplicas, Resize, Settings, Strategy};
use uuid::Uuid;

pub const LATENCY: &str = Cause::VALIDATION_LATENCY;
pub const MISCONFIGURED: &str = Cause::POLICY_MISCONFIGURATION;
pub const CASCADE: &str = Cause::CASCADE_FAILURE;
pub const OVERLOAD: &str = Cause::SYSTEM_OVERLOAD;

#[derive(Clone, Debug)]
pub struct World {
    pub pause: Option<Pause>,
    pub lead: Lead,
    pub ledger: Ledger,
    pub fleets: BTreeMap<System, Fleet>,
    pub rules: Vec<RuleStatus>,
    pub now: Time,
    pub settings: Settings,
    pub roots: Vec<RootCause>,
    pub violations: BTreeMap<String, Violation>,
    pub statistics: Vec<ActionStatistics>,
    pub treatments: Vec<Treatment>,
    /// The incident of each fingerprint.
    pub incidents: BTreeMap<String, String>,
    pub policies: Vec<Policy>,
    pub verifications: Vec<PendingVerification>,
    pub blocked: Vec<Target>,
    pub undone: Vec<Undone>,
    pub charter: CharterView,
    pub cluster: Option<ClusterReading>,
    pub catalogue: Catalogue,
    pub resize: Option<Resize>,
    pub recovering_since: Option<Time>,
    pub served: Option<f64>,
    pub surplus: Option<ReclaimableReplicas>,
    pub quiet_since: Option<Time>,
    pub scoped: bool,
    ids: u128,
}

pub fn start() -> Time {
    DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
}

impl World {
    /// Four replicas, 1,000 operations a second, approvals by itself, nothing wrong.
    pub fn new() -> Self {
        Self {
            pause: None,
            lead: Lead::default(),
            ledger: Ledger::default(),
            // Large enough that its share never matters where a test is about something else.
            fleets: System::ALL.map(|s| (s, Fleet { components: 100, ..Fleet::default() })).into(),
            rules: Vec::new(),
            now: start(),
            settings: Settings { auto_approve: true, ..Settings::default() },
            roots: Vec::new(),
            violations: BTreeMap::new(),
            statistics: Vec::new(),
            treatments: Vec::new(),
            incidents: BTreeMap::new(),
            policies: Vec::new(),
            verifications: Vec::new(),
            blocked: Vec::new(),
            undone: Vec::new(),
            charter: committee(CommitteeStatus::Normal, 4, 4),
            cluster: None,
            catalogue: Catalogue::default(),
            resize: None,
            recovering_since: None,
            served: Some(1000.0),
            surplus: None,
            quiet_since: None,
            scoped: false,
            ids: 0,
        }
    }

    /// A world with one cause on one component, certain to 0.75, three occurrences behind it.
    pub fn with(cause: &str, component: &str) -> Self {
        let mut world = Self::new();
        world.add(cause, component, 0.75);
        world
    }

    pub fn add(&mut self, cause: &str, component: &str, confidence: f64) -> &mut RootCause {
        let fingerprint = format!("{cause}/{component}");
        self.violations.insert(fingerprint.clone(), violation(&fingerprint, component, self.now));
        self.roots.push(RootCause {
            cause: Cause::new(cause),
            component: component.to_owned(),
            target: Some(component.parse().expect("any name is a target's")),
            confidence,
            patterns: vec![PatternKind::Sustained],
            evidence: vec![fingerprint],
            occurrences: 3,
            critical: false,
        });
        self.roots.last_mut().expect("just pushed")
    }

    pub fn clear(&mut self) {
        self.roots.clear();
        self.violations.clear();
    }

    pub fn by_hand(mut self) -> Self {
        self.settings.auto_approve = false;
        self
    }

    pub fn strategy(&mut self, cause: &str, list: Vec<Strategy>) {
        self.settings.strategies.insert(Cause::new(cause), list);
    }

    pub fn learned(&mut self, cause: &str, action: ActionKind, runs: u32, successes: u32) {
        let confidence = (f64::from(runs) / 30.0).min(1.0);
        let success_rate = f64::from(successes) / f64::from(runs);
        self.statistics.push(ActionStatistics {
            cause: Cause::new(cause),
            action,
            runs,
            successes,
            partials: 0,
            success_rate,
            mean_time_to_effect_seconds: None,
            confidence,
            effectiveness: 1.0 - confidence * (1.0 - success_rate),
            natural_recovery: 0.0,
        });
    }

    pub fn size(&mut self, replicas: u32) {
        self.charter = committee(CommitteeStatus::Normal, replicas, replicas);
    }

    pub fn wait(&mut self, seconds: i64) {
        self.now += TimeDelta::seconds(seconds);
    }

    pub fn ask<T>(&self, answer: impl FnOnce(&PlanInput<'_>) -> T) -> T {
        let violations: BTreeMap<&str, &Violation> =
            self.violations.iter().map(|(fp, v)| (fp.as_str(), v)).collect();
        answer(&PlanInput {
            now: self.now,
            settings: &self.settings,
            pause: self.pause.as_ref(),
            lead: &self.lead,
            ledger: &self.ledger,
            fleets: &self.fleets,
            rules: &self.rules,
            root_causes: &self.roots,
            violations: &violations,
            statistics: &self.statistics,
            treatments: &self.treatments,
            incidents: &self.incidents,
            policies: &self.policies,
            verifications: &self.verifications,
            blocked: &self.blocked,
            undone: &self.undone,
            charter: &self.charter,
            cluster: self.cluster.as_ref(),
            catalogue: &self.catalogue,
            last_resize: self.resize.as_ref(),
            recovering_since: self.recovering_since,
            served_rate: self.served,
            surplus: self.surplus.as_ref(),
            quiet_since: self.quiet_since,
            scoped: self.scoped,
        })
    }

    /// Plans without keeping anything; no plan may ever break the check.
    pub fn plan(&self) -> Plan {
        let mut ids = self.ids;
        let plan = self.ask(|input| {
            let plan = planner::plan(input, &mut || {
                ids += 1;
                Uuid::from_u128(ids)
            });
            assert_eq!(planner::check(input, &plan), Vec::<String>::new(), "the plan's own check");
            plan
        });
        let ids: BTreeSet<Uuid> = plan.policies.iter().map(|p| p.id).collect();
        assert_eq!(ids.len(), plan.policies.len(), "each changed policy is there once");
        plan
    }

    /// One cycle: plans, stores what the plan says, puts what was executed under judgement, and waits for the next.
    pub fn cycle(&mut self) -> Plan {
        let plan = self.plan();
        self.ids += 1000;
        for policy in &plan.policies {
            self.policies.retain(|p| p.id != policy.id);
            if matches!(policy.approval, Approval::Pending | Approval::Approved) {
                self.policies.push(policy.clone());
            }
        }
        for treatment in &plan.treatments {
            self.treatments.retain(|one| one.id != treatment.id);
            self.treatments.insert(0, treatment.clone());
        }
        if let Some(policy) = &plan.chosen {
            let now = self.now;
            let treated = plan.treatment_of(policy).map(|one| one.id);
            let own = self.treatments.iter_mut().find(|one| Some(one.id) == treated);
            if let Some(treatment) = own {
                treatment.attempts.extend(policy.actions.iter().map(|a| Attempt {
                    action: a.kind(),
                    policy_id: policy.id,
                    at: now,
                    verdict: None,
                    failed: false,
                }));
            }
            self.verifications.push(verification(policy, now));
        }
        self.wait(30);
        plan
    }

    /// A cycle that is of no interest by itself.
    pub fn pass(&mut self) {
        let _ = self.cycle();
    }

    /// Everything under judgement gets this verdict.
    pub fn judged(&mut self, verdict: OutcomeType) {
        for verification in std::mem::take(&mut self.verifications) {
            let attempts = self.treatments.iter_mut().flat_map(|i| &mut i.attempts);
            for attempt in attempts.filter(|a| a.policy_id == verification.policy_id) {
                attempt.verdict = Some(verdict);
            }
        }
    }

    /// What was just executed has failed.
    pub fn failed(&mut self) {
        for verification in std::mem::take(&mut self.verifications) {
            let attempts = self.treatments.iter_mut().flat_map(|i| &mut i.attempts);
            for attempt in attempts.filter(|a| a.policy_id == verification.policy_id) {
                attempt.failed = true;
            }
        }
    }

    pub fn decide(&mut self, approval: Approval) {
        for policy in self.policies.iter_mut().filter(|p| p.approval == Approval::Pending) {
            policy.approval = approval;
            policy.decided_at = Some(self.now);
            policy.decided_by = Some("ada".to_owned());
            policy.grant = (approval == Approval::Approved).then(|| Grant {
                revision: policy.revision,
                plan_hash: policy.hash(),
                by: "ada".to_owned(),
                at: self.now,
                expires_at: self.now + self.settings.approval_ttl,
            });
        }
    }

    /// The action of each of the next cycles, each judged with this verdict at once.
    pub fn actions(&mut self, cycles: usize, verdict: OutcomeType) -> Vec<Option<ActionKind>> {
        (0..cycles)
            .map(|_| {
                let done = action(&self.cycle());
                self.judged(verdict);
                done
            })
            .collect()
    }
}

pub fn action(plan: &Plan) -> Option<ActionKind> {
    plan.chosen.as_ref().map(|p| p.actions[0].kind())
}

/// The report of one action.
pub fn report(plan: &Plan, kind: ActionKind) -> &CandidateReport {
    let found = plan.candidates.iter().find(|c| c.action == kind);
    found.unwrap_or_else(|| panic!("no report of {kind} in {:#?}", plan.candidates))
}

pub fn verdict(plan: &Plan, kind: ActionKind) -> &CandidateResult {
    &report(plan, kind).verdict
}

pub fn committee(status: CommitteeStatus, replicas: u32, healthy_nodes: u32) -> CharterView {
    CharterView {
        at: start(),
        is_on: true,
        state: Ok(CommitteeState { status, replicas, healthy_nodes }),
    }
}

pub fn violation(fingerprint: &str, component: &str, at: Time) -> Violation {
    Violation {
        id: Uuid::nil(),
        fingerprint: fingerprint.to_owned(),
        severity: Severity::Warning,
        source: Source::Prometheus,
        rule: "a_rule".to_owned(),
        metric: "a_metric".to_owned(),
        value: Some(2.0),
        threshold: Some(1.0),
        comparison: Some(Comparison::Gt),
        component: Some(component.to_owned()),
        target: Some(component.parse().expect("any name is a target's")),
        labels: BTreeMap::new(),
        description: "2 > 1".to_owned(),
        cause: None,
        detected_at: at,
        active_since: at,
        cleared_at: None,
        flapping: false,
        actionable: true,
        confirmed: true,
        no_evidence: None,
    }
}

pub fn verification(policy: &Policy, now: Time) -> PendingVerification {
    PendingVerification {
        execution_id: Uuid::nil(),
        policy_id: policy.id,
        cause: policy.cause.clone(),
        component: policy.component.clone(),
        actions: policy.actions.iter().map(mape_k::domain::action::Action::kind).collect(),
        target: policy.actions[0].target(),
        before: BTreeSet::new(),
        rules: BTreeSet::new(),
        witness: None,
        metric_before: None,
        intent_at: now,
        applied_at: now,
        settled_at: now + Duration::from_secs(180),
        judge_by: now + Duration::from_secs(780),
        expected_replicas: None,
        first_look: None,
        clear_at: None,
        measured: BTreeSet::new(),
        yardstick: None,
        first_values: BTreeMap::new(),
    }
}
