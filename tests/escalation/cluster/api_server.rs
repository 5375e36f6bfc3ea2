//! A Kubernetes API server as far as lists, watches and logs go: real HTTP, versions, pages, bookmarks, and bad days.

mod stream;
mod tls;

use std::collections::{BTreeMap, HashMap};
use std::net::{SocketAddr, TcpListener as Port};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use futures::stream as futures_stream;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::sleep;

use self::tls::{Encrypted, Tls};
use super::objects;
use crate::support::eventually::eventually;
use crate::support::ports::free_port;

/// Connections of the server that was here end with its threads, within milliseconds.
const PORT_FREE_WITHIN: Duration = Duration::from_secs(10);

/// How it takes the requests for one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Mood {
    #[default]
    Well,
    /// With this status, in the API's own words.
    Refuses(u16),
    /// With 502 and a page of HTML.
    ProxyError,
    /// 200 and a page of HTML.
    Html,
    /// Says nothing until its mood changes.
    Hangs,
    /// Gives lists some bytes at a time; accepts a watch and says nothing more, not even its end.
    Sluggish,
}

/// What happens to the watches that are open.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cut {
    /// A bookmark, which harms nobody.
    Bookmark,
    /// The stream ends.
    End,
    /// The connection breaks in the middle of an object.
    MidLine,
    /// An ERROR event with code 410.
    Gone,
    /// An ERROR event with code 500.
    Error,
}

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    pub query: HashMap<String, String>,
    pub agent: String,
    pub authorization: String,
}

impl Asked {
    pub fn is_watch(&self) -> bool {
        self.query.contains_key("watch")
    }

    pub fn selector(&self) -> Option<&str> {
        self.query.get("fieldSelector").map(String::as_str)
    }
}

enum Entry {
    Event { version: u64, kind: String, namespace: String, line: Arc<str> },
    Cut { kind: String, how: Cut },
}

#[derive(Default)]
struct World {
    version: u64,
    /// By plural kind, then by namespace and name; as text, so that a list costs the server next to nothing.
    objects: HashMap<String, BTreeMap<(String, String), Arc<str>>>,
    history: Vec<Entry>,
    /// Watches from before this are told 410.
    oldest: u64,
    lists: HashMap<String, Mood>,
    watches: HashMap<String, Mood>,
    page: usize,
    logs: String,
    asked: Vec<Asked>,
}

#[derive(Clone)]
struct Shared {
    world: Arc<Mutex<World>>,
    changed: watch::Sender<()>,
}

pub struct ApiServer {
    shared: Shared,
    address: SocketAddr,
    /// Its own, so that its end is the end of every connection.
    runtime: Option<Runtime>,
    folder: tempfile::TempDir,
    tls: Option<Tls>,
}

impl ApiServer {
    pub fn start() -> Self {
        Self::start_with(|_| None)
    }

    /// The same over TLS.
    pub fn start_encrypted() -> Self {
        Self::start_with(|folder| Some(Tls::new(folder)))
    }

    fn start_with(tls: impl FnOnce(&std::path::Path) -> Option<Tls>) -> Self {
        let world = World { version: 1000, page: 500, ..World::default() };
        let shared = Shared { world: Arc::new(Mutex::new(world)), changed: watch::Sender::new(()) };
        // Nobody else gets it while this one is down: another test's cluster would answer in its place.
        let port = Port::bind(("127.0.0.1", free_port())).expect("a free port");
        let address = port.local_addr().expect("its address");
        let folder = tempfile::tempdir().expect("a folder for the kubeconfig");
        let tls = tls(folder.path());
        let mut server = Self { shared, address, runtime: None, folder, tls };
        server.serve(port);
        server
    }

    fn serve(&mut self, port: Port) {
        let router = Router::new().fallback(answer).with_state(self.shared.clone());
        let runtime = Runtime::new().expect("threads for the API server");
        port.set_nonblocking(true).expect("a port for it");
        let tls = self.tls.clone();
        runtime.spawn(async move {
            let plain = TcpListener::from_std(port).expect("its port");
            match tls {
                Some(tls) => axum::serve(Encrypted { plain, tls }, router).await,
                None => axum::serve(plain, router).await,
            }
            .expect("the API server runs");
        });
        self.runtime = Some(runtime);
    }

    /// Ends it with every connection that is open.
    pub fn down(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    /// Starts it again where it was, with what it held.
    pub async fn up(&mut self) {
        let port = eventually(PORT_FREE_WITHIN, "the port is free again", async || {
            Port::bind(self.address).map_err(|error| error.to_string())
        })
        .await;
        self.serve(port);
    }

    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// A kubeconfig that points at it.
    pub fn kubeconfig(&self) -> std::path::PathBuf {
        let path = self.folder.path().join("kubeconfig");
        let authority = self.tls.as_ref().map_or_else(String::new, |tls| {
            format!(", certificate-authority: \"{}\"", tls.authority.display())
        });
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: here\n\
             clusters: [{{name: here, cluster: {{server: \"{}\"{authority}}}}}]\n\
             users: [{{name: me, user: {{token: token-of-the-tests}}}}]\n\
             contexts: [{{name: here, context: {{cluster: here, user: me}}}}]\n",
            self.url()
        );
        std::fs::write(&path, text).expect("the kubeconfig is written");
        path
    }

    /// One object of every kind, all called `one`, in the namespace `shop`.
    pub fn put_one_of_each(&self) {
        for object in objects::one_of_each() {
            self.put(object);
        }
    }

    /// Adds or changes an object, by its kind, namespace and name.
    pub fn put(&self, object: Value) {
        self.change(|world| world.put(object));
    }

    pub fn delete(&self, kind: &str, namespace: &str, name: &str) {
        self.change(|world| {
            world.version += 1;
            let key = (namespace.to_owned(), name.to_owned());
            let gone = world.objects.get_mut(kind).and_then(|objects| objects.remove(&key));
            let gone = gone.expect("an object to delete");
            let mut object: Value = serde_json::from_str(&gone).expect("an object");
            object["metadata"]["resourceVersion"] = json!(world.version.to_string());
            world.tell("DELETED", kind, namespace, &object.to_string());
        });
    }

    /// Changes made without any watch hearing of it: what 410 is about.
    pub fn put_unheard(&self, object: Value) {
        self.change(|world| {
            world.put(object);
            world.history.pop();
            world.oldest = world.version;
        });
    }

    /// `kind`: all of it, or as `namespace/kind` what is asked for in that namespace.
    pub fn lists(&self, kind: &str, mood: Mood) {
        self.change(|world| {
            world.lists.insert(kind.to_owned(), mood);
        });
    }

    pub fn watches(&self, kind: &str, mood: Mood) {
        self.change(|world| {
            world.watches.insert(kind.to_owned(), mood);
        });
    }

    pub fn cut(&self, kind: &str, how: Cut) {
        let kind = kind.to_owned();
        self.change(|world| world.history.push(Entry::Cut { kind, how }));
    }

    /// It gives no more than this in a page, whatever is asked for.
    pub fn page(&self, objects: usize) {
        self.change(|world| world.page = objects);
    }

    pub fn log(&self, text: &str) {
        self.change(|world| text.clone_into(&mut world.logs));
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.shared.world.lock().expect("the world").asked.clone()
    }

    /// Those for this kind so far.
    pub fn count(&self, watch: bool, kind: &str) -> usize {
        let of_kind = |asked: &&Asked| asked.is_watch() == watch && asked.path.ends_with(kind);
        self.asked().iter().filter(of_kind).count()
    }

    fn change(&self, change: impl FnOnce(&mut World)) {
        change(&mut self.shared.world.lock().expect("the world"));
        self.shared.changed.send_replace(());
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.down();
    }
}

pub const ALL: &[&str] = &[
    "pods",
    "events",
    "nodes",
    "deployments",
    "statefulsets",
    "daemonsets",
    "replicasets",
    "replicationcontrollers",
    "jobs",
    "cronjobs",
    "persistentvolumeclaims",
];

fn event(what: &str, object: &str) -> String {
    format!("{{\"type\":\"{what}\",\"object\":{object}}}")
}

impl World {
    fn put(&mut self, mut object: Value) {
        self.version += 1;
        let kind = format!("{}s", object["kind"].as_str().expect("a kind").to_lowercase());
        let text = |field: &Value| field.as_str().unwrap_or_default().to_owned();
        let namespace = text(&object["metadata"]["namespace"]);
        let key = (namespace.clone(), text(&object["metadata"]["name"]));
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let object = object.to_string();
        let objects = self.objects.entry(kind.clone()).or_default();
        let known = objects.insert(key, object.as_str().into());
        let what = if known.is_some() { "MODIFIED" } else { "ADDED" };
        self.tell(what, &kind, &namespace, &object);
    }

    fn tell(&mut self, what: &str, kind: &str, namespace: &str, object: &str) {
        self.history.push(Entry::Event {
            version: self.version,
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            line: event(what, object).into(),
        });
    }
}

/// Whether an object is one of those that a field selector leaves.
fn fits(selector: Option<&str>, object: impl FnOnce() -> Value) -> bool {
    let Some(selector) = selector else { return true };
    let object = object();
    selector.split(',').all(|term| {
        let (field, wanted) = term.split_once('=').expect("a term of a selector");
        let is = |field: &str| object[field].as_str().unwrap_or_default() == wanted;
        field.strip_suffix('!').map_or_else(|| is(field), |field| !is(field))
    })
}

/// The kind and namespace that a path asks for.
fn subject(path: &str) -> (String, Option<String>) {
    let parts: Vec<&str> = path.split('/').collect();
    let namespace = parts.iter().position(|part| *part == "namespaces").map(|at| parts[at + 1]);
    ((*parts.last().expect("a path")).to_owned(), namespace.map(str::to_owned))
}

fn status(code: u16, message: &str) -> Value {
    let reason = match code {
        401 => "Unauthorized",
        403 => "Forbidden",
        410 => "Expired",
        _ => "InternalError",
    };
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    })
}

fn refusal(code: u16, message: &str) -> Response {
    let code_line = StatusCode::from_u16(code).expect("a status");
    (code_line, axum::Json(status(code, message))).into_response()
}

async fn answer(
    State(shared): State<Shared>,
    uri: Uri,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let header = |name: &str| {
        headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let asked = Asked {
        path: uri.path().to_owned(),
        query,
        agent: header("user-agent"),
        authorization: header("authorization"),
    };
    shared.world.lock().expect("the world").asked.push(asked.clone());
    if asked.path.ends_with("/selfsubjectaccessreviews") {
        return reviewed(&shared, &body);
    }
    if asked.path.ends_with("/log") {
        return shared.world.lock().expect("the world").logs.clone().into_response();
    }
    let (kind, namespace) = subject(&asked.path);
    let mut changed = shared.changed.subscribe();
    let mood = loop {
        let mood = {
            let world = shared.world.lock().expect("the world");
            let moods = if asked.is_watch() { &world.watches } else { &world.lists };
            let own = namespace.as_ref().and_then(|of| moods.get(&format!("{of}/{kind}")));
            own.or(moods.get(&kind)).copied().unwrap_or_default()
        };
        if mood != Mood::Hangs {
            break mood;
        }
        changed.changed().await.expect("the server lives");
    };
    match mood {
        Mood::Refuses(code) => refusal(code, &format!("{kind} is not for you")),
        Mood::ProxyError => {
            (StatusCode::BAD_GATEWAY, "<html>token-of-the-tests</html>").into_response()
        }
        Mood::Html => "<html>welcome</html>".into_response(),
        mood if asked.is_watch() => stream::open(&shared, &asked, kind, namespace, mood),
        mood => {
            let page = list(&shared, &asked, &kind, namespace.as_deref());
            if mood == Mood::Sluggish { trickled(page) } else { page.into_response() }
        }
    }
}

/// Is it allowed? As lists of its kind are answered.
fn reviewed(shared: &Shared, body: &[u8]) -> Response {
    let mut review: Value = serde_json::from_slice(body).expect("a review");
    let resource = &review["spec"]["resourceAttributes"]["resource"];
    let kind = resource.as_str().expect("a resource").to_owned();
    let mood = shared.world.lock().expect("the world").lists.get(&kind).copied();
    review["status"] = json!({ "allowed": !matches!(mood, Some(Mood::Refuses(_))) });
    (StatusCode::CREATED, axum::Json(review)).into_response()
}

fn list(shared: &Shared, asked: &Asked, kind: &str, namespace: Option<&str>) -> String {
    let world = shared.world.lock().expect("the world");
    let from: usize = asked.query.get("continue").map_or(0, |at| at.parse().expect("a token"));
    let limit = asked.query.get("limit").map_or(usize::MAX, |limit| limit.parse().expect("limit"));
    let limit = limit.min(world.page);
    let all: Vec<&str> = world
        .objects
        .get(kind)
        .into_iter()
        .flatten()
        .filter(|((of, _), _)| namespace.is_none_or(|wanted| wanted == of))
        .map(|(_, object)| &**object)
        .filter(|object| fits(asked.selector(), || serde_json::from_str(object).expect("JSON")))
        .collect();
    let items: Vec<&str> = all.iter().skip(from).take(limit).copied().collect();
    let end = from + items.len();
    let next = if end < all.len() { end.to_string() } else { String::new() };
    let metadata = json!({ "resourceVersion": world.version.to_string(), "continue": next });
    let items = items.join(",");
    format!(r#"{{"kind":"List","apiVersion":"v1","metadata":{metadata},"items":[{items}]}}"#)
}

/// The whole of it, a kilobyte at a time.
fn trickled(page: String) -> Response {
    let pieces: Vec<Bytes> = page.into_bytes().chunks(1024).map(Bytes::copy_from_slice).collect();
    let body = futures_stream::unfold(pieces.into_iter(), async |mut pieces| {
        let piece = pieces.next()?;
        sleep(Duration::from_millis(20)).await;
        Some((Ok::<_, std::io::Error>(piece), pieces))
    });
    Body::from_stream(Box::pin(body)).into_response()
}
