//! What explain says of each reason for not acting: every value has a sentence of its own, and words for it that people
//! meet elsewhere. The pages are tested in `server/explain`.

use std::collections::BTreeSet;

use mape_k::domain::cycle::{Hold, Impossibility, Ineligibility};
use mape_k::explain::{Meaning, hold, impossibility, ineligibility};
use mape_k::metrics::labels::{CandidateVerdict, Label as _};

fn all() -> Vec<(&'static str, Meaning)> {
    let holds = Hold::ALL.iter().map(|r| (r.as_str(), hold(*r)));
    let impossible = Impossibility::ALL.iter().map(|r| (r.as_str(), impossibility(*r)));
    let ineligible = Ineligibility::ALL.iter().map(|r| (r.as_str(), ineligibility(*r)));
    holds.chain(impossible).chain(ineligible).collect()
}

#[test]
fn every_reason_says_what_it_means_and_what_would_change_it() {
    let mut said = BTreeSet::new();
    for (name, Meaning { because, changes }) in all() {
        // Follows "because", so it is no sentence of its own; what changes it is one.
        assert!(
            !because.ends_with('.') && !because.contains('_') | because.contains("guardrails."),
            "{name}: {because}"
        );
        assert!(
            changes.ends_with('.') && changes.starts_with(char::is_uppercase),
            "{name}: {changes}"
        );
        assert!(because.len() > 20 && changes.len() > 20, "{name} says too little");
        assert!(said.insert(because), "{name} means the same as another: {because}");
    }
}

/// The lists that the test above walks are whole: the metrics know each verdict by a match of their own.
#[test]
fn the_reasons_are_those_that_the_metrics_count() {
    let mut explained: BTreeSet<&str> = all().into_iter().map(|(name, _)| name).collect();
    explained.extend(["chosen", "outranked"]);
    let counted: BTreeSet<&str> =
        CandidateVerdict::ALL.iter().map(|verdict| verdict.text()).collect();
    assert_eq!(explained, counted);
}

/// The names of the API are those that the values have in JSON.
#[test]
fn names_are_those_of_the_api() {
    for reason in Impossibility::ALL {
        assert_eq!(serde_json::json!(reason), reason.as_str());
    }
    for reason in Ineligibility::ALL {
        assert_eq!(serde_json::json!(reason), reason.as_str());
    }
}
