//! The `escalation` section of the configuration, with its defaults.

use std::path::PathBuf;
use std::time::Duration;

use chrono::{NaiveTime, Weekday};
use chrono_tz::Tz;
use serde::{Serialize, Serializer};

use crate::domain::catalogue::Tier;
use crate::domain::speed::divided;

/// When people are notified of what can wait.
#[derive(Clone, Debug, PartialEq)]
pub struct BusinessHours {
    pub start: NaiveTime,
    pub end: NaiveTime,
    pub time_zone: Tz,
    /// In the order of the week.
    pub days: Vec<Weekday>,
}

// The hours of people, who live in the world's time.
divided!(BusinessHours {} unchanged { start, end, time_zone, days });

impl Default for BusinessHours {
    fn default() -> Self {
        let hour = |hour| NaiveTime::from_hms_opt(hour, 0, 0).expect("an hour of the day");
        Self {
            start: hour(9),
            end: hour(17),
            time_zone: Tz::UTC,
            days: vec![Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri],
        }
    }
}

impl Serialize for BusinessHours {
    /// As the configuration writes it.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut section = serializer.serialize_struct("BusinessHours", 4)?;
        section.serialize_field("start", &self.start.format("%H:%M").to_string())?;
        section.serialize_field("end", &self.end.format("%H:%M").to_string())?;
        section.serialize_field("time_zone", self.time_zone.name())?;
        let days: Vec<String> =
            self.days.iter().map(|day| day.to_string().to_lowercase()).collect();
        section.serialize_field("days", &days)?;
        section.end()
    }
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settings {
    pub services_file: PathBuf,
    /// For one assessment; then the conservative decision stands.
    #[serde(serialize_with = "crate::domain::time::seconds")]
    pub timeout: Duration,
    /// Between two assessments that the trend looks at.
    #[serde(serialize_with = "crate::domain::time::seconds")]
    pub interval: Duration,
    /// Of a service that is in no catalogue; `None`: down for 10 minutes it is SEV-3, all else of it SEV-4.
    pub default_tier: Option<Tier>,
    pub business_hours: BusinessHours,
    /// After so long people are notified of an unchanged incident in full again.
    #[serde(serialize_with = "crate::domain::time::seconds")]
    pub repeat_after: Duration,
    /// Where reports and backups are written; `None`: nowhere.
    pub reports_dir: Option<PathBuf>,
    pub reports_max_files: usize,
}

divided!(Settings { interval, business_hours, repeat_after } unchanged {
    services_file, default_tier, reports_dir, reports_max_files,
    // The time-out of an assessment.
    timeout,
});

impl Default for Settings {
    fn default() -> Self {
        Self {
            services_file: PathBuf::from("config/services.yaml"),
            timeout: Duration::from_secs(20),
            interval: Duration::from_secs(300),
            default_tier: None,
            business_hours: BusinessHours::default(),
            repeat_after: Duration::from_secs(3 * 60 * 60),
            reports_dir: Some(PathBuf::from("logs")),
            reports_max_files: 2000,
        }
    }
}
