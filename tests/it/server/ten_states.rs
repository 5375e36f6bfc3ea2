//! R10: ten recorded states, and what the commands say of each: real processes of the binary against the real API.

mod approving;
mod doing;

use std::time::Duration;

use chrono::TimeDelta;
use mape_k::clock::Clock;
use mape_k::domain::charter::CharterView;
use mape_k::domain::cycle::CycleStatus;
use mape_k::domain::execution::{ActionState, Execution, ExecutionStatus};
use mape_k::domain::incident::Incident;
use mape_k::domain::ledger::Ledger;
use mape_k::domain::message::NotifierName;
use mape_k::domain::need::{ApprovalRequest, Need, NeedReason};
use mape_k::domain::outcome::OutcomeType;
use mape_k::domain::pause::Pause;
use mape_k::domain::policy::{Approval, Policy};
use mape_k::domain::reading::Source;
use mape_k::domain::rule::Severity;
use mape_k::domain::time::Time;
use mape_k::domain::view::LoopView;
use mape_k::knowledge::{Batch, Knowledge};
use serde_json::{Value, json};
use uuid::Uuid;

use super::decisions::kept;
use super::explain::recorded::{POLICY, execution, outcome, policy, verification};
use super::explain::stands::standing;
use super::{Setup, Surface, healthy_view, noon, violation};
use crate::support::process::{Finished, Process};

/// For a process that answers at once on an idle machine.
const SOON: Duration = Duration::from_secs(60);

/// What is said of nothing that is wrong.
const WELL: [&str; 2] = ["violations active: 0 (0 critical", "open incidents: 0"];

async fn run(args: &[&str], url: &str) -> Finished {
    let args = [args, &["--url", url]].concat();
    let finished = Process::start_mape_k(&args, &[("USER", "ada")]).finished(SOON).await;
    println!("$ mape-k {}\n{}{}", args.join(" "), finished.stdout, finished.stderr);
    finished
}

/// A state of the daemon, three minutes and some after noon.
struct State {
    fill: fn(&mut Batch),
    view: fn(&mut LoopView),
    setup: fn(Setup) -> Setup,
    paused: Option<&'static str>,
}

impl State {
    const HEALTHY: Self = Self { fill: |_| {}, view: |_| {}, setup: |setup| setup, paused: None };

    async fn start(&self) -> Surface {
        let knowledge = Knowledge::in_memory();
        let mut batch = knowledge.batch();
        (self.fill)(&mut batch);
        knowledge.commit(batch).await.expect("stored");
        if let Some(reason) = self.paused {
            let (by, reason) = ("bob".to_owned(), reason.to_owned());
            let pause = Pause { by, reason, since: noon(), until: noon() + TimeDelta::hours(1) };
            knowledge.pause(pause, false).await.expect("paused");
        }
        let clock = Clock::starting_at(later());
        let surface = (self.setup)(Setup { knowledge, clock, ..Setup::default() }).serve().await;
        let mut view = healthy_view(later());
        view.standing = Some(standing(&Ledger::default()));
        (self.view)(&mut view);
        surface.publish(view);
        surface
    }

    /// Every text is in the page, and none of the others.
    async fn says(&self, args: &[&str], says: &[&str], never: &[&str]) {
        let surface = self.start().await;
        let finished = run(args, &surface.url("")).await;
        assert!(finished.status.success(), "{finished:?}");
        for said in says {
            let said = said.replace("URL", &surface.url(""));
            assert!(finished.stdout.contains(&said), "{said:?} is not in\n{}", finished.stdout);
        }
        for said in never {
            assert!(!finished.stdout.contains(said), "{said:?} is in\n{}", finished.stdout);
        }
        surface.stop().await;
    }
}

fn later() -> Time {
    noon() + TimeDelta::seconds(200)
}

const HISTORY: &[&str] = &["history", "--since", "12h"];

fn approval_needed() -> Need {
    let policy = policy(Approval::Pending);
    Need {
        approval: Some(ApprovalRequest {
            policy: policy.id,
            revision: policy.revision,
            hash: policy.short_hash(),
            expires_at: noon() + TimeDelta::hours(1),
        }),
        id: Uuid::from_u128(77),
        reason: NeedReason::ApprovalNeeded,
        cause: Some(policy.cause.clone()),
        component: Some(policy.component.clone()),
        subject: policy.cause.0.clone(),
        detail: "scale_up to 6 replicas waits for approval".to_owned(),
        evidence: policy.evidence,
        opened_at: noon(),
        closed_at: None,
        times_seen: 2,
        last_active_at: noon(),
        target: None,
        incident: Some(incident(1, None).id),
    }
}

fn rejected() -> Policy {
    Policy {
        decided_at: Some(noon()),
        decided_by: Some("bob".to_owned()),
        decision_reason: Some("the migration ends at 15:00".to_owned()),
        ..policy(Approval::Rejected)
    }
}

fn incident(number: u32, notified_at: Option<Time>) -> Incident {
    let notified = notified_at.map(|at| json!({"slack": {"state": "delivered", "at": at}}));
    serde_json::from_value(json!({
        "id": format!("INC-20261118_120000-00{number}"), "anchor": format!("kubernetes/shop/deployment/cart-{number}"),
        "title": format!("cart-{number} has no ready replica"), "service": format!("cart-{number}"),
        "namespace": "shop", "class": "availability", "since": noon(), "opened_at": noon(), "last_seen_at": noon(),
        "resolved_at": null, "severity": "SEV-1", "evidence": [], "told_at": notified_at, "notified": notified.unwrap_or_else(|| json!({})),
        "numbers": {"ready": 0, "desired": 2, "pods": 2, "tier": "P0", "restarts": 0},
    }))
    .expect("an incident")
}

#[tokio::test]
async fn r10_01_healthy() {
    let says = [&WELL[..], &["cycle 7 healthy", "0 failed in a row", "notifiers: slack;"]].concat();
    let says = [&says[..], &["actions under way: 0", "open needs: 0"]].concat();
    State::HEALTHY.says(&["status"], &says, &["UNKNOWN", "nobody is notified"]).await;
    let surface = State::HEALTHY.start().await;
    let history = run(HISTORY, &surface.url("")).await.stdout;
    assert!(
        history.starts_with("nothing was done, decided or paused in the last 12 h (since 20"),
        "{history}"
    );
    let data = run(&["history", "-o", "json"], &surface.url("")).await.stdout;
    let data: Value = serde_json::from_str(&data).expect("JSON and nothing else");
    assert_eq!((&data["entries"], &data["cut"]), (&json!([]), &json!(false)));
    surface.stop().await;
}

#[tokio::test]
async fn r10_02_a_violation_is_named_with_its_value_its_threshold_and_since_when() {
    let state = State {
        view: |view| {
            let component = Some("ledger");
            view.violations = vec![violation(7, Severity::Critical, Source::Prometheus, component)];
            view.last_status = Some(CycleStatus::Failed);
            view.last_error = Some("the store was away".to_owned());
            view.failed_cycles = 2;
        },
        ..State::HEALTHY
    };
    let says = [
        "violations active: 1 (1 critical",
        "critical  failure_rate of shard-7 is 0.25, over 0.1: 0.25, breaks at > 0.1; since 2026-11-18T",
        "(for 3 min); `mape-k explain violation 00000000 --url URL`",
        "cycle 7 failed",
        "2 failed in a row",
        "last error: the store was away",
    ];
    state.says(&["status"], &says, &["healthy at", "(healthy)", WELL[0]]).await;
}

#[tokio::test]
async fn r10_03_an_action_under_way_says_what_it_waits_for_and_how_long() {
    let settling = State {
        fill: |batch| {
            batch.put(&execution());
            batch.put(&verification());
        },
        ..State::HEALTHY
    };
    let says = [
        "actions under way: 1",
        "scale_up to 6 replicas for validation_latency on charter, approved by ada: applied at ",
        "settling until 2026-11-18T",
        "(in 3 min), then verified until 2026-11-18T",
        "(in 13 min); `mape-k explain action ",
    ];
    settling.says(&["status"], &says, &["actions under way: 0"]).await;
    let says =
        ["scale_up to 6 replicas [charter] by ada", "its result is not known yet", "1 event"];
    settling.says(HISTORY, &says, &["success"]).await;
    let verifying = State {
        fill: |batch| {
            batch.put(&execution());
            let mut verification = verification();
            verification.settled_at = noon() + TimeDelta::seconds(60);
            batch.put(&verification);
        },
        ..State::HEALTHY
    };
    let says = ["being verified; its result is known at the latest at 2026-11-18T", "(in 13 min)"];
    verifying.says(&["status"], &says, &["settling until"]).await;
    // Its result, when it is there.
    let verified = State {
        fill: |batch| {
            batch.put(&execution());
            batch.put(&outcome(OutcomeType::Success));
        },
        ..State::HEALTHY
    };
    let says =
        ["result: success: violations: 1 before, 0 after", "why: validation_latency on charter"];
    verified.says(HISTORY, &says, &["not known yet"]).await;
    let target = [HISTORY, &["--target", "kubernetes/shop"]].concat();
    verified.says(&target, &["nothing was done, decided or paused"], &["scale_up"]).await;
    let target = [HISTORY, &["--target", "charter"]].concat();
    verified.says(&target, &["scale_up to 6 replicas"], &[]).await;
}

fn waiting() -> State {
    State {
        fill: |batch| {
            batch.put(&policy(Approval::Pending));
            batch.put(&approval_needed());
            batch.put(&incident(1, None));
        },
        ..State::HEALTHY
    }
}

#[tokio::test]
async fn r10_05_a_rejection_keeps_its_reason_and_history_and_explain_show_it() {
    let surface = waiting().start().await;
    let hash = policy(Approval::Pending).short_hash();
    let reject = ["reject", &hash, "--reason", "the migration ends at 15:00"];
    let said = run(&reject, &surface.url("")).await;
    assert!(said.stdout.contains("\nrejected by ada: the migration ends at 15:00"), "{said:?}");
    let decided = kept(&surface.knowledge, POLICY).await;
    assert_eq!(decided.decision_reason.as_deref(), Some("the migration ends at 15:00"));
    let page = run(&["explain", "policy", &POLICY.to_string()], &surface.url("")).await.stdout;
    assert!(page.contains("ada rejected it") && page.contains("the migration ends at"), "{page}");
    surface.stop().await;
    let state = State { fill: |batch| batch.put(&rejected()), ..State::HEALTHY };
    let says = [
        "rejected: scale_up to 6 replicas [charter] by bob",
        "why: the migration ends at 15:00 (validation_latency on charter)",
    ];
    state.says(HISTORY, &says, &["result:"]).await;
    state.says(&["status"], &["policies waiting for approval: 0"], &[]).await;
}

#[tokio::test]
async fn r10_06_paused() {
    let state = State { paused: Some("deploying"), ..State::HEALTHY };
    let says = ["paused by bob until ", ": deploying; `mape-k resume --url URL` ends it"];
    state.says(&["status"], &says, &[]).await;
    state.says(HISTORY, &["paused for 1 h, until ", "by bob", "why: deploying"], &["result"]).await;
    State::HEALTHY.says(&["status"], &[], &["paused by"]).await;
}

/// What began before the time that is asked for and reaches into it is shown; what ended before it is not.
#[tokio::test]
async fn r10_history_shows_pauses_resumes_and_what_reaches_into_the_time() {
    let hour = TimeDelta::hours(1);
    let state = State {
        fill: |batch| {
            let long_ago = noon() - TimeDelta::hours(9);
            let execution = Execution { started_at: long_ago, ..execution() };
            batch.put(&Execution {
                status: ExecutionStatus::InProgress,
                ended_at: None,
                ..execution
            });
        },
        ..State::HEALTHY
    };
    let surface = state.start().await;
    let knowledge = &surface.knowledge;
    let pauses = [
        ("ended long ago", noon() - hour * 9, noon() - hour * 8),
        ("reaches into it", noon() - hour * 7, noon() - hour * 5),
        ("resumed early", noon() - hour * 3, noon() + hour),
    ];
    for (reason, since, until) in pauses {
        let pause = Pause { by: "bob".to_owned(), reason: reason.to_owned(), since, until };
        knowledge.pause(pause, false).await.expect("paused");
    }
    knowledge.resume(noon() - hour * 2, "ada").await.expect("resumed");
    let page = run(&["history", "--since", "6h"], &surface.url("")).await.stdout;
    for said in [
        "2026-11-18T04:06:40Z  paused for 2 h, until 2026-11-18T06:06:40Z by bob\n  why: reaches into it",
        "paused for 4 h, until 2026-11-18T12:06:40Z by bob\n  why: resumed early",
        "2026-11-18T09:06:40Z  resumed by ada\n  why: it ended the pause by bob: resumed early",
        "result: being executed",
    ] {
        assert!(page.contains(said), "{said:?} is not in\n{page}");
    }
    assert!(!page.contains("ended long ago"), "{page}");
    surface.stop().await;
}

#[tokio::test]
async fn r10_07_blind_is_never_called_well() {
    let state = State {
        view: |view| {
            view.sources[0].error = Some("http://prometheus:9090 refused".to_owned());
            view.violations = vec![violation(7, Severity::Critical, Source::Prometheus, None)];
            view.violations[0].confirmed = false;
        },
        ..State::HEALTHY
    };
    let says = [
        "prometheus: degraded (http://prometheus:9090 refused)",
        "violations active: UNKNOWN, prometheus could not be read completely; last known 1",
        "UNKNOWN in the last cycle",
    ];
    state.says(&["status"], &says, &WELL[..1]).await;
}

#[tokio::test]
async fn r10_08_charter_turned_off_is_not_spoken_of() {
    let state = State {
        view: |view| view.charter = Some(CharterView::turned_off(later())),
        setup: |setup| Setup { charter: false, ..setup },
        ..State::HEALTHY
    };
    state.says(&["status"], &[WELL[0]], &["charter", "Charter"]).await;
    State::HEALTHY.says(&["status"], &["  charter: ok"], &[]).await;
}

#[tokio::test]
async fn r10_09_without_a_notifier_nobody_is_said_to_be_notified() {
    let silent = State {
        fill: |batch| batch.put(&incident(1, None)),
        setup: |setup| Setup { notifiers: Vec::new(), ..setup },
        ..State::HEALTHY
    };
    let says = [
        "nobody is notified: no notifier is configured (slack.enabled, notify.alertmanager.enabled)",
        "INC-20261118_120000-001 SEV-1 cart-1 has no ready replica (open) since 2026-11-18T",
    ];
    silent.says(&["status"], &says, &["\nnotifiers: ", "notified 20"]).await;
    let loud = State {
        fill: |batch| batch.put(&incident(1, Some(noon()))),
        setup: |setup| {
            let notifiers = vec![NotifierName::Slack, NotifierName::Alertmanager];
            Setup { notifiers, ..setup }
        },
        ..State::HEALTHY
    };
    let says = ["notifiers: slack, alertmanager;", "; notified 2026-11-18T"];
    loud.says(&["status"], &says, &["nobody is notified"]).await;
}

#[tokio::test]
async fn r10_10_two_incidents_and_an_action_that_failed() {
    let state = State {
        fill: |batch| {
            batch.put(&incident(1, Some(noon())));
            batch.put(&incident(2, None));
            let mut failed = execution();
            failed.status = ExecutionStatus::Failed;
            failed.actions[0].state = ActionState::Refused;
            failed.error = Some("Charter answered 422".to_owned());
            batch.put(&failed);
        },
        ..State::HEALTHY
    };
    let says = ["open incidents: 2", "SEV-1 cart-1 has", "SEV-1 cart-2 has", "; not notified yet"];
    state.says(&["status"], &says, &["open incidents: 0"]).await;
    let says = ["scale_up to 6 replicas [charter]", "result: failed: Charter answered 422"];
    state.says(HISTORY, &says, &["success", "not known yet"]).await;
}

/// What is left out is said to be.
#[tokio::test]
async fn r10_history_says_when_it_is_cut() {
    for (count, is_cut) in [(2_000, false), (2_001, true)] {
        let surface = State::HEALTHY.start().await;
        let mut batch = surface.knowledge.batch();
        for number in 0..count {
            batch.put(&Execution { id: Uuid::from_u128(1_000 + number), ..execution() });
        }
        surface.knowledge.commit(batch).await.expect("stored");
        let data = run(&[HISTORY, &["-o", "json"]].concat(), &surface.url("")).await.stdout;
        let data: Value = serde_json::from_str(&data).expect("JSON and nothing else");
        assert_eq!(data["cut"], is_cut, "{count}");
        assert_eq!(data["entries"].as_array().map(Vec::len), Some(2_000), "{count}");
        let text = run(HISTORY, &surface.url("")).await.stdout;
        assert_eq!(text.starts_with("More happened"), is_cut, "{count}");
        surface.stop().await;
    }
}

/// `--watch` shows the page again until Ctrl-C, which ends it well; where it is no terminal, one page after the other.
#[tokio::test]
async fn r10_status_watch_goes_on_until_ctrl_c() {
    let surface = State::HEALTHY.start().await;
    let url = surface.url("");
    let mut watch = Process::start_mape_k(&["status", "--watch", "--url", &url], &[]);
    crate::support::eventually::eventually(SOON, "two pages", async || {
        let pages = watch.stdout().matches("open incidents: 0").count();
        if pages >= 2 { Ok(()) } else { Err(pages) }
    })
    .await;
    assert!(watch.ended().is_none());
    watch.signal("INT");
    let finished = watch.finished(SOON).await;
    assert!(finished.status.success(), "{finished:?}");
    assert!(!finished.stdout.contains('\u{1b}'), "no screen to clear: {}", finished.stdout);
    surface.stop().await;
}

#[tokio::test]
async fn r10_completions_are_scripts_that_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = Process::start_mape_k(&["completions", shell], &[]).finished(SOON).await;
        assert!(script.status.success());
        for command in ["history", "doctor", "approve"] {
            assert!(script.stdout.contains(command), "{shell}: {command}");
        }
    }
    let unknown = Process::start_mape_k(&["completions", "tcsh"], &[]).finished(SOON).await;
    assert_eq!(unknown.status.code(), Some(2));
}
