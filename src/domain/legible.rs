//! Text of others as people read it: nothing in it moves a cursor, begins a line, turns the reading direction or looks
//! like a word that it is not.
//!
//! Labels, names and messages come from clusters, alerts and servers. Each way out (terminal, page, log, Slack) calls this
//! once, where a line is finished, so that a caller cannot forget it. Harmless text passes unchanged.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Does this character change how a line is shown without being seen itself: a control character, a separator of lines,
/// or one of Unicode's invisible and bidirectional format characters?
#[must_use]
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Letters of other alphabets and styles that are drawn like Latin ones. Units (μ, Ω) are left out: people write "5 μs".
fn is_lookalike(c: char) -> bool {
    c.is_alphabetic()
        && !matches!(c, 'μ' | 'Ω' | '\u{2126}')
        && matches!(c,
            '\u{250}'..='\u{2af}' | '\u{370}'..='\u{58f}' | '\u{13a0}'..='\u{13ff}'
            | '\u{1d00}'..='\u{1dbf}' | '\u{1f00}'..='\u{1fff}' | '\u{2100}'..='\u{214f}'
            | '\u{2c80}'..='\u{2cff}' | '\u{a4d0}'..='\u{a4ff}' | '\u{a640}'..='\u{a69f}'
            | '\u{ab30}'..='\u{abbf}' | '\u{ff21}'..='\u{ff5a}' | '\u{1d400}'..='\u{1d7ff}')
}

/// One line of text. Hidden characters are shown as `\n` or `\u{202e}`, and so is a letter that only looks Latin in a word
/// with Latin letters: the "а" of "аuto" becomes `\u{430}`.
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    if text.is_ascii() && !text.bytes().any(|byte| byte.is_ascii_control()) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    let is_in_word = |c: char| c.is_alphanumeric();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if !is_in_word(first) {
            push(&mut shown, first, is_hidden(first));
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let end = rest.find(|c| !is_in_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let is_mixed = word.contains(|c: char| c.is_ascii_alphabetic());
        for c in word.chars() {
            push(&mut shown, c, is_hidden(c) || (is_mixed && is_lookalike(c)));
        }
        rest = after;
    }
    Cow::Owned(shown)
}

/// Several lines, whose breaks are ours.
#[must_use]
pub fn lines(text: &str) -> String {
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// A name that people decide by: as it is when it is plain ASCII, else in quotation marks with every other character
/// escaped, so that no two names look alike.
#[must_use]
pub fn name(name: &str) -> Cow<'_, str> {
    if name.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Cow::Borrowed(name);
    }
    let mut shown = String::from("\"");
    for c in name.chars() {
        push(&mut shown, c, !c.is_ascii() || c.is_control() || matches!(c, '"' | '\\'));
    }
    shown.push('"');
    Cow::Owned(shown)
}

/// JSON text that hides nothing: what JSON lets pass unescaped is escaped, too. Line breaks stay, since in JSON they stand
/// between values alone.
#[must_use]
pub fn json(text: &str) -> Cow<'_, str> {
    if !text.contains(|c| is_hidden(c) && c != '\n') {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if !is_hidden(c) || c == '\n' {
            shown.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a String cannot fail.
            let _ = write!(shown, "\\u{unit:04x}");
        }
    }
    Cow::Owned(shown)
}

/// The first character that is not plain ASCII: what a word that looks like a keyword may be refused for.
#[must_use]
pub fn odd_character(text: &str) -> Option<char> {
    text.chars().find(|c| !c.is_ascii() || c.is_control())
}

fn push(shown: &mut String, c: char, is_escaped: bool) {
    if is_escaped {
        shown.extend(c.escape_default());
    } else {
        shown.push(c);
    }
}
