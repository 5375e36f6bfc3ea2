//! W06: names of Prometheus 3 in metrics, labels, by, scope and component_label; and those of Prometheus 2 as ever.

use super::server::{Asked, Server};
use super::{monitor, parsed, read, refused};

fn queries(asked: &[Asked]) -> Vec<&str> {
    asked.iter().map(|asked| asked.query.as_str()).filter(|query| *query != "time()").collect()
}

fn rule(metric: &str, label: &str, by: &str) -> String {
    format!(
        "[{{name: g, metric: \"{metric}\", labels: {{\"{label}\": x}}, aggregate: max, by: [\"{by}\"], increase_over: 5m, \
         comparison: gt, threshold: 1, component_label: \"{by}\"}}]"
    )
}

#[tokio::test]
async fn w06_names_with_dots_are_quoted_and_plain_ones_are_not() {
    for (metric, label, by, selector, kept) in [
        (
            "my.metric",
            "my.label",
            "k8s.pod.name",
            r#"{__name__="my.metric","my.label"="x","deployment.environment"="eu"}"#,
            r#"by ("k8s.pod.name", cluster, charter, job)"#,
        ),
        (
            "größe/total",
            "my-label",
            "pod",
            r#"{__name__="größe/total","my-label"="x","deployment.environment"="eu"}"#,
            "by (pod, cluster, charter, job)",
        ),
        (
            "job:rate:sum",
            "label",
            "k8s pod",
            r#"job:rate:sum{label="x","deployment.environment"="eu"}"#,
            r#"by ("k8s pod", cluster, charter, job)"#,
        ),
    ] {
        let server = Server::plain(|_| None).await;
        let yaml = format!(
            "monitor: {{prometheus_url: \"http://{}\", scope: {{deployment.environment: eu}}, metrics: {}}}\n\
             alertmanager: {{enabled: false}}",
            server.address,
            rule(metric, label, by)
        );
        assert_eq!(read(&monitor(&yaml).observe(&[], None).await), Ok(1));
        let asked = server.asked();
        let mut asked = queries(&asked);
        asked.sort_unstable();
        let expected = [
            format!("max {kept} (increase({selector}[300s]))"),
            format!("min {kept} (timestamp({selector}))"),
        ];
        assert_eq!(asked, expected);
        // What is printed can be loaded again.
        let config = parsed(&yaml);
        assert_eq!(parsed(&config.to_yaml().expect("prints")), config);
    }
    // The twin: names that Prometheus 2 knows are asked for in its own language.
    let server = Server::plain(|_| None).await;
    let yaml = format!(
        "monitor: {{prometheus_url: \"http://{}\", scope: {{cluster: eu}}, metrics: {}}}\nalertmanager: {{enabled: false}}",
        server.address,
        rule("my_metric", "my_label", "pod")
    );
    assert_eq!(read(&monitor(&yaml).observe(&[], None).await), Ok(1));
    let asked = server.asked();
    for query in queries(&asked) {
        assert!(query.contains(r#"my_metric{my_label="x",cluster="eu"}"#), "{query}");
        assert!(!query.contains("__name__") && query.contains("by (pod, "), "{query}");
    }
}

/// A direct scrape asks for names as they are, but only for rules that have such names.
#[tokio::test]
async fn w06_a_scrape_reads_names_with_dots() {
    let server = Server::plain(|_| None).await;
    let of = |metric: &str| {
        let rule = format!(
            "{{name: g, metric: \"{metric}\", labels: {{my.label: x}}, comparison: gt, threshold: 1}}"
        );
        let plain = format!("{{name: g, metric: \"{metric}\", comparison: gt, threshold: 1}}");
        let rule = if metric.contains('.') { rule } else { plain };
        format!(
            "monitor: {{source: scrape, scrape_url: \"http://{}/metrics\", metrics: [{rule}]}}\n\
             alertmanager: {{enabled: false}}",
            server.address
        )
    };
    assert_eq!(read(&monitor(&of("my.metric")).observe(&[], None).await), Ok(1));
    assert_eq!(read(&monitor(&of("my_metric")).observe(&[], None).await), Ok(0));
    let formats: Vec<String> =
        server.asked().iter().map(|asked| asked.header("accept").to_owned()).collect();
    assert!(formats[0].contains("escaping=allow-utf-8"), "{formats:?}");
    assert_eq!(formats[1], "text/plain;version=0.0.4");
}

/// An expression in the place of a name would read nothing for ever.
#[test]
fn w06_an_expression_is_no_name() {
    for metric in ["rate(x[5m])", "m{}", "{__name__='a'}", "a >= 1", " a", ""] {
        let text = refused(&format!(
            "monitor: {{metrics: [{{name: a, metric: \"{metric}\", comparison: gt, threshold: 1}}]}}"
        ));
        assert!(
            text.contains("monitor.metrics[0].metric") && text.contains("monitor.queries"),
            "{text}"
        );
    }
    for (key, value) in
        [("by", "[\"a,b\"]"), ("labels", "{\"a=\": b}"), ("component_label", "'{{x}}'")]
    {
        let text = refused(&format!(
            "monitor: {{metrics: [{{name: a, metric: a, aggregate: sum, comparison: gt, threshold: 1, {key}: {value}}}]}}"
        ));
        assert!(text.contains(&format!("monitor.metrics[0].{key}")), "{text}");
    }
    parsed("alertmanager: {handlers: [{pattern: a, component_label: k8s.pod.name}]}");
}
