//! When a workflow's rounds begin: at an interval, or at times of the day, on some days, within some hours.

use std::time::Duration;

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveTime, TimeDelta, TimeZone, Utc, Weekday};
use chrono_tz::Tz;

use super::Instant;

/// Days looked through for the next time: a week, and one before for hours that reach over midnight.
const DAYS: u64 = 9;

/// When rounds begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// At an interval or at times of the day.
    pub when: When,
    /// The days of the week on which they may begin; every day where it is empty.
    pub days: Vec<Weekday>,
    /// The hours in which they may begin, from the first time to just before the second; over midnight where that is the earlier one.
    pub between: Option<(NaiveTime, NaiveTime)>,
    /// The zone of days and times.
    pub zone: Tz,
}

/// At an interval or at times of the day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    /// From the end of one round to the beginning of the next.
    Every(Duration),
    /// At these times, in order.
    At(Vec<NaiveTime>),
}

impl Schedule {
    /// At an interval, whatever the day or hour.
    pub fn every(interval: Duration) -> Schedule {
        Schedule { when: When::Every(interval), days: Vec::new(), between: None, zone: Tz::UTC }
    }

    /// When the first round begins, where the workflow starts now.
    pub fn first(&self, now: Instant) -> Instant {
        match &self.when {
            When::Every(_) => self.within(now),
            When::At(_) => self.next(now),
        }
    }

    /// When the next round begins, where one ended at `end`.
    pub fn next(&self, end: Instant) -> Instant {
        match &self.when {
            When::Every(interval) => {
                let interval = TimeDelta::from_std(*interval).unwrap_or(TimeDelta::days(365));
                self.within(end.checked_add_signed(interval).unwrap_or(end))
            }
            When::At(times) => {
                let times = self.candidates(end).flat_map(|day| times.iter().map(move |time| (day, *time)));
                times.map(|(day, time)| self.instant(day, time)).find(|at| *at > end).unwrap_or(end + TimeDelta::days(1))
            }
        }
    }

    /// The first instant from `at` on that lies in the hours and on the days.
    fn within(&self, at: Instant) -> Instant {
        if self.days.is_empty() && self.between.is_none() {
            return at;
        }
        let (from, to) = self.between.unwrap_or((NaiveTime::MIN, NaiveTime::MIN));
        for day in self.candidates(at) {
            let last = if to > from { day } else { next_day(day) };
            let (begin, end) = (self.instant(day, from), self.instant(last, to));
            if at < end {
                return at.max(begin);
            }
        }
        at
    }

    /// The days that count, from the one before `at`.
    fn candidates(&self, at: Instant) -> impl Iterator<Item = NaiveDate> {
        let today = at.with_timezone(&self.zone).date_naive();
        let first = today.checked_sub_days(Days::new(1)).unwrap_or(today);
        (0..DAYS)
            .filter_map(move |n| first.checked_add_days(Days::new(n)))
            .filter(|day| self.days.is_empty() || self.days.contains(&day.weekday()))
    }

    /// A time of a day; one that the clocks skip is taken an hour later, one that they show twice at its first.
    fn instant(&self, day: NaiveDate, time: NaiveTime) -> Instant {
        let local = day.and_time(time);
        let found = |local| self.zone.from_local_datetime(&local).earliest();
        let at: Option<DateTime<Tz>> = found(local).or_else(|| found(local + TimeDelta::hours(1)));
        at.map_or_else(|| local.and_utc(), |at| at.with_timezone(&Utc))
    }
}

fn next_day(day: NaiveDate) -> NaiveDate {
    day.checked_add_days(Days::new(1)).unwrap_or(day)
}

/// Reads `30s`, `5m`, `2h`, `1d`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    let unit = match text[digits..].trim() {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    Some(Duration::from_secs(number.checked_mul(unit)?))
}

/// Reads a time of the day: `02:00`.
pub fn parse_time(text: &str) -> Option<NaiveTime> {
    NaiveTime::parse_from_str(text.trim(), "%H:%M").ok()
}

/// Reads a day of the week by its English name or the first three letters of it.
pub fn parse_weekday(text: &str) -> Option<Weekday> {
    text.trim().parse().ok()
}

/// Reads a zone by its IANA name: `Europe/Vienna`.
pub fn parse_zone(text: &str) -> Option<Tz> {
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{format_instant, parse_instant};

    fn schedule(when: &str, days: &[&str], between: Option<(&str, &str)>, zone: &str) -> Schedule {
        let when = match parse_duration(when) {
            Some(every) => When::Every(every),
            None => When::At(when.split(',').map(|t| parse_time(t).unwrap()).collect()),
        };
        let days = days.iter().map(|d| parse_weekday(d).unwrap()).collect();
        let between = between.map(|(a, b)| (parse_time(a).unwrap(), parse_time(b).unwrap()));
        Schedule { when, days, between, zone: parse_zone(zone).unwrap() }
    }

    fn next(schedule: &Schedule, end: &str) -> String {
        format_instant(schedule.next(parse_instant(end).unwrap()))
    }

    #[test]
    fn an_interval_counts_from_the_end_of_the_round() {
        let s = schedule("90s", &[], None, "UTC");
        assert_eq!(next(&s, "2026-03-02T10:00:00Z"), "2026-03-02T10:01:30Z");
        let now = parse_instant("2026-03-02T10:00:00Z").unwrap();
        assert_eq!(s.first(now), now);
    }

    #[test]
    fn hours_and_days_put_a_round_off_to_their_beginning() {
        // 2026-03-02 is a Monday; Vienna is an hour ahead of UTC in March.
        let s = schedule("10m", &["mon", "fri"], Some(("06:00", "22:00")), "Europe/Vienna");
        assert_eq!(next(&s, "2026-03-02T03:00:00Z"), "2026-03-02T05:00:00Z");
        assert_eq!(next(&s, "2026-03-02T12:00:00Z"), "2026-03-02T12:10:00Z");
        assert_eq!(next(&s, "2026-03-02T20:55:00Z"), "2026-03-06T05:00:00Z");
        let wrapping = schedule("10m", &["mon"], Some(("22:00", "02:00")), "UTC");
        assert_eq!(next(&wrapping, "2026-03-03T01:00:00Z"), "2026-03-03T01:10:00Z", "the night of Monday reaches into Tuesday");
        assert_eq!(next(&wrapping, "2026-03-03T01:55:00Z"), "2026-03-09T22:00:00Z");
    }

    #[test]
    fn times_of_the_day_follow_the_zones_clock_through_its_changes() {
        let s = schedule("02:30,14:00", &[], None, "Europe/Vienna");
        assert_eq!(next(&s, "2026-03-28T00:00:00Z"), "2026-03-28T01:30:00Z");
        // In the night of 2026-03-29 the clocks go from 02:00 to 03:00: half past two comes an hour later.
        assert_eq!(next(&s, "2026-03-28T14:00:00Z"), "2026-03-29T01:30:00Z");
        // In that of 2026-10-25 half past two comes twice; the first one counts, once.
        assert_eq!(next(&s, "2026-10-24T20:00:00Z"), "2026-10-25T00:30:00Z");
        assert_eq!(next(&s, "2026-10-25T00:30:00Z"), "2026-10-25T13:00:00Z");
        assert_eq!(format_instant(s.first(parse_instant("2026-03-28T00:00:00Z").unwrap())), "2026-03-28T01:30:00Z");
    }

    #[test]
    fn durations_have_a_number_and_a_unit() {
        for (text, seconds) in [("30s", 30), ("5m", 300), ("2 h", 7200), ("1d", 86_400)] {
            assert_eq!(parse_duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "5", "m", "5 fortnights", "-1s", "99999999999999999999s"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
