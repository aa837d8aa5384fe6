//! Schedules in five Unix fields, in UTC.

use std::collections::BTreeSet;
use std::str::FromStr;
use std::sync::Arc;

use chrono::Duration;
use perennial_types::{Kind, Timestamp};

/// The days of the week by their Unix numbers.
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// A schedule: `minute hour day-of-month month day-of-week`, where 0 and 7 are Sunday and 1 is Monday.
///
/// As in Vixie's cron, an instant is due on days that fit *either* day field if both are restricted, and on
/// days that fit both if one of them starts with a star.
#[derive(Clone, Debug)]
pub struct Schedule {
    text: Arc<str>,
    /// An instant is due if any of these says so.
    either: Vec<cron::Schedule>,
}

/// A text that is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Not five fields.
    #[error(
        "schedule {text:?} has {fields} fields instead of five: \
         minute hour day-of-month month day-of-week, as in \"0 3 * * 1\" for Mondays at 03:00 UTC"
    )]
    Fields {
        /// What was written.
        text: String,
        /// How many fields it has.
        fields: usize,
    },
    /// A field that cannot be read.
    #[error("schedule {text:?}: {field} {given:?} is not {wanted}")]
    Field {
        /// The whole schedule.
        text: String,
        /// Which field.
        field: &'static str,
        /// What stands there.
        given: String,
        /// What may stand there.
        wanted: &'static str,
    },
    /// No calendar has such a day.
    #[error("schedule {0:?} is never due")]
    Never(String),
}

impl ScheduleError {
    /// What the caller can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Fields { .. } | Self::Field { .. } | Self::Never(_) => Kind::Invalid,
        }
    }
}

/// The first four fields: name and what may stand there.
const FIELDS: [(&str, &str); 4] = [
    ("minute", "a star or a list of numbers 0-59, ranges and steps"),
    ("hour", "a star or a list of numbers 0-23, ranges and steps"),
    ("day of month", "a star or a list of numbers 1-31, ranges and steps"),
    ("month", "a star or a list of numbers 1-12 or names jan-dec, ranges and steps"),
];
const DAY_OF_WEEK: (&str, &str) = (
    "day of week",
    "a star or a list of numbers 0-7 (0 and 7 are Sunday) or names sun-sat, ranges and steps",
);

impl Schedule {
    /// Read five Unix fields.
    ///
    /// # Errors
    /// When a field cannot be read, or no instant is ever due.
    pub fn parse(text: &str) -> Result<Self, ScheduleError> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let &[minute, hour, day, month, weekday] = fields.as_slice() else {
            return Err(ScheduleError::Fields { text: text.to_owned(), fields: fields.len() });
        };
        let wrong = |(field, wanted): (&'static str, &'static str), given: &str| ScheduleError::Field {
            text: text.to_owned(),
            field,
            given: given.to_owned(),
            wanted,
        };
        // Each field alone first, so that a fault can be laid at its door.
        for (place, (field, given)) in FIELDS.into_iter().zip(&fields).enumerate() {
            let mut alone = ["*"; 4];
            alone[place] = given;
            let [minute, hour, day, month] = alone;
            let unix = given.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"*,-/".contains(&byte));
            if !unix || cron::Schedule::from_str(&format!("0 {minute} {hour} {day} {month} *")).is_err() {
                return Err(wrong(field, given));
            }
        }
        let translated = weekdays(weekday).ok_or_else(|| wrong(DAY_OF_WEEK, weekday))?;
        let days = if day.starts_with('*') || weekday.starts_with('*') {
            vec![(day, translated.as_str())]
        } else {
            vec![(day, "*"), ("*", translated.as_str())]
        };
        let either = days
            .into_iter()
            .map(|(day, weekday)| {
                cron::Schedule::from_str(&format!("0 {minute} {hour} {day} {month} {weekday}"))
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| wrong(DAY_OF_WEEK, weekday))?;
        let schedule = Self { text: text.into(), either };
        match schedule.next_after(Timestamp::from_micros(0)) {
            Some(_) => Ok(schedule),
            None => Err(ScheduleError::Never(text.to_owned())),
        }
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The last due instant after `after_exclusive` and not after `to_inclusive`.
    pub fn due_in(&self, after_exclusive: Timestamp, to_inclusive: Timestamp) -> Option<Timestamp> {
        // Due instants are whole seconds, and the iterator gives those before its start.
        let start = to_inclusive.to_chrono()?.checked_add_signed(Duration::seconds(1))?;
        self.either
            .iter()
            .filter_map(|schedule| {
                schedule
                    .after(&start)
                    .rev()
                    .map(Timestamp::from_chrono)
                    .find(|instant| *instant <= to_inclusive)
            })
            .max()
            .filter(|instant| *instant > after_exclusive)
    }

    /// The first due instant after `after_exclusive`; nothing beyond the calendar, which ends in 2100.
    pub fn next_after(&self, after_exclusive: Timestamp) -> Option<Timestamp> {
        let start = after_exclusive.to_chrono()?;
        self.either
            .iter()
            .filter_map(|schedule| {
                schedule.after(&start).map(Timestamp::from_chrono).find(|instant| *instant > after_exclusive)
            })
            .min()
    }
}

/// The day-of-week field for a calendar that counts from Sunday = 1: a star, or the list of days.
fn weekdays(field: &str) -> Option<String> {
    let mut days = BTreeSet::new();
    for item in field.split(',') {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, step.parse().ok().filter(|step| *step > 0)?),
            None => (item, 1),
        };
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (0, 6),
            Some((first, last)) => (weekday(first)?, weekday(last)?),
            None if step == 1 => (weekday(range)?, weekday(range)?),
            None => return None,
        };
        if first > last {
            return None;
        }
        days.extend((first..=last).step_by(step).map(|day| day % 7 + 1));
    }
    if days.len() == 7 {
        return Some("*".to_owned());
    }
    Some(days.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
}

fn weekday(text: &str) -> Option<u8> {
    match DAYS.iter().position(|day| text.eq_ignore_ascii_case(day)) {
        Some(day) => u8::try_from(day).ok(),
        None => text.parse().ok().filter(|day| *day <= 7),
    }
}

#[cfg(test)]
mod tests {
    use perennial_types::TimeSpan;
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn each_unix_weekday_is_due_on_its_day() {
        // 2011-03-06 was a Sunday.
        for (day, date) in (0..=7).zip(["06", "07", "08", "09", "10", "11", "12", "06"]) {
            let schedule = Schedule::parse(&format!("0 7 * * {day}")).unwrap();
            let due = schedule.next_after(at("2011-03-05T23:00:00Z")).unwrap();
            assert_eq!(due.to_string(), format!("2011-03-{date}T07:00:00Z"), "day {day}");
            if let Some(name) = DAYS.get(day) {
                let named = Schedule::parse(&format!("0 7 * * {}", name.to_uppercase())).unwrap();
                assert_eq!(named.next_after(at("2011-03-05T23:00:00Z")), Some(due));
            }
        }
    }

    #[test]
    fn ranges_over_the_week_include_sunday_at_either_end() {
        let due = |weekdays: &str| -> Vec<i64> {
            let schedule = Schedule::parse(&format!("0 0 * * {weekdays}")).unwrap();
            let sunday = at("2011-03-06");
            (0..7)
                .filter(|day| {
                    let instant = sunday + TimeSpan::from_days(*day);
                    schedule.due_in(instant - TimeSpan::from_micros(1), instant).is_some()
                })
                .collect()
        };
        assert_eq!(due("1-5"), [1, 2, 3, 4, 5]);
        assert_eq!(due("5-7"), [0, 5, 6]);
        assert_eq!(due("0-2"), [0, 1, 2]);
        assert_eq!(due("*/2"), [0, 2, 4, 6]);
        assert_eq!(due("mon-fri/2,sat"), [1, 3, 5, 6]);
        assert_eq!(due("0-7"), [0, 1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn two_restricted_day_fields_fit_either_and_a_star_fits_both() {
        let days = |text: &str| -> Vec<String> {
            let schedule = Schedule::parse(text).unwrap();
            let mut at = at("2011-03-01T12:00:00Z");
            (0..4)
                .map(|_| {
                    at = schedule.next_after(at).unwrap();
                    at.to_string()[5..10].to_owned()
                })
                .collect()
        };
        // Mondays were the 7th, 14th, 21st and 28th.
        assert_eq!(days("0 0 10 * 1"), ["03-07", "03-10", "03-14", "03-21"]);
        assert_eq!(days("0 0 */2 * 1"), ["03-07", "03-21", "04-11", "04-25"]);
    }

    #[test]
    fn a_due_instant_belongs_to_one_range_only() {
        let schedule = Schedule::parse("0 3 * * *").unwrap();
        let three = at("2011-03-05T03:00:00Z");
        let hour = TimeSpan::from_hours(1);
        assert_eq!(schedule.due_in(three - hour, three), Some(three));
        assert_eq!(schedule.due_in(three, three + hour), None);
        assert_eq!(schedule.due_in(three - hour, three - TimeSpan::from_micros(1)), None);
        assert_eq!(schedule.due_in(three - hour, three + TimeSpan::from_micros(1)), Some(three));
        assert_eq!(
            schedule.due_in(Timestamp::MIN, three + TimeSpan::from_days(3)),
            Some(three + TimeSpan::from_days(3))
        );
    }

    #[test]
    fn faults_name_the_field_and_what_may_stand_there() {
        let message = |text: &str| Schedule::parse(text).unwrap_err().to_string();
        assert_eq!(
            message("0 0 3 * * *"),
            "schedule \"0 0 3 * * *\" has 6 fields instead of five: minute hour day-of-month month day-of-week, \
             as in \"0 3 * * 1\" for Mondays at 03:00 UTC"
        );
        assert_eq!(
            message("0 25 * * *"),
            "schedule \"0 25 * * *\": hour \"25\" is not a star or a list of numbers 0-23, ranges and steps"
        );
        for text in [
            "61 * * * *",
            "* * ? * *",
            "* * * jux *",
            "* * * * 8",
            "* * * * 5-2",
            "* * * * 1/2",
            "* * * * */0",
        ] {
            assert!(matches!(Schedule::parse(text), Err(ScheduleError::Field { .. })), "{text}");
        }
        assert_eq!(message("0 0 31 2 *"), "schedule \"0 0 31 2 *\" is never due");
    }

    /// The fields of an instant against lists of allowed numbers, by the rule of Vixie's cron.
    fn slow_due(instant: Timestamp, hours: &[u32], day: Option<u32>, weekday: Option<u32>) -> bool {
        use chrono::{Datelike, Timelike};
        let time = instant.to_chrono().unwrap();
        let fits_day = day.is_none_or(|day| time.day() == day);
        let fits_weekday = weekday.is_none_or(|weekday| time.weekday().num_days_from_sunday() == weekday % 7);
        let fits = match (day, weekday) {
            (Some(_), Some(_)) => fits_day || fits_weekday,
            _ => fits_day && fits_weekday,
        };
        time.minute() == 30 && hours.contains(&time.hour()) && fits
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_last_due_instant_is_that_of_a_walk_by_minutes(
            hours in prop::collection::vec(0..24_u32, 1..4),
            day in prop::option::of(1..29_u32),
            weekday in prop::option::of(0..8_u32),
            from in 0..3_000_000_i64,
            minutes in 0..20_000_i64,
        ) {
            let list = hours.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
            let field = |field: Option<u32>| field.map_or("*".to_owned(), |number| number.to_string());
            let schedule = Schedule::parse(&format!("30 {list} {} * {}", field(day), field(weekday))).unwrap();
            let minute = |minutes: i64| Timestamp::from_micros(minutes * 60_000_000);
            let slow = (from + 1..=from + minutes).rev().map(minute).find(|at| slow_due(*at, &hours, day, weekday));
            prop_assert_eq!(schedule.due_in(minute(from), minute(from + minutes)), slow);
        }
    }
}
