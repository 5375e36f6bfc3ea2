//! Business hours: zone, days, changes of the clock, windows over midnight.

use chrono::{NaiveTime, Weekday};
use mape_k::incidents::settings::BusinessHours;

use super::world::at;

fn hours(start: &str, end: &str, zone: &str) -> BusinessHours {
    let time = |text| NaiveTime::parse_from_str(text, "%H:%M").expect("a time of day");
    BusinessHours {
        start: time(start),
        end: time(end),
        time_zone: zone.parse().expect("a zone"),
        ..BusinessHours::default()
    }
}

#[test]
fn b20_nine_to_five_in_the_configured_zone() {
    let berlin = hours("09:00", "17:00", "Europe/Berlin");
    assert!(!berlin.is_open(at("2026-01-13T07:59:59Z")));
    assert!(berlin.is_open(at("2026-01-13T08:00:00Z")));
    assert!(berlin.is_open(at("2026-01-13T15:59:59Z")));
    assert!(!berlin.is_open(at("2026-01-13T16:00:00Z")), "the end is not in it");
    assert!(!berlin.is_open(at("2026-01-17T10:00:00Z")), "a Saturday");
    let tokyo = hours("09:00", "17:00", "Asia/Tokyo");
    assert!(tokyo.is_open(at("2026-01-12T00:00:00Z")), "Monday morning there");
    assert!(!tokyo.is_open(at("2026-01-16T23:59:59Z")), "Saturday there, Friday in UTC");
}

#[test]
fn b20_they_open_at_nine_on_both_sides_of_a_change_of_the_clock() {
    let berlin = hours("09:00", "17:00", "Europe/Berlin");
    // The clock goes forward on Sunday 2026-03-29, and back on Sunday 2026-10-25.
    for (before, opening) in [
        ("2026-03-27T07:59:59Z", "2026-03-27T08:00:00Z"),
        ("2026-03-30T06:59:59Z", "2026-03-30T07:00:00Z"),
        ("2026-10-26T07:59:59Z", "2026-10-26T08:00:00Z"),
    ] {
        assert!(!berlin.is_open(at(before)) && berlin.is_open(at(opening)), "{opening}");
    }
}

#[test]
fn b20_an_opening_that_the_clock_leaves_out_is_the_first_moment_after_it() {
    let mut early = hours("02:30", "06:00", "Europe/Berlin");
    early.days = vec![Weekday::Sun];
    // On 2026-03-29 the clock goes from 2:00 to 3:00.
    assert!(!early.is_open(at("2026-03-29T00:59:59Z")));
    assert!(early.is_open(at("2026-03-29T01:00:00Z")));
    // On 2026-10-25 half past two comes twice.
    assert!(
        !early.is_open(at("2026-10-25T00:29:59Z")) && early.is_open(at("2026-10-25T00:30:00Z"))
    );
    assert!(
        !early.is_open(at("2026-10-25T01:15:00Z")) && early.is_open(at("2026-10-25T01:30:00Z"))
    );
}

#[test]
fn b20_a_window_over_midnight_belongs_to_the_day_it_begins_on() {
    let mut night = hours("22:00", "06:00", "UTC");
    night.days = vec![Weekday::Fri];
    assert!(night.is_open(at("2026-01-16T22:00:00Z")));
    assert!(night.is_open(at("2026-01-17T05:59:00Z")));
    assert!(!night.is_open(at("2026-01-17T06:00:00Z")));
    assert!(!night.is_open(at("2026-01-16T05:00:00Z")), "Thursday's night");
    assert!(
        !night.is_open(at("2026-01-23T21:59:59Z")) && night.is_open(at("2026-01-23T22:00:00Z"))
    );
}

#[test]
fn b20_without_days_they_never_open() {
    let mut hours = hours("09:00", "17:00", "UTC");
    let now = at("2026-01-13T12:00:00Z");
    assert!(hours.is_open(now));
    hours.days.clear();
    assert!(!hours.is_open(now));
}
