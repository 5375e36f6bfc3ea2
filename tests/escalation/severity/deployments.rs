//! Deployments behind incidents, as far as it needs no network.

use mape_k::domain::catalogue::{Service, Tier};
use mape_k::domain::decision::Sev;
use mape_k::domain::deployment::{Commit, Correlation};
use mape_k::incidents::correlation::best_suspect;
use mape_k::incidents::rules::assess;

use super::world::{Time, World, minutes, night, noon, replicas, service, with};

fn commit(sha: &str, at: Time, file: &str) -> Commit {
    Commit {
        sha: sha.to_owned(),
        author: "ann".to_owned(),
        title: "Raise the limits".to_owned(),
        at,
        pull_request: Some((12, "Limits".to_owned())),
        files: vec![file.to_owned()],
        has_more_files: false,
        url: format!("https://github.com/shop/deploy/commit/{sha}"),
    }
}

fn deployed(name: &str, tier: Tier) -> Service {
    let mut service = service(name, tier);
    service.gitops_paths = vec![format!("apps/{name}/")];
    service
}

#[test]
fn b29_a_commit_fifteen_minutes_before_is_strong_and_an_unrelated_one_is_none() {
    let payments = deployed("payments", Tier::P0);
    let related = commit("1a2b3c4d5e6f", noon() - minutes(15), "apps/payments/values.yaml");
    let found = best_suspect(&payments, noon(), std::slice::from_ref(&related)).expect("a suspect");
    assert_eq!((found.correlation, &found.commit), (Correlation::High, &related));
    for unrelated in ["apps/payments-old/values.yaml", "README.md", "apps"] {
        let other = commit("ffff", noon() - minutes(15), unrelated);
        assert_eq!(best_suspect(&payments, noon(), &[other]), None, "{unrelated}");
    }
    assert_eq!(best_suspect(&service("bare", Tier::P0), noon(), &[related]), None, "no paths");
}

#[test]
fn b29_where_not_all_files_are_known_it_touches_the_path_that_was_asked_for() {
    let payments = deployed("payments", Tier::P0);
    let mut many = commit("1a2b3c4d5e6f", noon() - minutes(15), "apps/a/values.yaml");
    many.has_more_files = true;
    let mut unknown = commit("1a2b3c4d5e6f", noon() - minutes(15), "x");
    unknown.files.clear();
    for (one, words) in [(many, "files: at least apps/a"), (unknown, "files: not known")] {
        let found = best_suspect(&payments, noon(), std::slice::from_ref(&one)).expect("a suspect");
        let text = mape_k::incidents::correlation::in_words(&found, noon());
        assert!(text.contains(words), "{text}");
        assert_eq!(best_suspect(&service("bare", Tier::P0), noon(), &[one]), None, "no paths");
    }
}

#[test]
fn b29_how_strong_it_is_by_the_minutes_before_the_onset() {
    let payments = deployed("payments", Tier::P0);
    let cases = [
        (1, Some(Correlation::Medium)),
        (5, Some(Correlation::High)),
        (30, Some(Correlation::High)),
        (31, Some(Correlation::Medium)),
        (121, Some(Correlation::Low)),
        (24 * 60, Some(Correlation::Low)),
        (24 * 60 + 1, None),
    ];
    for (before, expected) in cases {
        let one = commit("a", noon() - minutes(before), "apps/payments/x");
        let found = best_suspect(&payments, noon(), &[one]).map(|suspect| suspect.correlation);
        assert_eq!(found, expected, "{before} minutes");
    }
    let after = commit("a", noon() + minutes(1), "apps/payments/x");
    assert_eq!(best_suspect(&payments, noon(), &[after]), None, "the repair is no cause");
}

#[test]
fn b29_the_strongest_and_of_those_the_latest_is_suspected() {
    let payments = deployed("payments", Tier::P0);
    let commits = [
        commit("young", noon() - minutes(1), "apps/payments/x"),
        commit("late", noon() - minutes(8), "apps/payments/x"),
        commit("early", noon() - minutes(25), "apps/payments/x"),
    ];
    let found = best_suspect(&payments, noon(), &commits).expect("a suspect");
    assert_eq!(found.commit.sha, "late");
}

/// A cycle with a suspect for whatever wants one.
fn with_a_deployment(tier: Tier, ready: u32, at: Time) -> (World, Sev) {
    let mut world = World::new(at);
    world.catalogue = with(deployed("search", tier));
    world.observe(&[replicas("search", ready, 4, at)]);
    for onset in world.board.wanting_suspects(&world.catalogue, at) {
        let commits = [commit("1a2b3c4d5e6f7a8b", at - minutes(15), "apps/search/values.yaml")];
        let suspect = best_suspect(&onset.service, onset.since, &commits).expect("a suspect");
        world.board.suspect(&onset.incident, suspect, at);
    }
    let severity = world.severity_of("search");
    (world, severity)
}

#[test]
fn b29_a_strong_suspicion_raises_by_one_never_above_sev_2_and_not_a_p3() {
    assert_eq!(with_a_deployment(Tier::P1, 2, noon()).1, Sev::Sev2, "SEV-3 by the table");
    assert_eq!(with_a_deployment(Tier::P2, 2, noon()).1, Sev::Sev3, "SEV-4 by the table");
    assert_eq!(with_a_deployment(Tier::P0, 2, noon()).1, Sev::Sev2, "SEV-2 by the table");
    assert_eq!(with_a_deployment(Tier::P3, 0, noon()).1, Sev::Sev4);
}

#[test]
fn b29_the_alert_names_sha_author_pull_request_and_files() {
    let (mut world, _) = with_a_deployment(Tier::P1, 2, night());
    let case = world.board.case(&world.catalogue, false, night()).expect("a case");
    let decision = world.board.decide(&case, &assess(&case));
    let messages = world.tell(Some(&decision));
    let deployment = messages[0].entries[0].deployment.as_deref().expect("a deployment");
    for word in ["1a2b3c4d5e", "ann", "15 min before", "#12", "apps/search/values.yaml"] {
        assert!(deployment.contains(word), "{word} is not in: {deployment}");
    }
    assert!(decision.root_cause.contains("1a2b3c4d5e"), "{}", decision.root_cause);
}

#[test]
fn b29_without_commits_the_alert_goes_all_the_same() {
    let mut world = World::new(night());
    world.catalogue = with(deployed("payments", Tier::P0));
    let told = world.cycle(&[replicas("payments", 0, 2, night())]);
    assert_eq!(told.alert().entries[0].deployment, None);
}
