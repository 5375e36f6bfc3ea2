//! Where the executor writes down what it is about to do and what came of it, and asks whether it still may: a hook that
//! its owner fills with the store.

use async_trait::async_trait;

use crate::domain::execution::Execution;

/// The store did not take a record; the text is the store's own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct JournalError(pub String);

#[async_trait]
pub trait Journal: Send + Sync {
    /// Returns only when the execution, as it stands, is durable.
    async fn record(&self, execution: &Execution) -> Result<(), JournalError>;

    /// Why nothing may be sent at this moment, read afresh: a person's pause, or that another one leads. What cannot be read forbids everything.
    async fn halted(&self) -> Result<Option<String>, JournalError>;

    /// Charter has heard of a later leader: nothing more may be sent by this one.
    fn superseded(&self, said: &str);
}
