//! Bad input and bad days of Prometheus: each fails the rule or the source that it spoils, says why, and nothing else.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use mape_k::domain::reading::FailureKind;
use mape_k::domain::rule::Measure;
use mape_k::monitor::Settings;
use url::Url;

use super::fake::{Call, Fake, Reply, data, ok, prometheus, scalar, unix_now};
use super::{failure, gauge, observe, points, rule, settings};

/// Rule `bad` gets this answer, rule `good` a good one.
async fn beside_a_good_rule(answer: Reply, kind: FailureKind, says: &str) {
    let fake = Fake::start(move |call: &Call| {
        if call.query().contains("bad") { answer.clone() } else { prometheus(call, &[("{}", "1")]) }
    })
    .await;
    let seen = observe(settings(&fake.url, vec![gauge("bad"), gauge("good")])).await;
    let failed = failure(&seen, "bad");
    assert_eq!(failed.kind, kind, "{failed}");
    for part in [says, "prometheus", fake.url.as_str().trim_end_matches('/'), "bad"] {
        assert!(failed.text.contains(part), "{part:?} is not in {failed}");
    }
    assert_eq!(points(&seen, "good").as_ref().expect("untouched").len(), 1);
    assert!(seen.sources[0].result.is_ok(), "one bad rule is no bad source");
}

#[tokio::test]
async fn a_servers_own_error_is_passed_on() {
    let body = r#"{"status":"error","errorType":"bad_data","error":"parse error at char 3"}"#;
    let answer = Reply::With(400, body.to_owned());
    beside_a_good_rule(answer, FailureKind::Server, "bad_data: parse error at char 3").await;
    let gateway = Reply::With(502, "<html>Bad Gateway</html>".to_owned());
    beside_a_good_rule(gateway, FailureKind::Server, "502").await;
    let moved = Reply::With(302, String::new());
    beside_a_good_rule(moved, FailureKind::Server, "redirects").await;
}

#[tokio::test]
async fn html_strings_and_histograms_are_nonsense() {
    let nonsense = FailureKind::Nonsense;
    beside_a_good_rule(ok("<html>login</html>"), nonsense, "<html>").await;
    beside_a_good_rule(ok(data("string", r#"[1,"x"]"#)), nonsense, "string").await;
    beside_a_good_rule(ok(scalar(1.0)), nonsense, "one number for each series").await;
    beside_a_good_rule(ok(data("matrix", "[]")), nonsense, "one number for each series").await;
    let histogram = r#"[{"metric":{},"histogram":[1,{"count":"1","sum":"1"}]}]"#;
    beside_a_good_rule(ok(data("vector", histogram)), nonsense, "histogram_quantile").await;
}

#[tokio::test]
async fn a_warning_drops_the_answer_whole() {
    let body = data("vector", "[]").replacen('{', r#"{"warnings":["store-1 is gone"],"#, 1);
    beside_a_good_rule(ok(body), FailureKind::Partial, "store-1 is gone").await;
}

#[tokio::test]
async fn nan_and_an_unknown_metric_are_missing_and_not_healthy() {
    let fake = Fake::start(|call| {
        let row: &[(&str, &str)] =
            if call.query().contains("nan") { &[("{}", "NaN")] } else { &[] };
        prometheus(call, row)
    })
    .await;
    let seen = observe(settings(&fake.url, vec![gauge("nan"), gauge("no_such_metric")])).await;
    for reading in &seen.readings {
        assert_eq!(reading.points, Ok(Vec::new()));
        assert!(!reading.empty_is_clear);
    }
}

/// A05: an answer that hangs fails at the deadline; the rule that answered in time stands.
#[tokio::test]
async fn a_hanging_query_fails_at_the_deadline() {
    let timeout = Duration::from_millis(400);
    let fake = Fake::start(|call| {
        if call.query().contains("bad") { Reply::Hang } else { prometheus(call, &[("{}", "1")]) }
    })
    .await;
    let many = (0..40).map(|i| gauge(&format!("bad_{i}")));
    let mut settings = settings(&fake.url, [gauge("good")].into_iter().chain(many).collect());
    settings.query_timeout = timeout;
    let started = Instant::now();
    let seen = observe(settings).await;
    let took = started.elapsed();
    println!("40 hanging rules under a deadline of {timeout:?} took {took:?}");
    assert!(took < timeout * 10);
    assert!(points(&seen, "good").is_ok());
    for i in 0..40 {
        assert_eq!(failure(&seen, &format!("bad_{i}")).kind, FailureKind::Timeout);
    }
}

/// A05: nobody listens.
#[tokio::test]
async fn refused_fails_the_source_and_hides_credentials() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let url = Url::parse(&format!("http://joe:hunter2@{address}/?key=hunter2")).expect("a URL");
    let seen = observe(settings(&url, vec![gauge("g")])).await;
    let source = seen.sources[0].result.as_ref().expect_err("not read");
    assert_eq!(source.kind, FailureKind::Unreachable);
    assert!(source.text.contains(&format!("http://{address}")), "{source}");
    assert!(source.text.contains("monitor.prometheus_url"), "{source}");
    assert!(!source.text.contains("hunter2"), "{source}");
    assert_eq!(failure(&seen, "g"), source);
}

/// A05: every query answers 500.
#[tokio::test]
async fn a_server_of_errors_is_a_source_that_was_not_read() {
    let fake = Fake::start(|_| Reply::With(500, "boom".to_owned())).await;
    let seen =
        observe(Settings { prometheus_url: Some(fake.url.clone()), ..Settings::default() }).await;
    assert_eq!(seen.sources[0].result.as_ref().expect_err("not read").kind, FailureKind::Server);
    assert!(seen.readings.iter().all(|reading| reading.points.is_err()));
    let only_time = Fake::start(|call| match call.query() {
        "time()" => ok(scalar(unix_now())),
        _ => Reply::With(503, "busy".to_owned()),
    })
    .await;
    let seen = observe(settings(&only_time.url, vec![gauge("a"), gauge("b")])).await;
    assert!(seen.sources[0].result.is_err(), "no rule was read, whatever its clock said");
}

#[tokio::test]
async fn a_clock_too_far_off_fails_every_reading() {
    for (off, word) in [(31.5, "ahead"), (-31.5, "behind")] {
        let fake = Fake::start(move |call| match call.query() {
            "time()" => ok(scalar(unix_now() + off)),
            _ => prometheus(call, &[("{}", "1")]),
        })
        .await;
        let seen = observe(settings(&fake.url, vec![gauge("g")])).await;
        let failed = failure(&seen, "g");
        assert_eq!(failed.kind, FailureKind::Skew);
        // Whoever repairs it sees how far off it is.
        let skew = seen.sources[0].skew.expect("a skew");
        assert!((skew - off).abs() < 5.0, "{skew}");
        assert!(failed.text.contains(word) && failed.text.contains("NTP"), "{failed}");
    }
}

#[tokio::test]
async fn a_condition_whose_proof_fails_is_not_clear() {
    let fake = Fake::start(|call| match call.query() {
        "proof" => Reply::With(500, "boom".to_owned()),
        _ => prometheus(call, &[]),
    })
    .await;
    let present = Some("proof".to_owned());
    let condition = rule("c", Measure::Condition { promql: "up == 0".to_owned(), present });
    let seen = observe(settings(&fake.url, vec![condition, gauge("g")])).await;
    assert_eq!(failure(&seen, "c").kind, FailureKind::Server);
}

#[tokio::test]
async fn a_hundred_thousand_series_are_read() {
    let body = |value: f64| {
        let mut rows = String::new();
        for i in 0..100_000 {
            let comma = if i == 0 { "" } else { "," };
            write!(rows, r#"{comma}{{"metric":{{"component":"c{i}","pod":"pod-{i}"}},"value":[1,"{value}"]}}"#)
                .expect("a String takes everything");
        }
        data("vector", &format!("[{rows}]"))
    };
    let (values, stamps) = (body(7.0), body(unix_now()));
    let fake = Fake::start(move |call| match call.query() {
        "time()" => ok(scalar(unix_now())),
        query if query.contains("timestamp(") => ok(stamps.clone()),
        _ => ok(values.clone()),
    })
    .await;
    let mut settings = settings(&fake.url, vec![gauge("g")]);
    settings.query_timeout = Duration::from_secs(100);
    let started = Instant::now();
    let seen = observe(settings).await;
    println!("100,000 series read in {:?}", started.elapsed());
    assert_eq!(points(&seen, "g").as_ref().expect("read").len(), 100_000);
}

#[tokio::test]
async fn an_answer_beyond_every_bound_is_dropped() {
    let huge = format!("{}{}", " ".repeat(65 * 1024 * 1024), data("vector", "[]"));
    beside_a_good_rule(ok(huge), FailureKind::TooLarge, "64 MiB").await;
}
