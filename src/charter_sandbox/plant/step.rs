//! One step of the plant: arrivals, admission, queues, service, failures, records.

use std::array;

use rand::RngExt;

use super::queue::Taken;
use super::shards::SHARD_LIMIT;
use super::window::Sample;
use super::{Component, Plant, PolicySet, STEP_SECONDS, ValidationType, Violation};

/// Operations that fail whatever happens: bad input, lost connections.
const BASE_FAILURE: f64 = 0.01;

/// A client sends again when its operation has waited this long. Under the 1.67 s that a full queue takes even when the
/// ordering stage is the only limit (4,500 / 2,700 per second), so added replicas do not end a storm of retries.
const CLIENT_PATIENCE: f64 = 0.8;

/// Mean handling time of any operation; the validation types lie around it.
pub(in crate::charter_sandbox) const HANDLING_SECONDS: f64 = 0.05;

/// Mean time of one committee decision.
pub(in crate::charter_sandbox) const DECISION_SECONDS: f64 = 0.02;

/// Waiting that random arrivals cause below full load: 20 ms × ρ / (1 − ρ). At 60 % busy 30 ms, at 90 % 180 ms.
const JITTER_SECONDS: f64 = 0.02;
/// Above that load the queue itself determines the wait; the formula would go to infinity.
const JITTER_MAX_LOAD: f64 = 0.95;

/// Refusals are reported in bulk: a drifted rule that refuses 30 % of 315/s reports about seven violations a minute.
const REFUSALS_PER_REPORT: f64 = 800.0;

/// Reported violations kept for GET /violations.
const VIOLATIONS_KEPT: usize = 100;

/// What one step brings to one service.
#[derive(Debug, Clone, Copy, Default)]
struct Arrivals {
    fresh: f64,
    retries: f64,
}

impl Plant {
    pub(super) fn step(&mut self) {
        let now = self.now();
        self.policies.expire(now);
        self.expire_faults(now);
        let leaking = self.conditions.leaking.map(|failing| failing.is_some());
        self.nodes.step(now, leaking, STEP_SECONDS);

        let offered = self.offered(now);
        let admitted = self.admit(offered);
        let rejected = self.enqueue(now, admitted);
        let capacity = self.capacity(now);
        let taken = self.serve(now, capacity);
        let overflowed = self.overflow(admitted);

        let store_failure = self.store_failure(taken);
        for component in Component::ALL {
            let index = component.index();
            let store = if component.uses_policy_store() { store_failure } else { 0.0 };
            let served = taken[index].count;
            let failed = served * self.failing_share(component, now, store);
            let turned_away = rejected[index] + overflowed[index];
            let load = (admitted[index].fresh + admitted[index].retries)
                / capacity[index].max(f64::MIN_POSITIVE);
            let wait = taken[index].mean_wait + jitter(load);
            self.services[index].window.push(Sample {
                served,
                answered: served + turned_away,
                failed: failed + turned_away,
                wait,
            });
            self.services[index].shards.step(STEP_SECONDS);
            self.report_refusals(component, served, now);
            self.count(component, served, wait);
        }
        self.decide(&taken);
    }

    /// What clients send: fresh operations, and again what has waited beyond their patience.
    fn offered(&mut self, now: f64) -> [Arrivals; 3] {
        let base = self.size.base_load * self.conditions.load_factor * STEP_SECONDS;
        let kinds = ValidationType::ALL.len() as f64;
        let bypassed =
            ValidationType::ALL.into_iter().filter(|kind| self.policies.is_bypassed(*kind)).count()
                as f64;
        Component::ALL.map(|component| {
            let noise = 1.0 + self.size.noise * self.rng.random_range(-1.0..1.0);
            let addressed = match component {
                Component::Validator => 1.0 - bypassed / kinds,
                Component::Enforcer | Component::Auditor => 1.0,
            };
            let fresh = base * component.share() * addressed * noise;
            let service = &mut self.services[component.index()];
            let impatient = service.queue.age(now) > CLIENT_PATIENCE;
            let retries = if impatient { fresh * self.conditions.retries } else { 0.0 };
            service.offered_rate = (fresh + retries) / STEP_SECONDS;
            Arrivals { fresh, retries }
        })
    }

    /// A throttle answers "later" to what exceeds its rate: no failure, and no client sends it again at once.
    fn admit(&mut self, offered: [Arrivals; 3]) -> [Arrivals; 3] {
        let total: f64 = offered.iter().map(|arrivals| arrivals.fresh + arrivals.retries).sum();
        let share = match self.policies.rate_limit() {
            Some(limit) if total > limit * STEP_SECONDS => limit * STEP_SECONDS / total,
            _ => 1.0,
        };
        for (shed, arrivals) in self.totals.shed.iter_mut().zip(offered) {
            *shed += (arrivals.fresh + arrivals.retries) * (1.0 - share);
        }
        offered.map(|arrivals| Arrivals {
            fresh: arrivals.fresh * share,
            retries: arrivals.retries * share,
        })
    }

    /// Queues what its shard and service can take; returns what was turned away at the door, per service.
    fn enqueue(&mut self, now: f64, admitted: [Arrivals; 3]) -> [f64; 3] {
        Component::ALL.map(|component| {
            let Arrivals { fresh, retries } = admitted[component.index()];
            let service = &mut self.services[component.index()];
            if self.nodes.serving(component, now).up == 0 {
                // Connection refused: nothing listens.
                return fresh;
            }
            // A retry waits behind its own original and takes no place of its own in the shard.
            let limit = SHARD_LIMIT * self.size.base_load * component.share() * STEP_SECONDS;
            let turned_away = service.shards.turned_away(fresh, limit);
            service.queue.push(now, fresh - turned_away + retries);
            turned_away
        })
    }

    /// Operations that the instances of each service can work off in this step.
    fn capacity(&self, now: f64) -> [f64; 3] {
        Component::ALL.map(|component| {
            f64::from(self.nodes.serving(component, now).up)
                * self.size.replica_rate
                * component.share()
                * STEP_SECONDS
        })
    }

    /// Works off the queues, as fast as the instances and then the ordering stage allow. An emergency override lets
    /// operations through without the committee's ordering.
    fn serve(&mut self, now: f64, capacity: [f64; 3]) -> [Taken; 3] {
        let wanted: [f64; 3] =
            array::from_fn(|index| self.services[index].queue.length().min(capacity[index]));
        let total: f64 = wanted.iter().sum();
        let ordered = if self.policies.override_is_active() {
            total
        } else if now < self.stalled_until {
            0.0
        } else {
            self.size.ordering_rate * STEP_SECONDS
        };
        let share = if total > ordered { ordered / total } else { 1.0 };
        array::from_fn(|index| self.services[index].queue.take(now, wanted[index] * share))
    }

    /// Turns away what no longer fits; retries first, and those in silence: their original is in the queue already.
    fn overflow(&mut self, admitted: [Arrivals; 3]) -> [f64; 3] {
        Component::ALL.map(|component| {
            let limit = self.settings.queue_limit * component.share();
            let turned_away = self.services[component.index()].queue.overflow(limit);
            (turned_away - admitted[component.index()].retries).max(0.0)
        })
    }

    /// Share of the operations on the shared policy store that it cannot answer.
    fn store_failure(&self, taken: [Taken; 3]) -> f64 {
        let asked: f64 = Component::ALL
            .into_iter()
            .filter(|component| component.uses_policy_store())
            .map(|component| taken[component.index()].count)
            .sum();
        match self.conditions.store_rate {
            Some(rate) if asked > rate * STEP_SECONDS => 1.0 - rate * STEP_SECONDS / asked,
            _ => 0.0,
        }
    }

    /// Share of a service's served operations that end in an error: independent reasons, so the successes multiply.
    fn failing_share(&self, component: Component, now: f64, store: f64) -> f64 {
        let serving = self.nodes.serving(component, now);
        let on_sick = f64::from(serving.sick) / f64::from(serving.up.max(1));
        let sick = on_sick * self.conditions.leaking[component.index()].unwrap_or(0.0);
        let given_up = (-self.settings.operation_timeout_ms / 1_000.0 / HANDLING_SECONDS).exp();
        let refused = match self.policy_sets[component.index()] {
            PolicySet::Baseline | PolicySet::Strict => 0.0,
            PolicySet::Drifted { refused } => refused,
        };
        1.0 - [BASE_FAILURE, sick, given_up, refused, store]
            .into_iter()
            .map(|share| 1.0 - share)
            .product::<f64>()
    }

    /// Counts refusals by policy and reports them in bulk as violations.
    fn report_refusals(&mut self, component: Component, served: f64, now: f64) {
        let index = component.index();
        let set = self.policy_sets[index];
        let refused = served * set.refused();
        self.totals.denied[index] += refused;
        self.services[index].unreported += refused;
        while self.services[index].unreported >= REFUSALS_PER_REPORT {
            self.services[index].unreported -= REFUSALS_PER_REPORT;
            let critical = matches!(set, PolicySet::Drifted { .. });
            if critical {
                self.totals.critical_violations[index] += 1;
            } else {
                self.totals.warning_violations[index] += 1;
            }
            let number =
                self.totals.critical_violations.iter().chain(&self.totals.warning_violations).sum();
            if self.violations.len() == VIOLATIONS_KEPT {
                self.violations.pop_back();
            }
            self.violations.push_front(Violation { number, component, critical, at: now });
        }
    }

    /// Counts and sums behind the summaries.
    fn count(&mut self, component: Component, served: f64, wait: f64) {
        match component {
            Component::Validator => {
                let kinds = ValidationType::ALL.map(|kind| !self.policies.is_bypassed(kind));
                let validated =
                    kinds.into_iter().filter(|validated| *validated).count().max(1) as f64;
                for (kind, validated_kind) in ValidationType::ALL.into_iter().zip(kinds) {
                    if validated_kind {
                        let (count, sum) = &mut self.totals.validations[kind as usize];
                        *count += served / validated;
                        *sum += served / validated * (wait + kind.mean_seconds());
                    }
                }
            }
            Component::Enforcer => {
                self.totals.enforcements.0 += served;
                self.totals.enforcements.1 += served * (wait + HANDLING_SECONDS);
            }
            Component::Auditor => {}
        }
    }

    /// The committee's decisions of this step: slower the busier the ordering stage is.
    fn decide(&mut self, taken: &[Taken; 3]) {
        let count: f64 = taken.iter().map(|taken| taken.count).sum();
        let delay = jitter(count / (self.size.ordering_rate * STEP_SECONDS));
        self.decisions.push(count, delay);
        self.totals.decisions.0 += count;
        self.totals.decisions.1 += count * (delay + DECISION_SECONDS);
    }
}

fn jitter(load: f64) -> f64 {
    let load = load.min(JITTER_MAX_LOAD);
    JITTER_SECONDS * load / (1.0 - load)
}
