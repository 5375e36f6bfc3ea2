//! A system that the configuration has no more: what was done there stays as it is, and nobody can say more of it.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use super::{
    Actuator, Comparison, Doubt, Failure, Probe, Request, Step, Undoable, Unprepared, Validation,
};
use crate::domain::action::Action;
use crate::domain::target::System;

#[derive(Debug)]
pub struct TurnedOff(pub System);

impl TurnedOff {
    fn why(&self) -> String {
        format!("{} is turned off in the configuration", self.0)
    }

    fn failure(&self) -> Failure {
        Failure { text: self.why(), doubt: Doubt::None, refusal: None }
    }
}

#[async_trait]
impl Actuator for TurnedOff {
    fn timeout(&self, _: &Action) -> Duration {
        Duration::ZERO
    }

    fn honours_keys(&self, _: &Action) -> bool {
        false
    }

    fn is_repeatable(&self, _: Step, _: &Action) -> bool {
        false
    }

    fn undoable(&self, _: &Action, _: &Value) -> Undoable {
        Undoable::No("its system is turned off in the configuration")
    }

    async fn validate(&self, _: &Request<'_>) -> Result<Validation, Failure> {
        Err(self.failure())
    }

    async fn prepare(&self, _: &Request<'_>) -> Result<Value, Unprepared> {
        Err(Unprepared(self.why()))
    }

    async fn apply(&self, _: &Request<'_>, _: &Value) -> Result<Value, Failure> {
        Err(self.failure())
    }

    async fn probe(&self, _: Step, _: &Request<'_>, _: &Value) -> Probe {
        Probe::CannotTell(self.why())
    }

    async fn compare(&self, _: &Request<'_>, _: &Value) -> Comparison {
        Comparison::CannotTell(self.why())
    }

    async fn undo(&self, _: &Request<'_>, _: &Value) -> Result<(), Failure> {
        Err(self.failure())
    }
}
