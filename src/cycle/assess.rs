//! Who weighs a case: the rules, or one day something else behind the same trait. What fails, takes too long or panics
//! is replaced by the conservative decision, so that people are notified of too much rather than of nothing.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;

use crate::incidents::rules::{self, Assessment, Case};

/// Weighs what was found.
#[async_trait]
pub trait Assessor: Send + Sync + std::fmt::Debug {
    async fn assess(&self, case: &Case) -> Result<Assessment, String>;
}

/// By the table of severities.
#[derive(Clone, Copy, Debug)]
pub struct Rules;

#[async_trait]
impl Assessor for Rules {
    async fn assess(&self, case: &Case) -> Result<Assessment, String> {
        Ok(rules::assess(case))
    }
}

/// The assessment, or why there is none.
pub(super) async fn within(
    assessor: &dyn Assessor,
    case: &Case,
    timeout: Duration,
) -> Result<Assessment, String> {
    let assessed = AssertUnwindSafe(assessor.assess(case)).catch_unwind();
    match tokio::time::timeout(timeout, assessed).await {
        Ok(Ok(assessed)) => assessed,
        Ok(Err(_)) => Err("the assessor panicked".to_owned()),
        Err(_) => Err(format!("the assessor gave no answer within {} s", timeout.as_secs_f64())),
    }
}
