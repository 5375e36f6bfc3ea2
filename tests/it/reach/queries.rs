//! W06, case 09: a proxy that allows reading alone refuses queries by POST.

use axum::http::Method;

use super::server::{Asked, Server};
use super::{monitor, prometheus, read, read_with, says};

const FORBIDDEN: &str = "Forbidden (user=system:serviceaccount:mape-k:mape-k, verb=create, resource=prometheuses, subresource=api)";

fn posts(asked: &[Asked]) -> usize {
    asked.iter().filter(|asked| asked.method == Method::POST).count()
}

#[tokio::test]
async fn w06_queries_go_by_get_where_post_is_refused_and_stay_there() {
    for status in [403, 405, 501] {
        let proxy = Server::plain(move |asked| {
            (asked.method == Method::POST).then_some((status, FORBIDDEN))
        })
        .await;
        let url = format!("http://{}", proxy.address);
        let mut monitor = monitor(&prometheus(&url, ""));
        assert_eq!(read(&monitor.observe(&[], None).await), Ok(1), "{status}");
        let first = proxy.asked();
        assert!(posts(&first) > 0 && posts(&first) < first.len(), "{status}");
        assert_eq!(read(&monitor.observe(&[], None).await), Ok(1), "{status}");
        assert_eq!(posts(&proxy.asked()), posts(&first), "{status}: no POST after the first cycle");
    }
    // The twin: where POST is answered, nothing goes by GET.
    let open = Server::plain(|_| None).await;
    assert_eq!(read_with(&format!("http://{}", open.address), "").await, Ok(1));
    assert_eq!(posts(&open.asked()), open.asked().len());
}

#[tokio::test]
async fn w06_what_refuses_both_names_both_methods() {
    for (by_get, words) in [(403, "403 Forbidden to GET"), (405, "405 Method Not Allowed to GET")] {
        let proxy = Server::plain(move |asked| {
            let status = if asked.method == Method::POST { 403 } else { by_get };
            Some((status, FORBIDDEN))
        })
        .await;
        let url = format!("http://{}", proxy.address);
        let result = read_with(&url, "http: {bearer_token: a-token}").await;
        says(&result, &["403 Forbidden: to POST", words, "verb=create"]);
    }
    // Another trouble behind the GET is told as it is.
    for (by_get, text) in [(503, "no store"), (401, "a token, please")] {
        let proxy = Server::plain(move |asked| {
            Some(if asked.method == Method::POST { (405, "reading alone") } else { (by_get, text) })
        })
        .await;
        let result = read_with(&format!("http://{}", proxy.address), "").await;
        says(&result, &["to GET, after 405 Method Not Allowed to POST", text]);
    }
}

#[tokio::test]
async fn w06_a_query_too_long_for_a_get_is_said() {
    let proxy = Server::plain(|asked| {
        if asked.method == Method::POST {
            return Some((405, "reading alone"));
        }
        (asked.uri.to_string().len() > 4000).then_some((414, "URI Too Long"))
    })
    .await;
    let url = format!("http://{}", proxy.address);
    let rule = |length: usize| {
        let query = format!("g{{a=\\\"{}\\\"}}", "x".repeat(length));
        format!(
            "monitor: {{prometheus_url: \"{url}\", metrics: [{{name: m, metric: g, comparison: gt, threshold: 1}}], \
             queries: [{{name: q, promql: \"{query}\", comparison: gt, threshold: 1}}]}}\nalertmanager: {{enabled: false}}"
        )
    };
    let of_query = async |length| {
        let seen = monitor(&rule(length)).observe(&[], None).await;
        let points = &seen.readings[1].points;
        points.as_ref().map(Vec::len).map_err(|failure| failure.text.clone())
    };
    says(&of_query(5000).await, &["414", "too long for a GET", "Allow POST"]);
    says(&of_query(70_000).await, &["not sent", "too long for a GET", "Allow POST"]);
    assert_eq!(of_query(50).await, Ok(1));
}
