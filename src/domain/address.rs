//! Addresses of services as they are compared and printed: without a trailing slash, without a password.

use serde::Serializer;
use url::Url;

use super::secret::Secret;

/// `http://host/prom/` and `http://host/prom` are one address.
#[must_use]
pub fn without_trailing_slash(mut url: Url) -> Url {
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    url
}

/// The text of a URL with its user and password, if any, replaced.
#[must_use]
pub fn redacted(url: &Url) -> String {
    let mut shown = url.clone();
    if !url.username().is_empty() || url.password().is_some() {
        // Neither fails: an http URL has a host.
        let _ = shown.set_password(None);
        let _ = shown.set_username(Secret::REDACTED);
    }
    let text = String::from(shown);
    if url.path() == "/" && url.query().is_none() {
        return text.trim_end_matches('/').to_owned();
    }
    text
}

/// For text that need not be a URL: whatever stands between a scheme and an @ may hold a password.
#[must_use]
pub fn redact(text: &str) -> String {
    match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, rest)), Some((_, host))) if rest.contains('@') => {
            format!("{scheme}://{}@{host}", Secret::REDACTED)
        }
        // The scheme was forgotten.
        (None, Some((user, host))) if user.contains(':') => {
            format!("{}@{host}", Secret::REDACTED)
        }
        _ => text.to_owned(),
    }
}

/// What to do about a sign that ends the user and password of a URL before its `@`, where there is one: in a password such a
/// sign has to be percent-encoded.
#[must_use]
pub fn raw_sign_hint(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("://")?;
    let (user, _) = rest.rsplit_once('@')?;
    let sign = user.chars().find(|c| "#/?\\".contains(*c))?;
    let code = u32::from(sign);
    Some(format!("the user or password holds a raw {sign:?}: percent-encode it as %{code:02X}"))
}

/// What of a URL must not be repeated: its password, or the user name that stands alone for a token.
#[must_use]
pub fn password(url: &Url) -> Option<Secret> {
    let alone = Some(url.username()).filter(|name| !name.is_empty());
    url.password().or(alone).map(|text| Secret::new(text.to_owned()))
}

/// Does it hold what [`redacted`] prints instead of a user or password?
#[must_use]
pub fn is_redacted(url: &Url) -> bool {
    url.username() == Secret::REDACTED || url.password() == Some(Secret::REDACTED)
}

/// Serializes a URL without its user and password.
pub fn serialize<S: Serializer>(url: &Url, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&redacted(url))
}

/// [`serialize`] for a URL that may be absent.
pub fn serialize_optional<S: Serializer>(
    url: &Option<Url>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match url {
        Some(url) => serialize(url, serializer),
        None => serializer.serialize_none(),
    }
}
