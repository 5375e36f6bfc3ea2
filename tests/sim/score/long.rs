//! One fault again and again over days: where learning has to show.

use mape_k::charter_sandbox::faults::Fault;

use super::controller::Controller;
use super::course::{APART, IncidentHistory};
use super::measured::measure;
use super::tally::sums;
use super::workers;

const FAULTS: [Fault; 3] = [Fault::SlowLeak, Fault::HotShard, Fault::RetryStorm];

pub const SHOWN: [Controller; 6] = [
    Controller::Noop,
    Controller::Runbook,
    Controller::Loop { learning: false, free: false },
    Controller::Loop { learning: true, free: false },
    Controller::Loop { learning: false, free: true },
    Controller::Loop { learning: true, free: true },
];

pub struct Long {
    pub fault: Fault,
    pub times: u32,
    /// Bad-minutes and price above the oracle's, per incident, by quarter of the run.
    pub regret: Vec<(Controller, [f64; 4])>,
}

/// `times`: a multiple of four.
pub fn measure_all(seed: u64, times: u32) -> Vec<Long> {
    let mut questions = Vec::new();
    for fault in FAULTS {
        let course = IncidentHistory::long(seed, fault, times);
        questions.push((course.clone(), Controller::Oracle));
        questions.extend(SHOWN.map(|controller| (course.clone(), controller)));
    }
    let spent = workers::each(&questions, |(course, controller)| {
        let record = measure(course, *controller);
        let quarter = f64::from(times / 4) * APART;
        [0.0, 1.0, 2.0, 3.0].map(|n| {
            let (bad, price) = sums(&record, n * quarter, (n + 1.0) * quarter);
            (bad + price) / f64::from(times / 4)
        })
    });
    let runs = spent.chunks(1 + SHOWN.len());
    FAULTS
        .into_iter()
        .zip(runs)
        .map(|(fault, spent)| {
            let oracle = spent[0];
            let regret = SHOWN.into_iter().zip(&spent[1..]);
            let regret = regret
                .map(|(controller, own)| (controller, [0, 1, 2, 3].map(|n| own[n] - oracle[n])));
            Long { fault, times, regret: regret.collect() }
        })
        .collect()
}
