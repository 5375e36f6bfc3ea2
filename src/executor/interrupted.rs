//! Executions that the store still calls running when the daemon starts: the process died in the middle.
//!
//! Says only what the journal can say without asking Charter; what that leaves open is [`super::resume`]'s.

use crate::domain::execution::{ActionState, Execution, ExecutionMode, ExecutionStatus};
use crate::domain::time::Time;

use super::transaction::{outcome, success_rate};

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
                "the process stopped while it was being sent; its system is asked whether it took effect",
            ),
            ActionState::UndoSent => {
                record.error = Some(
                    "the process stopped while it was being undone; the next cycle goes on with it"
                        .to_owned(),
                );
                continue;
            }
            ActionState::Applied => {
                in_effect += 1;
                continue;
            }
            ActionState::Refused
            | ActionState::Unknown
            | ActionState::Verifying
            | ActionState::Verified
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
    execution.success_rate = success_rate(&execution);
    execution.status = outcome(&execution);
    execution.ended_at = Some(now);
    if execution.status != ExecutionStatus::Completed {
        let note = match in_effect {
            0 => String::new(),
            n => format!("; {n} of its actions took effect and were not undone"),
        };
        execution.error =
            Some(format!("the process stopped in the middle of this execution{note}"));
        execution.interrupted = in_effect > 0 && execution.mode == ExecutionMode::Transactional;
    }
    execution
}
