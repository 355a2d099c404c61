//! The section `schedules`: when the rounds of `run --watch` begin, by workflow.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::reader::Reader;
use crate::time::schedule::{Schedule, When, parse_duration, parse_time, parse_weekday, parse_zone};
use crate::yaml::{Map, Spanned};

/// What an interval may be, as for `watch-interval-seconds`, but up to a week.
const INTERVALS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(7 * 86_400);

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ScheduleDoc {
    /// From the end of one round to the beginning of the next: `30s`, `5m`, `2h` or `1d`, 1 second to 7 days.
    every: Option<Spanned<String>>,
    /// Times of the day, such as `"02:00"`, in place of `every`.
    at: Option<Vec<Spanned<String>>>,
    /// The days of the week on which rounds begin: `mon`, `tue` and so on. Default: every day.
    days: Option<Vec<Spanned<String>>>,
    /// The hours in which rounds begin, with `every`: `06:00-22:00`, or `22:00-06:00` for the night. Default: all hours.
    between: Option<Spanned<String>>,
    /// The zone of days and times by its IANA name, such as Europe/Vienna. Default: UTC.
    zone: Option<Spanned<String>>,
}

impl Reader<'_> {
    pub(super) fn schedules(&mut self, doc: &Map<ScheduleDoc>) -> BTreeMap<String, Schedule> {
        doc.0.iter().filter_map(|(name, doc)| Some((name.value.clone(), self.schedule(name, doc)?))).collect()
    }

    fn schedule(&mut self, name: &Spanned<String>, doc: &ScheduleDoc) -> Option<Schedule> {
        let ScheduleDoc { every, at, days, between, zone } = doc;
        let when = match (every, at) {
            (Some(every), None) => self.interval(every).map(When::Every),
            (None, Some(at)) if !at.is_empty() => {
                let times: Vec<_> = at.iter().filter_map(|t| self.read(t, "a time of the day", "`02:00`", parse_time)).collect();
                let mut sorted = times.clone();
                sorted.sort_unstable();
                sorted.dedup();
                (times.len() == at.len()).then_some(When::At(sorted))
            }
            (None, Some(_)) | (None, None) => {
                let help = "write `every: 5m`, or `at: [\"02:00\", \"14:00\"]`";
                self.problem(&name.span, format!("the schedule of `{}` does not say when", name.value), "neither `every` nor `at`", help);
                None
            }
            (Some(every), Some(_)) => {
                self.problem(&every.span, "a schedule has an interval or times of the day", "beside `at`", "leave one of them out");
                None
            }
        };
        let given = days.iter().flatten();
        let days: Vec<_> = given.filter_map(|d| self.read(d, "a day of the week", "`mon`, `tue` and so on", parse_weekday)).collect();
        let between = between.as_ref().and_then(|b| {
            let hours = |text: &str| text.split_once('-').and_then(|(from, to)| Some((parse_time(from)?, parse_time(to)?)));
            self.read(b, "a range of hours", "`06:00-22:00`, or `22:00-06:00` for the night", |text| hours(text).filter(|(a, b)| a != b))
        });
        if let (Some(When::At(_)), Some(_), Some(given)) = (&when, between, &doc.between) {
            self.problem(&given.span, "times of the day cannot be combined with hours", "beside `at`", "leave `between` out");
        }
        let zone = match zone {
            Some(zone) => self.read(zone, "a time zone", "`Europe/Vienna` or another name of the IANA database", parse_zone)?,
            None => Schedule::every(Duration::ZERO).zone,
        };
        Some(Schedule { when: when?, days, between, zone })
    }

    fn interval(&mut self, given: &Spanned<String>) -> Option<Duration> {
        self.read(given, "an interval", "`30s`, `5m`, `2h` or `1d`, at most `7d`", |text| {
            parse_duration(text).filter(|interval| INTERVALS.contains(interval))
        })
    }

    fn read<T>(&mut self, given: &Spanned<String>, what: &str, such_as: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let value = parse(&given.value);
        if value.is_none() {
            self.problem(&given.span, format!("`{}` is not {what}", given.value), format!("not {what}"), format!("write {such_as}"));
        }
        value
    }
}
