//! What single values may be: numbers with their range, texts, names, addresses. Each says what it accepts.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::duration;
use super::reader::Accepted;
use super::tree::Value;
use crate::domain::catalogue::Tier;
use crate::domain::rule::Severity;
use crate::domain::secret::Secret;
use crate::domain::{Cause, address, legible};

pub(super) fn boolean(value: &Value) -> Result<bool, Accepted> {
    match value {
        Value::Bool(value) => Ok(*value),
        Value::Word(word) if word == "true" => Ok(true),
        Value::Word(word) if word == "false" => Ok(false),
        _ => Err("true or false".to_owned()),
    }
}

fn finite(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Int(value) => *value as f64,
        Value::Float(value) => *value,
        Value::Null
        | Value::Bool(_)
        | Value::Text(_)
        | Value::Word(_)
        | Value::List(_)
        | Value::Map(_) => return None,
    };
    number.is_finite().then_some(number)
}

pub(super) fn any_number(value: &Value) -> Result<f64, Accepted> {
    finite(value).ok_or_else(|| "a finite number".to_owned())
}

pub(super) fn number(range: RangeInclusive<f64>) -> impl Fn(&Value) -> Result<f64, Accepted> {
    move |value| {
        finite(value)
            .filter(|number| range.contains(number))
            .ok_or_else(|| format!("a number from {} to {}", range.start(), range.end()))
    }
}

pub(super) fn number_above_zero(value: &Value) -> Result<f64, Accepted> {
    finite(value).filter(|number| *number > 0.0).ok_or_else(|| "a finite number above 0".to_owned())
}

pub(super) fn share(value: &Value) -> Result<f64, Accepted> {
    number(0.0..=1.0)(value)
}

/// A whole number within the range.
pub(super) fn count<T>(range: RangeInclusive<T>) -> impl Fn(&Value) -> Result<T, Accepted>
where
    T: TryFrom<i128> + PartialOrd + std::fmt::Display,
{
    move |value| {
        let number = match value {
            Value::Int(value) => Some(*value),
            Value::Word(word) => word.trim().parse().ok(),
            _ => None,
        };
        number
            .and_then(|number| T::try_from(number).ok())
            .filter(|number| range.contains(number))
            .ok_or_else(|| format!("a whole number from {} to {}", range.start(), range.end()))
    }
}

/// A duration above zero.
pub(super) fn positive(value: &Value) -> Result<Duration, Accepted> {
    duration::parse(value)
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| format!("{}, above 0", duration::FORMS))
}

/// A duration above zero that is not too long.
pub(super) fn positive_up_to(longest: Duration) -> impl Fn(&Value) -> Result<Duration, Accepted> {
    move |value| {
        positive(value).ok().filter(|duration| *duration <= longest).ok_or_else(|| {
            format!("{}, above 0, at most {}", duration::FORMS, duration::show(longest))
        })
    }
}

/// A duration that may be zero.
pub(super) fn duration_or_zero(value: &Value) -> Result<Duration, Accepted> {
    duration::parse(value).ok_or_else(|| duration::FORMS.to_owned())
}

/// A text that is not empty.
pub(super) fn text(value: &Value) -> Result<String, Accepted> {
    match value {
        Value::Text(text) | Value::Word(text) if !text.trim().is_empty() => Ok(text.clone()),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
            Err(format!("a text; put it into quotes: \"{value}\""))
        }
        _ => Err("a text that is not empty".to_owned()),
    }
}

pub(super) fn path(value: &Value) -> Result<PathBuf, Accepted> {
    text(value).map(PathBuf::from).map_err(|_| "the path of a file".to_owned())
}

/// One of a closed set of names.
pub(super) fn one_of<T: Copy>(
    names: &'static [(&'static str, T)],
) -> impl Fn(&Value) -> Result<T, Accepted> {
    move |value| {
        let given = match value {
            Value::Text(text) | Value::Word(text) => text.as_str(),
            _ => "",
        };
        names.iter().find(|(name, _)| *name == given).map(|(_, value)| *value).ok_or_else(|| {
            let names: Vec<_> = names.iter().map(|(name, _)| *name).collect();
            names.join(", ")
        })
    }
}

/// The name of a label at Prometheus or Alertmanager.
pub(super) fn label_name(value: &Value) -> Result<String, Accepted> {
    text(value).ok().filter(|name| is_name(name)).ok_or_else(|| "a label name".to_owned())
}

/// The name of a metric at Prometheus.
pub(super) fn metric_name(value: &Value) -> Result<String, Accepted> {
    text(value).ok().filter(|name| is_name(name)).ok_or_else(|| {
        "the name of one metric; an expression is a rule of monitor.queries".to_owned()
    })
}

/// Since version 3 Prometheus takes any UTF-8 in names. What is never in a name, but in every expression, is refused: it
/// would read nothing, and nobody would know why.
pub(super) fn is_name(name: &str) -> bool {
    let is_of_expression = |c: char| c.is_control() || "(){}[]\"'`=<>,".contains(c);
    !name.is_empty() && name.trim() == name && !name.contains(is_of_expression)
}

/// An address to listen on.
pub(super) fn host(value: &Value) -> Result<String, Accepted> {
    let is_host = |host: &str| {
        host.parse::<IpAddr>().is_ok()
            || host.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-')
    };
    text(value)
        .ok()
        .filter(|host| is_host(host))
        .ok_or_else(|| "an IP address or a host name, without a port".to_owned())
}

/// The base address of a service; a trailing slash makes no difference.
pub(super) fn base_url(value: &Value) -> Result<Url, Accepted> {
    let url = url(value)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(with_hint("a base URL without ? or #", value));
    }
    Ok(address::without_trailing_slash(url))
}

/// An http or https URL as it stands.
pub(super) fn url(value: &Value) -> Result<Url, Accepted> {
    let accepted = || with_hint("a URL: http://host:port or https://host:port", value);
    let url = text(value)
        .ok()
        .and_then(|text| Url::parse(text.trim()).ok())
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(accepted)?;
    if address::is_redacted(&url) {
        return Err("a URL with its real user and password instead of ***".to_owned());
    }
    // Behind a # nothing is sent: an @ there can only be that of a user and password.
    if url.fragment().is_some_and(|fragment| fragment.contains('@')) {
        return Err(accepted());
    }
    Ok(url)
}

/// What is accepted, and which character in the password broke the URL, where that is known.
fn with_hint(accepted: &str, value: &Value) -> Accepted {
    let hint = match value {
        Value::Text(text) | Value::Word(text) => address::raw_sign_hint(text),
        _ => None,
    };
    hint.map_or_else(|| accepted.to_owned(), |hint| format!("{accepted}; {hint}"))
}

/// Fits into a header: visible ASCII, which also catches a file that holds something else than the secret.
pub(super) fn secret(text: &str) -> Result<Secret, &'static str> {
    if text.is_empty() {
        Err("the secret is empty")
    } else if text == Secret::REDACTED {
        Err("*** is what check-config prints instead of a secret; give the secret itself")
    } else if !text.chars().all(|c| c.is_ascii_graphic()) {
        Err("the secret holds spaces, line breaks or characters outside ASCII")
    } else {
        Ok(Secret::new(text.to_owned()))
    }
}

pub(super) fn severity(value: &Value) -> Result<Severity, Accepted> {
    one_of(&[
        ("info", Severity::Info),
        ("warning", Severity::Warning),
        ("critical", Severity::Critical),
    ])(value)
}

pub(super) fn tier(value: &Value) -> Result<Tier, Accepted> {
    one_of(&[("P0", Tier::P0), ("P1", Tier::P1), ("P2", Tier::P2), ("P3", Tier::P3)])(value)
}

/// As Kubernetes allows it: a DNS label.
pub(super) fn namespace(value: &Value) -> Result<String, Accepted> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    text(value)
        .ok()
        .filter(|name| name.len() <= 63 && name.chars().all(fits))
        .filter(|name| !name.starts_with('-') && !name.ends_with('-'))
        .ok_or_else(|| {
            "a namespace's name: lower-case letters, digits and - between them, up to 63".to_owned()
        })
}

pub(super) fn cause(value: &Value) -> Result<Cause, Accepted> {
    let cause = text(value)?;
    if is_what_it_looks_like(&cause) {
        Ok(Cause(cause))
    } else {
        Err("the name of a cause, without characters that look like others or hide".to_owned())
    }
}

/// `validation_latency` with a Cyrillic а would be another cause, and nobody who reads it would know.
pub(super) fn is_what_it_looks_like(name: &str) -> bool {
    legible::line(name) == name
}
