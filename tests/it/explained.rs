//! What explain says of each reason for not acting: every value has a sentence of its own, and words for it that people
//! meet elsewhere. The pages are tested in `server/explain`.

use std::collections::BTreeSet;

use mape_k::charter_sandbox::faults::Fault;
use mape_k::domain::action::{ActionKind, Risk};
use mape_k::domain::analysis::PatternKind;
use mape_k::domain::catalogue::Tier;
use mape_k::domain::cluster::Kind;
use mape_k::domain::cycle::{CycleStatus, Hold, Impossibility, Ineligibility, Phase};
use mape_k::domain::decision::Sev;
use mape_k::domain::execution::{ActionState, ExecutionStatus};
use mape_k::domain::finding::{FindingKind, FindingSeverity, IncidentClass};
use mape_k::domain::guard::Guard;
use mape_k::domain::loop_status::Mode;
use mape_k::domain::message::NotifierName;
use mape_k::domain::need::NeedReason;
use mape_k::domain::outcome::OutcomeType;
use mape_k::domain::policy::{Approval, Priority};
use mape_k::domain::reading::{FailureKind, Source};
use mape_k::domain::rule::{Aggregate, Severity};
use mape_k::explain::{Meaning, hold, impossibility, ineligibility};
use mape_k::knowledge::store::Collection;
use mape_k::metrics::labels::{ActionLabel, CandidateLabel, Label};
use serde::Serialize;
use strum::VariantArray as _;

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
    let counted: BTreeSet<&str> = CandidateLabel::all().into_iter().map(Label::text).collect();
    assert_eq!(explained, counted);
}

/// Stored records and the API take an enum's names from serde; labels, tags and texts take them from strum.
#[test]
fn an_enum_has_one_name_in_json_labels_and_texts() {
    fn agree<T: Copy + Serialize + Into<&'static str>>(variants: &[T]) {
        for variant in variants {
            let name: &str = (*variant).into();
            assert_eq!(serde_json::json!(variant), name);
        }
    }
    for kind in ActionKind::ALL {
        assert_eq!(serde_json::json!(kind), kind.as_str());
        assert_eq!(ActionLabel::from(kind).text(), kind.as_str());
    }
    agree(ActionState::VARIANTS);
    agree(&[Aggregate::Max, Aggregate::Sum, Aggregate::Avg, Aggregate::Min]);
    agree(&Approval::ALL);
    agree(CycleStatus::VARIANTS);
    agree(&NeedReason::ALL);
    agree(&[
        ExecutionStatus::Pending,
        ExecutionStatus::InProgress,
        ExecutionStatus::Completed,
        ExecutionStatus::Failed,
        ExecutionStatus::RolledBack,
    ]);
    agree(&FailureKind::ALL);
    agree(&Fault::ALL);
    agree(&FindingKind::CLUSTER);
    agree(&[
        FindingSeverity::Info,
        FindingSeverity::Warning,
        FindingSeverity::High,
        FindingSeverity::Critical,
    ]);
    agree(&Guard::ALL);
    agree(&Hold::ALL);
    agree(&Impossibility::ALL);
    agree(&IncidentClass::ALL);
    agree(&Ineligibility::ALL);
    agree(&Kind::ALL);
    agree(&[Mode::Observe, Mode::Suggest, Mode::Act]);
    agree(&NotifierName::ALL);
    agree(&OutcomeType::ALL);
    agree(&PatternKind::ALL);
    agree(&Phase::ALL);
    agree(&[Priority::Low, Priority::Medium, Priority::High, Priority::Critical]);
    agree(&[Risk::Low, Risk::Medium, Risk::High]);
    agree(&Sev::ALL);
    agree(&Severity::ALL);
    agree(&Source::ALL);
    agree(&[Tier::P0, Tier::P1, Tier::P2, Tier::P3]);
}

/// The records that are already in a store lie under these names.
#[test]
fn collections_keep_their_names() {
    let names = [
        "alerts",
        "violations",
        "analyses",
        "policies",
        "executions",
        "judgings",
        "temporaries",
        "outcomes",
        "insights",
        "incidents",
        "escalations",
        "service_incidents",
        "outbox",
        "cycles",
        "facts",
        "pauses",
    ];
    assert_eq!(Collection::ALL.map(Collection::as_str), names);
}
