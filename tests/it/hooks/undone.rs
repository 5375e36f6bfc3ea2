//! R12: the undo of a hook that is not idempotent: tried again while surely nothing was done, sent no more once it may be
//! under way.

use std::sync::Arc;
use std::time::Duration;

use mape_k::actuators::Actuator;
use mape_k::actuators::hook::{Hook, Hooks, Settings, Verb};
use mape_k::domain::execution::{ActionState, Execution, ExecutionMode};
use mape_k::domain::target::System;
use mape_k::executor::Executor;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::contract::commands::{action, read_only};
use crate::executor::{Ledger, carry_out, now, policy};

/// A hook whose effect stays, and whose undo ends so the first time and well after that; it leaves a line for each call.
fn hook(folder: &std::path::Path, first: i32) -> Hooks {
    let verb = |text: &str| {
        let text = format!("cd '{}'; {text}", folder.display());
        Verb::Command(["sh", "-c", &text].map(str::to_owned).into())
    };
    let (name, target) = read_only();
    let undo = format!("echo undo >>calls; [ -e gone ] || {{ touch gone; exit {first}; }}");
    let hook = Hook {
        probe: Some(verb("exit 0")),
        undo: Some(verb(&undo)),
        ..Hook::new(name, target, verb("exit 0"))
    };
    let path = ("PATH", std::env::var("PATH").expect("a PATH"));
    let settings = Settings {
        hooks: vec![hook],
        inherited: [path].into(),
        probe_after: Duration::ZERO,
        ..Settings::default()
    };
    Hooks::new(settings).expect("hooks")
}

#[tokio::test]
async fn r12_an_undo_that_was_not_made_is_tried_again_and_one_that_may_be_under_way_is_not() {
    // 11 says that surely nothing was done; 70 says nothing.
    for (first, ends, calls) in [(11, ActionState::Undone, 2), (70, ActionState::UndoSent, 1)] {
        let folder = tempfile::tempdir().expect("a folder");
        let hooks: Arc<dyn Actuator> = Arc::new(hook(folder.path(), first));
        let settings = mape_k::executor::Settings {
            execution_mode: ExecutionMode::BestEffort,
            max_retries: 1,
            ..mape_k::executor::Settings::default()
        };
        let executor = Executor::new(settings, [(System::Hook, hooks)].into());
        let (ledger, stop) = (Ledger::new(), CancellationToken::new());
        let mut execution = carry_out(&executor, &policy(vec![action()]), &ledger, &stop).await;
        assert_eq!(execution.actions[0].state, ActionState::Applied, "{execution:?}");
        let key: Uuid = execution.actions[0].key;
        for _ in 0..3 {
            if execution.actions[0].state != ActionState::Undone {
                execution = undo(&executor, execution, key, &ledger, &stop).await;
            }
        }
        let record = &execution.actions[0];
        assert_eq!(record.state, ends, "exit {first}: {record:?}");
        let made = std::fs::read_to_string(folder.path().join("calls")).expect("calls");
        assert_eq!(made.lines().count(), calls, "exit {first}");
    }
}

async fn undo(
    executor: &Executor,
    execution: Execution,
    key: Uuid,
    ledger: &Ledger,
    stop: &CancellationToken,
) -> Execution {
    executor.end(execution, key, ledger, stop, &now).await.expect("the journal takes it")
}
