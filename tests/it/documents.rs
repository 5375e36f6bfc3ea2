//! The documents in step with the program: what README, docs and the shipped configuration name exists, and what exists
//! and people need is named. Leaves out the import rules (`tests/architecture.rs`).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use mape_k::cli::Cli;
use mape_k::clock::Clock;
use mape_k::config::Config;
use mape_k::domain::need::NeedReason;
use mape_k::metrics::Metrics;
use mape_k::metrics::labels::{CandidateLabel, Label as _};

const DOCUMENTS: [&str; 15] = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/ARCHITECTURE.md",
    "docs/BENCHMARKS.md",
    "docs/COMMANDS.md",
    "docs/COMPONENTS.md",
    "docs/CONFIGURATION.md",
    "docs/DEPLOYMENT.md",
    "docs/FINDINGS.md",
    "docs/OPERATIONS.md",
    "docs/SAFETY.md",
    "docs/SERVICES.md",
    "docs/SEVERITIES.md",
    "docs/SLACK.md",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All Rust sources below a folder.
fn sources_of(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").path()) {
        if entry.is_dir() {
            sources_of(&entry, into);
        } else if entry.extension().is_some_and(|e| e == "rs") {
            into.push(entry);
        }
    }
}

/// Every text between backticks, in prose and in blocks, cut into words.
fn words(text: &str) -> BTreeSet<String> {
    let split = |c: char| !(c.is_alphanumeric() || "_-./{}".contains(c));
    text.split(split).map(|word| word.trim_end_matches('.').to_owned()).collect()
}

/// A40: a metric that the documents name is one that /metrics has.
#[test]
fn every_metric_that_the_documents_name_is_exported() {
    let exported = Metrics::new(Clock::start().now()).gather();
    let families: BTreeSet<&str> = exported
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter_map(|line| line.split(' ').next())
        .collect();
    let mut named = 0;
    for document in DOCUMENTS {
        for word in words(&read(document)) {
            let name = word.split('{').next().unwrap_or_default();
            let ours = name.starts_with("mape_k_") || name.starts_with("charter_api_response");
            // Ending so it is the beginning of several, in a pattern of grep's.
            if !ours || name.contains('.') || name.contains('/') || name.ends_with('_') {
                continue;
            }
            let part = ["_sum", "_count", "_bucket"].iter().find_map(|end| name.strip_suffix(end));
            let name = part.filter(|family| families.contains(family)).unwrap_or(name);
            named += 1;
            assert!(
                families.contains(name),
                "{document} names the metric {name}, /metrics does not"
            );
        }
    }
    assert!(named > 15, "only {named} metrics found in the documents: the scan is blind");
}

/// What is served, by the description that the routers are made of; no source serves a path beside it but the webhook's,
/// which the configuration names.
fn routes() -> BTreeSet<String> {
    let mut sources = vec![root().join("src/server.rs")];
    sources_of(&root().join("src/server"), &mut sources);
    assert!(sources.len() > 20, "only {} sources found: the scan is blind", sources.len());
    for file in sources {
        let text = fs::read_to_string(&file).expect("a source");
        let added: usize =
            [".route(", ".nest(", "_service("].map(|by| text.matches(by).count()).iter().sum();
        let allowed = usize::from(file.ends_with("src/server/intake.rs"));
        assert_eq!(added, allowed, "{}: describe it, and add it with routes!", file.display());
    }
    let description = mape_k::server::description::document();
    description["paths"].as_object().expect("paths").keys().cloned().collect()
}

#[test]
fn the_readme_lists_exactly_the_paths_that_are_served() {
    let served = routes();
    assert!(served.len() > 12, "only {} routes found: the scan is blind", served.len());
    let listed: BTreeSet<String> = read("README.md")
        .lines()
        .filter(|line| line.starts_with("| `"))
        .flat_map(|line| line.split('`').map(str::to_owned).collect::<Vec<_>>())
        .filter_map(|code| {
            let path = code.strip_prefix("GET ").or_else(|| code.strip_prefix("POST "));
            path.map(str::to_owned)
        })
        .chain(["/metrics", "/webhooks/alerts"].map(str::to_owned))
        .collect();
    assert_eq!(listed, served);
}

#[test]
fn every_path_that_the_documents_name_is_served() {
    let served = routes();
    // Charter's own, which the documents send people to.
    let of_charter = ["/api/v1/committee/state", "/api/v1/policies"];
    for document in DOCUMENTS {
        for word in words(&read(document)) {
            let Some(at) = word.find("/api/v1/") else { continue };
            let path = &word[at..];
            // Prometheus has paths of its own.
            let known = word.starts_with("9090/")
                || served.contains(path)
                || of_charter.contains(&path)
                || served.iter().any(|route| fits(route, path));
            assert!(known, "{document} names {path}, which is not served");
        }
    }
}

/// A path with something in the place of `{id}`; `curl` examples end it with a variable that `words` cuts off.
fn fits(route: &str, path: &str) -> bool {
    route.split("{id}").next().is_some_and(|before| before == path)
}

#[test]
fn every_command_that_the_documents_name_exists() {
    let command = Cli::command();
    let known: BTreeSet<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
    let mut named = BTreeSet::new();
    for document in DOCUMENTS {
        for line in read(document).lines() {
            for code in commands_of(line) {
                let Some(word) = code.strip_prefix("mape-k ").and_then(|c| c.split(' ').next())
                else {
                    continue;
                };
                assert!(
                    known.contains(word),
                    "{document} names mape-k {word}, which is no command"
                );
                named.insert(word.to_owned());
            }
        }
    }
    let missing: Vec<_> = known.iter().filter(|name| !named.contains(**name)).collect();
    assert!(missing.is_empty(), "no document names {missing:?}");
}

/// Pasted into zsh, which is the shell of every Mac, a comment is arguments and a `?` is a pattern.
#[test]
fn what_the_documents_tell_people_to_type_every_shell_understands() {
    let mut blocks = 0;
    for document in DOCUMENTS {
        let text = read(document);
        for block in text.split("```sh\n").skip(1) {
            blocks += 1;
            let block = block.split("```").next().unwrap_or_default();
            for line in block.lines() {
                let commented = line.split_whitespace().any(|word| word == "#");
                assert!(!commented, "{document}: a comment in {line}");
                let bare = line
                    .split_whitespace()
                    .any(|word| word.starts_with("http") && word.contains('?'));
                assert!(!bare, "{document}: an address with ? that is not quoted in {line}");
            }
        }
    }
    assert!(blocks > 20, "only {blocks} blocks found: the scan is blind");
}

/// Code in backticks, and lines of a shell block.
fn commands_of(line: &str) -> Vec<&str> {
    let mut commands: Vec<&str> = line.split('`').skip(1).step_by(2).collect();
    commands.push(line);
    commands
}

#[test]
fn every_make_target_that_the_documents_name_exists_and_has_a_line_of_help() {
    let makefile = read("Makefile");
    for document in DOCUMENTS {
        let text = read(document);
        for line in text.lines() {
            for code in commands_of(line) {
                let Some(rest) = code.strip_prefix("make ") else { continue };
                let target = rest.split([' ', '`']).next().unwrap_or_default();
                let defined = makefile.lines().any(|l| {
                    l.strip_prefix(&format!("{target}:")).is_some_and(|rest| rest.contains("## "))
                });
                assert!(defined, "{document} names make {target}");
            }
        }
    }
}

#[test]
fn every_link_resolves() {
    let mut followed = 0;
    for document in DOCUMENTS {
        let text = read(document);
        let folder = Path::new(document).parent().expect("a folder");
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.starts_with("https://") || target.starts_with('#') {
                continue;
            }
            let path = root().join(folder).join(target.split('#').next().unwrap_or_default());
            assert!(path.exists(), "{document} links to {target}, which is not there");
            followed += 1;
        }
    }
    assert!(followed > 10, "only {followed} links found: the scan is blind");
}

#[test]
fn every_source_that_the_documents_name_is_there() {
    for document in DOCUMENTS {
        for word in words(&read(document)) {
            let ours = ["src/", "tests/", "config/"].iter().any(|folder| word.starts_with(folder));
            if ours && !word.contains(['{', '}']) {
                assert!(root().join(&word).exists(), "{document} names {word}");
            }
        }
    }
}

#[test]
fn the_configurations_in_the_readme_are_accepted_as_they_stand() {
    let readme = read("README.md");
    let mut tried = 0;
    for block in readme.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()) {
        if block.starts_with("# alertmanager.yml") {
            continue;
        }
        let (_, warnings) = Config::parse(block, &|_| None)
            .unwrap_or_else(|errors| panic!("refused:\n{block}\n{errors}"));
        assert!(warnings.is_empty(), "warned of:\n{block}\n{warnings:?}");
        tried += 1;
    }
    assert_eq!(tried, 4);
}

#[test]
fn every_environment_variable_of_the_configuration_is_in_the_readme_and_in_the_shipped_file() {
    let readme = words(&read("README.md"));
    let shipped = words(&read("config/mape_k_config.yaml"));
    for (variable, _, _) in mape_k::config::VARIABLES {
        // The older of two names for one key: the shipped file tells of it.
        assert!(shipped.contains(variable), "config/mape_k_config.yaml does not name {variable}");
        let alias = variable == "CHARTER_API_URL";
        assert!(alias || readme.contains(variable), "README.md does not name {variable}");
    }
}

#[test]
fn operations_says_what_to_do_for_every_reason() {
    let text = read("docs/OPERATIONS.md");
    let first_cells: BTreeSet<&str> = text
        .lines()
        .filter(|line| line.starts_with("| `"))
        .filter_map(|line| line.split('|').nth(1))
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    for reason in NeedReason::ALL {
        let row = format!("| `{}` |", reason.as_str());
        assert!(text.contains(&row), "docs/OPERATIONS.md has no row for {}", reason.as_str());
    }
    for verdict in CandidateLabel::all() {
        assert!(
            first_cells.contains(verdict.text()),
            "docs/OPERATIONS.md has no row for {}",
            verdict.text()
        );
    }
    for component in
        ["loop", "prometheus", "scrape", "alertmanager", "rules", "charter", "store", "leader"]
    {
        assert!(first_cells.contains(component), "docs/OPERATIONS.md has no row for {component}");
    }
    for rules in ["config/rules/mape_k.yml", "config/rules/charter.yml"] {
        for line in read(rules).lines() {
            let Some(alert) = line.trim().strip_prefix("- alert: ") else { continue };
            assert!(
                text.contains(&format!("\n### {alert}\n")),
                "docs/OPERATIONS.md has no section for {alert}"
            );
        }
    }
}

/// A key without a word about it is a key that people guess at: each has a comment above it; in a nested block one above
/// the block or above an earlier neighbour will do.
#[test]
fn every_key_of_the_shipped_configuration_is_explained() {
    let text = read("config/mape_k_config.yaml");
    let lines: Vec<&str> = text.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let is_comment = |at: usize| lines[at].trim_start().starts_with('#');
    let commented = |at: usize| at > 0 && is_comment(at - 1);
    let keys: Vec<usize> =
        (0..lines.len()).filter(|at| !lines[*at].trim().is_empty() && !is_comment(*at)).collect();
    assert!(keys.len() > 80, "only {} keys found: the scan is blind", keys.len());
    for (position, at) in keys.iter().copied().enumerate() {
        let own = indent(lines[at]);
        if lines[at].ends_with(':') && own > 0 {
            continue;
        }
        // Up to and with the key of the block that it is in.
        let mut before = keys[..position].iter().rev();
        let mut explained = commented(at);
        while own > 2 && !explained {
            let above = *before.next().expect("a nested key has a block");
            explained = commented(above);
            if indent(lines[above]) < own {
                break;
            }
        }
        assert!(
            explained,
            "config/mape_k_config.yaml, line {}: {} has no comment",
            at + 1,
            lines[at].trim()
        );
    }
}

/// The modules stand in the account of the architecture in the order of lib.rs.
#[test]
fn the_architecture_lists_every_module_in_the_order_of_the_library() {
    let modules: Vec<String> = read("src/lib.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod "))
        .map(|module| module.trim_end_matches(';').to_owned())
        .collect();
    let text = read("docs/ARCHITECTURE.md");
    let table = text.split("## Modules").nth(1).and_then(|rest| rest.split("\n\n**").next());
    let listed: Vec<String> = table
        .expect("the table of modules")
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|line| line.split('`').next().map(str::to_owned))
        .collect();
    assert_eq!(listed, modules);
}

/// A promise names the test that holds it: one that is gone holds nothing.
#[test]
fn every_test_that_safety_names_is_there() {
    let mut sources = Vec::new();
    for folder in ["tests/it", "tests/escalation"] {
        sources_of(&root().join(folder), &mut sources);
    }
    let tests: String =
        sources.iter().map(|file| fs::read_to_string(file).expect("a source")).collect();
    let safety = read("docs/SAFETY.md");
    let is_test = |word: &&str| {
        word.matches('_').count() >= 3
            && !word.starts_with("mape_k_")
            && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    let named: Vec<&str> = safety.split('`').skip(1).step_by(2).filter(is_test).collect();
    assert!(named.len() > 50, "{}", named.len());
    for name in named {
        assert!(tests.contains(&format!("fn {name}(")), "docs/SAFETY.md names {name}");
    }
}
