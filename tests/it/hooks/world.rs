//! Hooks made of small shell scripts in a folder of their own, and what those scripts leave there.

use std::path::PathBuf;
use std::time::Duration;

use mape_k::actuators::hook::{Hook, Hooks, Settings, Verb};
use mape_k::actuators::{Actuator as _, Failure};
use mape_k::domain::Labels;
use serde_json::Value;
use tempfile::TempDir;

use crate::contract::Sent;
use crate::contract::commands::{action, read_only};
use crate::support::eventually::eventually;

/// Long enough for a script on a busy machine, short enough to wait for.
pub const SOON: Duration = Duration::from_secs(20);

pub struct Scripts {
    pub folder: TempDir,
}

impl Scripts {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A verb that runs this text; it finds the folder in `$1` and runs there.
    pub fn verb(&self, name: &str, text: &str) -> Verb {
        let path = self.path(name);
        // Run by the shell's own path: a file that was just written may still be open in a child of another test.
        std::fs::write(&path, format!("cd \"$1\"\n{text}\n")).expect("written");
        let folder = self.folder.path().display().to_string();
        Verb::Command(vec!["sh".to_owned(), path.display().to_string(), folder])
    }

    /// A hook whose `apply` is this text.
    pub fn hook(&self, apply: &str) -> Hook {
        let (name, target) = read_only();
        Hook { timeout: SOON, ..Hook::new(name, target, self.verb("apply.sh", apply)) }
    }

    pub fn read(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.path(name)).ok()
    }

    /// Waits until a process whose number stands in this file is there no more.
    pub async fn ended(&self, name: &str) {
        let pid = self.read(name).unwrap_or_else(|| panic!("the script did not write {name}"));
        let pid = pid.trim().to_owned();
        eventually(SOON, &format!("process {name} to end"), async || {
            if is_running(&pid) { Err("it runs") } else { Ok(()) }
        })
        .await;
    }

    /// Waits for a file that a script writes.
    pub async fn written(&self, name: &str) -> String {
        eventually(SOON, name, async || {
            self.read(name).filter(|text| text.ends_with('\n')).ok_or("not written")
        })
        .await
    }
}

/// A zombie that nobody waits for runs no more.
pub fn is_running(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

pub fn hooks(hook: Hook) -> Hooks {
    hooks_with(hook, |_| {})
}

pub fn hooks_with(hook: Hook, change: impl FnOnce(&mut Settings)) -> Hooks {
    let mut settings = Settings {
        hooks: vec![hook],
        inherited: [("PATH", std::env::var("PATH").expect("a PATH"))].into(),
        probe_after: Duration::ZERO,
        kill_after: Duration::from_millis(300),
    };
    change(&mut settings);
    Hooks::new(settings).expect("hooks")
}

/// One action for these hooks.
pub fn sent(labels: Labels) -> Sent {
    Sent { labels, ..Sent::of(action()) }
}

/// Prepares and applies it, as the executor does.
pub async fn apply(hooks: &Hooks, sent: &Sent) -> Result<Value, Failure> {
    let prior = hooks.prepare(&sent.request()).await.expect("prepared");
    hooks.apply(&sent.request(), &prior).await
}
