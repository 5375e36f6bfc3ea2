//! What happened, in order: a hash that two runs of one seed must share, and the last lines for whoever looks at a failure.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Lines kept for a failure's report.
const KEPT: usize = 200;

/// A run that says more turns in circles: 24 full hours come to some 10,000.
const MOST: u64 = 1_000_000;

pub struct Trace {
    // Its keys are fixed, so it is the same in every process.
    hasher: DefaultHasher,
    last: VecDeque<String>,
    pub lines: u64,
    /// `TRACE=1` prints them as they come.
    aloud: bool,
}

impl Default for Trace {
    fn default() -> Self {
        Self {
            hasher: DefaultHasher::new(),
            last: VecDeque::new(),
            lines: 0,
            aloud: std::env::var_os("TRACE").is_some(),
        }
    }
}

impl Trace {
    pub fn say(&mut self, at: f64, line: &str) {
        (at.to_bits(), line).hash(&mut self.hasher);
        self.lines += 1;
        assert!(self.lines < MOST, "it turns in circles, at last with: {line}");
        if self.aloud {
            println!("{at:>9.1} s  {line}");
        }
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back(format!("{at:>9.1} s  {line}"));
    }

    /// Only into the hash: what is too much to read.
    pub fn hash(&mut self, value: &impl Hash) {
        value.hash(&mut self.hasher);
    }

    pub fn digest(&self) -> u64 {
        self.hasher.finish()
    }

    pub fn tail(&self) -> impl Iterator<Item = &String> {
        self.last.iter()
    }
}
