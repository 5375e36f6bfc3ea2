//! Rules on the ring, held against values that Prometheus' `increase()` and aggregates give by hand.

use std::time::Duration;

use super::evaluate::points;
use super::exposition::parse;
use super::ring::Ring;
use crate::domain::Labels;
use crate::domain::reading::Point;
use crate::domain::rule::{Aggregate, Comparison, MetricRule};
use crate::domain::time::{Time, after};
use crate::monitor::window::Windows;

const POLL: Duration = Duration::from_secs(30);

fn at(seconds: u64) -> Time {
    after(Time::from_timestamp(1_700_000_000, 0).expect("valid"), Duration::from_secs(seconds))
}

fn scraped(expositions: &[(u64, &str)]) -> Ring {
    let mut ring = Ring::new(Duration::from_secs(300), POLL);
    for (seconds, text) in expositions {
        let samples = parse(text, |_| true).expect("a good exposition");
        assert!(ring.record(at(*seconds), samples));
    }
    ring
}

fn rule(aggregate: Option<Aggregate>, by: &[&str]) -> MetricRule {
    MetricRule {
        metric: "m".to_owned(),
        labels: Labels::new(),
        aggregate,
        by: by.iter().map(|&label| label.to_owned()).collect(),
        increase_over: None,
        comparison: Comparison::Gt,
        threshold: 0.0,
    }
}

fn over(seconds: u64) -> Windows {
    Windows { base: Duration::from_secs(seconds), narrowed: None }
}

fn read(ring: &Ring, rule: &MetricRule, windows: Option<&Windows>, now: u64) -> Vec<Point> {
    points(ring, rule, &Labels::new(), windows, at(now))
}

fn value(ring: &Ring, rule: &MetricRule, windows: Option<&Windows>, now: u64) -> Option<f64> {
    let points = read(ring, rule, windows, now);
    assert!(points.len() < 2, "{points:?}");
    points.first().map(|point| point.value)
}

fn close(value: Option<f64>, expected: f64) {
    let value = value.expect("a value");
    assert!((value - expected).abs() < 1e-9, "{value} is not {expected}");
}

fn counter(values: &[(u64, f64)]) -> Ring {
    let texts: Vec<(u64, String)> = values.iter().map(|(t, v)| (*t, format!("m {v}"))).collect();
    scraped(&texts.iter().map(|(t, text)| (*t, text.as_str())).collect::<Vec<_>>())
}

#[test]
fn an_increase_is_extrapolated_to_the_ends_of_its_window() {
    let plain = rule(None, &[]);
    // Samples every 30 s from 0 to 300 s, one a second, far from zero: 10 inside (0, 300], 270 seen over 270 s, and
    // 30 s to the window's start are within 1.1 spacings.
    let steady: Vec<(u64, f64)> =
        (0..=10u32).map(|i| (u64::from(i) * 30, 1000.0 + f64::from(i) * 30.0)).collect();
    close(value(&counter(&steady), &plain, Some(&over(300)), 300), 300.0);
    // Begun 90 s ago: the start is far, so half a spacing (15 s) is added: 90 · (90 + 15) / 90.
    let young = [(210, 1000.0), (240, 1030.0), (270, 1060.0), (300, 1090.0)];
    close(value(&counter(&young), &plain, Some(&over(300)), 300), 105.0);
    // The same from 5 on: it was zero 5 s before its first sample, so only those 5 s are added.
    let from_zero = [(210, 5.0), (240, 35.0), (270, 65.0), (300, 95.0)];
    close(value(&counter(&from_zero), &plain, Some(&over(300)), 300), 95.0);
    close(value(&counter(&[(270, 7.0), (300, 7.0)]), &plain, Some(&over(300)), 300), 0.0);
}

#[test]
fn a_reset_counts_what_came_after_it() {
    // 100 → 130 → (reset) 10 → 40: 30 + 10 + 30 over 90 s; 15 s more at the start.
    let reset = [(210, 100.0), (240, 130.0), (270, 10.0), (300, 40.0)];
    let expected = 70.0 * 105.0 / 90.0;
    close(value(&counter(&reset), &rule(None, &[]), Some(&over(300)), 300), expected);
}

#[test]
fn one_sample_is_no_increase() {
    assert_eq!(value(&counter(&[(300, 7.0)]), &rule(None, &[]), Some(&over(300)), 300), None);
    let old = counter(&[(0, 1.0), (300, 7.0)]);
    assert_eq!(value(&old, &rule(None, &[]), Some(&over(300)), 300), None, "left-open window");
}

#[test]
fn a_series_that_is_not_in_the_present_scrape_is_absent() {
    let ring = scraped(&[(0, "m{a=\"1\"} 5\nm{a=\"2\"} 6"), (30, "m{a=\"1\"} 7")]);
    assert_eq!(read(&ring, &rule(None, &[]), None, 30).len(), 1);
    assert_eq!(read(&ring, &rule(None, &[]), Some(&over(300)), 30).len(), 1);
    let as_it_was = read(&ring, &rule(None, &[]), None, 15);
    assert_eq!(as_it_was.len(), 2, "history still holds it");
}

#[test]
fn aggregates_keep_by_and_what_tells_systems_apart() {
    let text = "m{cluster=\"x\",a=\"1\",b=\"1\"} 1\nm{cluster=\"x\",a=\"1\",b=\"2\"} 4\nm{cluster=\"y\",a=\"1\",b=\"3\"} 2";
    let ring = scraped(&[(0, text)]);
    let answered = |aggregate| -> Vec<(String, f64)> {
        read(&ring, &rule(Some(aggregate), &["a"]), None, 0)
            .into_iter()
            .map(|point| {
                assert_eq!(point.labels.len(), 2, "{point:?}");
                (point.labels["cluster"].clone(), point.value)
            })
            .collect()
    };
    let expect = |x, y| vec![("x".to_owned(), x), ("y".to_owned(), y)];
    assert_eq!(answered(Aggregate::Max), expect(4.0, 2.0));
    assert_eq!(answered(Aggregate::Min), expect(1.0, 2.0));
    assert_eq!(answered(Aggregate::Sum), expect(5.0, 2.0));
    assert_eq!(answered(Aggregate::Avg), expect(2.5, 2.0));
}

#[test]
fn nan_is_absent_and_does_not_hide_a_number() {
    let ring = scraped(&[(0, "m{a=\"1\"} NaN\nm{a=\"2\"} 3\nm{a=\"3\"} +Inf")]);
    assert_eq!(read(&ring, &rule(None, &[]), None, 0).len(), 1);
    close(value(&ring, &rule(Some(Aggregate::Min), &[]), None, 0), 3.0);
    assert_eq!(value(&ring, &rule(Some(Aggregate::Sum), &[]), None, 0), None);
}

#[test]
fn labels_select_and_only_another_scope_is_foreign() {
    let ring = scraped(&[(0, "m{q=\"0.95\"} 1\nm{q=\"0.5\"} 2\nm{q=\"0.95\",cluster=\"b\"} 3")]);
    let mut wanted = rule(None, &[]);
    wanted.labels.insert("q".to_owned(), "0.95".to_owned());
    let scope = Labels::from([("cluster".to_owned(), "a".to_owned())]);
    let found = points(&ring, &wanted, &scope, None, at(0));
    assert_eq!(found.iter().map(|point| point.value).collect::<Vec<_>>(), [1.0]);
}

#[test]
fn an_exposed_timestamp_is_the_samples_age() {
    let ring = scraped(&[(100, "m 1 1700000040000")]);
    assert_eq!(read(&ring, &rule(None, &[]), None, 100)[0].sampled_at, at(40));
}

#[test]
fn woken_scrapes_seconds_apart_do_not_lose_the_window_or_a_reset() {
    // Every second for ten minutes with one reset; kept thinned out, the increase is still that of the whole.
    let climb: Vec<(u64, f64)> = (0..600u32)
        .map(|i| (u64::from(i), f64::from(if i < 500 { 1000 + i } else { i - 500 })))
        .collect();
    let answered = value(&counter(&climb), &rule(None, &[]), Some(&over(300)), 599);
    let answered = answered.expect("a value");
    assert!((answered - 299.0).abs() < 3.0, "{answered}");
}
