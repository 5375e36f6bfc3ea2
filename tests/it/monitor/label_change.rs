//! Labels that a rule asks for and the series do not have.

use mape_k::domain::Labels;
use mape_k::monitor::label_change::described;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

#[test]
fn it_names_what_differs_and_nothing_else() {
    let wanted = labels(&[("quantile", "0.95"), ("job", "charter")]);
    let of = |found: &[Labels]| described(&wanted, &found.iter().collect::<Vec<_>>());
    let changed = of(&[labels(&[("quantile", "0.950"), ("job", "charter")])]).expect("it differs");
    assert_eq!(changed, r#"the rule asks for quantile="0.95", and the series have "0.950""#);
    let without = of(&[labels(&[("job", "charter")])]).expect("it differs");
    assert_eq!(without, r#"the rule asks for quantile="0.95", and the series have no such label"#);
    let apart = [labels(&[("quantile", "0.95")]), labels(&[("job", "charter")])];
    assert!(of(&apart).expect("it differs").contains("all of its values of job, quantile"));
    assert_eq!(of(&[]), None, "no series at all");
    let job = labels(&[("job", "charter")]);
    assert_eq!(described(&job, &[&job]), None);
}
