//! Instants, lengths of time, and the clock.

mod text;

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use serde::{Deserialize, Serialize};

/// A text that is no instant or no length of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// Not an instant.
    #[error("{0:?} is not a time; write it as 2011-01-01T05:00:00Z")]
    NotATime(String),
    /// Not a length of time.
    #[error("{0:?} is not a duration; write it as 90s, 10m, 24h or 7d")]
    NotADuration(String),
}

/// An instant: microseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest instant that can be written; before every declared one.
    pub const MIN: Self = Self(i64::MIN);

    /// From microseconds since 1970 UTC.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970 UTC.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Read RFC 3339, or a date with or without a time of day, which then is UTC.
    ///
    /// # Errors
    /// When the text is none of these, or its year has not four digits: what is read can be written and read again.
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        let read = Self::parse_any(text)?;
        if text::writable(read.0) { Ok(read) } else { Err(TimeError::NotATime(text.to_owned())) }
    }

    fn parse_any(text: &str) -> Result<Self, TimeError> {
        if let Some(micros) = text::read(text) {
            return Ok(Self(micros));
        }
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self(time.timestamp_micros()));
        }
        for format in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"] {
            if let Ok(time) = NaiveDateTime::parse_from_str(text, format) {
                return Ok(Self(time.and_utc().timestamp_micros()));
            }
        }
        match NaiveDate::parse_from_str(text, "%Y-%m-%d") {
            Ok(date) => Ok(Self(date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_micros())),
            Err(_) => Err(TimeError::NotATime(text.to_owned())),
        }
    }

    /// The largest multiple of `step` since 1970 that is not after this instant. `step` is positive.
    #[must_use]
    pub fn floor(self, step: TimeSpan) -> Self {
        Self(self.0.div_euclid(step.micros()).saturating_mul(step.micros()))
    }

    /// The length of time since `earlier`; negative if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> TimeSpan {
        TimeSpan(self.0.saturating_sub(earlier.0))
    }

    /// The calendar time, where the calendar reaches.
    pub fn to_chrono(self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_micros(self.0)
    }

    /// From a calendar time.
    pub fn from_chrono(time: DateTime<Utc>) -> Self {
        Self(time.timestamp_micros())
    }
}

impl std::ops::Add<TimeSpan> for Timestamp {
    type Output = Self;
    fn add(self, span: TimeSpan) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl std::ops::Sub<TimeSpan> for Timestamp {
    type Output = Self;
    fn sub(self, span: TimeSpan) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = text::write(self.0) {
            return f.write_str(text.as_str());
        }
        write!(f, "{}us", self.0)
    }
}

impl FromStr for Timestamp {
    type Err = TimeError;
    fn from_str(text: &str) -> Result<Self, TimeError> {
        Self::parse(text)
    }
}

impl Serialize for Timestamp {
    /// RFC 3339 for people (JSON), microseconds in binary formats.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_i64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return i64::deserialize(deserializer).map(Self);
        }
        let text = String::deserialize(deserializer)?;
        // What lies beyond the calendar is written in microseconds.
        match text.strip_suffix("us").and_then(|micros| micros.parse().ok()) {
            Some(micros) => Ok(Self(micros)),
            None => Self::parse(&text).map_err(serde::de::Error::custom),
        }
    }
}

/// A length of time in microseconds, written `90s`, `10m`, `24h` or `7d`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeSpan(i64);

impl TimeSpan {
    /// No time.
    pub const ZERO: Self = Self(0);

    /// The units of the written form, largest first, in microseconds.
    const UNITS: [(&'static str, i64); 6] = [
        ("d", 86_400_000_000),
        ("h", 3_600_000_000),
        ("m", 60_000_000),
        ("s", 1_000_000),
        ("ms", 1_000),
        ("us", 1),
    ];

    /// From microseconds.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// From seconds.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs * 1_000_000)
    }

    /// From hours.
    pub const fn from_hours(hours: i64) -> Self {
        Self::from_secs(hours * 3_600)
    }

    /// From days.
    pub const fn from_days(days: i64) -> Self {
        Self::from_hours(days * 24)
    }

    /// Microseconds.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Read a whole number and a unit: `us`, `ms`, `s`, `m`, `h` or `d`.
    ///
    /// # Errors
    /// When the text is not of that form, or too long a time.
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        let wrong = || TimeError::NotADuration(text.to_owned());
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let number: i64 = text[..digits].parse().map_err(|_| wrong())?;
        let unit = Self::UNITS.iter().find(|(name, _)| *name == &text[digits..]).ok_or_else(wrong)?;
        number.checked_mul(unit.1).map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for TimeSpan {
    /// The largest unit that divides it: `7d`, but `36h` and `90s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, micros) = match Self::UNITS.iter().find(|(_, micros)| self.0 % micros == 0) {
            Some(unit) if self.0 != 0 => *unit,
            _ => ("s", 1_000_000),
        };
        write!(f, "{}{name}", self.0 / micros)
    }
}

impl FromStr for TimeSpan {
    type Err = TimeError;
    fn from_str(text: &str) -> Result<Self, TimeError> {
        Self::parse(text)
    }
}

impl Serialize for TimeSpan {
    /// As declared for people (JSON), microseconds in binary formats.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_i64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for TimeSpan {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            match text.strip_prefix('-') {
                Some(rest) => Self::parse(rest).map(|span| Self(-span.0)),
                None => Self::parse(&text),
            }
            .map_err(serde::de::Error::custom)
        } else {
            i64::deserialize(deserializer).map(Self)
        }
    }
}

/// Something that says what time it is. The system clock is made once, in the binary.
pub trait Clock: Send + Sync {
    /// The present instant.
    fn now(&self) -> Timestamp;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_the_forms_that_people_write() {
        let time = Timestamp::parse("2011-01-01T05:00:00Z").unwrap();
        for text in ["2011-01-01 05:00:00", "2011-01-01T05:00:00", "2011-01-01T06:00:00+01:00"] {
            assert_eq!(Timestamp::parse(text).unwrap(), time);
        }
        assert_eq!(Timestamp::parse("1970-01-02").unwrap().micros(), 86_400_000_000);
        assert!(Timestamp::parse("yesterday").is_err());
    }

    #[test]
    fn what_is_read_can_be_written_and_read_again() {
        for text in [
            "-2011-01-01 05:00:00",
            "+12011-01-01",
            "-0001-12-31",
            "9999-12-31T23:59:59-01:00",
            "0000-01-01T00:00:00+01:00",
        ] {
            assert!(Timestamp::parse(text).is_err(), "{text}");
        }
        for text in ["9999-12-31T23:59:59.999999Z", "0000-01-01", "1969-12-31T23:59:59.999999"] {
            let time = Timestamp::parse(text).unwrap();
            assert_eq!(Timestamp::parse(&time.to_string()), Ok(time), "{text}");
        }
    }

    #[test]
    fn durations_are_written_as_they_are_read() {
        for text in ["90s", "36h", "7d", "0s", "15ms", "61m"] {
            assert_eq!(TimeSpan::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(TimeSpan::parse("24h").unwrap().to_string(), "1d");
        for text in ["", "d", "7", "7w", "-3d", "7 d", "99999999999999d"] {
            assert!(TimeSpan::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_instant_beyond_the_calendar_is_read_back_from_json() {
        for time in [Timestamp::MIN, Timestamp::from_micros(i64::MAX), Timestamp::from_micros(0)] {
            let text = serde_json::to_string(&time).unwrap();
            assert_eq!(serde_json::from_str::<Timestamp>(&text).unwrap(), time, "{text}");
        }
    }

    #[test]
    fn floor_goes_down_before_1970_too() {
        let hour = TimeSpan::from_hours(1);
        assert_eq!(Timestamp::from_micros(-1).floor(hour).micros(), -3_600_000_000);
    }
}
