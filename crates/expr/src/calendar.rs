//! Parts of timestamps (UTC), from microseconds since 1970.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use perennial_types::Timestamp;

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// What computes an integer from microseconds; `None` beyond the calendar (some 262,000 years).
pub(crate) type Part = fn(i64) -> Option<i64>;

/// The parts of EXTRACT that are integers. Weeks are those of ISO 8601; `dow` is 0 on Sunday.
pub(crate) const PARTS: [(&str, Part); 10] = [
    ("year", |t| Some(i64::from(date(t)?.year()))),
    ("quarter", |t| Some(i64::from(date(t)?.month0() / 3 + 1))),
    ("month", |t| Some(i64::from(date(t)?.month()))),
    ("week", |t| Some(i64::from(date(t)?.iso_week().week()))),
    ("day", |t| Some(i64::from(date(t)?.day()))),
    ("doy", |t| Some(i64::from(date(t)?.ordinal()))),
    // 1970-01-01 was a Thursday.
    ("dow", |t| Some((t.div_euclid(DAY) + 4).rem_euclid(7))),
    ("hour", |t| Some(t.rem_euclid(DAY) / (3_600 * SECOND))),
    ("minute", |t| Some(t.rem_euclid(3_600 * SECOND) / (60 * SECOND))),
    ("second", |t| Some(t.rem_euclid(60 * SECOND) / SECOND)),
];

/// The units of DATE_TRUNC. Weeks begin on Monday.
pub(crate) const UNITS: [(&str, Part); 8] = [
    ("year", |t| midnight(date(t)?.with_ordinal(1)?)),
    ("quarter", |t| {
        let day = date(t)?;
        midnight(NaiveDate::from_ymd_opt(day.year(), day.month0() / 3 * 3 + 1, 1)?)
    }),
    ("month", |t| midnight(date(t)?.with_day(1)?)),
    // Three days after a Monday, 1970 began.
    ("week", |t| t.checked_sub((t.checked_add(3 * DAY)?).rem_euclid(7 * DAY))),
    ("day", |t| t.checked_sub(t.rem_euclid(DAY))),
    ("hour", |t| t.checked_sub(t.rem_euclid(3_600 * SECOND))),
    ("minute", |t| t.checked_sub(t.rem_euclid(60 * SECOND))),
    ("second", |t| t.checked_sub(t.rem_euclid(SECOND))),
];

/// Microseconds of a written instant.
pub(crate) fn read(text: &str) -> Option<i64> {
    Timestamp::parse(text.trim()).ok().map(Timestamp::micros)
}

/// RFC 3339.
pub(crate) fn write(micros: i64) -> String {
    Timestamp::from_micros(micros).to_string()
}

fn date(micros: i64) -> Option<NaiveDate> {
    Some(DateTime::<Utc>::from_timestamp_micros(micros)?.date_naive())
}

fn midnight(day: NaiveDate) -> Option<i64> {
    Some(NaiveDateTime::new(day, NaiveTime::MIN).and_utc().timestamp_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_before_1970_count_forwards() {
        let last_second = -1;
        for (name, wanted) in
            [("year", 1969), ("month", 12), ("day", 31), ("hour", 23), ("second", 59), ("dow", 3)]
        {
            let part = PARTS.iter().find(|(part, _)| *part == name).unwrap().1;
            assert_eq!(part(last_second), Some(wanted), "{name}");
        }
    }

    #[test]
    fn no_instant_is_too_far_to_be_asked() {
        for (_, part) in PARTS.iter().chain(&UNITS) {
            for micros in [i64::MIN, i64::MAX] {
                let _may_be_none = part(micros);
            }
        }
        let year = UNITS[0].1;
        assert_eq!(year(i64::MIN), None);
    }
}
