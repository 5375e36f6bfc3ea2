//! Where a service's operations land: the share of its load on each shard.
//!
//! A shard is one ordered key range with one writer, so no number of replicas makes it faster; only moving keys does.

const SHARDS: usize = 8;

/// A shard takes this share of its service's base load, then turns operations away at once. An even eighth has room for
/// 0.45 × 8 = 3.6 times the base load, more than the ordering stage lets through.
pub(super) const SHARD_LIMIT: f64 = 0.45;

/// Keys move gradually: 63 % of the way in 20 s, all but done in 100 s.
const MOVE_SECONDS: f64 = 20.0;

pub(in crate::charter_sandbox) type Placement = [f64; SHARDS];

const EVEN: Placement = [1.0 / SHARDS as f64; SHARDS];

#[derive(Debug)]
pub(in crate::charter_sandbox) struct Shards {
    weights: Placement,
    target: Placement,
}

impl Default for Shards {
    fn default() -> Self {
        Self { weights: EVEN, target: EVEN }
    }
}

impl Shards {
    /// One shard has come to hold `hot` of the load, the others share the rest.
    pub fn skew(&mut self, hot: f64) {
        self.weights = [(1.0 - hot) / (SHARDS - 1) as f64; SHARDS];
        self.weights[0] = hot;
        self.target = self.weights;
    }

    /// Starts moving keys until each shard holds the same.
    pub fn even_out(&mut self) {
        self.target = EVEN;
    }

    pub fn placement(&self) -> Placement {
        self.target
    }

    /// Starts moving keys back to an earlier placement.
    pub fn move_to(&mut self, placement: Placement) {
        self.target = placement;
    }

    pub fn hottest(&self) -> f64 {
        self.weights.iter().copied().fold(0.0, f64::max)
    }

    pub fn step(&mut self, seconds: f64) {
        for (weight, target) in self.weights.iter_mut().zip(self.target) {
            *weight += (target - *weight) * seconds / MOVE_SECONDS;
        }
    }

    /// Of `arrivals` operations, how many find their shard at its limit of `limit`.
    pub fn turned_away(&self, arrivals: f64, limit: f64) -> f64 {
        self.weights.iter().map(|weight| (weight * arrivals - limit).max(0.0)).sum()
    }
}
