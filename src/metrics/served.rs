//! What `/metrics` serves of the registry: without Charter no series about it or about what only it can do.

use prometheus::proto::MetricFamily;

use crate::domain::CHARTER;
use crate::domain::action::ActionKind;
use crate::domain::target::System;

/// The same without the families that are named after Charter, its actions, and the hold that only it can cause.
pub(super) fn without_charter(families: Vec<MetricFamily>) -> Vec<MetricFamily> {
    let named = |text: &str| text.contains(CHARTER);
    let actions = ActionKind::ALL.map(|kind| (kind.system() == System::Charter, kind));
    let is_action = |text: &str| actions.iter().any(|(own, kind)| *own && kind.as_str() == text);
    let mut served = Vec::with_capacity(families.len());
    for mut family in families.into_iter().filter(|family| !named(family.name())) {
        family.mut_metric().retain(|metric| {
            !metric.get_label().iter().any(|label| named(label.value()) || is_action(label.value()))
        });
        if !family.get_metric().is_empty() {
            served.push(family);
        }
    }
    served
}
