//! The contract, held by Charter: by a change of size, and by a policy.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mape_k::actuators::Actuator;
use mape_k::actuators::charter::{Call, CallObserver, CallStatus, Charter};
use mape_k::domain::action::Action;
use serde_json::json;

use super::{Fate, Fixture};
use crate::executor::settings;
use crate::fake_charter::{FakeCharter, StrategyOrder};

struct Quiet;

impl CallObserver for Quiet {
    fn on_call(&self, _: Call, _: CallStatus, _: Duration) {}
}

async fn charter() -> (FakeCharter, Charter) {
    let fake = FakeCharter::start().await;
    let settings = settings(&fake.base).charter().expect("it is on");
    let charter = Charter::new(&settings, Arc::new(Quiet)).expect("Charter's actuator");
    (fake, charter)
}

fn turn(fate: Fate) -> StrategyOrder {
    match fate {
        Fate::DoneAndLost => StrategyOrder::DoThenReset,
        Fate::Lost => StrategyOrder::Reset,
        Fate::Refused => {
            StrategyOrder::Answer(422, json!({"error": "out of range", "code": "invalid"}))
        }
        Fate::NotNow => {
            StrategyOrder::Answer(503, json!({"error": "starting", "code": "unavailable"}))
        }
        Fate::Conflict => {
            StrategyOrder::Answer(409, json!({"error": "changed", "code": "conflict"}))
        }
    }
}

/// Over a change of size, or over a policy.
struct OverCharter<const LISTED: bool>(FakeCharter, Charter);

#[async_trait]
impl<const LISTED: bool> Fixture for OverCharter<LISTED> {
    const TELLS_CONFLICTS: bool = true;

    async fn start() -> Self {
        let (fake, charter) = charter().await;
        Self(fake, charter)
    }

    fn actuator(&self) -> &dyn Actuator {
        &self.1
    }

    fn action(&self) -> Action {
        if LISTED {
            Action::ApplyPolicy { policy_set: "baseline".to_owned() }
        } else {
            Action::ScaleUp { replicas: 5 }
        }
    }

    fn next(&self, fate: Fate) {
        let call = if LISTED { Call::Apply } else { Call::Scale };
        self.0.script(call, [turn(fate)]);
    }

    fn changes(&self) -> usize {
        self.0.world().effects.len()
    }

    fn is_in_effect(&self) -> bool {
        if LISTED {
            self.0.policies().iter().any(|policy| policy["status"] == "active")
        } else {
            self.0.replicas() == 5
        }
    }

    /// Another policy like ours: which of them is ours nobody can tell.
    fn change_by_others(&self) {
        let mut world = self.0.world();
        if LISTED {
            let mut other = world.policies.last().expect("ours").clone();
            other["policy_id"] = json!("of-somebody-else");
            world.policies.push(other);
        } else {
            world.replicas = 9;
        }
    }

    fn end_by_itself(&self) {
        let mut world = self.0.world();
        world.replicas = 3;
        for policy in &mut world.policies {
            policy["status"] = json!("rolled_back");
        }
    }
}

mod size {
    super::super::contract!(super::OverCharter<false>);
}

mod policy {
    // A policy of somebody else's leaves ours as it is: there is no undo that it forbids. `undo_lost` scripts one call.
    super::super::contract!(
        super::OverCharter<true>: lost_then_found, lost_then_absent, repeated_key, refused, not_now, conflict, foreign_change,
        undo_ours, undo_already_gone,
    );
}
