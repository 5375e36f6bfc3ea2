//! How the loop stands at the end of a cycle: for the report's basis, and for the view that everybody else sees.

use super::kit::Kit;
use super::run::Run;
use crate::domain::cycle::basis::{Basis, StillOpen};
use crate::domain::ledger::Ledger;
use crate::domain::loop_status::{LoopStatus, SystemStanding};
use crate::domain::need::Need;
use crate::domain::target::System;
use crate::incidents::Changes;
use crate::knowledge::StoreError;

impl Run<'_> {
    pub(super) async fn stands(
        &mut self,
        kit: &Kit,
        ledger: &Ledger,
        told: &Changes,
    ) -> Result<(), StoreError> {
        let in_force = kit.knowledge.in_force().await?;
        let plan = &kit.config.plan;
        let now = kit.clock.now();
        let systems = System::ALL.into_iter().filter(|system| kit.acts_on(*system));
        let systems = systems.map(|system| {
            SystemStanding::of(ledger, system, plan.guardrails.per_hour(system), now)
        });
        let rails = &plan.guardrails;
        let standing = LoopStatus::new(rails.mode, plan.auto_approve, systems.collect());
        self.view.standing = Some(standing.clone());
        if let Some(basis) = &mut self.report.basis {
            basis.standing = Some(standing);
            basis.in_force = in_force;
            let mut open: Vec<&Need> = told.refreshed.iter().chain(&told.unchanged).collect();
            open.sort_by_key(|record| record.opened_at);
            basis.open_total = open.len();
            basis.open = open.into_iter().take(Basis::OPEN).map(still_open).collect();
        }
        Ok(())
    }
}

fn still_open(record: &Need) -> StillOpen {
    StillOpen {
        reason: record.reason,
        subject: record.subject.chars().take(Basis::NAME).collect(),
        component: record.component.clone(),
        opened_at: record.opened_at,
    }
}
