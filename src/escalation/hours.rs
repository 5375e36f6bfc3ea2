//! Business hours in their time zone, over changes of the clock.

use chrono::{Datelike, Days, LocalResult, NaiveDate, NaiveDateTime, TimeDelta, TimeZone, Utc};

use super::settings::BusinessHours;
use crate::domain::time::Time;

/// Local days that are looked at for the next opening: a week, one for a window over midnight, one for a zone that left
/// out a whole day.
const DAYS_AHEAD: u64 = 9;

impl BusinessHours {
    /// From `start`, and until just before `end`; a window whose end is not after its start ends on the next day.
    #[must_use]
    pub fn is_open(&self, now: Time) -> bool {
        let local = now.with_timezone(&self.time_zone).naive_local();
        let (day, time) = (local.date(), local.time());
        if self.start < self.end {
            return self.opens_on(day) && self.start <= time && time < self.end;
        }
        let yesterday = day.checked_sub_days(Days::new(1));
        (self.opens_on(day) && self.start <= time)
            || (yesterday.is_some_and(|yesterday| self.opens_on(yesterday)) && time < self.end)
    }

    /// `now` while they are open; `None` when there is no day on which they open.
    #[must_use]
    pub fn next_opening(&self, now: Time) -> Option<Time> {
        if self.is_open(now) {
            return Some(now);
        }
        let today = now.with_timezone(&self.time_zone).date_naive();
        let days = (0..=DAYS_AHEAD).filter_map(|ahead| today.checked_add_days(Days::new(ahead)));
        let openings = days.filter(|day| self.opens_on(*day));
        openings
            .flat_map(|day| self.instants(day.and_time(self.start)))
            .find(|opening| *opening > now && self.is_open(*opening))
    }

    fn opens_on(&self, day: NaiveDate) -> bool {
        self.days.contains(&day.weekday())
    }

    /// A local time that comes twice is both; one that the clock leaves out is the first moment after the gap.
    fn instants(&self, local: NaiveDateTime) -> Vec<Time> {
        // No gap is longer than a day.
        for quarters in 0..=96 {
            let Some(later) = local.checked_add_signed(TimeDelta::minutes(15 * quarters)) else {
                break;
            };
            match self.time_zone.from_local_datetime(&later) {
                LocalResult::Single(at) => return vec![at.with_timezone(&Utc)],
                LocalResult::Ambiguous(first, second) => {
                    return vec![first.with_timezone(&Utc), second.with_timezone(&Utc)];
                }
                LocalResult::None => {}
            }
        }
        Vec::new()
    }
}
