//! Text as Slack wants it: what others wrote is text and nothing else, of bounded length, with a pointer where something
//! was left out.
//!
//! Slack reads `*bold*`, `` `code` ``, `_italic_`, `~struck~`, `:emoji:` and `@here` wherever they begin like a word. What
//! would begin one in foreign text is shown by a character that looks alike and means nothing. The address of a web page
//! stays one that can be opened, and is all that the link shows.

use std::borrow::Cow;

use crate::domain::legible;

/// "… and 12345 more: `mape-k status`" and its line break.
const POINTER: usize = 40;

/// Slack takes 3,000 for a link; an address that fills a section is of no use to anybody.
const MAX_LINK: usize = 500;

/// Slack counts characters; by UTF-16 it never counts more than we do.
pub(super) fn length(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Foreign text on one line, at most `max` long when escaped. `<!channel>` and the like call nobody.
pub(super) fn escaped(text: &str, max: usize) -> String {
    let text = one_line(text, max);
    let mut out = Cut::at(max);
    let mut before = ' ';
    let mut rest = &*text;
    while let Some(c) = rest.chars().next().filter(|_| !out.is_full) {
        let begins = !before.is_alphanumeric();
        if let Some(url) = address(rest).filter(|_| before == ' ' || before == '(') {
            out.push(&format!("<{}>", entities(url)));
            rest = &rest[url.len()..];
            before = '/';
            continue;
        }
        rest = &rest[c.len_utf8()..];
        let after = rest.chars().next().unwrap_or(' ');
        let mut buffer = [0; 4];
        out.push(match c {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            '*' => "∗",
            '`' => "'",
            '~' => "∼",
            // Inside a name it means nothing: scale_up.
            '_' if begins || !after.is_alphanumeric() => "ˍ",
            '@' if begins => "＠",
            ':' if begins && is_emoji(rest) => "꞉",
            c => c.encode_utf8(&mut buffer),
        });
        before = c;
    }
    out.finish()
}

/// Is this, after a colon, the name of an emoji and its end? `:8001` is none.
fn is_emoji(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_+-".contains(c);
    text.find(|c| !is_part(c)).is_some_and(|end| end > 0 && text[end..].starts_with(':'))
}

/// The same where Slack reads no markup.
pub(super) fn plain(text: &str, max: usize) -> String {
    let mut out = Cut::at(max);
    for c in one_line(text, max).chars() {
        out.push(c.encode_utf8(&mut [0; 4]));
    }
    out.finish()
}

/// Line breaks and tabs become spaces, what hides becomes visible. No more than can be shown is looked at: a character takes
/// at least its own place.
fn one_line(text: &str, max: usize) -> String {
    let shown = text.trim().chars().take(max + 1);
    let spaced: String = shown.map(|c| if c.is_ascii_control() { ' ' } else { c }).collect();
    legible::line(&spaced).into_owned()
}

/// The web address that a text begins with.
fn address(text: &str) -> Option<&str> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
    let is_part =
        |c: char| c.is_ascii_graphic() && !matches!(c, '<' | '>' | '|' | '"' | '`' | '\\');
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    // A sentence may end with it.
    let url = text[..end].trim_end_matches(['.', ',', ';', ':', '!', '?', ')', '\'']);
    let has_host = host.starts_with(|c: char| c.is_ascii_alphanumeric());
    (has_host && url.len() > text.len() - host.len() && url.len() <= MAX_LINK).then_some(url)
}

fn entities(url: &str) -> Cow<'_, str> {
    if url.contains('&') { Cow::Owned(url.replace('&', "&amp;")) } else { Cow::Borrowed(url) }
}

/// A text of bounded length, made of parts that are there whole or not at all.
struct Cut {
    text: String,
    left: usize,
    is_full: bool,
}

impl Cut {
    fn at(max: usize) -> Self {
        Self { text: String::new(), left: max, is_full: false }
    }

    fn push(&mut self, part: &str) {
        let size = length(part);
        // One is kept for the ellipsis.
        self.is_full |= size >= self.left;
        if !self.is_full {
            self.text.push_str(part);
            self.left -= size;
        }
    }

    fn finish(mut self) -> String {
        if self.is_full {
            self.text.push('…');
        }
        self.text
    }
}

/// A link, or the address itself where it is none that Slack can show.
pub(super) fn link(url: &str, label: &str) -> String {
    let is_web = url.starts_with("https://") || url.starts_with("http://");
    let is_odd = |c: char| c == ' ' || legible::is_hidden(c);
    if !is_web || length(url) > MAX_LINK || url.chars().any(is_odd) {
        return escaped(url, 200);
    }
    let url = url.replace('&', "&amp;").replace('<', "%3C").replace('>', "%3E").replace('|', "%7C");
    format!("<{url}|{label}>")
}

/// Lines up to a length; those that do not fit are counted.
pub(super) struct Lines {
    text: String,
    left: usize,
    dropped: usize,
}

impl Lines {
    pub fn of(max: usize) -> Self {
        Self { text: String::new(), left: max.saturating_sub(POINTER), dropped: 0 }
    }

    pub fn push(&mut self, line: &str) {
        let size = length(line) + 1;
        if self.dropped > 0 || size > self.left {
            self.dropped += 1;
            return;
        }
        self.left -= size;
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(line);
    }

    pub fn finish(mut self) -> String {
        if self.dropped > 0 {
            if !self.text.is_empty() {
                self.text.push('\n');
            }
            self.text.push_str(&pointer(self.dropped));
        }
        self.text
    }
}

pub(super) fn pointer(count: usize) -> String {
    format!("… and {count} more: `mape-k status`")
}
