//! What there is, as it changes; what is asked for, and what is not.

use std::collections::BTreeSet;

use mape_k::analyzer::cluster::{Onsets, findings};
use mape_k::domain::catalogue::Catalogue;
use mape_k::domain::cluster::{ClusterReading, Kind};
use serde_json::json;
use tokio::time::Instant;

use super::api_server::{ALL, ApiServer, Cut, Mood};
use super::objects::{pod, warning};
use super::{PATIENCE, WITHIN, Watching, now, only, pods};
use crate::support::eventually::eventually;

#[tokio::test]
async fn objects_of_every_kind_are_read() {
    let server = ApiServer::start();
    server.put_one_of_each();
    let watching = Watching::of(&server, |_| {}).await;
    let reading = watching.until_whole().await;
    let found = &reading.cluster;
    assert_eq!(reading.expected, Kind::ALL.into());
    assert_eq!(pods(&reading), ["one"]);
    assert_eq!(found.events.len(), 1);
    assert_eq!(found.nodes[0].name, "one");
    let kinds: Vec<_> = found.workloads.iter().map(|workload| workload.kind.as_str()).collect();
    let expected =
        ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController"];
    assert_eq!(kinds, expected);
    assert_eq!(found.cron_jobs[0].name, "one");
    assert_eq!(found.workloads[0].desired, 2);
    assert_eq!(found.jobs[0].name, "one");
    assert_eq!(found.claims[0].phase, "Bound");
}

#[tokio::test]
async fn what_is_added_changed_and_deleted_is_seen_without_another_list() {
    let server = ApiServer::start();
    server.put(pod("shop", "a"));
    let watching = Watching::of(&server, only(&[Kind::Pods])).await;
    watching.until_whole().await;
    server.put(pod("shop", "b"));
    watching.until("b is there", |reading| pods(reading) == ["a", "b"]).await;
    let mut failed = pod("shop", "b");
    failed["status"]["phase"] = json!("Failed");
    server.put(failed);
    watching.until("b has failed", |reading| reading.cluster.pods[1].phase == "Failed").await;
    server.cut("pods", Cut::Bookmark);
    server.delete("pods", "shop", "a");
    watching.until("a is gone", |reading| pods(reading) == ["b"]).await;
    assert_eq!(server.count(false, "pods"), 1, "one list was enough: {:?}", server.asked());
}

#[tokio::test]
async fn a_watch_that_the_server_ends_in_time_goes_on_from_where_it_was() {
    let server = ApiServer::start();
    server.put(pod("shop", "a"));
    let watching = Watching::of(&server, only(&[Kind::Pods])).await;
    watching.until_whole().await;
    eventually(WITHIN, "two watches ended", async || {
        let watches = server.count(true, "pods");
        if watches >= 3 { Ok(()) } else { Err(watches) }
    })
    .await;
    server.put(pod("shop", "b"));
    watching.until("b is there", |reading| pods(reading) == ["a", "b"]).await;
    assert_eq!(server.count(false, "pods"), 1, "one list was enough");
}

#[tokio::test]
async fn a_stream_that_breaks_in_the_middle_of_an_object_loses_nothing() {
    let server = ApiServer::start();
    server.put(pod("shop", "a"));
    let watching = Watching::of(&server, only(&[Kind::Pods])).await;
    watching.until_whole().await;
    for (name, how) in
        [("b", Cut::MidLine), ("c", Cut::End), ("d", Cut::Error), ("e", Cut::MidLine)]
    {
        server.cut("pods", how);
        server.put(pod("shop", name));
        let last = |reading: &ClusterReading| pods(reading).last() == Some(&name);
        let reading = watching.until("the new pod is there", last).await;
        assert!(reading.is_whole(), "a moment's break is no failure");
    }
    assert_eq!(pods(&watching.read()), ["a", "b", "c", "d", "e"]);
}

/// Relists while holding the list back, and looks all the time.
async fn relists_without_a_gap(server: &ApiServer, cause: impl FnOnce()) {
    server.page(2);
    for name in ["a", "b", "c", "d", "e"] {
        server.put(pod("shop", name));
    }
    let watching = Watching::of(server, only(&[Kind::Pods])).await;
    watching.until_whole().await;
    let lists = server.count(false, "pods");
    server.lists("pods", Mood::Hangs);
    cause();
    eventually(WITHIN, "the list is asked for again", async || {
        let reading = watching.read();
        assert_eq!(pods(&reading).len(), 5, "never an emptied cache: {reading:?}");
        let now = server.count(false, "pods");
        if now > lists { Ok(()) } else { Err(now) }
    })
    .await;
    server.lists("pods", Mood::Well);
    eventually(WITHIN, "the new list is read", async || {
        let reading = watching.read();
        assert!(reading.is_whole(), "{:?}", reading.failures);
        match pods(&reading).len() {
            6 => Ok(()),
            5 => Err("the old one"),
            parts => panic!("part of a list: {parts} pods"),
        }
    })
    .await;
}

#[tokio::test]
async fn a_410_in_the_stream_lists_again_without_an_empty_moment() {
    let server = ApiServer::start();
    relists_without_a_gap(&server, || {
        server.put_unheard(pod("shop", "f"));
        server.cut("pods", Cut::Gone);
    })
    .await;
}

#[tokio::test]
async fn a_410_as_an_answer_lists_again_without_an_empty_moment() {
    let server = ApiServer::start();
    relists_without_a_gap(&server, || {
        server.put_unheard(pod("shop", "f"));
        // The server ends this watch in time, and has forgotten the version that the next one asks for.
    })
    .await;
}

#[tokio::test]
async fn only_the_kinds_and_namespaces_of_the_configuration_are_asked_for() {
    let server = ApiServer::start();
    for namespace in ["shop", "bank", "other"] {
        server.put(pod(namespace, "web"));
    }
    let watching = Watching::of(&server, |settings| {
        settings.namespaces = vec!["shop".to_owned(), "bank".to_owned()];
        settings.kinds = [Kind::Pods, Kind::Nodes, Kind::Events].into();
    })
    .await;
    let reading = watching.until_whole().await;
    let found: Vec<_> = reading.cluster.pods.iter().map(|pod| pod.namespace.as_str()).collect();
    assert_eq!(found, ["shop", "bank"]);
    let paths: BTreeSet<String> = server.asked().into_iter().map(|asked| asked.path).collect();
    let expected = [
        "/api/v1/namespaces/bank/events",
        "/api/v1/namespaces/bank/pods",
        "/api/v1/namespaces/shop/events",
        "/api/v1/namespaces/shop/pods",
        "/api/v1/nodes",
    ];
    assert_eq!(paths.into_iter().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn all_kinds_in_all_namespaces_are_eleven_lists_in_pages_under_our_own_name() {
    let server = ApiServer::start();
    let watching = Watching::of(&server, |_| {}).await;
    watching.until_whole().await;
    eventually(WITHIN, "every kind is watched", async || {
        let missing: Vec<_> = ALL.iter().filter(|kind| server.count(true, kind) == 0).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?}")) }
    })
    .await;
    for asked in server.asked() {
        assert_eq!(asked.agent, concat!("mape-k/", env!("CARGO_PKG_VERSION")));
        assert_eq!(asked.authorization, "Bearer token-of-the-tests");
        let of_events = Some([
            "type!=Normal",
            "type=Normal,reason=Preempted",
            "type=Normal,reason=TriggeredScaleUp",
            "type=Normal,reason=NotTriggerScaleUp",
            "type=Normal,reason=Nominated",
        ]);
        let selectors = of_events.filter(|_| asked.path.ends_with("/events"));
        match selectors {
            Some(either) => assert!(either.contains(&asked.selector().expect("a selector"))),
            None => assert_eq!(asked.selector(), None),
        }
        if asked.is_watch() {
            assert_eq!(asked.query["allowWatchBookmarks"], "true");
            assert!(asked.query.contains_key("timeoutSeconds"), "{asked:?}");
        } else {
            assert!(asked.query.contains_key("limit"), "{asked:?}");
        }
    }
    let lists: BTreeSet<_> = server
        .asked()
        .into_iter()
        .filter(|asked| !asked.is_watch())
        .map(|asked| asked.path)
        .collect();
    let expected = [
        "/api/v1/events",
        "/api/v1/nodes",
        "/api/v1/persistentvolumeclaims",
        "/api/v1/pods",
        "/api/v1/replicationcontrollers",
        "/apis/apps/v1/daemonsets",
        "/apis/apps/v1/deployments",
        "/apis/apps/v1/replicasets",
        "/apis/apps/v1/statefulsets",
        "/apis/batch/v1/cronjobs",
        "/apis/batch/v1/jobs",
    ];
    assert_eq!(lists.into_iter().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn events_are_the_newest_two_thousand_of_the_last_hour() {
    let server = ApiServer::start();
    for index in 0..2100 {
        let at = format!("2026-11-22T11:{:02}:{:02}Z", 20 + index / 60, index % 60);
        server.put(warning(&format!("event-{index:04}"), &at));
    }
    server.put(warning("zz-old", "2026-11-22T10:59:00Z"));
    let watching = Watching::of(&server, only(&[Kind::Events])).await;
    let reading = watching.until_whole().await;
    assert_eq!(reading.cluster.events.len(), 2000);
    let oldest = reading.cluster.events.iter().filter_map(|event| event.last_at).min();
    assert_eq!(oldest, "2026-11-22T11:21:40Z".parse().ok(), "the first hundred made room");
    server.put(warning("event-new", "2026-11-22T11:59:59Z"));
    let reading = watching
        .until("the new one is there", |reading| {
            reading
                .cluster
                .events
                .iter()
                .any(|event| event.last_at > "2026-11-22T11:59:00Z".parse().ok())
        })
        .await;
    assert_eq!(reading.cluster.events.len(), 2000);
    let later = now() + chrono::TimeDelta::minutes(61);
    assert_eq!(watching.watch.read(later).cluster.events.len(), 0, "past is past");
}

#[tokio::test]
async fn the_first_cycle_can_wait_for_the_first_lists_and_no_longer_than_it_wants() {
    let server = ApiServer::start();
    server.put(pod("shop", "a"));
    server.lists("nodes", Mood::Sluggish);
    let watching = Watching::of(&server, only(&[Kind::Pods, Kind::Nodes])).await;
    watching.watch.ready(Instant::now() + WITHIN).await;
    assert!(watching.read().is_whole(), "{:?}", watching.read().failures);

    server.lists("pods", Mood::Hangs);
    let hanging = Watching::of(&server, only(&[Kind::Pods])).await;
    hanging.watch.ready(Instant::now() + PATIENCE.answer / 3).await;
    let reading = hanging.read();
    assert!(reading.is_unreadable(), "it returned at its deadline, with nothing listed");
    assert!(reading.failures[&Kind::Pods].text.contains("not listed yet"), "{reading:?}");
}

#[tokio::test]
async fn the_last_lines_of_a_log_are_read_when_they_are_asked_for() {
    let server = ApiServer::start();
    let watching = Watching::of(&server, |settings| settings.log_lines = 3).await;
    server.log("one\ntwo\n\u{1b}[31mthree\u{1b}[0m\nfour\n");
    let lines = watching.watch.last_lines("shop", "web-1", "main", true).await;
    assert_eq!(lines.expect("lines"), ["two", "[31mthree[0m", "four"]);
    let asked =
        server.asked().into_iter().find(|asked| asked.path.ends_with("/log")).expect("asked");
    assert_eq!(asked.path, "/api/v1/namespaces/shop/pods/web-1/log");
    assert_eq!(asked.query["container"], "main");
    assert_eq!(asked.query["tailLines"], "3");
    assert_eq!(asked.query["previous"], "true");

    server.log(&format!("{}\nlast words\n", "x".repeat(1_000_000)));
    let lines = watching.watch.last_lines("shop", "web-1", "main", false).await.expect("lines");
    assert!(lines.iter().map(String::len).sum::<usize>() <= 16 * 1024, "bounded: {}", lines.len());

    let without = Watching::of(&server, |_| {}).await;
    let before = server.asked().len();
    assert_eq!(without.watch.last_lines("shop", "web-1", "main", false).await, None);
    let logs = server
        .asked()
        .split_off(before)
        .iter()
        .filter(|asked| asked.path.ends_with("/log"))
        .count();
    assert_eq!(logs, 0, "none are asked for by default");
}

/// The scheduler writes it as Normal: nothing else says why a pod is gone that had to make room.
#[tokio::test]
async fn w04_a_preemption_is_listed_and_watched_and_other_normal_events_are_not() {
    let server = ApiServer::start();
    let normal = |name: &str, reason: &str, about: &str| {
        let mut event = warning(name, "2026-11-22T11:59:00Z");
        event["type"] = json!("Normal");
        event["reason"] = json!(reason);
        event["message"] = json!(format!("{reason} by pod shop/urgent on node n1"));
        event["involvedObject"]["name"] = json!(about);
        event
    };
    let deployment = |name: &str| {
        json!({ "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": name, "namespace": "shop", "creationTimestamp": "2026-11-21T00:00:00Z" },
            "spec": { "replicas": 2 }, "status": { "replicas": 2, "readyReplicas": 1, "updatedReplicas": 2 } })
    };
    server.put(deployment("web"));
    server.put(deployment("api"));
    server.put(normal("e1", "Preempted", "web-6d4b8c7f95-zzzzz"));
    server.put(normal("e2", "Scheduled", "web-6d4b8c7f95-zzzzz"));
    server.put(warning("e3", "2026-11-22T11:59:00Z"));
    let watching = Watching::of(&server, |_| {}).await;
    let names = |reading: &ClusterReading| {
        let events = reading.cluster.events.iter();
        events.map(|event| format!("{} {}", event.reason, event.about.name)).collect::<Vec<_>>()
    };
    let listed = ["Unhealthy web", "Preempted web-6d4b8c7f95-zzzzz"];
    assert_eq!(names(&watching.until_whole().await), listed);
    let lists = server.count(false, "events");
    // They come by the watches: the first one means nothing, and is here before the last one if it comes at all.
    server.put(normal("e4", "Pulled", "api-6d4b8c7f95-xxxxx"));
    server.put(normal("e5", "Preempted", "api-6d4b8c7f95-xxxxx"));
    let reading = watching.until("it came by the watch", |r| r.cluster.events.len() > 2).await;
    assert_eq!(names(&reading)[..2], listed);
    assert_eq!(names(&reading)[2..], ["Preempted api-6d4b8c7f95-xxxxx"]);
    assert_eq!(server.count(false, "events"), lists);
    let found = findings(&reading, &Catalogue::default(), &Onsets::default(), now());
    for owner in ["Deployment/web", "Deployment/api"] {
        let missing = found.iter().find(|finding| finding.owner == owner).expect("it is missing");
        assert!(missing.reason.contains("Preempted by pod shop/urgent"), "{missing:?}");
    }

    // They are one kind: refused, they fail once.
    server.lists("events", Mood::Refuses(403));
    server.cut("events", Cut::Gone);
    let reading = watching.until("they are refused", |r| !r.is_whole()).await;
    let is_both = |r: &ClusterReading| r.cluster.events.is_empty();
    assert!(is_both(&reading));
    let said = &reading.failures[&Kind::Events].text;
    assert_eq!(said.matches("403 Forbidden").count(), 1, "{said}");
}
