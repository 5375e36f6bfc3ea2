//! The rules that docs/ARCHITECTURE.md calls invariants of the architecture, held against the source text.
//!
//! Plain scanning, no parser: comments and texts are blanked out first, and the few shapes that would blind the scan are
//! refused themselves. Leaves out what the compiler holds (`unsafe_code = "forbid"`), and the documents, which are held
//! to the running code by `tests/it/documents.rs`.

#[path = "architecture/dialect.rs"]
mod dialect;
#[path = "architecture/scan.rs"]
mod scan;

use std::collections::{BTreeMap, BTreeSet};

use scan::{public_modules, read, rust_files, sources};

/// Who may use whom, in the order of `src/lib.rs`. `cli` reads as "everything".
const MAY_USE: [(&str, &[&str]); 21] = [
    ("domain", &[]),
    ("monitor", &["domain", "metrics", "clock", "http"]),
    ("analyzer", &["domain"]),
    ("planner", &["domain"]),
    // Charter's calls are measured where they are made.
    ("actuators", &["domain", "metrics", "http"]),
    ("executor", &["domain", "actuators", "http"]),
    ("knowledge", &["domain", "metrics", "clock"]),
    ("incidents", &["domain"]),
    ("notify", &["domain", "metrics", "clock", "http"]),
    (
        "cycle",
        &[
            "domain",
            "monitor",
            "analyzer",
            "planner",
            "actuators",
            "executor",
            "knowledge",
            "incidents",
            "notify",
            "clock",
            "config",
            "metrics",
        ],
    ),
    // The lease that decides whether it runs is the store's.
    ("control_loop", &["domain", "cycle", "clock", "metrics", "knowledge"]),
    ("explain", &["domain"]),
    ("server", &["domain", "knowledge", "metrics", "control_loop", "monitor", "explain"]),
    (
        "daemon",
        &[
            "domain",
            "monitor",
            "analyzer",
            "planner",
            "executor",
            "knowledge",
            "incidents",
            "notify",
            "cycle",
            "control_loop",
            "server",
            "clock",
            "config",
            "metrics",
            "telemetry",
            "http",
            "actuators",
        ],
    ),
    ("cli", &["*"]),
    ("clock", &["domain"]),
    (
        "config",
        &[
            "domain",
            "monitor",
            "analyzer",
            "planner",
            "executor",
            "knowledge",
            "incidents",
            "notify",
            "control_loop",
            "server",
            "telemetry",
            "http",
            "actuators",
        ],
    ),
    ("http", &["domain"]),
    ("metrics", &["domain"]),
    ("telemetry", &["domain"]),
    ("charter_sandbox", &[]),
];

/// Decisions are functions of their arguments: these modules may name nothing that reads the world or changes it.
const PURE: [&str; 5] = ["domain", "analyzer", "planner", "incidents", "explain"];

/// The crates that a pure module may name: values, their names and wire form, a description of it (a derive that runs
/// when the description is asked for and changes nothing that the value does), and a hash of it.
const VALUES: [&str; 12] = [
    "std",
    "arrayvec",
    "serde",
    "serde_json",
    "sha2",
    "strum",
    "utoipa",
    "uuid",
    "chrono",
    "chrono_tz",
    "thiserror",
    "url",
];

/// Long files hide a second responsibility.
const MAX_LINES: usize = 450;

#[test]
fn each_module_uses_only_what_stands_below_it() {
    let rules: BTreeMap<&str, &[&str]> = MAY_USE.into();
    let mut broken = Vec::new();
    for file in sources() {
        let Some(allowed) = rules.get(file.module.as_str()) else { continue };
        for used in file.uses() {
            let known = rules.contains_key(used.as_str());
            let fine = used == file.module
                || allowed.contains(&"*")
                || allowed.contains(&used.as_str())
                || !known;
            if !fine {
                broken.push(format!("{} uses {used}", file.path));
            }
        }
    }
    assert!(broken.is_empty(), "against the dependency rules:\n{}", broken.join("\n"));
}

#[test]
fn every_module_of_the_library_has_a_rule() {
    let listed: Vec<String> = public_modules();
    let ruled: Vec<&str> = MAY_USE.iter().map(|(module, _)| *module).collect();
    assert_eq!(
        listed, ruled,
        "lib.rs lists the modules in the order of the data flow, as MAY_USE does"
    );
    let files: BTreeSet<String> = sources().into_iter().map(|file| file.module).collect();
    let expected: BTreeSet<String> =
        listed.into_iter().chain(["lib".to_owned(), "main".to_owned()]).collect();
    assert_eq!(files, expected, "src/ holds what lib.rs lists, and the two roots");
}

#[test]
fn the_scan_sees_every_use_of_another_module() {
    for file in sources() {
        // `use crate::{a, b}` is read, a nested group or a glob of the whole crate is not.
        assert!(
            !file.code.contains("use crate::*"),
            "{}: use crate::* hides what is used",
            file.path
        );
        let climbs = file.longest_climb();
        assert!(
            climbs < file.depth,
            "{}: super::… climbs to the crate's root; write crate::…, which the rules can see",
            file.path
        );
    }
}

#[test]
fn only_the_command_line_knows_the_composition_root_and_the_reference_charter() {
    for file in sources() {
        for used in ["daemon", "charter_sandbox"] {
            let allowed = file.module == "cli" || file.module == used || file.module == "lib";
            assert!(allowed || !file.uses().contains(used), "{} uses {used}", file.path);
        }
    }
}

#[test]
fn pure_modules_name_nothing_that_reads_or_changes_the_world() {
    let worldly = [
        "async fn",
        ".await",
        "tokio",
        "tracing",
        "Instant",
        "SystemTime",
        "Utc::now",
        "Local::now",
        "Uuid::now",
        "Uuid::new_v",
        "thread_local!",
        "static mut",
        "OnceLock",
        "LazyLock",
        "std::env",
        "std::fs",
        "std::io",
        "std::net",
        "std::process",
        "std::thread",
        "std::sync::Mutex",
        "println!",
        "eprintln!",
        "rand::",
    ];
    for file in sources().iter().filter(|file| PURE.contains(&file.module.as_str())) {
        for word in worldly {
            assert!(!file.names(word), "{} names {word}", file.path);
        }
        for root in file.imported_roots() {
            let own = ["crate", "super", "self"].contains(&root.as_str());
            let child = file.code.contains(&format!("mod {root};"));
            assert!(
                own || child || VALUES.contains(&root.as_str()),
                "{} imports {root}: a pure module works on values alone",
                file.path
            );
        }
    }
}

#[test]
fn each_kind_of_io_has_one_home() {
    let homes: [(&str, &[&str]); 14] = [
        ("sqlx", &["src/knowledge/"]),
        ("reqwest", &["src/monitor", "src/notify", "src/cli", "src/http", "src/actuators"]),
        ("process::Command", &["src/actuators/hook/command.rs"]),
        ("tokio::process", &["src/actuators/hook/command.rs"]),
        ("Client::builder", &["src/http/network.rs", "src/cli/client.rs"]),
        ("kube::", &["src/monitor/cluster"]),
        ("k8s_openapi", &["src/monitor/cluster"]),
        ("axum", &["src/server", "src/charter_sandbox", "src/daemon.rs"]),
        ("clap", &["src/cli", "src/main.rs"]),
        ("file_rotate", &["src/telemetry"]),
        ("Utc::now", &["src/clock.rs"]),
        ("env::var", &["src/cli"]),
        ("println!", &["src/cli"]),
        ("eprintln!", &["src/cli", "src/main.rs", "src/telemetry"]),
    ];
    // The reference Charter is a service of its own.
    for file in sources().iter().filter(|file| file.module != "charter_sandbox") {
        for (what, allowed) in homes {
            let home = allowed.iter().any(|home| file.path.starts_with(home));
            assert!(
                home || !file.names(what),
                "{} names {what}; its home is {allowed:?}",
                file.path
            );
        }
    }
}

/// A detached task is one that nobody stops and whose panic nobody hears.
#[test]
fn tasks_are_spawned_only_where_someone_waits_for_them() {
    // The daemon supervises and joins; listen bounds and joins its connections; the demo joins its reference Charter; the
    // hooks' commands are waited for by whoever called them, and by the stop.
    let homes = [
        "src/daemon.rs",
        "src/daemon/reload.rs",
        "src/server/listen.rs",
        "src/cli/demo.rs",
        "src/actuators/hook/command.rs",
    ];
    for file in sources() {
        for word in ["spawn(", "JoinSet", "spawn_blocking", "spawn_local"] {
            assert!(
                !file.names(word) || homes.contains(&file.path.as_str()),
                "{} names {word}",
                file.path
            );
        }
    }
    let table = read("docs/ARCHITECTURE.md");
    for home in homes {
        assert!(
            table.contains(home),
            "docs/ARCHITECTURE.md does not name {home} among those that spawn"
        );
    }
}

/// A new system is a folder under src/actuators and a line in the composition root.
#[test]
fn the_executor_knows_no_system() {
    let systems: BTreeSet<String> = rust_files(&["src/actuators"])
        .iter()
        .filter_map(|path| path.strip_prefix("src/actuators/")?.split_once('/'))
        .map(|(system, _)| system.to_owned())
        .collect();
    assert!(systems.contains("charter") && systems.contains("hook"), "{systems:?}");
    // Its settings hand on what Charter's section says of Charter.
    let executor =
        |path: &str| path.starts_with("src/executor") && path != "src/executor/settings.rs";
    for file in sources().iter().filter(|file| executor(&file.path)) {
        for path in file.paths_into("actuators") {
            let first = path.split("::").next().unwrap_or_default();
            assert!(!systems.contains(first), "{} uses actuators::{path}", file.path);
        }
    }
}

/// Planning and verifying change nothing outside, because they have nothing to do it with.
#[test]
fn only_the_stages_that_act_are_given_the_hands() {
    // The last but one are parts of `Settle`; the last puts those of a reloaded configuration in their place.
    let homes = ["cycle.rs", "cycle/kit.rs", "cycle/act.rs", "cycle/settle.rs"];
    let homes = homes.into_iter().chain([
        "cycle/expiring_action.rs",
        "cycle/follow_ups.rs",
        "cycle/renew.rs",
    ]);
    let homes: BTreeSet<String> = homes.map(|home| format!("src/{home}")).collect();
    for file in sources().iter().filter(|file| file.module == "cycle") {
        for word in ["Hands", "Means", "Executor"] {
            let named = file.names(word);
            assert!(!named || homes.contains(&file.path), "{} names {word}", file.path);
        }
    }
}

#[test]
fn the_server_reads_the_loop_and_never_runs_it() {
    for file in sources().iter().filter(|file| file.module == "server") {
        for path in file.paths_into("control_loop") {
            assert!(path.starts_with("handle"), "{} uses control_loop::{path}", file.path);
        }
        for path in file.paths_into("monitor") {
            let pure =
                ["webhook", "alerts", "settings", "AlertmanagerSettings", "Settings", "self"];
            assert!(
                pure.iter().any(|part| path.starts_with(part)),
                "{} uses monitor::{path}: of the monitor the server may use the functions that read no socket",
                file.path
            );
        }
    }
    for name in ["webhook", "alerts"] {
        for file in sources().iter().filter(|f| f.path.starts_with(&format!("src/monitor/{name}")))
        {
            for word in ["reqwest", "async fn", "tokio::net"] {
                assert!(
                    !file.names(word),
                    "{} names {word}, and the server relies on its being pure",
                    file.path
                );
            }
        }
    }
}

/// People read times in one form, `domain::time::text`.
#[test]
fn only_one_place_writes_a_time_for_people() {
    // A time of day without a date is a setting; the second in an id is no text for people.
    let homes = ["src/incidents/settings.rs", "src/config/escalation.rs"];
    for path in rust_files(&["src"]) {
        let text = read(&path);
        let is_home = homes.contains(&path.as_str());
        assert!(is_home || !text.contains("%H:%M"), "{path} writes a time: use domain::time::text");
    }
}

#[test]
fn nothing_is_left_for_later_in_the_text() {
    let left = [
        ["TO", "DO"].concat(),
        ["FIX", "ME"].concat(),
        ["to", "do!"].concat(),
        ["unimplemented", "!"].concat(),
        ["dbg", "!"].concat(),
    ];
    for path in rust_files(&["src", "tests", "benches"]) {
        let text = read(&path);
        for word in &left {
            assert!(!text.contains(word.as_str()), "{path} says {word}");
        }
    }
}

#[test]
fn no_source_says_unsafe_and_the_compiler_forbids_it() {
    for file in sources() {
        assert!(!file.names("unsafe"), "{} says unsafe", file.path);
    }
    assert!(read("Cargo.toml").contains("unsafe_code = \"forbid\""));
}

#[test]
fn files_are_short_begin_with_what_they_own_and_none_is_called_mod() {
    for path in rust_files(&["src", "tests", "benches"]) {
        let text = read(&path);
        let lines = text.lines().count();
        assert!(lines <= MAX_LINES, "{path} has {lines} lines, over {MAX_LINES}: split it");
        assert!(text.starts_with("//!"), "{path} does not begin with what it owns (//!)");
        assert!(!path.ends_with("/mod.rs"), "{path}: write the folder's name as a file beside it");
    }
}
