//! The axis of time: ticks at round dates and times of day, in UTC.

use chrono::{DateTime, Datelike, Months, NaiveDate, Timelike, Utc};
use perennial_types::{TimeSpan, Timestamp};

use super::canvas::{Anchor, Canvas, Frame};

/// Steps below a month, in seconds.
const STEPS: [i64; 16] =
    [1, 5, 15, 30, 60, 300, 900, 1_800, 3_600, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800, 1_209_600];

/// Longer steps, in months.
const MONTHS: [u32; 12] = [1, 2, 3, 6, 12, 24, 60, 120, 240, 1_200, 12_000, 120_000];

/// A window of time on the horizontal axis.
#[derive(Clone, Copy)]
pub(crate) struct TimeAxis {
    from: Timestamp,
    to: Timestamp,
}

impl TimeAxis {
    /// The axis from `from` to `to`; a window of no length is drawn as one of an hour.
    pub(crate) fn new(from: Timestamp, to: Timestamp) -> Self {
        let to = if to > from { to } else { from + TimeSpan::from_hours(1) };
        Self { from, to }
    }

    /// Whether an instant lies in the window, its ends included.
    pub(crate) fn contains(&self, at: Timestamp) -> bool {
        self.from <= at && at <= self.to
    }

    /// Where `at` lies between the ends; what lies outside is at the nearer end.
    pub(crate) fn fraction(&self, at: Timestamp) -> f64 {
        let length = self.to.micros() as f64 - self.from.micros() as f64;
        if length <= 0.0 {
            return 0.0;
        }
        ((at.micros() as f64 - self.from.micros() as f64) / length).clamp(0.0, 1.0)
    }

    /// The ticks below a frame.
    pub(crate) fn draw(&self, canvas: &mut Canvas, frame: &Frame) {
        // A label such as "15 Mar 2011" takes about 70 units of width.
        let wanted = (frame.width / 75.0).max(2.0) as i64;
        for (at, label) in self.ticks(wanted) {
            let x = frame.x(self.fraction(at));
            canvas.line("tick", (x, frame.bottom()), (x, frame.bottom() + 4.0));
            canvas.text(x, frame.bottom() + 17.0, Anchor::Middle, &label, 12);
        }
    }

    /// At most `wanted` + 1 round instants with their labels; none where the calendar does not reach.
    fn ticks(&self, wanted: i64) -> Vec<(Timestamp, String)> {
        let (Some(from), Some(to)) = (self.from.to_chrono(), self.to.to_chrono()) else { return Vec::new() };
        let length = self.to.since(self.from).micros() / 1_000_000;
        let times = match STEPS.into_iter().find(|step| length / step <= wanted) {
            Some(step) => self.even(step),
            None => months(from, to, wanted),
        };
        let mut labelled = Vec::with_capacity(times.len());
        let mut before: Option<DateTime<Utc>> = None;
        for time in times {
            labelled.push((Timestamp::from_chrono(time), label(time, before, length)));
            before = Some(time);
        }
        labelled
    }

    /// Every multiple of `step` seconds; weeks begin on Mondays.
    fn even(&self, step: i64) -> Vec<DateTime<Utc>> {
        let span = TimeSpan::from_secs(step);
        // 1970-01-05 was a Monday.
        let shift = if step >= 604_800 { TimeSpan::from_days(4) } else { TimeSpan::ZERO };
        let mut at = (self.from - shift).floor(span) + shift;
        let mut times = Vec::new();
        while at <= self.to && times.len() < 64 {
            if at >= self.from {
                times.extend(at.to_chrono());
            }
            at = at + span;
        }
        times
    }
}

/// The first days of months, or of years.
fn months(from: DateTime<Utc>, to: DateTime<Utc>, wanted: i64) -> Vec<DateTime<Utc>> {
    let length = i64::from(to.year() - from.year()) * 12 + i64::from(to.month()) - i64::from(from.month());
    let step = MONTHS.into_iter().find(|step| length / i64::from(*step) <= wanted).unwrap_or(1_200_000);
    // Steps of more than a year begin at years that they divide.
    let years = i32::try_from((step / 12).max(1)).unwrap_or(1);
    let start = NaiveDate::from_ymd_opt(from.year() - from.year().rem_euclid(years), 1, 1);
    let mut times = Vec::new();
    let mut next = start.map(|date| date.and_time(chrono::NaiveTime::MIN).and_utc());
    while let Some(time) = next.filter(|time| *time <= to) {
        if time >= from {
            times.push(time);
        }
        next = time.checked_add_months(Months::new(step));
    }
    times
}

/// What a tick says: the time of day within days, the day within months, the month within years; the larger unit where it
/// changes.
fn label(time: DateTime<Utc>, before: Option<DateTime<Utc>>, length_s: i64) -> String {
    let same_year = before.is_some_and(|before| before.year() == time.year());
    let same_day = before.is_some_and(|before| before.date_naive() == time.date_naive());
    let midnight = time.num_seconds_from_midnight() == 0;
    let form = if length_s <= 300 && same_day {
        "%H:%M:%S"
    } else if !midnight && (same_day || length_s <= 86_400) {
        "%H:%M"
    } else if !midnight {
        "%-d %b %H:%M"
    } else if time.ordinal() == 1 && length_s > 366 * 86_400 {
        "%Y"
    } else if !same_year && before.is_none() {
        "%-d %b %Y"
    } else if time.day() == 1 && length_s > 120 * 86_400 {
        "%b"
    } else {
        "%-d %b"
    };
    time.format(form).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(from: &str, to: &str) -> Vec<String> {
        let axis = TimeAxis::new(Timestamp::parse(from).unwrap(), Timestamp::parse(to).unwrap());
        axis.ticks(8).into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn a_week_shows_days_a_year_months_and_a_morning_hours() {
        assert_eq!(
            labels("2011-03-07", "2011-03-14"),
            ["7 Mar 2011", "8 Mar", "9 Mar", "10 Mar", "11 Mar", "12 Mar", "13 Mar", "14 Mar"]
        );
        assert_eq!(
            labels("2011-01-01", "2012-12-31"),
            ["2011", "Apr", "Jul", "Oct", "2012", "Apr", "Jul", "Oct"]
        );
        assert_eq!(
            labels("2011-03-07T06:00:00Z", "2011-03-07T12:00:00Z"),
            ["06:00", "07:00", "08:00", "09:00", "10:00", "11:00", "12:00"]
        );
    }

    #[test]
    fn weeks_begin_on_mondays() {
        let labels = labels("2011-03-01", "2011-04-12");
        assert_eq!(labels[0], "7 Mar 2011");
    }

    proptest! {
        #[test]
        fn ticks_are_few_and_inside(from in any::<i64>(), length in 0..i64::MAX) {
            let axis = TimeAxis::new(Timestamp::from_micros(from), Timestamp::from_micros(from.saturating_add(length)));
            let ticks = axis.ticks(8);
            prop_assert!(ticks.len() <= 16);
            for (at, _) in ticks {
                prop_assert!(axis.contains(at));
            }
        }
    }
}
