//! The text format of metrics, good and bad.

use proptest::prelude::*;

use mape_k::monitor::scrape::exposition::{ParseError, Sample, parse};

fn all(text: &str) -> Result<Vec<Sample>, ParseError> {
    parse(text, |_| true)
}

fn one(text: &str) -> Sample {
    let mut samples = all(text).expect("a good line");
    assert_eq!(samples.len(), 1);
    samples.remove(0)
}

#[test]
fn a_summary_keeps_its_quantile_as_a_label() {
    let text = "# HELP l Latency\n# TYPE l summary\nl{quantile=\"0.95\",validation_type=\"sig\"} 1.5\nl_sum 3\nl_count 2\n";
    let samples = all(text).expect("good");
    assert_eq!(samples.len(), 3);
    assert_eq!(samples[0].labels["quantile"], "0.95");
    assert!((samples[0].value - 1.5).abs() < f64::EPSILON);
}

#[test]
fn label_values_may_hold_anything() {
    let sample = one(r#"m{a="x,y={z}",b="q\"w\\e\nr \d" , } -Inf 1700000000000"#);
    assert_eq!(sample.labels["a"], "x,y={z}");
    assert_eq!(sample.labels["b"], "q\"w\\e\nr \\d");
    assert!(sample.value.is_infinite());
    assert_eq!(sample.timestamp_millis, Some(1_700_000_000_000));
}

#[test]
fn names_with_colons_quoted_names_and_exemplars_are_read() {
    assert_eq!(one("job:rate:5m 1e3").name, "job:rate:5m");
    let quoted = one(r##"{"charter.failures", "k8s.pod"="p"} 2 # {trace="#"} 1"##);
    assert_eq!(
        (quoted.name.as_str(), quoted.labels["k8s.pod"].as_str()),
        ("charter.failures", "p")
    );
    assert!(one("m NaN").value.is_nan());
}

#[test]
fn one_bad_line_fails_the_whole_and_is_named() {
    for bad in [
        "<html>",
        "m",
        "m x",
        "m{a=b} 1",
        "m{a=\"b} 1",
        "m{a=\"b\" 1",
        "m{a=\"1\",a=\"2\"} 1",
        "m{\"a\"} 1",
        "m 1 2 3",
        "9m 1",
    ] {
        let error = all(&format!("good 1\n{bad}\n")).expect_err(bad);
        assert_eq!(error.line, 2, "{bad}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[a-z{}\"=,\\\\ #0-9\n:é]{0,120}", any in ".{0,120}") {
        let _ = all(&text);
        let _ = all(&any);
    }

    #[test]
    fn what_is_escaped_comes_back(value in "[ -~\n]{0,40}") {
        let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let sample = one(&format!("m{{a=\"{escaped}\"}} 1"));
        prop_assert_eq!(&sample.labels["a"], &value);
    }
}
