//! Objects that are not as the API has them: a null is nothing said, anything else costs that object alone (issue 14, §1
//! "an object with a null or a broken field is named and skipped", §2 "one malformed object blanks a whole kind").

use std::io::Write;
use std::sync::{Arc, Mutex};

use mape_k::domain::cluster::{ClusterReading, Kind, WorkloadKind};
use mape_k::domain::finding::FindingKind;
use mape_k::monitor::cluster::settings::Settings;
use serde_json::{Value, json};

use super::api_server::{ApiServer, Cut, Mood};
use super::objects::{one_of_each, pod};
use super::{Watching, only, pods};

/// A pod with this field, by its path, set to this.
fn with(name: &str, path: &str, value: Value) -> Value {
    let mut object = pod("shop", name);
    let (parent, field) = path.rsplit_once('/').expect("a path");
    object.pointer_mut(parent).expect("a parent")[field] = value;
    object
}

fn unread(reading: &ClusterReading) -> Vec<String> {
    reading.unread.iter().map(ToString::to_string).collect()
}

/// Broken in a different way each, with the words that name it.
fn broken() -> Vec<(Value, &'static str)> {
    let first = "/status/containerStatuses/0";
    vec![
        (with("b1", &format!("{first}/restartCount"), json!("three")), "restartCount"),
        (
            with("b2", "/metadata/creationTimestamp", json!("yesterday")),
            "metadata.creationTimestamp",
        ),
        (with("b3", "/metadata/labels", json!({ "app": 7 })), "metadata.labels.app"),
        (
            with("b4", "/status/containerStatuses", json!({ "main": {} })),
            "status.containerStatuses",
        ),
        (with("b5", "/status/conditions", json!(["Ready"])), "status.conditions[0]"),
        (with("b6", "/spec/nodeName", json!(false)), "spec.nodeName"),
    ]
}

#[tokio::test]
async fn w05_a_broken_object_of_a_list_is_named_and_the_others_are_read() {
    let server = ApiServer::start();
    server.put(pod("shop", "a"));
    for (object, _) in broken() {
        server.put(object);
    }
    server.put(pod("shop", "z"));
    server.page(3);
    let watching = Watching::of(&server, only(&[Kind::Pods])).await;
    let reading = watching.until("it is listed", |r| !r.cluster.pods.is_empty()).await;
    assert_eq!(pods(&reading), ["a", "z"]);
    assert!(reading.failures.is_empty(), "{:?}", reading.failures);
    assert!(!reading.is_whole(), "nobody may say that all is well");
    let said = unread(&reading);
    assert_eq!(said.len(), broken().len(), "{said:?}");
    for ((_, field), said) in broken().iter().zip(&said) {
        let name = said.split(':').next().expect("a name");
        assert!(name.starts_with("pods shop/b") && said.contains(field), "{field}: {said}");
    }
}

#[tokio::test]
async fn w05_an_object_that_breaks_while_it_is_watched_goes_alone_and_comes_back() {
    let server = ApiServer::start();
    for name in ["a", "b", "c"] {
        server.put(pod("shop", name));
    }
    let watching = Watching::of(&server, only(&[Kind::Pods])).await;
    watching.until_whole().await;
    for (mut object, field) in broken() {
        object["metadata"]["name"] = json!("b");
        server.put(object);
        let is_named = |r: &ClusterReading| unread(r).iter().any(|said| said.contains(field));
        let reading = watching.until("b is named", is_named).await;
        assert_eq!(pods(&reading), ["a", "c"], "what it was before is not what it is");
        assert_eq!(reading.unread.len(), 1);
        server.put(pod("shop", "b"));
        let reading = watching.until_whole().await;
        assert_eq!(pods(&reading), ["a", "b", "c"]);
    }
    let (object, _) = broken().remove(0);
    server.put(object);
    watching.until("b1 is named", |r| r.unread.len() == 1).await;
    server.delete("pods", "shop", "b1");
    let reading = watching.until_whole().await;
    assert_eq!(pods(&reading), ["a", "b", "c"], "deleted, though it cannot be read");
    assert_eq!(server.count(false, "pods"), 1, "the watch went on all the while");
}

#[tokio::test]
async fn w05_a_null_is_nothing_said() {
    let server = ApiServer::start();
    let nulls = [
        ("n1", "/status/containerStatuses", json!([null])),
        ("n2", "/status/containerStatuses/0/name", Value::Null),
        ("n3", "/metadata/labels", json!({ "app": null })),
        ("n4", "/metadata/ownerReferences", json!([null, { "kind": null, "name": "x" }])),
        ("n5", "/spec/containers", Value::Null),
        ("n6", "/status/conditions", json!([{ "type": null, "status": null }])),
        ("n7", "/status/containerStatuses/0/state/running/startedAt", Value::Null),
    ];
    for (name, path, value) in nulls {
        server.put(with(name, path, value));
    }
    for (name, whole) in [("n8", "spec"), ("n9", "status")] {
        let mut object = pod("shop", name);
        object[whole] = Value::Null;
        server.put(object);
    }
    let watching = Watching::of(&server, only(&[Kind::Pods])).await;
    let reading = watching.until_whole().await;
    assert_eq!(pods(&reading), ["n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8", "n9"]);
    // By a watch as well.
    server.put(with("x", "/status/containerStatuses", json!([null])));
    watching.until("x is there", |r| pods(r).contains(&"x")).await;
}

#[tokio::test]
async fn w05_every_kind_skips_its_broken_object_and_reads_with_null_in_every_part() {
    let server = ApiServer::start();
    server.put_one_of_each();
    for mut object in one_of_each() {
        object["metadata"]["name"] = json!("two");
        for part in ["spec", "status"] {
            object[part] = Value::Null;
        }
        server.put(object.clone());
        object["metadata"]["name"] = json!("broken");
        object["metadata"]["labels"] = json!(["app"]);
        object["metadata"]["creationTimestamp"] = json!(12);
        server.put(object);
    }
    let watching = Watching::of(&server, |_| {}).await;
    let all = |r: &ClusterReading| r.unread.len() == Kind::ALL.len();
    let reading = watching.until("each kind has named one", all).await;
    assert!(reading.failures.is_empty(), "{:?}", reading.failures);
    let kinds: Vec<Kind> = reading.unread.iter().map(|object| object.kind).collect();
    assert_eq!(kinds, Kind::ALL);
    assert!(reading.unread.iter().all(|object| object.name == "broken"));
    assert_eq!(pods(&reading), ["one", "two"]);
    assert_eq!((reading.cluster.nodes.len(), reading.cluster.cron_jobs.len()), (2, 2));
}

#[tokio::test]
async fn w05_an_object_without_a_name_is_said_to_be_there() {
    let server = ApiServer::start();
    server.put(pod("shop", "a"));
    let mut nameless = pod("shop", "");
    nameless["metadata"]["name"] = json!("");
    server.put(nameless);
    let watching = Watching::of(&server, only(&[Kind::Pods])).await;
    let reading = watching.until("it is listed", |r| !r.unread.is_empty()).await;
    assert_eq!(pods(&reading), ["a"]);
    assert_eq!(unread(&reading), ["pods shop/(without a name): metadata.name: it is empty"]);
}

#[tokio::test]
async fn w05_a_kind_of_which_too_much_cannot_be_read_is_unreadable() {
    let server = ApiServer::start();
    server.put(pod("shop", "a"));
    let broken = |index: usize| with(&format!("b{index:03}"), "/spec/nodeName", json!(7));
    (0..100).for_each(|index| server.put(broken(index)));
    let watching = Watching::of(&server, only(&[Kind::Pods])).await;
    let reading = watching.until("a hundred are named", |r| r.unread.len() == 100).await;
    assert_eq!(pods(&reading), ["a"]);
    server.put(broken(100));
    let reading = watching.until("it is too much", ClusterReading::is_unreadable).await;
    let said = &reading.failures[&Kind::Pods].text;
    assert!(said.contains("more than 100") && said.contains("shop/b000"), "{said}");
    server.delete("pods", "shop", "b100");
    server.delete("pods", "shop", "b099");
    watching.until("it is read again", |r| r.unread.len() == 99).await;
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn w05_the_log_names_a_broken_object_once_and_never_quotes_it() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
    // With a single subscriber tracing asks only the thread that meets a callsite first, and that may be another test's.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let _guard = tracing::subscriber::set_default(subscriber);
    let server = ApiServer::start();
    let mut object = with("b", "/status/containerStatuses/0/restartCount", json!([]));
    object["spec"]["containers"][0]["env"] = json!([{ "name": "PASSWORD", "value": "s3cret" }]);
    server.put(object.clone());
    let watching = Watching::of(&server, only(&[Kind::Pods])).await;
    watching.until("it is named", |r| r.unread.len() == 1).await;
    // The same again, by the watch and by another list.
    server.put(object);
    let lists = server.count(false, "pods");
    server.cut("pods", Cut::Gone);
    watching.until("it is listed again", |_| server.count(false, "pods") > lists).await;
    server.put(pod("shop", "z"));
    watching.until("the list is in", |r| pods(r) == ["z"]).await;
    let said = String::from_utf8_lossy(&log.0.lock().expect("no panic")).into_owned();
    assert_eq!(
        said.matches("pods shop/b: status.containerStatuses[0].restartCount").count(),
        1,
        "{said}"
    );
    assert!(!said.contains("s3cret"), "{said}");
}

/// Roles of earlier versions do not grant the kinds that came later.
#[tokio::test]
async fn w05_the_later_kinds_may_be_refused_unless_they_are_asked_for_by_name() {
    let server = ApiServer::start();
    server.put_one_of_each();
    for (kind, status) in [("replicasets", 403), ("replicationcontrollers", 403), ("cronjobs", 404)]
    {
        server.lists(kind, Mood::Refuses(status));
    }
    let watching = Watching::of(&server, |_| {}).await;
    let reading = watching.until_whole().await;
    assert_eq!(reading.expected.len(), Kind::ALL.len() - Kind::OPTIONAL.len());
    assert!(Kind::OPTIONAL.iter().all(|kind| !reading.expected.contains(kind)));
    assert_eq!(pods(&reading), ["one"]);
    server.lists("replicasets", Mood::Well);
    let is_back = |r: &ClusterReading| r.expected.contains(&Kind::ReplicaSets) && r.is_whole();
    let reading = watching.until("a right that is granted is used", is_back).await;
    assert_eq!(reading.cluster.workloads.len(), 4);

    // Down is no refusal; and who lists kinds means each of them.
    server.lists("cronjobs", Mood::ProxyError);
    let failing = Watching::of(&server, |_| {}).await;
    failing.until("it fails", |r| r.failures.contains_key(&Kind::CronJobs)).await;
    let named = Watching::of(&server, only(&[Kind::Pods, Kind::ReplicationControllers])).await;
    let text = |r: &ClusterReading| {
        r.failures.get(&Kind::ReplicationControllers).map_or(String::new(), |f| f.text.clone())
    };
    let reading = named.until("it is refused", |r| text(r).contains("403 Forbidden")).await;
    let said = text(&reading);
    assert!(said.contains("verbs list and watch on replicationcontrollers"), "{said}");
}

/// What was there is still there: only who never had the right is spared the failure.
#[tokio::test]
async fn w05_a_later_kind_that_is_refused_after_it_was_read_is_a_failure() {
    for (kind, status) in
        [(Kind::ReplicaSets, 403), (Kind::ReplicationControllers, 404), (Kind::CronJobs, 403)]
    {
        let shown =
            if kind == Kind::CronJobs { FindingKind::JobFailed } else { FindingKind::CrashLoop };
        let server = ApiServer::start();
        server.put_one_of_each();
        let watching = Watching::of(&server, |_| {}).await;
        watching.until_whole().await;
        server.lists(kind.as_str(), Mood::Refuses(status));
        server.cut(kind.as_str(), Cut::Gone);
        let fails = |r: &ClusterReading| !r.expected.contains(&kind) || !r.is_whole();
        let reading = watching.until("it is refused", fails).await;
        assert!(reading.expected.contains(&kind), "{kind:?}");
        assert!(reading.failures[&kind].text.contains(&status.to_string()), "{kind:?}");
        assert!(shown.is_hidden(&reading, Some("shop")), "{kind:?}: no incident may end");

        // Twin: it was never there to be read.
        let without = Watching::of(&server, |_| {}).await;
        let reading = without.until_whole().await;
        assert!(!reading.expected.contains(&kind), "{kind:?}");
        assert!(!shown.is_hidden(&reading, Some("shop")), "{kind:?}");
    }
}

#[tokio::test]
async fn w05_a_later_kind_is_left_out_in_the_namespaces_that_refuse_it() {
    let server = ApiServer::start();
    server.put_one_of_each();
    let of_both = |settings: &mut Settings| {
        settings.namespaces = vec!["shop".to_owned(), "bank".to_owned()];
    };
    server.lists("bank/replicasets", Mood::Refuses(403));
    let watching = Watching::of(&server, of_both).await;
    let reading = watching.until_whole().await;
    assert_eq!(reading.left_out, [(Kind::ReplicaSets, "bank".to_owned())].into());
    assert!(reading.is_expected(Kind::ReplicaSets, Some("shop")));
    assert!(!reading.is_expected(Kind::ReplicaSets, Some("bank")));
    let has_set = |r: &ClusterReading| {
        r.cluster.workloads.iter().any(|workload| workload.kind == WorkloadKind::ReplicaSet)
    };
    assert!(has_set(&reading), "the one of the other namespace is read");

    // There it was read: to be refused now is a failure.
    server.lists("shop/replicasets", Mood::Refuses(403));
    server.cut("replicasets", Cut::Gone);
    let reading = watching.until("it is refused", |r| !has_set(r)).await;
    assert!(reading.failures.contains_key(&Kind::ReplicaSets), "{reading:?}");
    assert!(reading.is_hidden(Kind::ReplicaSets, Some("shop")));
    assert!(!reading.is_hidden(Kind::ReplicaSets, Some("bank")));

    // Twin: refused in all of them from the start.
    let without = Watching::of(&server, of_both).await.until_whole().await;
    assert!(!without.expected.contains(&Kind::ReplicaSets) && without.left_out.is_empty());
}

/// A deployment keeps ten of them.
#[tokio::test]
async fn w05_old_revisions_are_not_kept() {
    let server = ApiServer::start();
    let set = |name: &str, wanted: u32, has: u32| {
        json!({ "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": { "name": name, "namespace": "shop", "ownerReferences": [
                { "kind": "Deployment", "name": "web", "controller": true }] },
            "spec": { "replicas": wanted }, "status": { "replicas": has } })
    };
    server.put(set("web-1", 0, 0));
    server.put(set("web-2", 0, 1));
    server.put(set("web-3", 2, 0));
    let watching = Watching::of(&server, only(&[Kind::ReplicaSets])).await;
    let kept = |r: &ClusterReading| {
        r.cluster.workloads.iter().map(|set| set.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(kept(&watching.until_whole().await), ["web-2", "web-3"]);
    server.put(set("web-2", 0, 0));
    watching.until("the old one is gone", |r| kept(r) == ["web-3"]).await;
    server.put(set("web-1", 1, 0));
    watching.until("it is rolled back to", |r| kept(r) == ["web-1", "web-3"]).await;

    // Of an owner that is not watched the name is kept: its pods carry it nowhere else.
    let mut of_a_rollout = set("api-1", 0, 0);
    of_a_rollout["metadata"]["ownerReferences"][0]["kind"] = json!("Rollout");
    server.put(of_a_rollout);
    let named = |r: &ClusterReading| {
        r.cluster.empty_sets.iter().map(|set| set.name.clone()).collect::<Vec<_>>()
    };
    let reading = watching.until("its name is kept", |r| named(r) == ["api-1"]).await;
    assert_eq!(kept(&reading), ["web-1", "web-3"]);
    server.delete("replicasets", "shop", "api-1");
    watching.until("and it goes with it", |r| named(r).is_empty()).await;
}
