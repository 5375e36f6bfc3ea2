//! One cycle while it runs: its report, its phases with their time, and the view that is published at its end.

use super::kit::Kit;
use super::timeline::Happened;
use super::{Failure, panic_text};
use crate::clock::Clock;
use crate::domain::cycle::{CycleReport, CycleStatus, Phase};
use crate::domain::view::LoopView;
use crate::metrics::labels::StoreOperation;

pub(super) struct Run<'a> {
    pub report: CycleReport,
    pub view: LoopView,
    /// For the timelines of incidents.
    pub happened: Vec<Happened>,
    pub clock: Clock,
    entered: Option<(Phase, tokio::time::Instant)>,
    pub started: tokio::time::Instant,
    on_phase: &'a (dyn Fn(Phase) + Send + Sync),
}

impl<'a> Run<'a> {
    pub fn begin(
        report: CycleReport,
        clock: Clock,
        on_phase: &'a (dyn Fn(Phase) + Send + Sync),
    ) -> Self {
        let started = tokio::time::Instant::now();
        let (view, happened) = (LoopView::default(), Vec::new());
        Self { report, view, happened, clock, entered: None, started, on_phase }
    }

    pub fn enter(&mut self, phase: Phase) {
        self.leave();
        (self.on_phase)(phase);
        self.entered = Some((phase, tokio::time::Instant::now()));
    }

    pub fn broke_off(&mut self, kit: &Kit, failure: &Failure) {
        self.report.status = CycleStatus::Error;
        self.report.error = Some(failure.to_string());
        let (operation, error) = match failure {
            Failure::Recall(error) => (StoreOperation::Read, error),
            Failure::Store(error) => (StoreOperation::Write, error),
            Failure::Stopped => {
                self.report.phase = Some(Phase::Monitor);
                return;
            }
        };
        self.report.phase = Some(Phase::Knowledge);
        self.view.store_error = Some(failure.to_string());
        kit.store_failed(operation, error);
    }

    pub fn panicked(&mut self, panic: &(dyn std::any::Any + Send)) -> String {
        let text = panic_text(panic);
        self.report.status = CycleStatus::Error;
        self.report.phase = self.entered.map(|(phase, _)| phase);
        self.report.error = Some(format!("it panicked: {text}"));
        text
    }

    /// A phase that is entered twice is one entry of the report, with the time of both.
    pub fn leave(&mut self) {
        let Some((phase, since)) = self.entered.take() else { return };
        let took = since.elapsed().as_secs_f64();
        match self.report.phases.binary_search_by_key(&phase, |(entered, _)| *entered) {
            Ok(place) => self.report.phases[place].1 += took,
            Err(place) => self.report.phases.insert(place, (phase, took)),
        }
    }
}
