//! docs/CONFIGURATION.md is made here, from the code: keys, defaults and meaning from the shipped configuration (which
//! `tests/it/config.rs` holds equal to the types), what is accepted from what the reader says when it refuses a value,
//! the variables from its table. `UPDATE=1` writes the page, otherwise it must be the one that stands in docs/.

use std::fmt::Write as _;

use mape_k::config::{Config, PATH_VARIABLE, VARIABLES};
use serde_json::{Map, Value, json};

use crate::support::tools::root;

const COMMAND: &str = "UPDATE=1 cargo test --test deployment configuration_page";

/// A key, or a block of keys, as the shipped file has it.
struct Entry {
    path: String,
    /// As written there; none for a block.
    default: Option<String>,
    comment: Vec<String>,
}

#[test]
fn d07_the_page_of_the_configuration_is_what_the_code_says_today() {
    let page = page();
    let path = root().join("docs/CONFIGURATION.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, page).expect("docs/ can be written");
        return;
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let line = kept.lines().zip(page.lines()).position(|(kept, made)| kept != made);
    assert!(kept == page, "docs/CONFIGURATION.md is not current (line {line:?}): run {COMMAND}");
}

fn page() -> String {
    let shipped = std::fs::read_to_string(root().join("config/mape_k_config.yaml"));
    let entries = entries(&shipped.expect("the shipped configuration"));
    assert!(entries.len() > 150, "only {} keys found: the scan is blind", entries.len());
    let forms = accepted("knowledge.retention").replace(", above 0", "");
    let mut page = head(&forms, &sections(&entries));
    let mut examples = Vec::new();
    for entry in entries {
        let (meaning, example) = prose(&entry.comment);
        if !entry.path.contains('.') {
            page.push_str(&block(&mut examples));
            let title = &entry.path;
            let rule = "|---|---|---|---|---|";
            write!(page, "\n## {title}\n\n{meaning}\n\n| key | default | accepted | environment | meaning |\n{rule}\n")
                .expect("a text");
            // A section that is a list has no keys but those of its items.
            if let Some(default) = &entry.default {
                let accepted = cell(&accepted(title).replace(&forms, "a duration"));
                writeln!(page, "| `{title}` | `{default}` | {accepted} | | |").expect("a text");
                examples.push((title.clone(), example));
            }
            continue;
        }
        if !example.is_empty() {
            examples.push((entry.path.clone(), example));
        }
        let cells = match &entry.default {
            Some(default) => {
                let accepted = accepted(&entry.path).replace(&forms, "a duration");
                format!("`{default}` | {} | {}", cell(&accepted), variables(&entry.path))
            }
            None => " | | ".to_owned(),
        };
        writeln!(page, "| `{}` | {cells} | {} |", entry.path, cell(&meaning)).expect("a text");
    }
    page.push_str(&block(&mut examples));
    page + &environment()
}

fn head(forms: &str, sections: &str) -> String {
    format!(
        "# Configuration\n\n\
         <!-- Made by `{COMMAND}`; a change goes into config/mape_k_config.yaml or src/config. -->\n\n\
         One YAML file: `--config`, else `{PATH_VARIABLE}`, else `{}`. [The shipped one]\
         (../config/mape_k_config.yaml) holds every key with its default; a key left out has it, an unknown one is refused. \
         Environment variables stand over the file. `mape-k check-config` names everything that is wrong with a file, with \
         line and key, and prints what stands.\n\n\
         A duration is {} Sizes are in bytes, times without a unit in seconds. A key with a form in `_file` is a secret: \
         there stands the path of a file that holds it, and it is never printed. The service catalogue is a file of its own: \
         [SERVICES.md](SERVICES.md).\n\n\
         Sections: {}\n",
        mape_k::config::DEFAULT_PATH,
        forms.replace("a duration: ", "") + ".",
        sections,
    )
}

/// The page's own contents, in the order of the file.
fn sections(entries: &[Entry]) -> String {
    let names = entries.iter().map(|entry| entry.path.as_str()).filter(|path| !path.contains('.'));
    let links: Vec<String> = names.map(|name| format!("[{name}](#{name})")).collect();
    links.join(", ") + ", [environment variables](#environment-variables)"
}

/// Every key and block of the file in its order, an inline block taken apart.
fn entries(text: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    let (mut above, mut comment) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let bare = line.trim_start();
        if let Some(words) = bare.strip_prefix('#') {
            comment.push(words.strip_prefix(' ').unwrap_or(words).to_owned());
            continue;
        }
        let Some((key, value)) = bare.split_once(':') else {
            // The head of the file ends with an empty line.
            comment.clear();
            continue;
        };
        above.truncate((line.len() - bare.len()) / 2);
        above.push(key);
        let path = above.join(".");
        let written = value.trim();
        let parsed: Value = serde_yaml::from_str(written).expect("a value");
        let inside = parsed.as_object().filter(|keys| !keys.is_empty());
        let is_block = written.is_empty() || inside.is_some();
        let default = (!is_block).then(|| written.to_owned());
        // A block without a word of its own says nothing that its keys do not.
        if !is_block || !comment.is_empty() {
            entries.push(Entry {
                path: path.clone(),
                default,
                comment: std::mem::take(&mut comment),
            });
        }
        for (key, value) in inside.into_iter().flatten() {
            let path = format!("{path}.{key}");
            entries.push(Entry { path, default: Some(value.to_string()), comment: Vec::new() });
        }
    }
    entries
}

/// What a comment says, and what it shows: lines that stand further in.
fn prose(comment: &[String]) -> (String, Vec<String>) {
    let (mut said, mut shown) = (Vec::new(), Vec::new());
    for line in comment {
        if line.starts_with(' ') {
            if shown.is_empty() {
                said.push("(Below the table.)");
            }
            shown.push(line.clone());
        } else {
            said.push(line.as_str());
        }
    }
    (said.join(" "), shown)
}

/// What the section's comments show, for below its table.
fn block(examples: &mut Vec<(String, Vec<String>)>) -> String {
    let mut text = String::new();
    for (path, lines) in examples.drain(..) {
        write!(text, "\n`{path}`:\n\n```text\n{}\n```\n", lines.join("\n")).expect("a text");
    }
    text
}

fn cell(text: &str) -> String {
    let outside_code = |(at, part): (usize, &str)| {
        if at % 2 == 0 { part.replace('<', "&lt;").replace('*', "\\*") } else { part.to_owned() }
    };
    let parts: Vec<String> =
        text.replace('|', "\\|").split('`').enumerate().map(outside_code).collect();
    parts.join("`")
}

/// What the reader says that it accepts here, when it is given something that no key accepts.
fn accepted(path: &str) -> String {
    let mut told = refusal(path, &json!([{"?": 0}]));
    if told.contains(" of keys") {
        // What a map holds; an action's name is a name of anything.
        told = refusal(path, &json!({"scale_up": {"?": 0}}));
    }
    let file = format!("{path}_file");
    let is_secret = problems(&file, &json!([])).iter().any(|(_, text)| text.contains("of a file"));
    let name = file.rsplit('.').next().unwrap_or_default();
    if is_secret { format!("{told}; or `{name}`") } else { told }
}

/// Of the key itself, else of what is in it.
fn refusal(path: &str, value: &Value) -> String {
    let problems = problems(path, value);
    let about = |prefix: &str, is_whole: bool| {
        problems.iter().find_map(|(at, text)| {
            let rest = at.strip_prefix(path)?.strip_prefix(prefix)?;
            if is_whole && !rest.is_empty() {
                return None;
            }
            let accepted = text.split("accepted: ").nth(1).map(str::to_owned);
            accepted.or_else(|| Some(format!("keys {}", text.split("known here: ").nth(1)?)))
        })
    };
    let each = || about("[0]", false).map(|each| format!("a list of: {each}"));
    let named = || {
        let value = about(".scale_up", false)?;
        let is_closed = value.starts_with("keys ");
        Some(if is_closed {
            format!("a map with the {value}")
        } else {
            format!("a map of names to: {value}")
        })
    };
    about("", true)
        .or_else(each)
        .or_else(named)
        .unwrap_or_else(|| panic!("{path} takes {value}; refused is only {problems:?}"))
}

/// Path and text of every error of a file with this one key.
fn problems(path: &str, value: &Value) -> Vec<(String, String)> {
    let file = path.rsplit('.').fold(value.clone(), |inside, key| {
        Value::Object(Map::from_iter([(key.to_owned(), inside)]))
    });
    match Config::parse(&file.to_string(), &|_| None) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.problems.into_iter().map(|p| (p.path, p.text)).collect(),
    }
}

fn variables(path: &str) -> String {
    let names: Vec<String> = VARIABLES
        .iter()
        .filter(|(_, section, key)| format!("{section}.{key}") == path)
        .map(|(name, _, _)| format!("`{name}`"))
        .collect();
    names.join(", ")
}

fn environment() -> String {
    let mut text = format!(
        "\n## Environment variables\n\nOne that is set but empty counts as not set. Of two for one key the later one in this table \
         stands.\n\n| variable | stands over |\n|---|---|\n| `{PATH_VARIABLE}` | the path of this file; `--config` stands over it |\n"
    );
    for (name, section, key) in VARIABLES {
        let unit = if name.ends_with("_MINUTES") { ", a number of minutes" } else { "" };
        writeln!(text, "| `{name}` | `{section}.{key}`{unit} |").expect("a text");
    }
    text
}
