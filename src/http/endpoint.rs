//! One server outside: its base URL, the credentials it gets, and what must not be repeated when it quotes them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Request, RequestBuilder, Response, StatusCode};
use url::Url;

use super::{Answer, Failure, HttpSettings, HttpTransport, exchange, read_secret_file};
use crate::domain::address;
use crate::domain::secret::Secret;

/// A tenant is no secret: hidden, it would also disappear from host names and paths that contain it.
const TENANT: &str = "x-scope-orgid";

/// A header holds a secret when its name contains one of these; `auth` is also in `Authorization`.
const SECRET_NAMES: [&str; 6] = ["auth", "cookie", "key", "token", "secret", "password"];

/// The value of a header is often an everyday word such as `eu` or `prod`, which must stay legible in messages to people.
const SHORTEST_HEADER: usize = 8;

/// Who asks at a server.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    /// The section whose `http` block this is, for the advice in errors.
    pub section: &'static str,
    pub http: Option<&'a HttpSettings>,
    /// The section's own token, which stands over the block's.
    pub token: Option<&'a Secret>,
}

#[derive(Clone, Debug)]
pub struct Endpoint(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    wire: Arc<dyn HttpTransport>,
    base: Url,
    section: &'static str,
    token: Option<Credential>,
    bearer_token: Option<Credential>,
    basic_auth: Option<(String, Credential)>,
    headers: Vec<(HeaderName, Credential)>,
    has_certificate: bool,
    /// The users and passwords of URLs, in every form in which a text may quote them.
    secrets: Vec<Secret>,
}

impl Endpoint {
    #[must_use]
    pub fn new(wire: Arc<dyn HttpTransport>, base: Url, access: Access<'_>) -> Self {
        let default = HttpSettings::default();
        let http = access.http.unwrap_or(&default);
        let headers = http.headers.iter().filter_map(|(name, value)| {
            Some((HeaderName::from_bytes(name.as_bytes()).ok()?, Credential::new(value)))
        });
        let basic_auth = http.basic_auth.as_ref();
        let mut secrets = in_url(wire.client(), &base);
        secrets.extend(http.proxy.iter().flat_map(|proxy| in_url(wire.client(), proxy)));
        Self(Arc::new(Inner {
            section: access.section,
            token: access.token.map(Credential::new),
            bearer_token: http.bearer_token.as_ref().map(Credential::new),
            basic_auth: basic_auth
                .map(|basic| (basic.username.clone(), Credential::new(&basic.password))),
            headers: headers.collect(),
            has_certificate: http.cert_file.is_some(),
            secrets,
            base,
            wire,
        }))
    }

    /// Can the section's own token be sent as a header?
    #[must_use]
    pub fn has_sendable_token(&self) -> bool {
        let token = self.0.token.as_ref().map(Credential::current);
        token.is_none_or(|token| bearer(&token).is_some())
    }

    /// Its address without credentials. The query may carry some too.
    #[must_use]
    pub fn address(&self) -> String {
        let mut url = self.0.base.clone();
        url.set_query(None);
        url.set_fragment(None);
        // Both fail only on URLs without a host, which hold no credentials.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.as_str().trim_end_matches('/').to_owned()
    }

    #[must_use]
    pub fn base(&self) -> &Url {
        &self.0.base
    }

    /// A path below the base URL; each segment is escaped, so that it stays one.
    #[must_use]
    pub fn below<'s>(&self, segments: impl IntoIterator<Item = &'s str>) -> Url {
        let mut url = self.0.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// A request with all credentials.
    pub fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.with_credentials(self.0.wire.client().request(method, url), true)
    }

    /// A request without the section's own token, for a path that takes none.
    pub fn request_without_token(&self, method: Method, url: Url) -> RequestBuilder {
        self.with_credentials(self.0.wire.client().request(method, url), false)
    }

    fn with_credentials(&self, request: RequestBuilder, with_token: bool) -> RequestBuilder {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.0.headers {
            let value = value.current();
            let Ok(mut header) = HeaderValue::from_str(value.expose()) else {
                // The builder refuses it, and names no value.
                return request.header(name, value.expose());
            };
            header.set_sensitive(true);
            headers.insert(name, header);
        }
        let token = self.0.token.as_ref().filter(|_| with_token);
        if let Some(token) = token.or(self.0.bearer_token.as_ref()) {
            let token = token.current();
            let Some(header) = bearer(&token) else { return request.bearer_auth(token.expose()) };
            headers.insert(AUTHORIZATION, header);
        } else if let Some(basic) = self.basic() {
            headers.insert(AUTHORIZATION, basic);
        }
        // Replaces what a user and password in the URL made.
        request.headers(headers)
    }

    fn basic(&self) -> Option<HeaderValue> {
        let (user, password) = self.0.basic_auth.as_ref()?;
        coded(self.0.wire.client(), user, password.current().expose())
    }

    pub async fn send(&self, request: Request) -> Result<Response, Failure> {
        self.0.wire.send(request).await.map_err(|failure| self.explained(failure))
    }

    /// Sends a request, once, and reads its whole answer, of at most `limit` bytes.
    pub async fn exchange(&self, request: RequestBuilder, limit: usize) -> Result<Answer, Failure> {
        exchange(&*self.0.wire, request, limit).await.map_err(|failure| self.explained(failure))
    }

    /// The failure with the setting that would avoid it, where its text shows which.
    fn explained(&self, failure: Failure) -> Failure {
        let explain = |why: String| match self.advice_on_failure(&why) {
            Some(advice) => format!("{why}. {advice}"),
            None => why,
        };
        match failure {
            Failure::NotSent(why) => Failure::NotSent(explain(why)),
            Failure::Broken(why) => Failure::Broken(explain(why)),
            Failure::TimedOut => Failure::TimedOut,
        }
    }

    fn advice_on_failure(&self, why: &str) -> Option<String> {
        let section = self.0.section;
        let says = |any: &[&str]| any.iter().any(|words| why.contains(words));
        if says(&["UnknownIssuer"]) {
            Some(format!(
                "Its certificate is from an authority that is not trusted here: set {section}.http.ca_file"
            ))
        } else if says(&["NotValidForName", "not valid for name"]) {
            Some(format!(
                "Its certificate is for another name than the URL's: set {section}.http.server_name to one of its names"
            ))
        } else if says(&["proxy authorization required"]) {
            Some(format!(
                "The proxy asks for a user and password: give them in {section}.http.proxy"
            ))
        } else if says(&["InvalidContentType"]) {
            Some("It does not speak TLS on that port: write http:// in the URL".to_owned())
        } else if says(&["CertificateRequired", "HandshakeFailure", "BadCertificate"]) {
            Some(self.advice_on_certificate())
        } else {
            None
        }
    }

    fn advice_on_certificate(&self) -> String {
        let section = self.0.section;
        if self.0.has_certificate {
            format!("It does not accept the client certificate of {section}.http.cert_file")
        } else {
            format!("It asks for a client certificate: set {section}.http.cert_file and key_file")
        }
    }

    /// The setting that would avoid this refusal, where status and text tell.
    #[must_use]
    pub fn advice(&self, status: StatusCode, said: &str) -> Option<String> {
        let section = self.0.section;
        let said = said.to_lowercase();
        let says = |any: &[&str]| any.iter().any(|words| said.contains(words));
        if says(&["no org id", TENANT]) {
            return Some(format!(
                "It asks for a tenant: set {section}.http.headers to {{X-Scope-OrgID: <tenant>}}"
            ));
        }
        if says(&["client certificate", "ssl certificate"]) {
            return Some(self.advice_on_certificate());
        }
        if says(&["http request to an https server", "sent to https port"]) {
            return Some("It speaks TLS on that port: write https:// in the URL".to_owned());
        }
        match status {
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => Some(format!(
                "The proxy asks for a user and password: give them in {section}.http.proxy"
            )),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if !self.has_authorization() => {
                Some(format!(
                    "No credentials are configured for it: set {section}.http.bearer_token_file or {section}.http.basic_auth"
                ))
            }
            StatusCode::UNAUTHORIZED => {
                Some(format!("It does not accept the credentials that {section} has for it"))
            }
            _ => None,
        }
    }

    /// Has it anything to say who we are?
    #[must_use]
    pub fn has_authorization(&self) -> bool {
        let inner = &self.0;
        inner.token.is_some()
            || inner.bearer_token.is_some()
            || inner.basic_auth.is_some()
            || !inner.base.username().is_empty()
            || inner.headers.iter().any(|(name, _)| name != TENANT)
    }

    /// A text of the other side that may quote what it was sent, without it.
    #[must_use]
    pub fn hide(&self, text: String) -> String {
        self.secrets().iter().fold(text, |text, secret| secret.hidden_in(text))
    }

    /// What it is sent now and must be repeated nowhere, the longest first: a part that is hidden in it would leave the rest.
    #[must_use]
    pub fn secrets(&self) -> Vec<Secret> {
        let inner = &self.0;
        let tokens = inner.token.iter().chain(&inner.bearer_token);
        let passwords = inner.basic_auth.iter().map(|(_, password)| password);
        let headers = inner.headers.iter().filter(|(name, _)| is_secret(name));
        let headers = headers.map(|(_, value)| value.last());
        let headers = headers.filter(|value| value.expose().chars().count() >= SHORTEST_HEADER);
        let mut secrets: Vec<Secret> = tokens.chain(passwords).map(Credential::last).collect();
        secrets.extend(headers);
        secrets.extend(self.basic().as_ref().and_then(parameter));
        secrets.extend_from_slice(&inner.secrets);
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.expose().len()));
        secrets
    }
}

/// Does the name of a header say that its value is a secret? The client has it in lower case.
fn is_secret(name: &HeaderName) -> bool {
    SECRET_NAMES.iter().any(|part| name.as_str().contains(part))
}

/// A secret as it is now: one from a file is read for every request, since tokens of service accounts are renewed there.
#[derive(Debug)]
struct Credential {
    last: Mutex<Secret>,
    is_unread: AtomicBool,
}

impl Credential {
    fn new(secret: &Secret) -> Self {
        Self { last: Mutex::new(secret.clone()), is_unread: AtomicBool::new(false) }
    }

    fn last(&self) -> Secret {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn current(&self) -> Secret {
        let last = self.last();
        let Some(path) = last.file() else { return last };
        match read_secret_file(path) {
            Ok((value, _)) if !value.is_empty() => {
                self.is_unread.store(false, Ordering::Relaxed);
                if value == last.expose() {
                    return last;
                }
                let secret = Secret::of_file(value, path.to_owned());
                self.last.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&secret);
                secret
            }
            // It may be in the middle of being replaced; a server that wants a newer one says so.
            result => {
                if !self.is_unread.swap(true, Ordering::Relaxed) {
                    let why =
                        result.map_or_else(|error| error.to_string(), |_| "it is empty".to_owned());
                    tracing::warn!(path = %path.display(), why, "a secret cannot be read again; mape-k goes on with its last value");
                }
                last
            }
        }
    }
}

fn bearer(token: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose())).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// User and password as a header carries them.
fn coded(client: &Client, user: &str, password: &str) -> Option<HeaderValue> {
    let url = Url::parse("http://localhost").ok()?;
    let request = client.get(url).basic_auth(user, Some(password)).build().ok()?;
    request.headers().get(AUTHORIZATION).cloned()
}

/// The user and password of a URL, as they stand in it and as the client codes them into a header.
fn in_url(client: &Client, url: &Url) -> Vec<Secret> {
    let request = client.get(url.clone()).build().ok();
    let header = request.and_then(|request| request.headers().get(AUTHORIZATION).cloned());
    let coded = header.as_ref().and_then(parameter);
    address::password(url).into_iter().chain(coded).collect()
}

/// What stands behind `Basic`.
fn parameter(header: &HeaderValue) -> Option<Secret> {
    Some(Secret::new(header.to_str().ok()?.split_once(' ')?.1.to_owned()))
}
