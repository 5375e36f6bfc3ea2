//! The `escalation` section.

use std::time::Duration;

use chrono::{NaiveTime, Weekday};
use chrono_tz::{TZ_VARIANTS, Tz};

use super::reader::{Accepted, Section, nearest};
use super::tree::Value;
use super::values::{count, path, positive_up_to, text, tier};
use crate::incidents::settings::{BusinessHours, Settings};

/// A cycle waits for it; no loop is slower than this.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(300);

/// The trend looks at 24 hours: two assessments must fit.
const LONGEST_INTERVAL: Duration = Duration::from_secs(12 * 3600);

/// People are notified once a day at least of an incident that lasts, else it is forgotten.
const LONGEST_REPEAT: Duration = Duration::from_secs(24 * 3600);

const DAYS: &str = "mon, tue, wed, thu, fri, sat, sun";

/// The newest 100 healthy cycles have files; the upper bound is what is looked at when a folder is taken up.
const REPORTS: std::ops::RangeInclusive<usize> = 100..=10_000;

pub(super) fn read(mut section: Section<'_>) -> Settings {
    let mut settings = Settings::default();
    section.read("services_file", &mut settings.services_file, path);
    section.read("timeout", &mut settings.timeout, positive_up_to(LONGEST_TIMEOUT));
    section.read("interval", &mut settings.interval, positive_up_to(LONGEST_INTERVAL));
    section.optional("default_tier", &mut settings.default_tier, tier);
    settings.business_hours = business_hours(section.section("business_hours"));
    section.read("repeat_after", &mut settings.repeat_after, positive_up_to(LONGEST_REPEAT));
    section.optional("reports_dir", &mut settings.reports_dir, folder);
    section.read("reports_max_files", &mut settings.reports_max_files, count(REPORTS));
    settings
}

fn business_hours(mut section: Section<'_>) -> BusinessHours {
    let mut hours = BusinessHours::default();
    section.read("start", &mut hours.start, time_of_day);
    section.read("end", &mut hours.end, time_of_day);
    section.read("time_zone", &mut hours.time_zone, time_zone);
    if let Some(mut days) = section.distinct("days", 7, weekday) {
        if days.is_empty() {
            let text = "empty: a SEV-3 would wait for ever";
            section.error("days", format!("{text}; accepted: some of {DAYS}"));
        }
        days.sort_by_key(Weekday::num_days_from_monday);
        hours.days = days;
    }
    if hours.start == hours.end {
        section.error("end", "the same as start; accepted: another time of the day");
    }
    hours
}

fn time_of_day(value: &Value) -> Result<NaiveTime, Accepted> {
    text(value)
        .ok()
        .and_then(|text| NaiveTime::parse_from_str(&text, "%H:%M").ok())
        .ok_or_else(|| "a time of the day in quotes, \"00:00\" to \"23:59\"".to_owned())
}

fn time_zone(value: &Value) -> Result<Tz, Accepted> {
    let given = text(value).unwrap_or_default();
    given.parse().map_err(|_| {
        let accepted = "a time zone's name such as Europe/Berlin, America/New_York or UTC";
        let names: Vec<&str> = TZ_VARIANTS.iter().map(|zone| zone.name()).collect();
        match nearest(&given, &names) {
            Some(near) => format!("{accepted}; did you mean {near}?"),
            None => accepted.to_owned(),
        }
    })
}

fn weekday(value: &Value) -> Result<Weekday, Accepted> {
    text(value).ok().and_then(|day| day.parse().ok()).ok_or_else(|| DAYS.to_owned())
}

fn folder(value: &Value) -> Result<std::path::PathBuf, Accepted> {
    path(value).map_err(|_| "the path of a folder".to_owned())
}
