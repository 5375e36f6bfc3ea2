//! R12: hooks over HTTP: what is sent, and what each answer comes to.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use mape_k::actuators::hook::{Hook, Hooks, Verb};
use mape_k::actuators::{Actuator as _, Doubt, Failure, Probe, Refusal, Step, Validation};
use mape_k::domain::Labels;
use mape_k::domain::secret::Secret;
use mape_k::http::HttpSettings;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::world::{apply, hooks, sent};
use crate::contract::commands::read_only;

#[derive(Clone, Debug)]
struct Seen {
    method: String,
    target: String,
    headers: HeaderMap,
    body: Value,
}

/// Answers everything the same way, and keeps what it was sent.
struct Server {
    address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Answer = Arc<dyn Fn(&Seen) -> Option<Response> + Send + Sync>;

impl Server {
    /// `None`: no answer, ever.
    async fn start(answer: impl Fn(&Seen) -> Option<Response> + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let seen = Arc::default();
        let answer: Answer = Arc::new(answer);
        let app = Router::new().fallback(serve).with_state((Arc::clone(&seen), answer));
        let task = tokio::spawn(async move {
            axum::serve(listener, app).await.expect("the server serves");
        });
        Self { address, seen, task }
    }

    async fn answering(status: u16, body: &'static str) -> Self {
        Self::start(move |_| {
            Some((StatusCode::from_u16(status).expect("a status"), body).into_response())
        })
        .await
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("what was seen").clone()
    }

    fn verb(&self, path: &str) -> Verb {
        let url = format!("http://{}{path}", self.address).parse().expect("a URL");
        Verb::Http { url, method: reqwest::Method::POST }
    }

    fn hook(&self) -> Hook {
        let (name, target) = read_only();
        let verb = || Some(self.verb("/cart"));
        Hook {
            validate: verb(),
            probe: verb(),
            undo: verb(),
            timeout: Duration::from_secs(20),
            ..Hook::new(name, target, self.verb("/cart"))
        }
    }

    fn hooks(&self) -> Hooks {
        hooks(self.hook())
    }
}

async fn serve(
    State((kept, answer)): State<(Arc<Mutex<Vec<Seen>>>, Answer)>,
    request: Request<Body>,
) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 4 << 20).await.expect("a body");
    let seen = Seen {
        method: parts.method.to_string(),
        target: parts.uri.to_string(),
        headers: parts.headers,
        body: serde_json::from_slice(&body).expect("JSON"),
    };
    kept.lock().expect("what was seen").push(seen.clone());
    match answer(&seen) {
        Some(answer) => answer,
        None => std::future::pending().await,
    }
}

#[tokio::test]
async fn r12_a_call_carries_key_epoch_and_labels_in_the_body_alone() {
    let server = Server::answering(200, "").await;
    let method = reqwest::Method::PUT;
    let Verb::Http { url, .. } = server.verb("/cart?team=shop") else { panic!("a URL") };
    let hooks = hooks(Hook { apply: Verb::Http { url, method }, ..server.hook() });
    let labels: Labels = [
        ("hostile", "a\r\nX-Fence-Epoch: 99\n$(touch pwned)\0"),
        ("url", "../../admin?x=1#y"),
        ("namespace", "shop"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect();
    let sent = sent(labels.clone());
    apply(&hooks, &sent).await.expect("done");
    let seen = server.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].method.as_str(), seen[0].target.as_str()), ("PUT", "/cart?team=shop"));
    assert_eq!(seen[0].headers["idempotency-key"], sent.key.to_string().as_str());
    assert_eq!(seen[0].headers["x-fence-epoch"], "7");
    assert!(!format!("{:?}", seen[0].headers).contains("hostile"));
    assert_eq!(
        seen[0].body,
        json!({
            "key": sent.key, "apply_key": sent.key, "epoch": 7, "action": "hook/cart-read-only",
            "cause": "cart_overload", "target": "hook/cart-read-only/cart", "component": "cart", "verb": "apply",
            "labels": labels,
        })
    );
    let alone = crate::contract::Sent { epoch: None, ..sent };
    apply(&hooks, &alone).await.expect("done");
    let last = server.seen().pop().expect("a call");
    assert!(!last.headers.contains_key("x-fence-epoch") && last.body.get("epoch").is_none());
}

#[tokio::test]
async fn r12_each_status_has_its_meaning() {
    let (unknown, not_done) = ((Doubt::UnderWay, None), (Doubt::None, None));
    let refused = |refusal| Some((Doubt::None, Some(refusal)));
    for (status, expected) in [
        (200, None),
        (201, None),
        (204, None),
        (202, Some(unknown)),
        (301, Some(unknown)),
        (303, Some(unknown)),
        (400, refused(Refusal::Invalid)),
        (401, refused(Refusal::Passing)),
        (403, refused(Refusal::Passing)),
        (404, refused(Refusal::Invalid)),
        (408, Some(unknown)),
        (409, refused(Refusal::Conflict)),
        (410, refused(Refusal::Gone)),
        (418, refused(Refusal::Other)),
        (422, refused(Refusal::Invalid)),
        (425, Some(not_done)),
        (429, Some(not_done)),
        (500, Some(unknown)),
        (502, Some(unknown)),
        (503, Some(unknown)),
        (504, Some(unknown)),
    ] {
        let server = Server::answering(status, "").await;
        let came = apply(&server.hooks(), &sent(Labels::new())).await;
        let came = came.err().map(|failure| (failure.doubt, failure.refusal));
        assert_eq!(came, expected, "{status}");
        assert_eq!(server.seen().len(), 1, "{status}: sent once");
    }
}

#[tokio::test]
async fn r12_validate_over_http_says_yes_no_or_nothing() {
    for (status, expected) in [
        (200, Some(true)),
        (422, Some(false)),
        (404, Some(false)),
        (202, None),
        (401, None),
        (429, None),
        (503, None),
    ] {
        let server = Server::answering(status, "the cart is closed").await;
        let sent = sent(Labels::new());
        let validation = server.hooks().validate(&sent.request()).await;
        let came = validation.as_ref().ok().map(|validation| *validation == Validation::Valid);
        assert_eq!(came, expected, "{status}: {validation:?}");
    }
}

#[tokio::test]
async fn r12_a_redirect_is_not_followed() {
    let other = Server::answering(200, "").await;
    let to = format!("http://{}/elsewhere", other.address);
    for status in [StatusCode::FOUND, StatusCode::SEE_OTHER, StatusCode::TEMPORARY_REDIRECT] {
        let to = to.clone();
        let server =
            Server::start(move |_| Some((status, [("location", to.clone())]).into_response()))
                .await;
        let failure = apply(&server.hooks(), &sent(Labels::new())).await.expect_err("no success");
        assert_eq!((failure.doubt, failure.refusal), (Doubt::UnderWay, None));
        assert!(failure.text.contains("not followed"), "{failure}");
    }
    assert!(other.seen().is_empty(), "it was followed");
    apply(&other.hooks(), &sent(Labels::new())).await.expect("asked itself it answers");
}

#[tokio::test]
async fn r12_no_connection_is_not_done_and_no_answer_is_not_known() {
    let server = Server::start(|_| None).await;
    let mut hook = server.hook();
    hook.timeout = Duration::from_millis(300);
    let hanging = apply(&hooks(hook), &sent(Labels::new())).await.expect_err("no answer");
    assert_eq!((hanging.doubt, hanging.refusal), (Doubt::UnderWay, None), "{hanging}");
    let hook = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let (name, target) = read_only();
        let (url, method) = (url.parse().expect("a URL"), reqwest::Method::POST);
        Hook::new(name, target, Verb::Http { url, method })
    };
    let gone = apply(&hooks(hook), &sent(Labels::new())).await.expect_err("no connection");
    assert_eq!((gone.doubt, gone.refusal), (Doubt::None, None), "{gone}");
}

/// The status is the answer, however much stands behind it.
#[tokio::test]
async fn r12_an_answer_of_any_length_is_bounded() {
    let server =
        Server::start(|_| Some((StatusCode::OK, "x".repeat(8 << 20)).into_response())).await;
    apply(&server.hooks(), &sent(Labels::new())).await.expect("done");
    let server =
        Server::start(|_| Some((StatusCode::BAD_REQUEST, "x".repeat(8 << 20)).into_response()))
            .await;
    let Failure { text, .. } =
        apply(&server.hooks(), &sent(Labels::new())).await.expect_err("refused");
    assert!(text.len() < 2_000, "{} bytes told", text.len());
}

#[tokio::test]
async fn r12_probe_over_http_believes_its_own_words_alone() {
    for (status, body, apply_step, undo_step) in [
        (200, r#"{"effect": "found"}"#, "found", "absent"),
        (200, r#"{"effect": "absent"}"#, "absent", "found"),
        (200, r#"{"effect": "foreign", "by": "a person"}"#, "foreign", "foreign"),
        (200, "ok", "cannot tell", "cannot tell"),
        (200, "<html>Log in</html>", "cannot tell", "cannot tell"),
        (200, r#"{"effect": "maybe"}"#, "cannot tell", "cannot tell"),
        (202, r#"{"effect": "found"}"#, "cannot tell", "cannot tell"),
        (404, r#"{"effect": "absent"}"#, "cannot tell", "cannot tell"),
        (503, "", "cannot tell", "cannot tell"),
    ] {
        let server = Server::start(move |seen| {
            let status = if seen.body["verb"] == "probe" { status } else { 504 };
            Some((StatusCode::from_u16(status).expect("a status"), body).into_response())
        })
        .await;
        let hooks = server.hooks();
        let sent = sent(Labels::new());
        let undoing = sent.undoing();
        let prior = hooks.prepare(&sent.request()).await.expect("prepared");
        hooks.apply(&sent.request(), &prior).await.expect_err("not known");
        hooks.undo(&undoing.request(), &prior).await.expect_err("not known");
        for (step, of, expected) in
            [(Step::Apply, &sent, apply_step), (Step::Undo, &undoing, undo_step)]
        {
            let seen = match hooks.probe(step, &of.request(), &prior).await {
                Probe::Found(_) => "found",
                Probe::Absent => "absent",
                Probe::Foreign(_) => "foreign",
                Probe::CannotTell(_) => "cannot tell",
                Probe::Ended(_) => "ended",
            };
            assert_eq!(seen, expected, "{status} {body}, {step:?}");
        }
        let last = server.seen().pop().expect("a call");
        assert_eq!(last.body["verb"], "probe");
        assert_eq!(last.headers["idempotency-key"], sent.key.to_string().as_str());
    }
}

/// A server that quotes what it was sent.
#[tokio::test]
async fn r12_what_a_server_quotes_is_told_without_secrets() {
    let server = Server::start(|seen| {
        let text = format!("no {:?} for {}", seen.headers["authorization"], seen.target);
        Some((StatusCode::BAD_REQUEST, text).into_response())
    })
    .await;
    let http = HttpSettings {
        bearer_token: Some(Secret::new("s3cret-bearer".to_owned())),
        ..HttpSettings::default()
    };
    let hook = Hook {
        apply: server.verb("/cart?token=abcdefgh-query"),
        http: Some(Box::new(http)),
        ..server.hook()
    };
    let failure = apply(&hooks(hook), &sent(Labels::new())).await.expect_err("refused");
    let text = failure.text;
    assert_eq!(server.seen()[0].headers["authorization"], "Bearer s3cret-bearer");
    assert!(!text.contains("s3cret") && !text.contains("abcdefgh"), "{text}");
    assert!(text.contains("***") && text.contains("400"), "{text}");
}
