//! Answers of Prometheus' query API, good and bad.

use proptest::prelude::*;

use mape_k::domain::Labels;
use mape_k::domain::reading::FailureKind;
use mape_k::monitor::prometheus::wire::{Answer, decode};

fn kind_of(body: &str) -> FailureKind {
    decode(body.as_bytes()).expect_err("must not be usable").kind
}

#[test]
fn nan_and_infinities_are_absent() {
    let body = r#"{"status":"success","data":{"resultType":"vector","result":[
        {"metric":{"__name__":"m","a":"1"},"value":[1,"NaN"]},{"metric":{"a":"2"},"value":[1,"+Inf"]},
        {"metric":{"a":"3"},"value":[1.5,"-Inf"]},{"metric":{"a":"4"},"value":[1,"2e-3"]}]}}"#;
    let labels = Labels::from([("a".to_owned(), "4".to_owned())]);
    assert_eq!(decode(body.as_bytes()), Ok(Answer::Vector(vec![(labels, 0.002)])));
}

#[test]
fn infos_are_tolerated_and_warnings_make_the_answer_partial() {
    let with = |extra: &str| {
        format!(
            r#"{{"status":"success","data":{{"resultType":"scalar","result":[1,"2"]}}{extra}}}"#
        )
    };
    let fine = Ok(Answer::Scalar(Some(2.0)));
    assert_eq!(decode(with("").as_bytes()), fine);
    assert_eq!(decode(with(r#","infos":["PromQL info: x"]"#).as_bytes()), fine);
    assert_eq!(decode(with(r#","warnings":["PromQL info: x"]"#).as_bytes()), fine);
    assert_eq!(decode(with(r#","warnings":null,"isPartial":false"#).as_bytes()), fine);
    assert_eq!(kind_of(&with(r#","warnings":["store b gone"]"#)), FailureKind::Partial);
    assert_eq!(kind_of(&with(r#","isPartial":true"#)), FailureKind::Partial);
}

#[test]
fn what_is_no_number_is_nonsense() {
    for body in [
        "<html>login</html>",
        "",
        "[]",
        r#"{"status":"success"}"#,
        r#"{"status":"success","data":{"resultType":"string","result":[1,"x"]}}"#,
        r#"{"status":"success","data":{"resultType":"vector","result":[1,"x"]}}"#,
        r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"histogram":[1,{}]}]}}"#,
        r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"many"]}]}}"#,
        r#"{"status":"success","data":{"resultType":"novel","result":[]}}"#,
    ] {
        assert_eq!(kind_of(body), FailureKind::Nonsense, "{body}");
    }
    assert_eq!(
        kind_of(r#"{"status":"error","errorType":"execution","error":"boom","data":7}"#),
        FailureKind::Server
    );
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in ".{0,200}") {
        let _ = decode(&bytes);
        let _ = decode(text.as_bytes());
        let wrapped = format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{text}]}}}}"#);
        let _ = decode(wrapped.as_bytes());
    }
}
