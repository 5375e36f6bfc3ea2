//! Business hours in their time zone, over changes of the clock.

use chrono::{Datelike, Days, NaiveDate};

use super::settings::BusinessHours;
use crate::domain::time::Time;

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

    fn opens_on(&self, day: NaiveDate) -> bool {
        self.days.contains(&day.weekday())
    }
}
