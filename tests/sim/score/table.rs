//! Every class, every seed, every controller.

use mape_k::charter_sandbox::faults::Fault;

use super::controller::Controller;
use super::course::IncidentHistory;
use super::measured::measure;
use super::tally::{Figures, Trio, figures};
use super::workers;

/// One class: a row of figures for every controller, in the order of the seeds.
pub struct Card {
    pub fault: Fault,
    pub rows: Vec<(Controller, Vec<Figures>)>,
}

impl Card {
    pub fn of(&self, wanted: Controller) -> &[Figures] {
        let row = self.rows.iter().find(|(controller, _)| *controller == wanted);
        &row.expect("every controller has its row").1
    }

    pub fn trios(&self, controller: Controller) -> Vec<Trio> {
        let spent = |figures: &Figures| figures.bad + figures.price;
        let own = self.of(controller).iter().map(spent);
        let beside = self.of(Controller::Noop).iter().zip(self.of(Controller::Oracle));
        own.zip(beside)
            .map(|(own, (noop, oracle))| Trio { noop: spent(noop), own, oracle: spent(oracle) })
            .collect()
    }
}

pub fn measure_all(seeds: &[u64]) -> Vec<Card> {
    let mut questions = Vec::new();
    for fault in Fault::ALL {
        questions.extend(seeds.iter().map(|seed| IncidentHistory::episode(*seed, fault)));
    }
    // All controllers of an incident at once: they are held against its run without any.
    let answers = workers::each(&questions, |course| {
        let records = Controller::COMPARED.map(|controller| measure(course, controller));
        let noop = records[0].clone();
        records.map(|record| figures(course, &record, &noop))
    });
    let classes = answers.chunks(seeds.len());
    Fault::ALL
        .into_iter()
        .zip(classes)
        .map(|(fault, incidents)| {
            let rows = Controller::COMPARED.into_iter().enumerate();
            let rows = rows.map(|(place, controller)| {
                (controller, incidents.iter().map(|figures| figures[place]).collect())
            });
            Card { fault, rows: rows.collect() }
        })
        .collect()
}
