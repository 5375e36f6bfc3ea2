//! One verb of one hook as it is called: by a command or over HTTP, with the same facts, and nothing secret in its answer.

use std::ffi::OsString;
use std::time::Duration;

use reqwest::Method;
use serde::Serialize;
use uuid::Uuid;

use super::command::{Call, Commands, Output};
use super::reply::{Came, Reply};
use super::settings::{Hook, Settings, Verb};
use crate::domain::legible;
use crate::domain::secret::Secret;
use crate::domain::{Cause, Labels, address};
use crate::http::{Access, Endpoint, Failure, Reach, SetupError};

/// How much of an answer goes into the text of a reply. What a program says last is mostly why it ended.
const EXCERPT: usize = 400;

/// A line of a value, or a part of a URL, that is shorter is an everyday word.
const SHORTEST_PART: usize = 8;

/// A call's body or standard input. Labels beyond that are refused before anything is sent.
pub(super) const MAX_LABELS: usize = 1 << 20;

/// Read of a server's answer.
const MAX_BODY: usize = 64 << 10;

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Name {
    Validate,
    Apply,
    Probe,
    Undo,
}

impl Name {
    fn as_str(self) -> &'static str {
        match self {
            Self::Validate => "validate",
            Self::Apply => "apply",
            Self::Probe => "probe",
            Self::Undo => "undo",
        }
    }
}

/// What a hook is given: in the environment of a command, in the body of an HTTP call.
#[derive(Debug, Serialize)]
pub(super) struct Facts<'a> {
    pub key: Uuid,
    /// The key under which `apply` was sent, also in the calls about it that come later.
    pub apply_key: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    pub action: String,
    pub cause: &'a Cause,
    pub target: String,
    pub component: &'a str,
    pub verb: Name,
    pub labels: &'a Labels,
}

impl Facts<'_> {
    /// Only names of the configuration, keys and numbers: labels never become a variable.
    fn variables(&self) -> Vec<(String, OsString)> {
        let mut named = vec![
            ("KEY", self.key.to_string()),
            ("APPLY_KEY", self.apply_key.to_string()),
            ("ACTION", self.action.clone()),
            ("CAUSE", self.cause.0.clone()),
            ("TARGET", self.target.clone()),
            ("COMPONENT", self.component.to_owned()),
            ("VERB", self.verb.as_str().to_owned()),
        ];
        named.extend(self.epoch.map(|epoch| ("EPOCH", epoch.to_string())));
        let legible = |text: String| legible::line(&text).into_owned().into();
        named.into_iter().map(|(name, text)| (format!("MAPE_K_{name}"), legible(text))).collect()
    }
}

#[derive(Debug)]
pub(super) enum Way {
    Command(Vec<String>),
    Http { endpoint: Endpoint, method: Method },
}

impl Way {
    pub(super) fn new(hook: &Hook, verb: &Verb, reach: &impl Reach) -> Result<Self, SetupError> {
        Ok(match verb {
            Verb::Command(argv) => Self::Command(argv.clone()),
            Verb::Http { url, method } => {
                let http = hook.http.as_deref();
                let access = Access { section: "hooks", http, token: None };
                let endpoint = Endpoint::new(reach(url, http)?, url.clone(), access);
                Self::Http { endpoint, method: method.clone() }
            }
        })
    }
}

/// What the commands of one hook get beside the facts, and what must not be repeated of it.
#[derive(Debug)]
pub(super) struct Surroundings {
    environment: Vec<(String, OsString)>,
    secrets: Vec<Secret>,
    timeout: Duration,
}

impl Surroundings {
    pub(super) fn new(hook: &Hook, settings: &Settings) -> Self {
        let inherited = settings.inherited.iter().map(|(name, value)| ((*name).to_owned(), value));
        let listed = hook
            .environment
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), value.as_ref()?)));
        let mut secrets: Vec<Secret> =
            listed.clone().flat_map(|(_, value)| forms(value.expose())).collect();
        let verbs = [&hook.validate, &hook.probe, &hook.undo].into_iter().flatten();
        for verb in verbs.chain([&hook.apply]) {
            if let Verb::Http { url, .. } = verb {
                secrets.extend(url.query().into_iter().flat_map(forms));
                let values = url.query_pairs().map(|(_, value)| value.into_owned());
                secrets.extend(values.filter(|v| v.len() >= SHORTEST_PART).map(Secret::new));
            }
        }
        // A part that is hidden first would leave the rest.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.expose().len()));
        let environment = inherited
            .map(|(name, value)| (name, value.into()))
            .chain(listed.map(|(name, value)| (name, value.expose().into())))
            .collect();
        Self { environment, secrets, timeout: hook.timeout }
    }

    fn hide(&self, text: String) -> String {
        self.secrets.iter().fold(text, |text, secret| secret.hidden_in(text))
    }

    /// What a command printed, without secrets; of one that was cut in the middle nothing is left either.
    fn text(&self, output: &Output) -> String {
        let longest = self.secrets.first().map_or(0, |secret| secret.expose().len());
        let text = |bytes: &[u8]| {
            let mut text = self.hide(String::from_utf8_lossy(bytes).into_owned());
            if output.is_cut {
                let end = text.len().saturating_sub(longest);
                text.truncate(text.floor_char_boundary(end));
            }
            text
        };
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        if stderr.trim().is_empty() { stdout } else { stdout + "\n" + &stderr }
    }
}

/// A value, and the parts of it that a program may print alone.
fn forms(value: &str) -> Vec<Secret> {
    let lines = value.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_PART);
    let password = url::Url::parse(value).ok().and_then(|url| address::password(&url));
    let whole = Some(value).filter(|value| !value.is_empty());
    whole
        .into_iter()
        .chain(lines)
        .map(|part| Secret::new(part.to_owned()))
        .chain(password)
        .collect()
}

/// Calls a verb once.
pub(super) async fn call(
    way: &Way,
    hook: &Hook,
    around: &Surroundings,
    commands: &Commands,
    facts: &Facts<'_>,
) -> Reply {
    let verb = facts.verb.as_str();
    let (came, said) = match way {
        Way::Command(argv) => {
            let mut environment = around.environment.clone();
            environment.extend(facts.variables());
            // A map of texts is always JSON.
            let stdin = serde_json::to_vec(facts.labels).unwrap_or_default();
            let call = Call { argv: argv.clone(), environment, stdin, timeout: around.timeout };
            let (end, output) = commands.run(call).await;
            let said = around.text(&output);
            tracing::debug!(hook = hook.name.name(), verb, output = said, "hook printed");
            (Came::Command(end), said)
        }
        Way::Http { endpoint, method } => over_http(endpoint, method, around, facts).await,
    };
    let who = match way {
        Way::Command(argv) => argv.first().cloned().unwrap_or_default(),
        Way::Http { endpoint, .. } => endpoint.address(),
    };
    let words = came.words();
    let mut text = format!("hook {}: {verb} ({who}) {words}", hook.name);
    let said = excerpt(&said);
    if !said.is_empty() {
        text = format!("{text}: {said}");
    }
    tracing::info!(
        hook = hook.name.name(), verb, key = %facts.key, target = facts.target, end = words, said,
        "hook called"
    );
    Reply { came, text }
}

async fn over_http(
    endpoint: &Endpoint,
    method: &Method,
    around: &Surroundings,
    facts: &Facts<'_>,
) -> (Came, String) {
    let hide = |text: String| around.hide(endpoint.hide(text));
    let mut request = endpoint
        .request(method.clone(), endpoint.base().clone())
        .timeout(around.timeout)
        .header("Idempotency-Key", facts.key.to_string())
        .json(facts);
    if let Some(epoch) = facts.epoch {
        request = request.header("X-Fence-Epoch", epoch);
    }
    let failed = |failure: Failure| {
        Came::NoAnswer(match failure {
            Failure::NotSent(why) => Failure::NotSent(hide(why)),
            Failure::Broken(why) => Failure::Broken(hide(why)),
            Failure::TimedOut => Failure::TimedOut,
        })
    };
    let request = match request.build() {
        Ok(request) => request,
        Err(error) => return (failed(crate::http::failure(&error)), String::new()),
    };
    let mut response = match endpoint.send(request).await {
        Ok(response) => response,
        Err(failure) => return (failed(failure), String::new()),
    };
    let status = response.status();
    let mut body = Vec::new();
    // The status is the answer; what breaks off or goes on behind it is no less one.
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = MAX_BODY - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() >= room {
            break;
        }
    }
    let said = hide(String::from_utf8_lossy(&body).into_owned());
    let said = match endpoint.advice(status, &said) {
        Some(advice) => format!("{said} {advice}"),
        None => said,
    };
    (Came::Http(status, body), said)
}

/// The end of a text on one line, with what hides in it shown.
fn excerpt(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let from = line.char_indices().rev().take(EXCERPT).last().map_or(0, |(at, _)| at);
    let cut = if from > 0 { "…" } else { "" };
    format!("{cut}{}", legible::line(&line[from..]))
}
