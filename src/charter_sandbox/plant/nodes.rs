//! Replicas and the service instances they run: booting, restarting, leaking.
//!
//! Owns which instance can serve at a moment and which is sick. Leaves out what it serves (`step`).

use super::Component;

/// Memory an instance leaks while its service has the leak: from empty to full in an hour, so that a restart buys far more
/// time than any verification takes.
pub(in crate::charter_sandbox) const LEAK_PER_SECOND: f64 = 1.0 / 3_600.0;

/// Instances go full one after the other, this far apart, as replicas started one after the other do.
const LEAK_STAGGER_SECONDS: f64 = 20.0;

/// A graceful restart takes a third of the instances at a time.
const BATCHES: usize = 3;

/// Memory is full: allocations fail.
const FULL: f64 = 1.0;

#[derive(Debug, Clone, Copy, Default)]
struct Instance {
    /// Share of its memory that has leaked away.
    leak: f64,
    /// Down in this span of plant time.
    restart: Option<(f64, f64)>,
}

impl Instance {
    fn is_up(&self, now: f64) -> bool {
        self.restart.is_none_or(|(from, until)| now < from || now >= until)
    }

    fn is_sick(&self) -> bool {
        self.leak >= FULL
    }
}

#[derive(Debug, Clone)]
struct Node {
    ready_at: f64,
    /// One per component.
    instances: [Instance; 3],
}

/// What the instances of one service can do at a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::charter_sandbox) struct Serving {
    pub up: u32,
    pub sick: u32,
    pub restarting: u32,
}

/// All replicas, oldest first.
#[derive(Debug)]
pub(in crate::charter_sandbox) struct Nodes(Vec<Node>);

impl Nodes {
    pub fn ready(count: u32) -> Self {
        Self(
            (0..count)
                .map(|_| Node { ready_at: 0.0, instances: [Instance::default(); 3] })
                .collect(),
        )
    }

    pub fn count(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    pub fn scale(&mut self, target: u32, ready_at: f64) -> u32 {
        let before = self.count();
        self.0.resize(target as usize, Node { ready_at, instances: [Instance::default(); 3] });
        before
    }

    pub fn booting(&self, now: f64) -> u32 {
        self.number_where(|node| node.ready_at > now)
    }

    /// Ready, with every instance up and none out of memory.
    pub fn healthy(&self, now: f64) -> u32 {
        self.number_where(|node| {
            node.ready_at <= now
                && node.instances.iter().all(|instance| instance.is_up(now) && !instance.is_sick())
        })
    }

    pub fn serving(&self, component: Component, now: f64) -> Serving {
        let mut serving = Serving { up: 0, sick: 0, restarting: 0 };
        for node in self.0.iter().filter(|node| node.ready_at <= now) {
            let instance = node.instances[component.index()];
            if instance.is_up(now) {
                serving.up += 1;
                serving.sick += u32::from(instance.is_sick());
            } else {
                serving.restarting += 1;
            }
        }
        serving
    }

    pub fn restart(&mut self, component: Component, now: f64, span: f64, graceful: bool) -> u32 {
        let ready = self.0.iter_mut().filter(|node| node.ready_at <= now).collect::<Vec<_>>();
        let count = ready.len();
        let batch = if graceful { count.div_ceil(BATCHES).max(1) } else { count.max(1) };
        for (position, node) in ready.into_iter().enumerate() {
            let from = now + (position / batch) as f64 * span;
            node.instances[component.index()].restart = Some((from, from + span));
        }
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// The leak has been there for long: the oldest instance is about to be full, the others follow.
    pub fn leak_nearly_full(&mut self, component: Component) {
        for (position, node) in self.0.iter_mut().enumerate() {
            node.instances[component.index()].leak =
                FULL - (position + 1) as f64 * LEAK_STAGGER_SECONDS * LEAK_PER_SECOND;
        }
    }

    pub fn clear_leak(&mut self, component: Component) {
        for node in &mut self.0 {
            node.instances[component.index()].leak = 0.0;
        }
    }

    /// One step: leaking services fill up, and a process that was restarted comes back with empty memory.
    pub fn step(&mut self, now: f64, leaking: [bool; 3], seconds: f64) {
        for node in self.0.iter_mut().filter(|node| node.ready_at <= now) {
            for (instance, leaking) in node.instances.iter_mut().zip(leaking) {
                if leaking {
                    instance.leak = (instance.leak + LEAK_PER_SECOND * seconds).min(FULL);
                }
                if let Some((from, until)) = instance.restart
                    && now >= from
                {
                    instance.leak = 0.0;
                    if now >= until {
                        instance.restart = None;
                    }
                }
            }
        }
    }

    fn number_where(&self, holds: impl Fn(&Node) -> bool) -> u32 {
        u32::try_from(self.0.iter().filter(|node| holds(node)).count()).unwrap_or(u32::MAX)
    }
}
