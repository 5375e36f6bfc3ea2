//! R12: a command that hangs, forks, does not want to end or prints without end leaves nothing running.

use std::time::Duration;

use mape_k::actuators::{Actuator as _, Doubt};
use mape_k::domain::Labels;
use tokio::time::Instant;

use super::world::{SOON, Scripts, apply, hooks, hooks_with, is_running, sent};

const BRIEF: Duration = Duration::from_millis(400);

#[tokio::test]
async fn r12_a_command_that_hangs_is_ended_with_its_children() {
    let scripts = Scripts::new();
    let mut hook = scripts.hook("sleep 600 & echo $! >child; echo $$ >own; wait");
    hook.timeout = BRIEF;
    let failure = apply(&hooks(hook), &sent(Labels::new())).await.expect_err("not known");
    assert_eq!((failure.doubt, failure.refusal), (Doubt::UnderWay, None));
    assert!(failure.text.contains("did not end in time"), "{failure}");
    for name in ["own", "child"] {
        let pid = scripts.read(name).expect("a number");
        assert!(!is_running(pid.trim()), "{name} runs after the answer");
    }
}

#[tokio::test]
async fn r12_a_command_is_asked_to_end_before_it_is_made_to() {
    let scripts = Scripts::new();
    let mut hook = scripts
        .hook("trap 'echo polite >ended; exit 0' TERM; echo >ready; while :; do sleep 0.05; done");
    hook.timeout = BRIEF;
    let failure = apply(&hooks(hook), &sent(Labels::new())).await.expect_err("not known");
    assert_eq!(scripts.read("ended").as_deref(), Some("polite\n"));
    assert_eq!(failure.doubt, Doubt::UnderWay, "an exit of 0 after the time-out is no success");
}

#[tokio::test]
async fn r12_a_command_that_ignores_term_is_killed() {
    let scripts = Scripts::new();
    let stubborn =
        "trap '' TERM; (trap '' TERM; while :; do sleep 0.05; done) & echo $! >child; echo $$ >own";
    for rest in ["while :; do sleep 0.05; done", "exit 0"] {
        let mut hook = scripts.hook(&format!("{stubborn}; {rest}"));
        if rest != "exit 0" {
            hook.timeout = BRIEF;
        }
        let began = Instant::now();
        let result = apply(&hooks(hook), &sent(Labels::new())).await;
        assert_eq!(result.is_ok(), rest == "exit 0", "{result:?}");
        assert!(began.elapsed() < SOON + SOON, "the wait has an end");
        for name in ["own", "child"] {
            let pid = scripts.read(name).expect("a number");
            assert!(!is_running(pid.trim()), "{name} runs after the answer, {rest}");
        }
    }
    let shipped = mape_k::actuators::hook::Settings::default().kill_after;
    assert_eq!(shipped, Duration::from_secs(10), "as shipped");
}

/// The child keeps the pipes open, and nobody waits for that.
#[tokio::test]
async fn r12_a_command_that_forks_and_exits_is_done_and_its_child_ended() {
    let scripts = Scripts::new();
    let hook = scripts.hook("sleep 600 & echo $! >child; echo started; exit 0");
    apply(&hooks(hook), &sent(Labels::new())).await.expect("done");
    let pid = scripts.read("child").expect("a number");
    assert!(!is_running(pid.trim()), "the child runs on");
}

/// One that left its group is not waited for: its pipes stay open for as long as it likes.
#[tokio::test]
async fn r12_a_child_that_left_the_group_keeps_nobody_waiting() {
    let scripts = Scripts::new();
    let hook = scripts.hook("setsid sleep 30 & echo $! >child; exit 0");
    let began = Instant::now();
    apply(&hooks(hook), &sent(Labels::new())).await.expect("done");
    assert!(began.elapsed() < Duration::from_secs(20), "waited for what is none of ours");
    let pid = scripts.read("child").expect("a number");
    let killed = std::process::Command::new("kill").args(["-9", pid.trim()]).status();
    killed.expect("the command kill exists");
}

#[tokio::test]
async fn r12_what_prints_without_end_is_read_and_ended() {
    let scripts = Scripts::new();
    for text in ["yes", "yes >&2", "cat /dev/zero", "yes & yes >&2"] {
        let mut hook = scripts.hook(&format!("echo $$ >own; {text}; wait"));
        hook.timeout = BRIEF;
        let failure = apply(&hooks(hook), &sent(Labels::new())).await.expect_err("not known");
        assert_eq!(failure.doubt, Doubt::UnderWay, "{text}");
        assert!(failure.text.len() < 4_000, "{text}: {} bytes told", failure.text.len());
        scripts.ended("own").await;
    }
    // More than any pipe holds: without reading it would wait for ever.
    let hook = scripts.hook("head -c 5000000 /dev/zero; exit 0");
    apply(&hooks(hook), &sent(Labels::new())).await.expect("done");
}

/// As the executor's own time for a policy is over.
#[tokio::test]
async fn r12_a_call_that_is_not_waited_for_is_ended() {
    let scripts = Scripts::new();
    let hook = scripts.hook("sleep 600 & echo $! >child; echo $$ >own; wait");
    let hooks = hooks(hook);
    let sent = sent(Labels::new());
    let prior = hooks.prepare(&sent.request()).await.expect("prepared");
    {
        let request = sent.request();
        let call = hooks.apply(&request, &prior);
        let never = tokio::time::timeout(SOON, async {
            tokio::select! {
                result = call => panic!("{result:?}"),
                _ = scripts.written("own") => {}
            }
        });
        never.await.expect("it starts");
    }
    for name in ["own", "child"] {
        scripts.ended(name).await;
    }
}

#[tokio::test]
async fn r12_nothing_outlives_the_stop_and_nothing_is_started_after_it() {
    let scripts = Scripts::new();
    let hook =
        scripts.hook("echo >>calls; trap '' TERM; echo $$ >own; while :; do sleep 0.05; done");
    // The stop does not wait for as long as a time-out would.
    let hooks = hooks_with(hook, |settings| settings.kill_after = Duration::from_secs(600));
    let sent = sent(Labels::new());
    let stop = async {
        scripts.written("own").await;
        hooks.stop().await;
        let pid = scripts.read("own").expect("a number");
        assert!(!is_running(pid.trim()), "it runs after the stop");
    };
    let (failure, ()) =
        tokio::time::timeout(SOON, async { tokio::join!(apply(&hooks, &sent), stop) })
            .await
            .expect("stops");
    assert_eq!(failure.expect_err("not known").doubt, Doubt::UnderWay);
    let after = apply(&hooks, &sent).await.expect_err("not started");
    assert_eq!((after.doubt, after.refusal), (Doubt::None, None), "{after}");
    assert_eq!(scripts.read("calls").as_deref(), Some("\n"), "it was called once");
}

/// When the runtime itself goes down, nobody is left to wait.
#[test]
fn r12_nothing_outlives_the_runtime() {
    let scripts = Scripts::new();
    let hook = scripts.hook("trap '' TERM; echo $$ >own; while :; do sleep 0.05; done");
    let hooks = hooks(hook);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let sent = sent(Labels::new());
        tokio::select! {
            result = apply(&hooks, &sent) => panic!("{result:?}"),
            _ = scripts.written("own") => {}
        }
    });
    runtime.shutdown_timeout(SOON);
    let until = std::time::Instant::now() + SOON;
    let pid = scripts.read("own").expect("a number");
    while is_running(pid.trim()) {
        assert!(std::time::Instant::now() < until, "it runs after the runtime");
        std::thread::sleep(Duration::from_millis(20));
    }
}
