//! The plan linter: reads a finished plan against rules that the planner's own code does not share.
//!
//! It chooses nothing; it refuses. A plan it refuses is not executed, and the cycle ends as an error.
//!
//! ```text
//! plan ─▶ records: the policies, incidents and reports as they would be stored agree with each other
//!      └▶ chosen ─▶ action: the one policy may go out, and each of its actions fits what Charter is now
//!                 └▶ guards: nothing that bounds the loop is overstepped by it
//! ```

mod action;
mod chosen;
mod guards;
mod records;

use super::{Plan, PlanInput};

/// Every rule that the plan breaks, in words; empty for a plan that may be executed.
#[must_use]
pub fn check(input: &PlanInput<'_>, plan: &Plan) -> Vec<String> {
    let mut broken = Broken { about: "plan".to_owned(), rules: Vec::new() };
    records::check(input, plan, &mut broken);
    if let Some(policy) = &plan.chosen {
        broken.about = format!("policy {} for {}", policy.id, policy.cause);
        chosen::check(input, plan, policy, &mut broken);
        for action in &policy.actions {
            action::check(input, plan, policy, action, &mut broken);
            guards::check(input, plan, policy, action, &mut broken);
        }
    }
    broken.rules
}

/// The rules found broken so far.
struct Broken {
    about: String,
    rules: Vec<String>,
}

impl Broken {
    fn unless(&mut self, holds: bool, text: &str) {
        if !holds {
            self.rules.push(format!("{}: {text}", self.about));
        }
    }
}
