//! Why a kind cannot be relied on, in words for the person who has to mend it.

use std::error::Error as StdError;
use std::time::Duration;

use kube::core::Status;

use crate::domain::cluster::Kind;
use crate::domain::reading::{FailureKind, ReadFailure};

/// Texts of a server may be pages long; the line that names them is not.
const SHOWN_CHARS: usize = 300;

/// What is read, and where.
#[derive(Debug)]
pub(super) struct Subject {
    pub kind: Kind,
    /// `None`: all of them, or a kind that has none.
    pub namespace: Option<String>,
    /// The server leaves out what it does not fit; `None`: nothing.
    pub selector: Option<&'static str>,
    pub server: String,
}

/// One thing that went wrong with a list or a watch.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fault {
    pub kind: FailureKind,
    /// The status of an answer that was an error.
    pub status: Option<u16>,
    pub what: String,
}

impl Fault {
    pub(super) fn new(kind: FailureKind, what: impl Into<String>) -> Self {
        Self { kind, status: None, what: what.into() }
    }

    /// Who is refused stays refused until a person acts: no use in waiting.
    pub(super) fn is_final(&self) -> bool {
        matches!(self.status, Some(401 | 403)) || self.kind == FailureKind::TooLarge
    }

    /// The API server has none of it for this account: forbidden, or no such kind.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self.status, Some(403 | 404))
    }

    /// The version to go on from is too old; a list is all that it takes.
    pub(super) fn is_gone(&self) -> bool {
        self.status == Some(410)
    }
}

impl Subject {
    pub(super) fn scope(&self) -> String {
        let kind = self.kind.as_str();
        match &self.namespace {
            Some(namespace) => format!("{kind} in namespace {namespace}"),
            None if self.kind == Kind::Nodes => kind.to_owned(),
            None => format!("{kind} in all namespaces"),
        }
    }

    /// `lasting`: since when it has been so.
    pub(super) fn failure(&self, fault: &Fault, lasting: Duration) -> ReadFailure {
        let scope = self.scope();
        let advice = match (fault.status, fault.kind) {
            (Some(401), _) => {
                "Renew the token or certificate of the kubeconfig or service account".to_owned()
            }
            (Some(403), _) => {
                let role = if self.namespace.is_none() { "ClusterRole" } else { "Role" };
                format!(
                    "Give mape-k's {role} the verbs list and watch on {scope}, or leave the kind out of kubernetes.kinds"
                )
            }
            (Some(404), _) => "Check that the address is a Kubernetes API server's".to_owned(),
            (_, FailureKind::Unreachable) => {
                "Check that it runs, the network policy, and kubernetes.kubeconfig".to_owned()
            }
            (_, FailureKind::Timeout) => {
                "Check its load and the network on the way to it".to_owned()
            }
            (_, FailureKind::TooLarge) => {
                "Name the namespaces that matter in kubernetes.namespaces".to_owned()
            }
            _ => "Check what it says, and its own log".to_owned(),
        };
        let lasting = match lasting.as_secs() {
            0 => String::new(),
            seconds => format!(" (for {seconds} s)"),
        };
        let text = format!(
            "kubernetes at {}, asked for {scope}: {}{lasting}. {advice}",
            self.server, fault.what
        );
        ReadFailure { kind: fault.kind, text }
    }
}

/// What an error of the client comes to.
pub(super) fn of_kube(error: &kube::Error) -> Fault {
    match error {
        kube::Error::Api(status) => of_status(status),
        kube::Error::SerdeError(cause) => not_the_api(cause),
        // An exec plugin's output is a credential, and its errors show it.
        kube::Error::Auth(
            kube::client::AuthError::AuthExecRun { .. }
            | kube::client::AuthError::AuthExecParse(_)
            | kube::client::AuthError::AuthExecSerialize(_),
        ) => Fault::new(FailureKind::Server, "the kubeconfig's exec plugin gave no credentials"),
        kube::Error::Auth(cause) => {
            Fault::new(FailureKind::Server, format!("no credentials: {}", short(&causes(cause))))
        }
        kube::Error::ReadEvents(cause) => Fault::new(
            FailureKind::Unreachable,
            format!("the answer broke off: {}", short(&causes(cause))),
        ),
        kube::Error::Service(cause) => {
            let cause = short(&causes(&**cause));
            Fault::new(FailureKind::Unreachable, format!("no answer: {cause}"))
        }
        error => {
            Fault::new(FailureKind::Unreachable, format!("no answer: {}", short(&causes(error))))
        }
    }
}

/// An error that the API server itself gave.
pub(super) fn of_status(status: &Status) -> Fault {
    // The client's own mark for an answer that is no Status: a page of some proxy, which may quote the request.
    let foreign = status.reason == "Failed to parse error data";
    let what = if foreign { "not in the API's own words" } else { status.message.as_str() };
    Fault {
        kind: FailureKind::Server,
        status: Some(status.code),
        what: format!(
            "{} {}: {}",
            status.code,
            if foreign { "" } else { &status.reason },
            short(what)
        )
        .replace(" : ", ": "),
    }
}

pub(super) fn not_the_api(cause: &serde_json::Error) -> Fault {
    let what = format!("the answer is not the API's: {}", short(&cause.to_string()));
    Fault::new(FailureKind::Nonsense, what)
}

/// An error and what it came from, each once: many repeat their cause in their own text.
pub(super) fn causes(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    // Sources are a handful deep; the bound is for a chain that turned into a ring.
    for _ in 0..8 {
        let Some(cause) = next else { break };
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    text
}

/// One line of at most [`SHOWN_CHARS`] characters.
pub(super) fn short(text: &str) -> String {
    let mut line: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN_CHARS).collect();
    if text.chars().nth(SHOWN_CHARS).is_some() {
        line.push('…');
    }
    line
}
