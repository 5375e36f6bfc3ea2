//! When the API server cannot be read, or not all of it: what is said, what is left out, and that it mends by itself.

use mape_k::domain::cluster::{ClusterReading, Kind};
use mape_k::domain::reading::FailureKind;
use mape_k::monitor::cluster::settings::Settings;
use mape_k::monitor::cluster::{ClusterWatch, WatchTimeouts};

use super::api_server::{ApiServer, Cut, Mood};
use super::objects::pod;
use super::{PATIENCE, WITHIN, Watching, only, pods};
use crate::support::eventually::eventually;

fn text(reading: &ClusterReading, kind: Kind) -> &str {
    reading.failures.get(&kind).map_or("no failure", |failure| failure.text.as_str())
}

#[tokio::test]
async fn b02_with_the_api_down_every_kind_fails_and_all_recovers_by_itself() {
    let mut server = ApiServer::start();
    server.put_one_of_each();
    let watching = Watching::of(&server, |_| {}).await;
    watching.until_whole().await;

    server.down();
    let reading = watching.until("nothing can be read", ClusterReading::is_unreadable).await;
    assert!(reading.cluster.pods.is_empty() && reading.cluster.nodes.is_empty(), "{reading:?}");
    for (kind, failure) in &reading.failures {
        assert_eq!(failure.kind, FailureKind::Unreachable, "{failure}");
        assert!(failure.text.contains(kind.as_str()), "{failure}");
        assert!(failure.text.contains(&server.url()), "{failure}");
        assert!(failure.text.contains("Check that it runs"), "{failure}");
    }
    println!("{}", text(&reading, Kind::Pods));

    server.up().await;
    let reading = watching.until_whole().await;
    assert_eq!(pods(&reading), ["one"]);
}

#[tokio::test]
async fn b02_an_api_that_was_never_there_is_said_at_once() {
    let mut server = ApiServer::start();
    server.down();
    let watching = Watching::of(&server, |_| {}).await;
    watching.watch.ready(tokio::time::Instant::now() + WITHIN).await;
    let reading = watching.read();
    assert!(reading.is_unreadable(), "{reading:?}");
    assert_eq!(reading.failures.len(), Kind::ALL.len());
}

#[tokio::test]
async fn b03_a_kind_that_is_forbidden_fails_alone_and_says_what_to_grant() {
    let server = ApiServer::start();
    server.put_one_of_each();
    server.lists("jobs", Mood::Refuses(403));
    let watching =
        Watching::of(&server, |settings| settings.namespaces = vec!["shop".to_owned()]).await;
    let reading = watching.until("the others are read", |r| r.failures.len() == 1).await;
    let said = text(&reading, Kind::Jobs);
    let (what, advice) = said.split_once(". ").expect("what, and what to do");
    let expected = format!(
        "kubernetes at {}, asked for jobs in namespace shop: 403 Forbidden: jobs is not for you",
        server.url()
    );
    assert!(what.starts_with(&expected), "{said}");
    let expected = "Give mape-k's Role the verbs list and watch on jobs in namespace shop, or leave the kind out of \
                    kubernetes.kinds";
    assert_eq!(advice, expected);
    assert!(reading.cluster.jobs.is_empty());
    assert_eq!(pods(&reading), ["one"]);
    assert!(!reading.is_unreadable());

    server.lists("jobs", Mood::Well);
    watching.until_whole().await;
}

#[tokio::test]
async fn b03_who_may_list_but_not_watch_is_told_so() {
    let server = ApiServer::start();
    server.put(pod("shop", "a"));
    server.watches("pods", Mood::Refuses(403));
    let watching = Watching::of(&server, only(&[Kind::Pods])).await;
    watching.until("it is refused", |r| text(r, Kind::Pods).contains("403 Forbidden")).await;
    // Lists succeed all the while; it stays refused until a watch does not.
    let lists = server.count(false, "pods");
    eventually(WITHIN, "it lists again", async || {
        assert!(!watching.read().is_whole(), "a list alone is not all that is needed");
        let now = server.count(false, "pods");
        if now > lists + 1 { Ok(()) } else { Err(now) }
    })
    .await;
    server.watches("pods", Mood::Well);
    watching.until_whole().await;
}

#[tokio::test]
async fn b03_a_namespace_that_is_forbidden_takes_its_kind_with_it() {
    let server = ApiServer::start();
    server.put(pod("shop", "a"));
    let watching = Watching::of(&server, |settings| {
        settings.namespaces = vec!["shop".to_owned(), "bank".to_owned()];
        settings.kinds = [Kind::Pods].into();
    })
    .await;
    watching.until_whole().await;
    server.lists("pods", Mood::Refuses(401));
    server.cut("pods", Cut::Gone);
    let reading = watching.until("it is refused", |r| text(r, Kind::Pods).contains("401")).await;
    assert!(
        reading.cluster.pods.is_empty(),
        "at once, not after a while: a token does not mend itself"
    );
    let both = |r: &ClusterReading| {
        text(r, Kind::Pods).contains("shop") && text(r, Kind::Pods).contains("bank")
    };
    watching.until("both are named", both).await;
}

#[tokio::test]
async fn b02_an_api_server_that_hangs_is_noticed_and_never_waited_for() {
    let server = ApiServer::start();
    server.put(pod("shop", "a"));
    let watching = Watching::of(&server, only(&[Kind::Pods])).await;
    watching.until_whole().await;
    server.watches("pods", Mood::Hangs);
    server.lists("pods", Mood::Hangs);
    server.cut("pods", Cut::End);
    let reading = watching.until("it has timed out", ClusterReading::is_unreadable).await;
    assert_eq!(reading.failures[&Kind::Pods].kind, FailureKind::Timeout, "{reading:?}");
    server.watches("pods", Mood::Well);
    server.lists("pods", Mood::Well);
    watching.until_whole().await;
}

#[tokio::test]
async fn b02_a_watch_that_falls_silent_is_replaced_by_lists() {
    let server = ApiServer::start();
    server.put(pod("shop", "a"));
    server.watches("pods", Mood::Sluggish);
    server.lists("pods", Mood::Sluggish);
    let watching = Watching::of(&server, only(&[Kind::Pods])).await;
    watching.until_whole().await;
    server.put(pod("shop", "b"));
    watching.until("b is seen all the same", |reading| pods(reading) == ["a", "b"]).await;
}

#[tokio::test]
async fn b02_a_break_within_the_grace_is_no_failure() {
    let mut server = ApiServer::start();
    server.put(pod("shop", "a"));
    // Nobody's test machine is away for a minute between the two.
    let patience = WatchTimeouts { grace: WITHIN * 3, ..PATIENCE };
    let watching = Watching::with(&server, patience, only(&[Kind::Pods])).await;
    watching.until_whole().await;
    server.down();
    server.up().await;
    server.put(pod("shop", "b"));
    eventually(WITHIN, "b is there", async || {
        let reading = watching.read();
        assert!(reading.is_whole(), "{:?}", reading.failures);
        if pods(&reading) == ["a", "b"] { Ok(()) } else { Err(format!("{:?}", pods(&reading))) }
    })
    .await;
}

#[tokio::test]
async fn b02_an_answer_that_is_not_the_apis_is_said_without_repeating_it() {
    let server = ApiServer::start();
    server.lists("pods", Mood::Html);
    server.lists("nodes", Mood::ProxyError);
    let watching = Watching::of(&server, only(&[Kind::Pods, Kind::Nodes])).await;
    watching.watch.ready(tokio::time::Instant::now() + WITHIN).await;
    let reading = watching.read();
    assert_eq!(reading.failures[&Kind::Pods].kind, FailureKind::Nonsense, "{reading:?}");
    assert_eq!(reading.failures[&Kind::Nodes].kind, FailureKind::Server, "{reading:?}");
    assert!(text(&reading, Kind::Nodes).contains("502"), "{reading:?}");
    assert!(!format!("{reading:?}").contains("token-of-the-tests"), "{reading:?}");
}

#[tokio::test]
async fn a_driver_that_does_not_run_leaves_nothing_that_looks_healthy() {
    let server = ApiServer::start();
    let settings = Settings { kubeconfig: Some(server.kubeconfig()), ..Settings::default() };
    let (watch, _driver) = ClusterWatch::new(&settings, PATIENCE).await.expect("a watch");
    assert!(watch.read(super::now()).is_unreadable());
}

#[tokio::test]
async fn a_kubeconfig_that_cannot_be_used_is_named_and_not_quoted() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("kubeconfig");
    let settings = Settings { kubeconfig: Some(path.clone()), ..Settings::default() };
    let error = ClusterWatch::new(&settings, PATIENCE).await.expect_err("there is none");
    let said = error.to_string();
    assert!(
        said.contains(&path.display().to_string()) && said.contains("kubernetes.kubeconfig"),
        "{said}"
    );

    std::fs::write(&path, "users: [{name: me, user: {token: \"s3cret}}]\n: :").expect("written");
    let error = ClusterWatch::new(&settings, PATIENCE).await.expect_err("it is no YAML");
    assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
}

#[tokio::test]
async fn over_tls_the_kubeconfigs_authority_is_trusted_and_no_other() {
    let server = ApiServer::start_encrypted();
    server.put(pod("shop", "a"));
    let watching = Watching::of(&server, only(&[Kind::Pods])).await;
    assert_eq!(pods(&watching.until_whole().await), ["a"]);

    let another = ApiServer::start_encrypted();
    let text = std::fs::read_to_string(server.kubeconfig()).expect("a kubeconfig");
    let path = another.kubeconfig();
    std::fs::write(&path, text.replace(&server.url(), &another.url())).expect("written");
    let wrong = Watching::of_kubeconfig(&path, only(&[Kind::Pods])).await;
    wrong.watch.ready(tokio::time::Instant::now() + WITHIN).await;
    let reading = wrong.read();
    assert_eq!(reading.failures[&Kind::Pods].kind, FailureKind::Unreachable, "{reading:?}");
    assert!(self::text(&reading, Kind::Pods).contains("certificate"), "{reading:?}");
    assert_eq!(another.asked().len(), 0, "the token was not sent");
}
