//! Words of Slack's that we do not know: each is logged once, and every time it is counted.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::metrics::Metrics;

/// Words that are remembered. Slack has some hundred; a server that makes up more is not listened to any longer.
const MAX_WORDS: usize = 200;

#[derive(Debug)]
pub(super) struct Words {
    said: Mutex<BTreeSet<String>>,
    metrics: Arc<Metrics>,
}

impl Words {
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { said: Mutex::default(), metrics }
    }

    /// An error that we have never met. It is taken for one that does not pass by itself.
    pub fn unknown(&self, code: &str, asked: &str) {
        self.metrics.slack_error_unknown();
        if self.is_new(code) {
            tracing::warn!(
                code,
                asked,
                "Slack refused a message with an error that mape-k does not know: the other channel is tried. Look it \
                 up at https://api.slack.com/methods, and please report it"
            );
        }
    }

    /// Slack has taken the message and says that something about it is not right.
    pub fn warned(&self, warning: &str, asked: &str) {
        if self.is_new(&format!("warning {warning}")) {
            tracing::warn!(warning, asked, "Slack delivered a message with a warning");
        }
    }

    fn is_new(&self, word: &str) -> bool {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.len() < MAX_WORDS && said.insert(word.to_owned())
    }
}
