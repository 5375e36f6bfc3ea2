//! The series of what people are notified of: findings of the cluster, incidents, decisions.

use prometheus::{Gauge, IntCounter};

use super::family::{Counters, Families, Gauges};
use crate::domain::cluster::WordKind;
use crate::domain::decision::Sev;
use crate::domain::finding::IncidentClass;

#[derive(Debug)]
pub(super) struct NotificationSeries {
    pub failed_in_a_row: Gauge,
    pub findings: Gauges<IncidentClass>,
    pub unknown_words: Counters<WordKind>,
    pub incidents: Gauges<Sev>,
    pub decisions: Counters<Sev>,
    pub fallbacks: IntCounter,
    pub notifiers: Gauge,
}

impl NotificationSeries {
    pub fn new(f: &Families) -> Self {
        Self {
            failed_in_a_row: f.gauge(
                "mape_k_cycles_failed_in_a_row",
                "Cycles that failed, broke off or could not begin since the last healthy or completed one.",
            ),
            findings: f.gauges(
                "mape_k_findings_active",
                "Findings of the last cycle, open needs (class loop) among them.",
                "class",
            ),
            unknown_words: f.counters(
                "mape_k_cluster_unknown_words_total",
                "Phases and reasons of pods that this version does not know, each counted when it is first seen.",
                "kind",
            ),
            incidents: f.gauges(
                "mape_k_incidents_open",
                "Incidents that are open.",
                "severity",
            ),
            decisions: f.counters(
                "mape_k_escalation_decisions_total",
                "Decisions whether to notify people of new, worse or due incidents.",
                "severity",
            ),
            notifiers: f.gauge(
                "mape_k_notifiers_configured",
                "Notifiers that are switched on; 0: nobody is notified of anything.",
            ),
            fallbacks: f.counter(
                "mape_k_escalation_fallbacks_total",
                "Assessments that failed or took too long, so that the conservative decision (SEV-2) applied.",
            ),
        }
    }
}
