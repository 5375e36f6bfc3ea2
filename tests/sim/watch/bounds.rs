//! How much is done and beside what: budgets, one unjudged action on one ground, storms, no going to and fro
//! (invariants 5, 6, 8 and 9).

use std::collections::BTreeMap;

use mape_k::domain::action::{Action, ActionKind};
use mape_k::domain::execution::{ActionState, Execution};
use mape_k::domain::need::NeedReason;
use mape_k::domain::target::{System, Target};
use mape_k::domain::time::{Time, since};

use super::Watch;
use crate::outside::Outside;

/// After the last trouble everything has come to its end, and nothing more is done, within this time: an incident's four
/// actions with their verdicts, and the expiry of the last of them.
pub const COMES_TO_REST: f64 = 2400.0;

#[derive(Default)]
pub struct Bounds {
    /// Intents by the key of each action.
    intents: BTreeMap<String, Sent>,
    /// Those of which a try has left the daemon, in order.
    sent: Vec<Sent>,
    last_intent: f64,
    /// This storm was throttled in.
    pub throttled: bool,
}

#[derive(Clone)]
struct Sent {
    /// By the daemon's clock.
    wall: Time,
    kind: ActionKind,
    target: Target,
}

/// One contains the other: Charter its services; hooks of one component change the same.
fn collide(a: &Action, b: &Action) -> bool {
    match (a.target(), b.target()) {
        (Target::Charter(None), Target::Charter(_))
        | (Target::Charter(_), Target::Charter(None)) => true,
        (Target::Charter(Some(a)), Target::Charter(Some(b)))
        | (Target::Hook { component: a, .. }, Target::Hook { component: b, .. }) => a == b,
        (a, b) => a.system() == b.system() && a.overlaps(&b),
    }
}

impl Watch {
    /// Not known to be in effect and judged, or not in effect: nothing may be begun beside it on the same ground.
    fn is_unjudged(&self, execution: &Execution) -> bool {
        self.verifications.contains_key(&execution.id.to_string())
            || execution.actions.iter().any(|action| {
                matches!(
                    action.state,
                    ActionState::Intent
                        | ActionState::Validated
                        | ActionState::Sent
                        | ActionState::Applied
                        | ActionState::Verifying
                        | ActionState::Unknown
                        | ActionState::UndoSent
                )
            })
    }
}

impl Outside {
    /// A new execution is in the store.
    ///
    /// Invariant 6: no other execution on an overlapping target is begun, unknown or waiting for its verdict.
    /// Invariant 8: while the stored ledger says storm of its system, only throttling is begun.
    pub(super) fn intended(&mut self, now: f64, execution: &Execution) {
        self.watch.bounds.last_intent = now;
        self.watch.tested(6);
        let wall = self.daemon_wall();
        for record in &execution.actions {
            let target = record.action.target();
            let other = self.watch.executions.values().find(|other| {
                other.id != execution.id
                    && self.watch.is_unjudged(other)
                    && other.actions.iter().any(|a| collide(&a.action, &record.action))
            });
            if let Some(other) = other {
                let what = format!("{} is begun beside the unjudged {}", record.action, other.id);
                self.watch.broke(6, now, what);
            }
            let kind = record.action.kind();
            if let Some(storm) = self.watch.ledger.storm(target.system()).cloned() {
                self.watch.tested(8);
                if kind != ActionKind::ThrottleRequests {
                    let what =
                        format!("{} is begun in the storm of {}", record.action, storm.since);
                    self.watch.broke(8, now, what);
                }
            }
            let sent = Sent { wall, kind, target };
            self.watch.bounds.intents.insert(record.key.to_string(), sent);
        }
        self.well_informed(now, execution);
    }

    /// Invariant 8: a storm is one page; each system has its own.
    pub(super) fn one_page(&mut self, now: f64) {
        let pages = self.watch.open().filter(|e| e.reason == NeedReason::Storm);
        let mut subjects: Vec<String> = pages.map(|e| e.subject.clone()).collect();
        let pages = subjects.len();
        subjects.sort();
        subjects.dedup();
        if pages > 0 {
            self.watch.tested(8);
        }
        if pages > subjects.len() {
            self.watch.broke(8, now, format!("{pages} pages of {} storms", subjects.len()));
        }
    }

    /// The first try of an action has left the daemon.
    ///
    /// Invariant 5: with it no hour holds more than 6 actions on one system (12 on Kubernetes), none more than 3 on one
    /// target (2), two overrides lie 30 minutes apart and no day holds more than 2, by the daemon's clock and across its
    /// processes. What lies ahead of a clock that was set back counts as now.
    /// Invariant 8: a storm is throttled in once.
    /// Invariant 9: an action does not follow its opposite within 600 s.
    pub(super) fn first_sent(&mut self, now: f64, key: &str) {
        let Some(own) = self.watch.bounds.intents.get(key).cloned() else { return };
        self.watch.tested(5);
        let bounds = &mut self.watch.bounds;
        bounds.sent.push(own.clone());
        let ago = |sent: &Sent| since(own.wall, sent.wall).as_secs();
        let system = own.target.system();
        let beside = |s: &&Sent| s.target.system() == system;
        let hour: Vec<&Sent> =
            bounds.sent.iter().filter(beside).filter(|s| ago(s) < 3600).collect();
        let there = hour.iter().filter(|s| s.target == own.target).count();
        let (most, most_there) = match system {
            System::Charter | System::Hook => (6, 3),
            System::Kubernetes => (12, 2),
        };
        let mut broken = Vec::new();
        if hour.len() > most {
            broken.push((5, format!("{} actions on {system} in an hour", hour.len())));
        }
        if there > most_there {
            broken.push((5, format!("{there} actions on {} in an hour", own.target)));
        }
        let earlier = || bounds.sent.iter().rev().skip(1).filter(beside);
        if own.kind.is_override() {
            let day = || earlier().filter(|s| s.kind.is_override() && ago(s) < 24 * 3600);
            if day().count() >= 2 || day().any(|s| ago(s) < 1800) {
                broken.push((5, "an override too many, or too soon".to_owned()));
            }
        }
        let mut tested = false;
        if let Some(other) = own.kind.opposite() {
            tested = true;
            if earlier().any(|s| s.kind == other && s.target == own.target && ago(s) < 600) {
                broken.push((9, format!("{} within 600 s of {other}", own.kind)));
            }
        }
        if own.kind == ActionKind::ThrottleRequests
            && self.watch.ledger.storm(System::Charter).is_some()
        {
            if self.watch.bounds.throttled {
                broken.push((8, "it was throttled in this storm before".to_owned()));
            }
            self.watch.bounds.throttled = true;
        }
        if tested {
            self.watch.tested(9);
        }
        for (invariant, what) in broken {
            self.watch.broke(invariant, now, what);
        }
    }

    /// Invariant 9: since the last trouble the input is constant, so that the loop has come to rest.
    pub(super) fn at_rest(&mut self, end: f64, quiet_since: f64) {
        if end - quiet_since < COMES_TO_REST {
            return;
        }
        self.watch.tested(9);
        let last = self.watch.bounds.last_intent;
        if last > quiet_since + COMES_TO_REST {
            let what = format!(
                "an action begun at {last:.0} s, with nothing new since {quiet_since:.0} s"
            );
            self.watch.broke(9, end, what);
        }
    }
}
