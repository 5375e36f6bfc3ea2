//! The contract, held by hooks that are commands: the example of docs/HOOKS.md behind a script that spoils its answers.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use mape_k::actuators::Actuator;
use mape_k::actuators::hook::{Hook, Hooks, Settings, Verb};
use mape_k::domain::action::{Action, HookName, Risk};
use mape_k::domain::secret::Secret;
use mape_k::domain::target::Target;
use tempfile::TempDir;

use super::{Fate, Fixture, contract};
use crate::support::tools::root;

/// Does what the file `fate` says to the next call that changes something, and counts what the example changed.
const SPOILER: &str = r#"
folder="$1"
cd "$folder"
case "$MAPE_K_VERB" in validate | probe) exec sh ./example.sh ;; esac
fate="$(cat fate 2>/dev/null || true)"
rm -f fate
case "$fate" in
Lost) exit 70 ;;
Refused) exit 10 ;;
NotNow) exit 11 ;;
esac
before="$(cat mode 2>/dev/null || true)"
sh ./example.sh || exit
[ "$before" = "$(cat mode 2>/dev/null || true)" ] || echo "$MAPE_K_VERB" >>changes
[ "$fate" != DoneAndLost ] || exit 70
"#;

pub struct Commands {
    folder: TempDir,
    hooks: Hooks,
}

impl Commands {
    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// The script of the page, so that what it shows is what was tried.
pub fn example() -> String {
    let page = std::fs::read_to_string(root().join("docs/HOOKS.md")).expect("docs/HOOKS.md");
    let (_, rest) = page.split_once("```sh\n").expect("a script on the page");
    rest.split_once("\n```").expect("its end").0.to_owned()
}

/// `hook/cart-read-only` on the component cart.
pub fn read_only() -> (HookName, Target) {
    let name = HookName::new("cart-read-only").expect("a name");
    let component = "cart".to_owned();
    (name, Target::Hook { hook: Some(name.name().to_owned()), component })
}

pub fn action() -> Action {
    let (hook, target) = read_only();
    Action::Hook { hook, target, risk: Risk::Medium }
}

#[async_trait]
impl Fixture for Commands {
    const TELLS_CONFLICTS: bool = false;

    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("example.sh"), example()).expect("written");
        std::fs::write(path("spoiler.sh"), SPOILER).expect("written");
        let words = ["sh".to_owned(), path("spoiler.sh").display().to_string()];
        let verb =
            Verb::Command(words.into_iter().chain([folder.path().display().to_string()]).collect());
        let (name, target) = read_only();
        let mode = path("mode").display().to_string();
        let hook = Hook {
            validate: Some(verb.clone()),
            probe: Some(verb.clone()),
            undo: Some(verb.clone()),
            idempotent: true,
            environment: [("CART_MODE_FILE".to_owned(), Some(Secret::new(mode)))].into(),
            ..Hook::new(name, target, verb)
        };
        let settings = Settings {
            hooks: vec![hook],
            inherited: [("PATH", std::env::var("PATH").expect("a PATH"))].into(),
            probe_after: Duration::ZERO,
            ..Settings::default()
        };
        Self { hooks: Hooks::new(settings).expect("hooks"), folder }
    }

    fn actuator(&self) -> &dyn Actuator {
        &self.hooks
    }

    fn action(&self) -> Action {
        action()
    }

    fn next(&self, fate: Fate) {
        std::fs::write(self.file("fate"), format!("{fate:?}")).expect("written");
    }

    fn changes(&self) -> usize {
        std::fs::read_to_string(self.file("changes")).map_or(0, |lines| lines.lines().count())
    }

    fn is_in_effect(&self) -> bool {
        self.file("mode").exists()
    }

    fn change_by_others(&self) {
        std::fs::write(self.file("mode"), "read-only by a person").expect("written");
    }

    fn end_by_itself(&self) {
        std::fs::remove_file(self.file("mode")).expect("removed");
    }
}

contract!(Commands);
