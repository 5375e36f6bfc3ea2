//! The one way in which commands print: a line at a time, each legible whatever stands in it.
//!
//! What a caller formats is one line, its line break is the macro's: any other control character in it came with a value
//! and is escaped. Text of several lines goes through [`Terminal::lines`], JSON through [`Terminal::pretty_json`].

use std::fmt;
use std::io::{self, Write};

use serde::Serialize;

use crate::domain::legible;

#[derive(Debug)]
pub struct Terminal<W>(W);

impl Terminal<io::Stdout> {
    #[must_use]
    pub fn stdout() -> Self {
        Self(io::stdout())
    }
}

impl<W: Write> Terminal<W> {
    pub fn new(out: W) -> Self {
        Self(out)
    }

    /// One line, what `writeln!` calls.
    pub fn write_fmt(&mut self, line: fmt::Arguments<'_>) -> io::Result<()> {
        let line = line.to_string();
        let line = line.strip_suffix('\n').unwrap_or(&line);
        self.0.write_all(format!("{}\n", legible::line(line)).as_bytes())
    }

    /// Lines that are ours, with or without a break at the end.
    pub fn lines(&mut self, text: &str) -> io::Result<()> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        self.0.write_all(format!("{}\n", legible::lines(text)).as_bytes())
    }

    /// A value with a line for each of its parts.
    pub fn pretty_json(&mut self, value: &impl Serialize) -> io::Result<()> {
        self.write_json(&serde_json::to_string_pretty(value)?)
    }

    fn write_json(&mut self, text: &str) -> io::Result<()> {
        self.0.write_all(format!("{}\n", legible::json(text)).as_bytes())
    }

    /// An empty screen, for a page that is drawn again.
    pub fn clear(&mut self) -> io::Result<()> {
        self.0.write_all(b"\x1b[2J\x1b[H")
    }

    pub fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A warning or an error of the command, on standard error. Its first line names us, the others are indented: a server's
/// text in it begins no line that passes for one of ours.
pub fn complain(text: &str) {
    for (number, line) in text.trim_end().split('\n').enumerate() {
        let margin = match number {
            0 => "mape-k: ",
            _ if line.starts_with("  ") => "",
            _ => "  ",
        };
        eprintln!("{margin}{}", legible::line(line));
    }
}
