//! P(success | the action did nothing): Charter says yes to everything and changes nothing, and the loop judges.

use mape_k::charter_sandbox::faults::Fault;
use mape_k::domain::outcome::OutcomeType;

use super::controller::Controller;
use super::course::IncidentHistory;
use super::measured::measure;
use super::workers;

/// Faults that stay, which a shipped remedy is tried on; the same ones passing; and what always passes.
const STAYING: [Fault; 6] = [
    Fault::Overload,
    Fault::SlowLeak,
    Fault::MisconfiguredPolicy,
    Fault::HotShard,
    Fault::BadConfiguration,
    Fault::RetryStorm,
];

pub struct Lies {
    pub fault: Fault,
    pub passing: bool,
    /// Verdicts by kind, in the order of [`OutcomeType::ALL`].
    pub verdicts: [usize; 5],
}

pub fn measure_all(seeds: &[u64]) -> Vec<Lies> {
    let kinds = STAYING.iter().map(|fault| (*fault, false));
    let kinds = kinds.chain(STAYING.iter().map(|fault| (*fault, true)));
    let kinds: Vec<(Fault, bool)> = kinds.chain([(Fault::SharedShock, true)]).collect();
    let mut questions = Vec::new();
    for (fault, passing) in &kinds {
        questions.extend(seeds.iter().map(|seed| {
            // A shock has its own end.
            let passing = *passing && *fault != Fault::SharedShock;
            IncidentHistory::lied_to(*seed, *fault, passing)
        }));
    }
    let ours = Controller::Loop { learning: true, free: false };
    let verdicts = workers::each(&questions, |course| measure(course, ours).verdicts);
    kinds
        .into_iter()
        .zip(verdicts.chunks(seeds.len()))
        .map(|((fault, passing), runs)| {
            let count = |kind: OutcomeType| runs.iter().flatten().filter(|v| **v == kind).count();
            Lies { fault, passing, verdicts: OutcomeType::ALL.map(count) }
        })
        .collect()
}
