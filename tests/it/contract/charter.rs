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
use crate::fake_charter::{FakeCharter, Turn};

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

fn turn(fate: Fate) -> Turn {
    match fate {
        Fate::DoneAndLost => Turn::DoThenReset,
        Fate::Lost => Turn::Reset,
        Fate::Refused => Turn::Answer(422, json!({"error": "out of range", "code": "invalid"})),
        Fate::NotNow => Turn::Answer(503, json!({"error": "starting", "code": "unavailable"})),
        Fate::Conflict => Turn::Answer(409, json!({"error": "changed", "code": "conflict"})),
    }
}

struct Sized(FakeCharter, Charter);

#[async_trait]
impl Fixture for Sized {
    const TELLS_CONFLICTS: bool = true;

    async fn start() -> Self {
        let (fake, charter) = charter().await;
        Self(fake, charter)
    }

    fn actuator(&self) -> &dyn Actuator {
        &self.1
    }

    fn action(&self) -> Action {
        Action::ScaleUp { replicas: 5 }
    }

    fn next(&self, fate: Fate) {
        self.0.script(Call::Scale, [turn(fate)]);
    }

    fn changes(&self) -> usize {
        self.0.world().effects.len()
    }

    fn is_in_effect(&self) -> bool {
        self.0.replicas() == 5
    }

    fn change_by_others(&self) {
        self.0.world().replicas = 9;
    }

    fn end_by_itself(&self) {
        self.0.world().replicas = 3;
    }
}

struct Listed(FakeCharter, Charter);

#[async_trait]
impl Fixture for Listed {
    const TELLS_CONFLICTS: bool = true;

    async fn start() -> Self {
        let (fake, charter) = charter().await;
        Self(fake, charter)
    }

    fn actuator(&self) -> &dyn Actuator {
        &self.1
    }

    fn action(&self) -> Action {
        Action::ApplyPolicy { policy_set: "baseline".to_owned() }
    }

    fn next(&self, fate: Fate) {
        self.0.script(Call::Apply, [turn(fate)]);
        self.0.script(Call::Rollback, [turn(fate)]);
    }

    fn changes(&self) -> usize {
        self.0.world().effects.len()
    }

    fn is_in_effect(&self) -> bool {
        self.0.policies().iter().any(|policy| policy["status"] == "active")
    }

    /// Another one like it: which of them is ours nobody can tell.
    fn change_by_others(&self) {
        let mut world = self.0.world();
        let mut other = world.policies.last().expect("ours").clone();
        other["policy_id"] = json!("of-somebody-else");
        world.policies.push(other);
    }

    fn end_by_itself(&self) {
        for policy in &mut self.0.world().policies {
            policy["status"] = json!("rolled_back");
        }
    }
}

mod size {
    super::super::contract!(super::Sized);
}

mod policy {
    // A policy of somebody else's leaves ours as it is: there is no undo that it forbids. `undo_lost` scripts one call.
    super::super::contract!(
        super::Listed: lost_then_found, lost_then_absent, repeated_key, refused, not_now, conflict, foreign_change,
        undo_ours, undo_already_gone,
    );
}
