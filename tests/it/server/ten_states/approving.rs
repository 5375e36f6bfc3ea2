//! R10, approving: by the command that was printed, by the incident, and when the proposal has changed since.

use mape_k::domain::action::Action;
use mape_k::domain::policy::{Approval, EarlierRevision, Policy};
use uuid::Uuid;

use super::{HISTORY, SOON, State, approval_needed, incident, later, run, waiting};
use crate::server::decisions::kept;
use crate::server::explain::recorded::{POLICY, policy};
use crate::server::noon;
use crate::support::process::Process;

#[tokio::test]
async fn r10_04_a_need_is_printed_with_the_command_that_answers_it() {
    let hash = policy(Approval::Pending).short_hash();
    let command = format!(
        "    mape-k approve {hash} --url URL    mape-k reject {hash} --reason TEXT --url URL"
    );
    let says =
        ["open needs: 1", "approval_needed validation_latency on charter: ", command.as_str()];
    waiting().says(&["status"], &says, &["open needs: 0"]).await;

    // The very command works: by the hash, by the policy's id and by the incident's.
    for named in [hash.clone(), hash.to_uppercase(), POLICY.to_string(), incident(1, None).id] {
        let surface = waiting().start().await;
        let approved = run(&["approve", &named], &surface.url("")).await;
        assert!(approved.status.success(), "{named}: {approved:?}");
        let shown = approved.stdout.find("scale_up to 6 replicas for validation_latency");
        let decided = approved.stdout.find("\napproved by ada").expect("it is decided");
        assert!(shown.is_some_and(|shown| shown < decided), "{named}: {approved:?}");
        assert_eq!(kept(&surface.knowledge, POLICY).await.approval, Approval::Approved);
        // It waits no more: said, and nothing is changed.
        let again = run(&["approve", &POLICY.to_string()], &surface.url("")).await;
        assert_eq!(again.status.code(), Some(1));
        assert!(again.stderr.contains("no longer waits") && again.stderr.contains("by ada"));
        surface.stop().await;
    }
    let surface = waiting().start().await;
    for (named, said) in [
        (&hash[..7], "at least 8 characters"),
        ("ffffffffff", "no proposal ffffffffff is kept"),
        ("INC-20261118_120000-009", "no incident INC-20261118_120000-009 is open"),
        ("../pause", "names no proposal"),
    ] {
        let refused = run(&["approve", named], &surface.url("")).await;
        assert_eq!(refused.status.code(), Some(1), "{named}");
        assert!(refused.stderr.contains(said), "{named}: {}", refused.stderr);
    }
    assert_eq!(kept(&surface.knowledge, POLICY).await.approval, Approval::Pending);
    surface.stop().await;
}

/// Two proposals whose hashes begin alike: both are listed, and neither is decided on.
#[tokio::test]
async fn r10_04_what_names_two_proposals_is_refused_and_lists_both() {
    let state = State {
        fill: |batch| {
            batch.put(&policy(Approval::Pending));
            batch.put(&Policy { id: Uuid::from_u128(99), ..policy(Approval::Pending) });
            // One need of one cause and component, as two strategies of it would share.
            batch.put(&approval_needed());
            batch.put(&incident(1, None));
        },
        ..State::HEALTHY
    };
    let surface = state.start().await;
    let refused = run(&["approve", &incident(1, None).id], &surface.url("")).await;
    assert_eq!(refused.status.code(), Some(1));
    for id in [POLICY, Uuid::from_u128(99)] {
        assert!(refused.stderr.contains(&id.to_string()), "{}", refused.stderr);
        assert_eq!(kept(&surface.knowledge, id).await.approval, Approval::Pending);
    }
    surface.stop().await;
}

/// What was approved and could not begin is not called undecided; what nobody decided on is.
#[tokio::test]
async fn r10_an_approval_that_expired_names_who_gave_it() {
    let approved = "its approval by ada expired before the guards let it begin";
    let cases = [
        (Some("ada"), approved, "nobody decided"),
        (None, "nobody decided in time", "approval by"),
    ];
    for (by, said, never) in cases {
        let surface = State::HEALTHY.start().await;
        let decided_at = by.map(|_| noon());
        let decided_by = by.map(str::to_owned);
        let expired = Policy { decided_at, decided_by, ..policy(Approval::Expired) };
        let expired = Policy { updated_at: later(), ..expired };
        let mut batch = surface.knowledge.batch();
        batch.put(&expired);
        surface.knowledge.commit(batch).await.expect("stored");
        let url = surface.url("");
        let history = run(HISTORY, &url).await.stdout;
        let page = run(&["explain", "policy", &POLICY.to_string()], &url).await.stdout;
        let refused = run(&["approve", &POLICY.to_string()], &url).await.stderr;
        for text in [&history, &page, &refused] {
            let flowed = text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(flowed.contains(said) && !flowed.contains(never), "{said}: {text}");
        }
        assert!(history.contains("2026-11-18T11:10:00Z  expired: scale_up"), "{history}");
        surface.stop().await;
    }
}

const EARLIER: &str = "01d01d01d0000000000000000000000000000000000000000000000000000000";

/// A proposal of four replicas that became one of six.
fn changed() -> State {
    State {
        fill: |batch| {
            let earlier = EarlierRevision {
                revision: 1,
                plan_hash: EARLIER.to_owned(),
                actions: vec![Action::ScaleUp { replicas: 4 }],
            };
            batch.put(&Policy { revision: 2, earlier: vec![earlier], ..policy(Approval::Pending) });
            batch.put(&approval_needed());
            batch.put(&incident(1, None));
        },
        ..State::HEALTHY
    }
}

/// The proposal that was read has changed: both are shown, and without a word on the new one nothing is decided.
#[tokio::test]
async fn r10_04_a_stale_approval_shows_both_and_asks_again() {
    let surface = changed().start().await;
    let stale = run(&["approve", &EARLIER[..8]], &surface.url("")).await;
    assert_eq!(stale.status.code(), Some(1));
    assert!(stale.stdout.contains("read: scale_up to 4 replicas revision 1 hash 01d01d01"));
    assert!(stale.stdout.contains("now:  scale_up to 6 replicas"), "{stale:?}");
    assert!(stale.stderr.contains("nothing was decided"), "{stale:?}");
    let present = Policy { revision: 2, ..policy(Approval::Pending) };
    assert!(stale.stderr.contains(&format!("mape-k approve {}", present.short_hash())));
    assert_eq!(kept(&surface.knowledge, POLICY).await.approval, Approval::Pending);
    let by_flag = run(&["approve", &POLICY.to_string(), "--revision", "1"], &surface.url("")).await;
    assert!(by_flag.stdout.contains("read: scale_up to 4 replicas"), "{by_flag:?}");
    assert_eq!(kept(&surface.knowledge, POLICY).await.approval, Approval::Pending);
    // Who names the policy or its incident may have read the earlier revision.
    for named in [POLICY.to_string(), incident(1, None).id] {
        let stale = run(&["approve", &named], &surface.url("")).await;
        assert_eq!(stale.status.code(), Some(1), "{named}: {stale:?}");
        assert!(stale.stdout.contains("read: scale_up to 4 replicas revision 1"), "{stale:?}");
        assert!(stale.stderr.contains(&format!("mape-k approve {}", present.short_hash())));
        assert_eq!(kept(&surface.knowledge, POLICY).await.approval, Approval::Pending);
    }
    // The twin: with a word on it.
    let meant = run(&["approve", &EARLIER[..8], "--yes"], &surface.url("")).await;
    assert!(meant.status.success(), "{meant:?}");
    let decided = kept(&surface.knowledge, POLICY).await;
    assert_eq!((decided.approval, decided.revision), (Approval::Approved, 2));
    assert_eq!(decided.grant.expect("a grant").plan_hash, present.hash(), "exactly this");
    surface.stop().await;

    // Another remedy has taken its place.
    let superseded = State {
        fill: |batch| {
            batch.put(&policy(Approval::Superseded));
            let actions = vec![Action::ApplyPolicy { policy_set: "strict".to_owned() }];
            batch.put(&Policy { id: Uuid::from_u128(99), actions, ..policy(Approval::Pending) });
            batch.put(&approval_needed());
            batch.put(&incident(1, None));
        },
        ..State::HEALTHY
    };
    let surface = superseded.start().await;
    for named in [policy(Approval::Pending).short_hash(), incident(1, None).id] {
        let stale = run(&["approve", &named], &surface.url("")).await;
        assert!(stale.stdout.contains("read: scale_up to 6 replicas"), "{stale:?}");
        assert!(stale.stdout.contains("now:  apply_policy strict"), "{stale:?}");
        assert_eq!(kept(&surface.knowledge, Uuid::from_u128(99)).await.approval, Approval::Pending);
    }
    surface.stop().await;
}

/// At a terminal a person is asked about a proposal that has changed, and only a yes decides.
#[tokio::test]
async fn r10_04_at_a_terminal_a_changed_proposal_is_asked_about() {
    for (answer, approval) in
        [("n", Approval::Pending), ("", Approval::Pending), ("y", Approval::Approved)]
    {
        let surface = changed().start().await;
        let typed = format!(
            "{} approve {} --by ada --url {}",
            env!("CARGO_BIN_EXE_mape-k"),
            &EARLIER[..8],
            surface.url("")
        );
        // What is typed waits in the terminal until it is asked for.
        let shell = format!("(echo '{answer}'; sleep 5) | script -qec '{typed}' /dev/null");
        let mut command = std::process::Command::new("sh");
        let mut process = Process::start("a terminal", command.args(["-c", &shell]));
        let finished = process.finished(SOON).await;
        println!("{typed}\n{}", finished.stdout);
        assert!(finished.stdout.contains("approve what is proposed now? [y/N]"), "{finished:?}");
        assert!(finished.stdout.contains("read: scale_up to 4 replicas"), "{finished:?}");
        assert_eq!(kept(&surface.knowledge, POLICY).await.approval, approval, "{answer:?}");
        surface.stop().await;
    }
}
