//! Good days: values, ages, ranges, conditions and windows.

use chrono::TimeDelta;
use mape_k::clock::Clock;
use mape_k::domain::reading::CounterBaseline;
use mape_k::domain::rule::{Comparison, Measure, Rule};
use mape_k::domain::secret::Secret;
use mape_k::domain::target::Target;
use mape_k::monitor::settings::shipped_rules;
use mape_k::monitor::{HistoryRequest, Settings};

use super::fake::{Fake, data, ok, prometheus, scalar, unix_now, vector};
use super::{gauge, monitor, observe, points, rule, settings};

/// A03: 1.5 over 1.0 breaks and .9 does not; both are seen, with value and labels.
#[tokio::test]
async fn values_on_both_sides_of_the_threshold_are_read() {
    let fake = Fake::start(|call| {
        prometheus(
            call,
            &[(r#"{"__name__":"g","component":"a"}"#, "1.5"), (r#"{"component":"b"}"#, "0.9")],
        )
    })
    .await;
    let seen = observe(settings(&fake.url, vec![gauge("g")])).await;
    let read = points(&seen, "g").as_ref().expect("read");
    let (comparison, threshold) = seen.readings[0].rule.limit();
    let broken: Vec<(&str, f64)> = read
        .iter()
        .filter(|point| comparison.breaks(point.value, threshold))
        .map(|point| (point.labels["component"].as_str(), point.value))
        .collect();
    assert_eq!(read.len(), 2);
    assert_eq!(broken, [("a", 1.5)]);
    assert!(!read[0].labels.contains_key("__name__"));
    assert!(seen.sources[0].skew.expect("a skew").abs() < 5.0);
}

/// A03: the range query carries start, end and step, and its points come back with their times.
#[tokio::test]
async fn history_is_one_range_query_with_start_end_and_step() {
    let fake = Fake::start(|call| {
        if call.path.ends_with("query_range") {
            let values = r#"[[1700000000,"1"],[1700000030,"NaN"],[1700000060,"2.5"]]"#;
            ok(data("matrix", &format!(r#"[{{"metric":{{"component":"a"}},"values":{values}}}]"#)))
        } else {
            prometheus(call, &[])
        }
    })
    .await;
    let from = Clock::start().now() - TimeDelta::seconds(600);
    let wanted = HistoryRequest { rules: vec!["g".to_owned(), "no_such_rule".to_owned()], from };
    let seen = monitor(settings(&fake.url, vec![gauge("g"), gauge("other")]))
        .observe(&[], Some(&wanted))
        .await;
    let history = seen.history.expect("read");
    assert_eq!(history.len(), 1);
    assert_eq!(history[0].rule, "g");
    let values: Vec<(i64, f64)> =
        history[0].points.iter().map(|(t, v)| (t.timestamp(), *v)).collect();
    assert_eq!(values, [(1_700_000_000, 1.0), (1_700_000_060, 2.5)]);

    let calls = fake.calls();
    let ranges: Vec<_> = calls.iter().filter(|call| call.path.ends_with("query_range")).collect();
    assert_eq!(ranges.len(), 1);
    let number = |key: &str| ranges[0].pairs[key].parse::<f64>().expect("a number");
    assert_eq!(ranges[0].query(), "g");
    assert!((number("end") - number("start") - 600.0).abs() < 5.0);
    assert!((number("step") - 30.0).abs() < f64::EPSILON);
}

/// A04: each shipped rule asks for its own values and their timestamps, and its answer lands in its own reading.
#[tokio::test]
async fn each_shipped_rule_reads_its_own_series() {
    let fake = Fake::start(|call| {
        let value = if call.query().contains("failure_rate") { "0.11" } else { "0.05" };
        prometheus(call, &[(r#"{"component":"a"}"#, value)])
    })
    .await;
    let seen =
        observe(Settings { prometheus_url: Some(fake.url.clone()), ..Settings::default() }).await;
    let broken: Vec<&str> = seen
        .readings
        .iter()
        .filter(|reading| {
            let (comparison, threshold) = reading.rule.limit();
            let points = reading.points.as_ref().expect("read");
            points.iter().any(|point| comparison.breaks(point.value, threshold))
        })
        .map(|reading| reading.rule.name.as_str())
        .collect();
    // .05 is below 100 ops/s and an increase above 0; latency is below 1.0.
    assert_eq!(broken, ["failure_rate", "throughput", "critical_policy_violations"]);
    let calls = fake.calls();
    assert_eq!(calls.len(), 1 + 2 * shipped_rules().len(), "time() and two for each rule");
}

#[tokio::test]
async fn ages_are_taken_on_the_servers_clock() {
    // Its clock is 20 s ahead, inside the limit; the sample is 40 s old on that clock.
    let fake = Fake::start(|call| match call.query() {
        "time()" => ok(scalar(unix_now() + 20.0)),
        query if query.contains("timestamp(") => {
            ok(vector(&[("{}", &(unix_now() + 20.0 - 40.0).to_string())]))
        }
        _ => ok(vector(&[("{}", "1")])),
    })
    .await;
    let seen = observe(settings(&fake.url, vec![gauge("g")])).await;
    let age = seen.at - points(&seen, "g").as_ref().expect("read")[0].sampled_at;
    assert!((35..=45).contains(&age.num_seconds()), "{age}");
    let skew = seen.sources[0].skew.expect("told");
    assert!((skew - 20.0).abs() < 5.0, "{skew}");
}

#[tokio::test]
async fn a_value_without_a_present_sample_is_absent() {
    let fake = Fake::start(|call| match call.query() {
        "time()" => ok(scalar(unix_now())),
        query if query.contains("timestamp(") => ok(vector(&[])),
        _ => ok(vector(&[("{}", "7")])),
    })
    .await;
    let seen = observe(settings(&fake.url, vec![gauge("g")])).await;
    assert_eq!(points(&seen, "g"), &Ok(Vec::new()));
}

fn condition(present: Option<&str>) -> Rule {
    let present = present.map(str::to_owned);
    rule("c", Measure::Condition { promql: "up == 0".to_owned(), present })
}

#[tokio::test]
async fn a_condition_that_answers_breaks_even_with_value_0() {
    let fake = Fake::start(|call| prometheus(call, &[(r#"{"job":"x"}"#, "0")])).await;
    let seen = observe(settings(&fake.url, vec![condition(None)])).await;
    let (comparison, threshold) = seen.readings[0].rule.limit();
    let read = points(&seen, "c").as_ref().expect("read");
    assert!(comparison.breaks(read[0].value, threshold));
}

#[tokio::test]
async fn an_empty_condition_is_clear_only_while_its_proof_answers() {
    let empty_is_clear = async |present: Option<&str>, proof: &'static [(&str, &str)]| {
        let fake = Fake::start(move |call| {
            prometheus(call, if call.query() == "up" { proof } else { &[] })
        })
        .await;
        let seen = observe(settings(&fake.url, vec![condition(present)])).await;
        assert_eq!(points(&seen, "c"), &Ok(Vec::new()));
        seen.readings[0].empty_is_clear
    };
    assert!(empty_is_clear(Some("up"), &[("{}", "1")]).await);
    assert!(!empty_is_clear(Some("up"), &[]).await);
    assert!(!empty_is_clear(None, &[("{}", "1")]).await);
}

#[tokio::test]
async fn a_query_may_answer_a_scalar() {
    let fake = Fake::start(|call| match call.query() {
        "time()" => ok(scalar(unix_now())),
        _ => ok(scalar(42.0)),
    })
    .await;
    let measure = Measure::Query {
        promql: "scalar(x)".to_owned(),
        comparison: Comparison::Gt,
        threshold: 1.0,
    };
    let seen = observe(settings(&fake.url, vec![rule("q", measure)])).await;
    let read = points(&seen, "q").as_ref().expect("read");
    assert_eq!(read.iter().map(|p| p.value).collect::<Vec<_>>(), [42.0]);
}

#[tokio::test]
async fn the_token_is_sent_and_a_path_prefix_kept() {
    let fake = Fake::start(|call| prometheus(call, &[])).await;
    let mut settings = settings(&fake.url.join("/tenant/a/").expect("a URL"), vec![gauge("g")]);
    settings.bearer_token = Some(Secret::new("s3cret".to_owned()));
    observe(settings).await;
    for call in fake.calls() {
        assert_eq!(call.path, "/tenant/a/api/v1/query");
        assert_eq!(call.authorization.as_deref(), Some("Bearer s3cret"));
    }
}

#[tokio::test]
async fn after_an_action_a_counter_looks_only_at_what_came_after_it() {
    let fake = Fake::start(|call| prometheus(call, &[])).await;
    let mut monitor =
        monitor(Settings { prometheus_url: Some(fake.url.clone()), ..Settings::default() });
    let settled_at = Clock::start().now() - TimeDelta::seconds(10);
    monitor.observe(&[CounterBaseline { target: Target::Charter(None), settled_at }], None).await;
    let asked = |window: &str| fake.calls().iter().any(|call| call.query().contains(window));
    assert!(asked("[90s]"));
    assert!(!asked("[300s]"));
}

/// Issue 14: the series of a rule are gone because a label value changed, and the hint says so; without any series it does not.
#[tokio::test]
async fn a_changed_label_value_is_named_where_the_metric_has_other_series() {
    let latency = || vec![(*shipped_rules()[0]).clone()];
    let hint = async |there: &'static [(&'static str, &'static str)]| {
        let fake = Fake::start(move |call| {
            let of_others = call.query().starts_with("max by (quantile) (");
            prometheus(call, if of_others { there } else { &[] })
        })
        .await;
        observe(settings(&fake.url, latency())).await.readings[0].label_change.clone()
    };
    let changed = hint(&[(r#"{"quantile":"0.950"}"#, "1"), (r#"{"quantile":"0.5"}"#, "1")]).await;
    let changed = changed.expect("a hint");
    assert!(changed.contains(r#"quantile="0.95""#) && changed.contains(r#""0.950""#), "{changed}");
    let renamed = hint(&[("{}", "1")]).await.expect("a hint");
    assert!(renamed.contains("no such label"), "{renamed}");
    assert_eq!(hint(&[]).await, None);
}
