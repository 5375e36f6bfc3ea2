//! The `http` block of a section: how its server is reached, the same keys everywhere.

use std::net::IpAddr;

use url::Url;

use super::reader::{Accepted, Item, Section};
use super::tree::Value;
use super::values::{base_url, host, path, secret, text};
use crate::domain::secret::Secret;
use crate::http::{BasicAuth, Connections, Http, HttpSettings};

/// The keys, for who writes one of them beside the block instead of into it.
pub(super) const KEYS: [&str; 10] = [
    "bearer_token",
    "bearer_token_file",
    "basic_auth",
    "headers",
    "ca_file",
    "cert_file",
    "key_file",
    "server_name",
    "proxy",
    "http",
];

/// Headers that the client or the calls set themselves.
const OWN: [&str; 11] = [
    "host",
    "accept",
    "content-type",
    "content-length",
    "transfer-encoding",
    "connection",
    "upgrade",
    "te",
    "expect",
    "idempotency-key",
    "x-fence-epoch",
];

impl Section<'_> {
    /// The block of a server at `server`, for which the section may have a token under a key of its own.
    pub(super) fn http(
        &mut self,
        server: Option<&Url>,
        token: Option<&'static str>,
    ) -> Option<Box<HttpSettings>> {
        let mut section = self.section("http");
        let mut settings = HttpSettings::default();
        section.secret("bearer_token", "bearer_token_file", &mut settings.bearer_token);
        settings.basic_auth = basic_auth(section.section("basic_auth"));
        for (name, item) in section.map("headers").unwrap_or_default() {
            if let Some(value) = header(name, item) {
                settings.headers.insert(name.to_owned(), value);
            }
        }
        section.optional("ca_file", &mut settings.ca_file, path);
        section.optional("cert_file", &mut settings.cert_file, path);
        section.optional("key_file", &mut settings.key_file, path);
        section.optional("server_name", &mut settings.server_name, server_name);
        section.optional("proxy", &mut settings.proxy, base_url);
        check_authorization(&section, &settings, server, token);
        check_connection(&section, &settings, server);
        (settings != HttpSettings::default()).then(|| Box::new(settings))
    }
}

fn basic_auth(mut section: Section<'_>) -> Option<BasicAuth> {
    let mut password = None;
    let mut username = None;
    section.optional("username", &mut username, user);
    let accepted = section.secret("password", "password_file", &mut password);
    match (username, password) {
        (Some(username), Some(password)) => Some(BasicAuth { username, password }),
        (Some(_), None) if accepted => {
            section.error_here(
                "a username without a password; accepted: with password or password_file",
            );
            None
        }
        (None, Some(_)) => {
            section.error_here("a password without a username; accepted: with username");
            None
        }
        (Some(_) | None, None) => None,
    }
}

/// A colon would end the name and begin the password.
fn user(value: &Value) -> Result<String, Accepted> {
    let fits = |name: &String| !name.contains(|c: char| c == ':' || c.is_control());
    text(value).ok().filter(fits).ok_or_else(|| "a user's name, without a colon".to_owned())
}

fn header(name: &str, item: Item<'_>) -> Option<Secret> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if name.is_empty() || !name.chars().all(fits) {
        item.error("not the name of a header; accepted: such as X-Scope-OrgID");
        return None;
    }
    if OWN.contains(&name.to_ascii_lowercase().as_str()) {
        item.error("a header that mape-k sets itself; accepted: any other");
        return None;
    }
    let given = match &item.node.value {
        Value::Text(text) => text.trim().to_owned(),
        // A tenant may be a number.
        Value::Int(number) => number.to_string(),
        Value::Map(_) => {
            let mut section = item.into_section()?;
            let mut found = None;
            section.file("file", &mut found);
            return found;
        }
        _ => String::new(),
    };
    // Some have two words: `Authorization: ApiKey …`.
    let is_sendable = given.split(' ').all(|word| secret(word).is_ok());
    if !is_sendable {
        item.error(
            "not the value of a header; accepted: a text of visible ASCII in quotes, or {file: <path>}",
        );
    }
    is_sendable.then(|| Secret::new(given))
}

fn server_name(value: &Value) -> Result<String, Accepted> {
    let is_name = |name: &String| name.parse::<IpAddr>().is_err();
    host(value).ok().filter(is_name).ok_or_else(|| {
        "a name of the server's certificate, without a port; no IP address".to_owned()
    })
}

/// One request has one `Authorization`.
fn check_authorization(
    section: &Section<'_>,
    settings: &HttpSettings,
    server: Option<&Url>,
    token: Option<&'static str>,
) {
    let in_header = settings.headers.keys().any(|name| name.eq_ignore_ascii_case("authorization"));
    let given = [
        token,
        settings.bearer_token.as_ref().map(|_| "http.bearer_token"),
        settings.basic_auth.as_ref().map(|_| "http.basic_auth"),
        in_header.then_some("http.headers.Authorization"),
    ];
    let given: Vec<&str> = given.into_iter().flatten().collect();
    if given.len() > 1 {
        let all = given.join(" and ");
        section.error_here(format!("{all} are given together; accepted: one of them"));
    } else if let (Some(one), Some(url)) = (given.first(), server)
        && !url.username().is_empty()
    {
        section.warn_here(format!("the user and password in the URL are not sent: {one} is"));
    }
}

fn check_connection(section: &Section<'_>, settings: &HttpSettings, server: Option<&Url>) {
    let HttpSettings { ca_file, cert_file, key_file, server_name, proxy, .. } = settings;
    if server_name.is_some() && proxy.is_some() {
        section.error("server_name", "given beside proxy; accepted: one of the two");
    }
    let of_tls = [
        ("ca_file", ca_file.is_some()),
        ("cert_file", cert_file.is_some()),
        ("key_file", key_file.is_some()),
        ("server_name", server_name.is_some()),
    ];
    let of_tls: Vec<&str> =
        of_tls.into_iter().filter(|(_, is_given)| *is_given).map(|(key, _)| key).collect();
    if let Some(url) = server.filter(|url| url.scheme() == "http") {
        for key in &of_tls {
            section.warn(
                key,
                format!("not used: {} is not https", url.host_str().unwrap_or("the URL")),
            );
        }
    }
    if of_tls.is_empty() && proxy.is_none() {
        return;
    }
    let url = server.cloned().or_else(|| Url::parse("https://localhost").ok());
    let made = url.map(|url| Http::reaching(&url, Some(settings), Connections::default()));
    if let Some(Err(error)) = made {
        match error.key() {
            Some(key) => section.error(key, error.to_string()),
            None => section.error_here(error.to_string()),
        }
    }
}
