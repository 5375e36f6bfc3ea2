//! Whether anybody was notified of an incident, in words.

use super::{Incident, Resolution};
use crate::domain::decision::Sev;
use crate::domain::message::{Notified, NotifierName};
use crate::domain::time::{self, Time};

/// The reader of a report must not believe that somebody else knows.
pub const NOBODY_IS_NOTIFIED: &str = "nobody is notified: no notifier is configured";

const NOBODY_WAS_THERE: &str = "nobody was notified: no notifier was configured when it was due";

impl Incident {
    /// Whether anybody was notified of it, as it follows its title: only what a notifier confirmed counts.
    #[must_use]
    pub fn notification(&self, has_notifier: bool) -> String {
        if let Some(at) = self.course.end_notified_at.filter(|_| self.is_open()) {
            let waits = if self.is_queued { " (it waits for business hours)" } else { "" };
            return format!(
                "not notified yet that it is back{waits}: the message of {} says that it is resolved",
                time::text(at)
            );
        }
        let mut delivered: Vec<(NotifierName, Time)> = Vec::new();
        let mut failed = Vec::new();
        for (name, notified) in &self.notified {
            match notified {
                Notified::Delivered { at } => delivered.push((*name, *at)),
                Notified::Failed { error, .. } => {
                    failed.push(format!("{}: {error}", name.as_str()));
                }
                Notified::Pending { .. } => {}
            }
        }
        let by: Vec<&str> = delivered.iter().map(|(name, _)| name.as_str()).collect();
        match (delivered.iter().map(|(_, at)| *at).max(), self.notified_at) {
            (Some(at), _) => format!("notified {} by {}", time::text(at), by.join(" and ")),
            _ if !has_notifier => NOBODY_IS_NOTIFIED.to_owned(),
            _ if !failed.is_empty() => {
                format!("not notified yet: nobody confirmed the message ({})", failed.join("; "))
            }
            (None, Some(_)) if !self.is_open() && self.course.notified_nobody => {
                NOBODY_WAS_THERE.to_owned()
            }
            (None, Some(at)) => {
                format!("not notified yet: nobody confirmed the message of {}", time::text(at))
            }
            (None, None) => self.why_nobody(),
        }
    }

    /// Why no message of it was ever due.
    fn why_nobody(&self) -> String {
        if let Some(Resolution::MergedInto(other)) = &self.resolution {
            return format!("nobody was notified: it was merged into incident {other} first");
        }
        let worst = self.course.decided.map_or(self.severity, |sev| sev.max(self.severity));
        let text = match (self.is_open(), worst) {
            (true, _) if self.course.is_muted => {
                "nobody is notified while Alertmanager holds back its alerts"
            }
            (true, _) if self.severity == Sev::Sev4 && self.is_queued => {
                "not notified yet: it is a SEV-4 now, and people are notified of it when it is resolved or becomes worse"
            }
            (true, _) if self.severity == Sev::Sev4 => "nobody is notified of a SEV-4",
            _ if self.is_queued => "not notified yet: it waits for business hours",
            (true, _) => "not notified yet",
            (false, Sev::Sev4) => {
                "nobody was notified: it was a SEV-4, and people are notified from SEV-3 on"
            }
            (false, _) => NOBODY_WAS_THERE,
        };
        text.to_owned()
    }
}
