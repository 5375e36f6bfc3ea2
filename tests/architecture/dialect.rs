//! The words that people read: the old dialect stays out of texts, documentation, pages, alerts and dashboards.

use std::collections::BTreeSet;
use std::path::PathBuf;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::scan::{read, rust_files};

/// A word of the old dialect, and the one to use. `*` stands for any ending.
const OLD: [(&str, &str); 24] = [
    ("told", "notified, or what said it"),
    ("untold", "not notified"),
    ("hears", "is notified"),
    ("judge*", "verify"),
    ("judging", "verifying"),
    ("verdict*", "result"),
    ("remedy", "action, or strategy"),
    ("remedies", "actions, or strategies"),
    ("ground", "target, or reason"),
    ("whoever", "who it is"),
    ("gist", "content hash"),
    ("taken back", "rolled back, or undone"),
    ("take back", "roll back, or undo"),
    ("takes back", "rolls back, or undoes"),
    ("people hear", "people are notified"),
    ("is over", "is resolved, or is above the limit"),
    ("was over", "was resolved, or was above the limit"),
    ("what is for", "the thing itself"),
    ("what is not", "the thing itself"),
    ("what is there", "the thing itself"),
    ("stands for itself", "the reason"),
    ("tells", "says, shows, or notifies"),
    ("telling", "notifying, or saying"),
    ("given back", "returned, released, or scaled back"),
];

/// Names that users, stores or Charter's contract already know.
const KNOWN: [&str; 2] = ["applied ─▶ judging ─▶ judged", "applied|judging"];

#[test]
fn texts_and_documentation_speak_plain_english() {
    let mut found = BTreeSet::new();
    let files = rust_files(&["src"]);
    for path in &files {
        let tokens: TokenStream = read(path).parse().expect("Rust");
        let mut texts = Vec::new();
        texts_of(tokens, &mut texts);
        for text in texts.iter().filter(|text| text.contains(' ')) {
            find(&mut found, path, text);
        }
    }
    assert_none(&found);
}

fn find(found: &mut BTreeSet<String>, path: &str, text: &str) {
    for (old, new) in OLD {
        if says(text, old) && !KNOWN.iter().any(|known| text.contains(known)) {
            found.insert(format!("{path}: {text}: not {old:?}, say: {new}"));
        }
    }
}

fn assert_none(found: &BTreeSet<String>) {
    let texts: Vec<&str> = found.iter().map(String::as_str).collect();
    assert!(texts.is_empty(), "{} texts:\n{}", texts.len(), texts.join("\n"));
}

/// Pages outside their code, comments of the configuration, and the texts of alerts and dashboards.
#[test]
fn pages_configuration_and_alerts_speak_plain_english() {
    let mut found = BTreeSet::new();
    let folders = ["docs", "config", "deployment", "README.md", "CHANGELOG.md", "CONTRIBUTING.md"];
    for path in &pages(&folders) {
        let mut text = read(path);
        if path == "CHANGELOG.md" {
            // What is below is of versions that are out.
            let unreleased =
                text.find("### Added: one loop over many targets").expect("it is there");
            text.truncate(unreleased);
        }
        let ending = path.rsplit('.').next().unwrap_or_default();
        if ending == "md" {
            // Code stands in every second piece: fences first, then what is quoted within a line.
            let fenced: Vec<&str> = text.split("```").step_by(2).collect();
            for line in fenced.iter().flat_map(|piece| piece.lines()) {
                let prose: Vec<&str> = line.split('`').step_by(2).collect();
                find(&mut found, path, &prose.join(" "));
            }
        } else if ["yaml", "yml", "json"].contains(&ending) {
            let said = ["#", "summary:", "description:", "\"description\":", "\"title\":"];
            for line in text.lines().map(str::trim).filter(|line| line.contains(' ')) {
                if said.iter().any(|mark| line.contains(mark)) {
                    find(&mut found, path, line);
                }
            }
        }
    }
    assert_none(&found);
}

/// String literals and documentation, which the parser turns into one; attributes but `doc` are names.
fn texts_of(tokens: TokenStream, texts: &mut Vec<String>) {
    let mut after_hash = false;
    for token in tokens {
        let is_hash = matches!(&token, TokenTree::Punct(sign) if "#!".contains(sign.as_char()));
        match token {
            TokenTree::Group(group) if after_hash && group.delimiter() == Delimiter::Bracket => {
                let content = group.stream().to_string();
                if content.starts_with("doc") {
                    texts.push(content);
                }
            }
            TokenTree::Group(group) => texts_of(group.stream(), texts),
            TokenTree::Literal(literal) => texts.push(literal.to_string()),
            TokenTree::Ident(_) | TokenTree::Punct(_) => {}
        }
        after_hash = is_hash;
    }
}

fn says(text: &str, old: &str) -> bool {
    let words: Vec<String> = text
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    let wanted: Vec<&str> = old.split(' ').collect();
    words.windows(wanted.len()).any(|seen| {
        seen.iter().zip(&wanted).all(|(seen, wanted)| match wanted.strip_suffix('*') {
            Some(stem) => seen.starts_with(stem) && !seen.contains('_'),
            None => seen == wanted,
        })
    })
}

fn pages(folders: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let mut left: Vec<PathBuf> = folders.iter().map(PathBuf::from).collect();
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(path.read_dir().expect("a folder").map(|entry| entry.expect("it").path()));
        } else {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn the_scan_finds_old_words_in_texts_and_documentation_alone() {
    let code = r#"
        /// People were told.
        #[serde(rename = "was told")]
        fn told() { println!("its verdict: {x}"); let judged = "judged"; } // told of
    "#;
    let mut texts = Vec::new();
    texts_of(code.parse().expect("Rust"), &mut texts);
    let found: Vec<bool> = texts.iter().map(|t| OLD.iter().any(|(old, _)| says(t, old))).collect();
    assert_eq!(found, [true, true, true], "{texts:?}");
}
