//! Text as Slack wants it: escaped, of bounded length, and with a pointer where something was left out.

/// "… and 12345 more: `mape-k status`" and its line break.
const POINTER: usize = 40;

/// Slack counts characters; by UTF-16 it never counts more than we do.
pub(super) fn length(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Foreign text on one line, at most `max` long when escaped. `<!channel>` and the like call nobody.
pub(super) fn escaped(text: &str, max: usize) -> String {
    cut(text, max, |c, out| match c {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        c => out.push(c),
    })
}

/// The same where Slack reads no markup.
pub(super) fn plain(text: &str, max: usize) -> String {
    cut(text, max, |c, out| out.push(c))
}

fn cut(text: &str, max: usize, write: impl Fn(char, &mut String)) -> String {
    let mut out = String::new();
    let mut used = 0;
    for c in text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }) {
        let before = out.len();
        write(c, &mut out);
        used += length(&out[before..]);
        // One is kept for the ellipsis.
        if used >= max {
            out.truncate(before);
            return out + "…";
        }
    }
    out
}

/// A link, or the address itself where it is none that Slack can show.
pub(super) fn link(url: &str, label: &str) -> String {
    let is_web = url.starts_with("https://") || url.starts_with("http://");
    // Slack takes 3,000; an address that fills a section is of no use to anybody.
    if !is_web || length(url) > 500 || url.chars().any(|c| c.is_control() || c == ' ') {
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
