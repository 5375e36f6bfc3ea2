//! The answers of Prometheus' query API, decoded: what they hold, or why they cannot be used.
//!
//! Formats stay in here. Thanos, Mimir and VictoriaMetrics answer in the same form, with warnings, infos and marks of
//! partial answers of their own.

use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{IgnoredAny, MapAccess, Visitor};

use crate::domain::Labels;
use crate::domain::reading::FailureKind;

/// A usable answer. NaN and infinities are absent already.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Vector(Vec<(Labels, f64)>),
    Scalar(Option<f64>),
    /// Each point with its time in seconds since 1970 by the source's clock.
    Matrix(Vec<(Labels, Vec<(f64, f64)>)>),
}

/// Why an answer is of no use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    pub kind: FailureKind,
    pub what: String,
}

#[derive(Deserialize)]
struct Envelope {
    status: String,
    #[serde(default)]
    data: Option<Data>,
    #[serde(default)]
    warnings: Option<Vec<String>>,
    /// VictoriaMetrics' mark of a partial answer.
    #[serde(default, rename = "isPartial")]
    is_partial: bool,
}

#[derive(Deserialize)]
struct ErrorEnvelope {
    status: String,
    #[serde(default, rename = "errorType")]
    error_type: String,
    #[serde(default)]
    error: String,
}

#[derive(Deserialize)]
struct Data {
    #[serde(rename = "resultType")]
    result_type: String,
    #[serde(default)]
    result: Option<Vec<Element>>,
}

/// A vector and a matrix hold series; a scalar and a string are a pair of time and value.
enum Element {
    Series(Series),
    Number,
    Text(String),
}

#[derive(Deserialize)]
struct Series {
    #[serde(default)]
    metric: Labels,
    value: Option<(f64, String)>,
    values: Option<Vec<(f64, String)>>,
    histogram: Option<IgnoredAny>,
    histograms: Option<IgnoredAny>,
}

impl<'de> Deserialize<'de> for Element {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ElementVisitor;

        impl<'de> Visitor<'de> for ElementVisitor {
            type Value = Element;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a series, a time or a value")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Element, A::Error> {
                Series::deserialize(MapAccessDeserializer::new(map)).map(Element::Series)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Element, E> {
                Ok(Element::Number)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Element, E> {
                Ok(Element::Number)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Element, E> {
                Ok(Element::Number)
            }

            fn visit_str<E>(self, text: &str) -> Result<Element, E> {
                Ok(Element::Text(text.to_owned()))
            }
        }

        // Told apart by their JSON type as they stream by: an untagged enum would first copy each of 100,000 series.
        deserializer.deserialize_any(ElementVisitor)
    }
}

/// What an error of the server says: its own type and text where it speaks the API, else the beginning of its body.
#[must_use]
pub fn error_text(body: &[u8]) -> String {
    match serde_json::from_slice::<ErrorEnvelope>(body) {
        Ok(said) => format!("{}: {}", said.error_type, said.error),
        Err(_) => super::http::shorten(&String::from_utf8_lossy(&body[..body.len().min(1024)])),
    }
}

/// Decodes the body of a 2xx answer.
pub fn decode(body: &[u8]) -> Result<Answer, Unusable> {
    let envelope: Envelope = match serde_json::from_slice(body) {
        Ok(envelope) => envelope,
        Err(cause) => {
            // An error answer may come with 200 from a proxy; its data may then be anything.
            return Err(match serde_json::from_slice::<ErrorEnvelope>(body) {
                Ok(said) if said.status == "error" => server_error(body),
                _ => nonsense(format!(
                    "the answer is not the query API's JSON ({cause}); it begins with {:?}",
                    String::from_utf8_lossy(&body[..body.len().min(60)])
                )),
            });
        }
    };
    if envelope.status != "success" {
        return Err(server_error(body));
    }
    // Up to Prometheus 2.52 infos came among the warnings, with this beginning; they say nothing of missing data.
    let warnings = envelope.warnings.unwrap_or_default();
    if let Some(warning) = warnings.iter().find(|text| !text.starts_with("PromQL info:")) {
        return Err(partial(format!("the answer came with a warning: {warning}")));
    }
    if envelope.is_partial {
        return Err(partial("the answer is marked as partial".to_owned()));
    }
    let Some(data) = envelope.data else {
        return Err(nonsense("the answer has no data".to_owned()));
    };
    let elements = data.result.unwrap_or_default();
    match data.result_type.as_str() {
        "vector" => vector(elements),
        "matrix" => matrix(elements),
        "scalar" => scalar(&elements),
        "string" => Err(nonsense("the answer is a string, not a number".to_owned())),
        other => Err(nonsense(format!("the answer is of unknown type {other:?}"))),
    }
}

fn vector(elements: Vec<Element>) -> Result<Answer, Unusable> {
    let mut rows = Vec::with_capacity(elements.len());
    for element in elements {
        let series = float_series(element)?;
        let Some((_, value)) = series.value else {
            return Err(nonsense("a series of the answer has no value".to_owned()));
        };
        if let Some(value) = number(&value)? {
            rows.push((without_name(series.metric), value));
        }
    }
    Ok(Answer::Vector(rows))
}

fn matrix(elements: Vec<Element>) -> Result<Answer, Unusable> {
    let mut rows = Vec::with_capacity(elements.len());
    for element in elements {
        let series = float_series(element)?;
        let mut points = Vec::new();
        for (at, value) in series.values.unwrap_or_default() {
            if let Some(value) = number(&value)? {
                points.push((at, value));
            }
        }
        rows.push((without_name(series.metric), points));
    }
    Ok(Answer::Matrix(rows))
}

fn scalar(elements: &[Element]) -> Result<Answer, Unusable> {
    match elements {
        [Element::Number, Element::Text(value)] => number(value).map(Answer::Scalar),
        _ => Err(nonsense("the scalar of the answer is not a time and a value".to_owned())),
    }
}

fn float_series(element: Element) -> Result<Series, Unusable> {
    let Element::Series(series) = element else {
        return Err(nonsense("the answer mixes series with something else".to_owned()));
    };
    if series.histogram.is_some() || series.histograms.is_some() {
        return Err(nonsense(
            "a series of the answer is a native histogram, not a number: use histogram_quantile() or \
             histogram_count() in a rule of monitor.queries"
                .to_owned(),
        ));
    }
    Ok(series)
}

/// `None` for NaN and the infinities: absent, not numbers.
fn number(text: &str) -> Result<Option<f64>, Unusable> {
    match text.parse::<f64>() {
        Ok(value) => Ok(value.is_finite().then_some(value)),
        Err(_) => Err(nonsense(format!("the value {text:?} of the answer is not a number"))),
    }
}

/// Functions drop the name and selectors keep it; a series has to be the same in both.
fn without_name(mut labels: Labels) -> Labels {
    labels.remove("__name__");
    labels
}

fn server_error(body: &[u8]) -> Unusable {
    Unusable { kind: FailureKind::Server, what: error_text(body) }
}

fn nonsense(what: String) -> Unusable {
    Unusable { kind: FailureKind::Nonsense, what }
}

fn partial(what: String) -> Unusable {
    Unusable { kind: FailureKind::Partial, what }
}
