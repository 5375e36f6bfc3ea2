//! Counts what recovers by itself: follows episodes in which nothing was done until the time at which a result would have
//! been known, and for as long after it as a success is watched, so that both are measured alike.
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
    /// A scheduled cycle, in which the sources could be read.
    pub looked: bool,
    pub active: &'a BTreeMap<&'a str, &'a Violation>,
    pub vanished: &'a [String],
    /// When anything was last done at Charter, so far as is known.
    pub acted_at: Option<Time>,
    pub held: Vec<Held>,
    /// How long an end that nobody can see is waited for.
    pub patience: Duration,
    /// How long a success is watched.
    pub watch: Duration,
}

/// An action that was due and was not carried out, with nothing done in its incident.
#[derive(Clone, Debug)]
pub struct Held {
    pub cause: Cause,
    pub incident: Uuid,
    /// From now until its result would have been known.
    pub span: Duration,
    pub evidence: BTreeSet<String>,
}

enum End {
    Open,
    Cleared,
    Lost,
    Counted { recovered: bool },
}

pub fn observe(natural: &mut Natural, scene: &Scene<'_>) {
    for mut episode in std::mem::take(&mut natural.open) {
        match end(&episode, scene) {
            End::Open => natural.open.push(episode),
            End::Cleared => {
                episode.cleared = true;
                episode.due = after(scene.now, scene.watch);
                natural.open.push(episode);
            }
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
                cleared: false,
                evidence: held.evidence.iter().take(Natural::EVIDENCE).cloned().collect(),
            });
        }
    }
}

fn end(episode: &Episode, scene: &Scene<'_>) -> End {
    // From later than now: the clock was set back, and nobody can say how long it has lasted.
    if episode.since > scene.now || scene.vanished.iter().any(|fp| episode.evidence.contains(fp)) {
        return End::Lost;
    }
    let left = || episode.evidence.iter().filter_map(|fp| scene.active.get(fp.as_str()));
    if scene.acted_at.is_some_and(|at| at >= episode.since) {
        return if left().next().is_some() { End::Counted { recovered: false } } else { End::Lost };
    }
    let is_due = scene.now >= episode.due;
    if !scene.looked || !(is_due || episode.cleared) {
        return End::Open;
    }
    if left().any(|v| v.confirmed) {
        return End::Counted { recovered: false };
    }
    if !is_due {
        return End::Open;
    }
    match left().next() {
        // Nobody was there to see how it ended, or nobody could.
        _ if scene.now > after(episode.due, scene.patience) => End::Lost,
        None if episode.cleared => End::Counted { recovered: true },
        None => End::Cleared,
        Some(_) => End::Open,
    }
}
