//! What one alert is: its name, handler, rule, cause, component and severity, and whether it is ours to act on. Pure.

use std::sync::Arc;

use crate::domain::alert::{AlertClass, AlertStatus, InboxAlert};
use crate::domain::rule::{Rule, Severity};
use crate::domain::target::TargetLabels;
use crate::domain::{Cause, Labels};
use crate::monitor::webhook::is_too_large;
use crate::monitor::{AlertmanagerSettings, Handler};

/// Where the default handler looks for the component.
const COMPONENT_LABEL: &str = "component";

/// What alerts are classified by; the same for every alert of a cycle.
#[derive(Clone, Copy, Debug)]
pub struct Routing<'a> {
    pub settings: &'a AlertmanagerSettings,
    pub scope: &'a Labels,
    pub rules: &'a [Arc<Rule>],
}

/// An alert's meaning, apart from whether it still fires.
#[derive(Clone, Debug, PartialEq)]
pub struct Meaning {
    pub severity: Severity,
    /// The alert's own word, when `alertmanager.severities` does not know it.
    pub unknown_severity: Option<String>,
    pub cause: Option<Cause>,
    pub rule: Option<String>,
    pub component: Option<String>,
    /// The handler's, else that of the rule it names.
    pub target: Option<TargetLabels>,
    pub class: AlertClass,
}

/// Said by ourselves: counted as own at intake, and seen nowhere else.
#[must_use]
pub fn is_own(labels: &Labels) -> bool {
    labels.get("origin").is_some_and(|origin| origin == "mape-k")
}

#[must_use]
pub fn name_of(labels: &Labels) -> &str {
    labels.get("alertname").map_or("", String::as_str)
}

/// Does this delivery wake the loop? Firing, critical, and not foreign, own or ignored; what is silenced is never
/// delivered.
#[must_use]
pub fn wakes(alert: &InboxAlert, routing: Routing<'_>) -> bool {
    if alert.status != AlertStatus::Firing || is_own(&alert.labels) {
        return false;
    }
    let meaning = routing.of_delivery(alert);
    meaning.severity == Severity::Critical
        && match meaning.class {
            AlertClass::Actionable | AlertClass::UnknownCause | AlertClass::TooLarge => true,
            AlertClass::NotOurs
            | AlertClass::Foreign
            | AlertClass::Ignored
            | AlertClass::MissingData => false,
        }
}

/// Named by `alertmanager.ignore`, or by a handler with `ignore`.
#[must_use]
pub fn ignored(labels: &Labels, settings: &AlertmanagerSettings) -> bool {
    let name = name_of(labels);
    settings.ignore.iter().any(|ignored| ignored == name)
        || handler(name, settings).is_some_and(|handler| handler.ignore)
}

/// Grafana says that a rule has no data or could not be evaluated, with all labels of the rule: as an alert of these names,
/// or, where the rule takes it for firing, under the rule's own name with the reason among the annotations.
fn is_missing_data(labels: &Labels, annotations: &Labels) -> bool {
    const NAMES: [&str; 2] = ["DatasourceNoData", "DatasourceError"];
    const REASON: &str = "grafana_state_reason";
    const REASONS: [&str; 2] = ["NoData", "Error"];
    let reason = annotations.get(REASON).or_else(|| labels.get(REASON));
    NAMES.iter().any(|name| name_of(labels).eq_ignore_ascii_case(name))
        || reason.is_some_and(|given| given.split(',').any(|one| REASONS.contains(&one.trim())))
}

/// The first whose pattern is in the name, letter case apart.
fn handler<'a>(name: &str, settings: &'a AlertmanagerSettings) -> Option<&'a Handler> {
    let name = name.to_lowercase();
    settings.handlers.iter().find(|handler| name.contains(&handler.pattern.to_lowercase()))
}

impl Routing<'_> {
    /// Carries a scope label with another value.
    fn foreign(self, labels: &Labels) -> bool {
        self.scope.iter().any(|(key, ours)| labels.get(key).is_some_and(|value| value != ours))
    }

    /// The meaning of an alert as a webhook brought it.
    #[must_use]
    pub fn of_delivery(self, alert: &InboxAlert) -> Meaning {
        let meaning = self.meaning(&alert.labels, &alert.annotations, true);
        match meaning.class {
            // What is kept of its labels does not say what it is about.
            AlertClass::Actionable | AlertClass::UnknownCause | AlertClass::NotOurs
                if alert.too_large =>
            {
                Meaning { class: AlertClass::TooLarge, ..meaning }
            }
            _ => meaning,
        }
    }

    /// `routed` says that Alertmanager sends it to us, or would.
    #[must_use]
    pub fn meaning(self, labels: &Labels, annotations: &Labels, routed: bool) -> Meaning {
        let handler = handler(name_of(labels), self.settings);
        let named_rule = handler
            .and_then(|handler| handler.rule.as_deref())
            .or_else(|| labels.get("rule").map(String::as_str))
            .and_then(|name| self.rules.iter().find(|rule| rule.name == name));
        let own_cause = handler
            .and_then(|handler| handler.cause.clone())
            .or_else(|| labels.get("cause").filter(|c| !c.is_empty()).map(|c| Cause::new(c)))
            .filter(|cause| !cause.is_unknown());
        let mut unknown_severity = None;
        let (severity, component, cause) = match named_rule {
            // A rule that names no cause (throughput) leaves it to the alert.
            Some(rule) => {
                (rule.severity, rule.component.of(labels), rule.cause.clone().or(own_cause))
            }
            None => (
                handler.and_then(|handler| handler.severity).unwrap_or_else(|| {
                    let word = labels.get("severity").map_or("", |word| word.trim());
                    let known = self.settings.severities.of(word);
                    if known.is_none() && !word.is_empty() {
                        unknown_severity = Some(word.to_owned());
                    }
                    // Without a word, or with one that nobody knows: never the mildest.
                    known.unwrap_or(Severity::Warning)
                }),
                handler.and_then(|handler| handler.component.clone()).or_else(|| {
                    let label =
                        handler.map_or(COMPONENT_LABEL, |handler| handler.component_label.as_str());
                    labels.get(label).filter(|value| !value.is_empty()).cloned()
                }),
                own_cause,
            ),
        };
        let class = if ignored(labels, self.settings) {
            AlertClass::Ignored
        } else if self.foreign(labels) {
            AlertClass::Foreign
        } else if is_missing_data(labels, annotations) {
            AlertClass::MissingData
        } else if is_too_large(labels) {
            AlertClass::TooLarge
        } else if cause.is_some() {
            AlertClass::Actionable
        } else if routed {
            AlertClass::UnknownCause
        } else {
            AlertClass::NotOurs
        };
        let rule = named_rule.map(|rule| rule.name.clone());
        let target = handler
            .and_then(|handler| handler.target.clone())
            .or_else(|| named_rule.and_then(|rule| rule.target.clone()));
        Meaning { severity, unknown_severity, cause, rule, component, target, class }
    }
}
