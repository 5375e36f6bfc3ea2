//! The text exposition format, version 0.0.4, and what Prometheus 3 adds to it (quoted names). Pure.
//!
//! Ours because the crate at hand (prometheus-parse 0.2) splits labels at every comma and brace, inside values too,
//! undoes no escapes, knows no colon in names and passes over lines it cannot read: a rule would read less than there
//! is, and nobody would notice. Like Prometheus this one takes an exposition whole or not at all.

use crate::domain::Labels;

#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub name: String,
    pub labels: Labels,
    /// NaN and the infinities included: what they mean for an aggregate is decided there.
    pub value: f64,
    pub timestamp_millis: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the exposition is not in the Prometheus text format: {what}")]
pub struct ParseError {
    pub line: usize,
    pub what: &'static str,
}

/// Parses the exposition and keeps the samples of the wanted metrics.
pub fn parse(text: &str, wanted: impl Fn(&str) -> bool) -> Result<Vec<Sample>, ParseError> {
    let mut samples = Vec::new();
    for (index, line) in text.split('\n').enumerate() {
        let line = line.trim_matches([' ', '\t', '\r']);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let sample = sample(line).map_err(|what| ParseError { line: index + 1, what })?;
        if wanted(&sample.name) {
            samples.push(sample);
        }
    }
    Ok(samples)
}

fn sample(line: &str) -> Result<Sample, &'static str> {
    let mut rest = line;
    let mut name = word(&mut rest, true).to_owned();
    skip_blanks(&mut rest);
    let mut labels = Labels::new();
    if take(&mut rest, '{') {
        while !label(&mut rest, &mut name, &mut labels)? {}
    }
    if name.is_empty() {
        return Err("it does not begin with a metric name");
    }
    let (sample, _exemplar) = rest.split_once('#').unwrap_or((rest, ""));
    let mut words = sample.split_whitespace();
    let value = words.next().ok_or("there is no value")?;
    let value = value.parse().map_err(|_| "the value is not a number")?;
    let timestamp_millis = words
        .next()
        .map(|text| text.parse().map_err(|_| "the timestamp is not in whole milliseconds"))
        .transpose()?;
    if words.next().is_some() {
        return Err("something follows the value and its timestamp");
    }
    Ok(Sample { name, labels, value, timestamp_millis })
}

/// One `name="value"`, with the comma behind it; true at the closing brace.
fn label(rest: &mut &str, metric: &mut String, labels: &mut Labels) -> Result<bool, &'static str> {
    skip_blanks(rest);
    if take(rest, '}') {
        return Ok(true);
    }
    let quoted_name = rest.starts_with('"');
    let name = if quoted_name { quoted(rest)? } else { word(rest, false).to_owned() };
    skip_blanks(rest);
    if take(rest, '=') {
        skip_blanks(rest);
        let value = quoted(rest)?;
        if name.is_empty() || labels.insert(name, value).is_some() {
            return Err("a label has no name or stands twice");
        }
    } else if quoted_name && metric.is_empty() {
        // {"a name with dots", label="value"}
        *metric = name;
    } else {
        return Err("a label has no value");
    }
    skip_blanks(rest);
    if take(rest, '}') {
        return Ok(true);
    }
    if take(rest, ',') { Ok(false) } else { Err("labels are not closed by a brace") }
}

fn quoted(rest: &mut &str) -> Result<String, &'static str> {
    if !take(rest, '"') {
        return Err("a label's value is not quoted");
    }
    let mut value = String::new();
    let mut chars = rest.char_indices();
    while let Some((index, c)) = chars.next() {
        match c {
            '"' => {
                *rest = &rest[index + 1..];
                return Ok(value);
            }
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, escaped @ ('\\' | '"'))) => value.push(escaped),
                // As Prometheus does: an unknown escape stands for itself.
                Some((_, other)) => value.extend(['\\', other]),
                None => break,
            },
            c => value.push(c),
        }
    }
    Err("a label's value is not closed by a quote")
}

/// Takes the name at the beginning, if there is one.
fn word<'a>(rest: &mut &'a str, colon: bool) -> &'a str {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_' || (colon && c == ':');
    let end = match rest.chars().next() {
        Some(first) if first.is_ascii_digit() => 0,
        _ => rest.find(|c| !part(c)).unwrap_or(rest.len()),
    };
    let (word, tail) = rest.split_at(end);
    *rest = tail;
    word
}

fn skip_blanks(rest: &mut &str) {
    *rest = rest.trim_start_matches([' ', '\t']);
}

fn take(rest: &mut &str, c: char) -> bool {
    rest.strip_prefix(c).is_some_and(|tail| {
        *rest = tail;
        true
    })
}
