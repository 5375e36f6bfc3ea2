//! Reading the sources as text: which modules a file names, with comments and texts blanked out.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// One source file with comments and texts blanked out.
pub struct Source {
    pub path: String,
    /// The top-level module it belongs to; `lib` and `main` for the roots.
    pub module: String,
    /// How far below the crate's root its module is.
    pub depth: usize,
    pub code: String,
}

impl Source {
    /// The top-level modules it names through `crate::`.
    pub fn uses(&self) -> BTreeSet<String> {
        let mut used = BTreeSet::new();
        for prefix in ["crate::", "mape_k::"] {
            for (at, _) in self.code.match_indices(prefix) {
                let rest = &self.code[at + prefix.len()..];
                match rest.strip_prefix('{') {
                    Some(group) => {
                        let group = &group[..group.find('}').expect("a closed group")];
                        used.extend(group.split(',').map(|item| first_word(item.trim())));
                    }
                    None => {
                        used.insert(first_word(rest));
                    }
                }
            }
        }
        used
    }

    /// What it names below one module: `handle::LoopHandle` of `crate::control_loop::handle::LoopHandle`.
    pub fn paths_into(&self, module: &str) -> Vec<String> {
        let prefix = format!("crate::{module}::");
        let mut paths = Vec::new();
        for (at, _) in self.code.match_indices(&prefix) {
            let rest = &self.code[at + prefix.len()..];
            match rest.strip_prefix('{') {
                Some(group) => {
                    let group = &group[..group.find('}').expect("a closed group")];
                    let items = group.split(',').map(|item| item.trim().to_owned());
                    paths.extend(items.filter(|item| !item.is_empty()));
                }
                None => paths.push(rest.lines().next().unwrap_or_default().to_owned()),
            }
        }
        paths
    }

    /// The first word of every `use`.
    pub fn imported_roots(&self) -> BTreeSet<String> {
        // Indented ones import from what the file itself holds; a path in them that leaves it names a forbidden word.
        let uses = self.code.lines();
        let uses = uses
            .filter_map(|line| line.strip_prefix("pub use ").or_else(|| line.strip_prefix("use ")));
        uses.map(first_word).collect()
    }

    pub fn longest_climb(&self) -> usize {
        let mut longest = 0;
        let mut rest = self.code.as_str();
        while let Some(at) = rest.find("super::") {
            rest = &rest[at..];
            let mut climb = 0;
            while let Some(further) = rest.strip_prefix("super::") {
                climb += 1;
                rest = further;
            }
            longest = longest.max(climb);
        }
        longest
    }

    /// Does the code name this, as a word of its own where it begins with a letter?
    pub fn names(&self, word: &str) -> bool {
        let begins = |at: usize| {
            let before = self.code[..at].chars().next_back();
            !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
        };
        let ends = |at: usize| {
            let after = self.code[at + word.len()..].chars().next();
            let open = word.ends_with(|c: char| c.is_alphanumeric());
            !open || !after.is_some_and(char::is_alphanumeric)
        };
        self.code.match_indices(word).any(|(at, _)| begins(at) && ends(at))
    }
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub fn public_modules() -> Vec<String> {
    let lib = read("src/lib.rs");
    let modules = lib.lines().filter_map(|line| line.strip_prefix("pub mod "));
    modules.map(|module| module.trim_end_matches(';').to_owned()).collect()
}

pub fn sources() -> Vec<Source> {
    let files = rust_files(&["src"]);
    assert!(
        files.len() > 100,
        "only {} sources found: the scan looks in the wrong place",
        files.len()
    );
    files
        .into_iter()
        .map(|path| {
            let inner = path.trim_start_matches("src/").trim_end_matches(".rs");
            let parts: Vec<&str> = inner.split('/').collect();
            let root = parts[0] == "lib" || parts[0] == "main";
            let code =
                code_of(&fs::read_to_string(self::root().join(&path)).expect("a source file"));
            let module = parts[0].to_owned();
            Source { module, depth: if root { 1 } else { parts.len() }, path, code }
        })
        .collect()
}

pub fn rust_files(folders: &[&str]) -> Vec<String> {
    fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries {
            let path = entry.expect("a folder's entry").path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    for folder in folders {
        collect(&root().join(folder), &mut found);
    }
    found.sort();
    let relative =
        |path: &PathBuf| path.strip_prefix(root()).expect("below the root").display().to_string();
    found.iter().map(relative).collect()
}

/// The text without comments and without what stands between quotes; line breaks stay.
pub fn code_of(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let rest = &chars[at..];
        match rest {
            ['/', '/', ..] => at += rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()),
            ['/', '*', ..] => {
                let end = rest.windows(2).position(|pair| pair == ['*', '/']);
                at += end.map_or(rest.len(), |end| end + 2);
            }
            ['r', '#' | '"', ..] if raw_text(rest).is_some() && !word_before(&code) => {
                code.push_str("\"\"");
                at += raw_text(rest).expect("just asked");
            }
            // A quote as a character is no beginning of a text.
            ['\'', '"', '\'', ..] => at += 3,
            ['\'', '\\', _, '\'', ..] => at += 4,
            ['"', ..] => {
                code.push_str("\"\"");
                at += 1;
                while at < chars.len() && chars[at] != '"' {
                    at += if chars[at] == '\\' { 2 } else { 1 };
                }
                at += 1;
            }
            [other, ..] => {
                code.push(*other);
                at += 1;
            }
            [] => break,
        }
    }
    code
}

/// The length of a raw text that begins here, if one does.
fn raw_text(rest: &[char]) -> Option<usize> {
    let hashes = rest[1..].iter().take_while(|c| **c == '#').count();
    (rest.get(1 + hashes) == Some(&'"')).then_some(())?;
    let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let begin = 2 + hashes;
    let length = rest[begin..].windows(end.len()).position(|window| window == end)?;
    Some(begin + length + end.len())
}

fn word_before(code: &str) -> bool {
    code.chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_')
}

#[test]
fn the_scan_reads_code_and_not_comments_or_texts() {
    let code = code_of(
        "use a; // use b\n/* use c */ let d = \"use \\\" e\"; let f = r#\"use \"g\"\"#; let h = '\"'; use i;",
    );
    assert_eq!(code, "use a; \n let d = \"\"; let f = \"\"; let h = ; use i;");
    let file = |code: &str| Source {
        path: "src/a.rs".into(),
        module: "a".into(),
        depth: 1,
        code: code.into(),
    };
    assert_eq!(
        file("use crate::{b, c::d};\nlet e = crate::f::G;").uses(),
        ["b", "c", "f"].map(str::to_owned).into()
    );
    assert!(file("x.spawn(y)").names("spawn(") && !file("respawn(y)").names("spawn("));
    assert!(!file("Instantly").names("Instant"));
    assert_eq!(file("super::super::b; super::c").longest_climb(), 2);
}
