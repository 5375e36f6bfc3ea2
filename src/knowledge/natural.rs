//! Counts what recovers by itself: follows episodes in which nothing was done to the time a verdict would have come.
//!
//! Pure. An episode that is cut short by an action while it still lasts counts as not recovered, so that the share is a
//! lower bound: an action loses credit only for what surely comes without it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use uuid::Uuid;

use crate::domain::Cause;
use crate::domain::natural::{Episode, Natural};
use crate::domain::time::{Time, after};
use crate::domain::violation::Violation;

/// What one cycle saw and held back.
#[derive(Debug)]
pub struct Scene<'a> {
    pub now: Time,
    pub scheduled: bool,
    pub active: &'a BTreeMap<&'a str, &'a Violation>,
    pub vanished: &'a [String],
    /// When anything was last sent.
    pub acted_at: Option<Time>,
    pub held: Vec<Held>,
    /// How long an end that nobody can see is waited for.
    pub patience: Duration,
}

/// A remedy that was due and was not carried out, with nothing done in its incident.
#[derive(Clone, Debug)]
pub struct Held {
    pub cause: Cause,
    pub incident: Uuid,
    /// From now to its verdict, had it been carried out.
    pub span: Duration,
    pub evidence: BTreeSet<String>,
}

enum End {
    Open,
    Lost,
    Counted { recovered: bool },
}

pub fn observe(natural: &mut Natural, scene: &Scene<'_>) {
    for episode in std::mem::take(&mut natural.open) {
        match end(&episode, scene) {
            End::Open => natural.open.push(episode),
            End::Lost => {}
            End::Counted { recovered } => {
                let count = natural.counts.entry(episode.cause).or_default();
                count.episodes = count.episodes.saturating_add(1);
                count.recovered = count.recovered.saturating_add(u32::from(recovered));
                count.incident = Some(episode.incident);
            }
        }
    }
    for held in &scene.held {
        let known = natural.open.iter().any(|e| e.cause == held.cause)
            || natural.counts.get(&held.cause).is_some_and(|c| c.incident == Some(held.incident));
        if !known && !held.evidence.is_empty() {
            natural.open.push(Episode {
                cause: held.cause.clone(),
                incident: held.incident,
                since: scene.now,
                due: after(scene.now, held.span),
                evidence: held.evidence.iter().take(Natural::EVIDENCE).cloned().collect(),
            });
        }
    }
}

fn end(episode: &Episode, scene: &Scene<'_>) -> End {
    if scene.vanished.iter().any(|fp| episode.evidence.contains(fp)) {
        return End::Lost;
    }
    let left = || episode.evidence.iter().filter_map(|fp| scene.active.get(fp.as_str()));
    if scene.acted_at.is_some_and(|at| at >= episode.since) {
        return if left().next().is_some() { End::Counted { recovered: false } } else { End::Lost };
    }
    if scene.now < episode.due || !scene.scheduled {
        return End::Open;
    }
    if left().any(|v| v.confirmed) {
        return End::Counted { recovered: false };
    }
    match left().next() {
        None => End::Counted { recovered: true },
        // Active, and nobody can see whether it still is.
        Some(_) if scene.now <= after(episode.due, scene.patience) => End::Open,
        Some(_) => End::Lost,
    }
}
