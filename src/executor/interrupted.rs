//! Executions that the store still calls running when the daemon starts: the process died in the middle.
//!
//! Says only what the journal can say without asking Charter.

use crate::domain::execution::{ActionState, Execution, ExecutionStatus};
use crate::domain::time::Time;

use super::transaction::success_rate;

/// What such an execution has come to. One that had ended is returned as it is.
#[must_use]
pub fn settle_interrupted(mut execution: Execution, now: Time) -> Execution {
    match execution.status {
        ExecutionStatus::Pending | ExecutionStatus::InProgress => {}
        ExecutionStatus::Completed | ExecutionStatus::Failed | ExecutionStatus::RolledBack => {
            return execution;
        }
    }
    let mut in_effect = 0;
    for record in &mut execution.actions {
        let (to, error) = match record.state {
            ActionState::Intent | ActionState::Validated => {
                (ActionState::Refused, "not sent: the process stopped before it")
            }
            ActionState::Sent => (
                ActionState::Unknown,
                "the process stopped while it was being sent; look at Charter whether it took effect",
            ),
            ActionState::UndoSent => (
                ActionState::UndoFailed,
                "the process stopped while it was being undone; look at Charter whether it was",
            ),
            ActionState::Applied => {
                in_effect += 1;
                continue;
            }
            ActionState::Refused
            | ActionState::Unknown
            | ActionState::Judging
            | ActionState::Judged
            | ActionState::Closed
            | ActionState::Undone
            | ActionState::UndoFailed => continue,
        };
        // Each move above is one that the table of transitions allows.
        if record.advance(to).is_ok() {
            record.error = Some(error.to_owned());
            record.ended_at = Some(now);
        }
    }
    let note = match in_effect {
        0 => String::new(),
        n => format!("; {n} of its actions took effect and were not undone"),
    };
    execution.success_rate = success_rate(&execution);
    execution.status = ExecutionStatus::Failed;
    execution.error = Some(format!("the process stopped in the middle of this execution{note}"));
    execution.ended_at = Some(now);
    execution
}
