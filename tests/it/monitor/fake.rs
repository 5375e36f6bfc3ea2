//! A server on a free port that answers as a scenario says and remembers what it was asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use url::Url;

/// One call as it came: path and the pairs of its query or form.
#[derive(Clone, Debug)]
pub struct Call {
    pub path: String,
    pub pairs: BTreeMap<String, String>,
    pub authorization: Option<String>,
}

impl Call {
    pub fn query(&self) -> &str {
        self.pairs.get("query").map_or("", String::as_str)
    }
}

#[derive(Clone, Debug)]
pub enum Reply {
    With(u16, String),
    /// Never answers.
    Hang,
}

pub fn ok(body: impl Into<String>) -> Reply {
    Reply::With(200, body.into())
}

pub struct Fake {
    pub url: Url,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Fake {
    pub async fn start(answer: impl Fn(&Call) -> Reply + Clone + Send + Sync + 'static) -> Self {
        let calls = Arc::new(Mutex::new(Vec::new()));
        let log = calls.clone();
        let app = Router::new().fallback(move |uri: Uri, headers: HeaderMap, body: Bytes| {
            let (answer, log) = (answer.clone(), log.clone());
            async move { respond(&answer, &log, &uri, &headers, &body).await }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url: Url::parse(&format!("http://{address}")).expect("a URL"), calls }
    }

    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().expect("no panic before").clone()
    }
}

async fn respond(
    answer: &impl Fn(&Call) -> Reply,
    log: &Mutex<Vec<Call>>,
    uri: &Uri,
    headers: &HeaderMap,
    body: &Bytes,
) -> Response {
    let mut pairs: BTreeMap<String, String> =
        url::form_urlencoded::parse(uri.query().unwrap_or("").as_bytes()).into_owned().collect();
    pairs.extend(url::form_urlencoded::parse(body).into_owned());
    let authorization =
        headers.get("authorization").and_then(|v| v.to_str().ok()).map(str::to_owned);
    let call = Call { path: uri.path().to_owned(), pairs, authorization };
    log.lock().expect("no panic before").push(call.clone());
    match answer(&call) {
        Reply::With(status, body) => {
            (StatusCode::from_u16(status).expect("a status"), body).into_response()
        }
        Reply::Hang => std::future::pending().await,
    }
}

/// Prometheus' own clock as it stands.
pub fn unix_now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64()
}

/// A query answer of series without a name: (labels as JSON, value).
pub fn vector(rows: &[(&str, &str)]) -> String {
    let rows: Vec<String> = rows
        .iter()
        .map(|(labels, value)| {
            format!(r#"{{"metric":{labels},"value":[{},"{value}"]}}"#, unix_now())
        })
        .collect();
    data("vector", &format!("[{}]", rows.join(",")))
}

pub fn scalar(value: f64) -> String {
    data("scalar", &format!(r#"[{},"{value}"]"#, unix_now()))
}

pub fn data(kind: &str, result: &str) -> String {
    format!(r#"{{"status":"success","data":{{"resultType":"{kind}","result":{result}}}}}"#)
}

/// A Prometheus in which every series of these rows has a fresh sample, whatever is asked.
pub fn prometheus(call: &Call, rows: &[(&str, &str)]) -> Reply {
    let now = unix_now();
    match call.query() {
        "time()" => ok(scalar(now)),
        query if query.contains("timestamp(") => {
            let fresh = now.to_string();
            let stamps: Vec<(&str, &str)> =
                rows.iter().map(|(labels, _)| (*labels, fresh.as_str())).collect();
            ok(vector(&stamps))
        }
        _ => ok(vector(rows)),
    }
}
