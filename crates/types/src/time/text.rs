//! Instants in the form that machines write, `2011-01-01T05:00:00.123Z`: read and written without a general parser,
//! many times faster. Every other form is left to chrono, and so is every text that this refuses.

/// The longest text that is written: with microseconds.
const LONGEST: usize = "2011-01-01T05:00:00.123456Z".len();
const DAY: i64 = 86_400_000_000;
/// The years that have four digits, in microseconds since 1970.
const WRITABLE: std::ops::Range<i64> = -62_167_219_200_000_000..253_402_300_800_000_000;
const DAYS_OF_MONTHS: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// Whether an instant lies in a year of four digits.
pub(super) fn writable(micros: i64) -> bool {
    WRITABLE.contains(&micros)
}

/// The microseconds since 1970 of a date and a time of day with at most six digits of a second, in UTC, marked `Z`.
pub(super) fn read(text: &str) -> Option<i64> {
    let text = text.as_bytes();
    let (head, tail) = text.split_at_checked(19)?;
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if marks.iter().any(|(at, mark)| head[*at] != *mark) {
        return None;
    }
    let number = |from: usize, to: usize| digits(&head[from..to]);
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = DAYS_OF_MONTHS.get(usize::try_from(month - 1).ok()?)? + i64::from(leap && month == 2);
    if !(1..=days).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let micros = match tail {
        b"Z" => 0,
        [b'.', fraction @ .., b'Z'] if (1..=6).contains(&fraction.len()) => {
            digits(fraction)? * 10_i64.pow(6 - fraction.len() as u32)
        }
        _ => return None,
    };
    let of_day = ((hour * 60 + minute) * 60 + second) * 1_000_000 + micros;
    Some(days_from_civil(year, month, day) * DAY + of_day)
}

/// The number that some digits stand for.
fn digits(text: &[u8]) -> Option<i64> {
    text.iter()
        .try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0')))
}

/// Days since 1970 (Hinnant, "chrono-compatible low-level date algorithms").
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719_468
}

/// A text of at most so many bytes.
pub(super) struct Text {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Text {
    pub(super) fn as_str(&self) -> &str {
        // Digits and marks are ASCII.
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

/// The text of an instant, with three or six digits of a second where it has some; nothing for a year that has not
/// four digits.
pub(super) fn write(micros: i64) -> Option<Text> {
    if !writable(micros) {
        return None;
    }
    let (days, of_day) = (micros.div_euclid(DAY), micros.rem_euclid(DAY));
    let (year, month, day) = civil_from_days(days);
    let mut bytes = *b"0000-00-00T00:00:00.000000Z";
    put(&mut bytes[0..4], year);
    put(&mut bytes[5..7], month);
    put(&mut bytes[8..10], day);
    put(&mut bytes[11..13], of_day / 3_600_000_000);
    put(&mut bytes[14..16], of_day / 60_000_000 % 60);
    put(&mut bytes[17..19], of_day / 1_000_000 % 60);
    let fraction = of_day % 1_000_000;
    let length = match fraction {
        0 => 20,
        _ if fraction % 1_000 == 0 => {
            put(&mut bytes[20..23], fraction / 1_000);
            24
        }
        _ => {
            put(&mut bytes[20..26], fraction);
            LONGEST
        }
    };
    bytes[length - 1] = b'Z';
    Some(Text { bytes, length })
}

/// Year, month and day of a day since 1970 (Hinnant, as above).
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Fill with the last digits of a number.
fn put(places: &mut [u8], mut number: i64) {
    for place in places.iter_mut().rev() {
        *place = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, SecondsFormat};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_that_are_no_instant_are_left_to_the_general_parser() {
        for text in [
            "",
            "2011-01-01",
            "2011-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2011-04-31T00:00:00Z",
            "2011-00-01T00:00:00Z",
            "2011-13-01T00:00:00Z",
            "2011-01-00T00:00:00Z",
            "2011-01-01T24:00:00Z",
            "2011-01-01T00:60:00Z",
            "2011-01-01T00:00:60Z",
            "2011-01-01T00:00:00.Z",
            "2011-01-01T00:00:00.1234567Z",
            "2011-01-01T00:00:00.+1Z",
            "2011-01-01T00:00:00+01:00",
            "2011-01-01 00:00:00Z",
            "+011-01-01T00:00:00Z",
            "2011-01-01T00:00:00é",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(read("2000-02-29T00:00:00.5Z"), Some(951_782_400_500_000));
        assert!(write(i64::MIN).is_none() && write(WRITABLE.end).is_none());
    }

    proptest! {
        #[test]
        fn instants_are_read_and_written_as_by_chrono(micros in WRITABLE, unit in prop::sample::select(vec![1, 1_000, 1_000_000])) {
            let micros = micros.div_euclid(unit) * unit;
            let expected = DateTime::from_timestamp_micros(micros).unwrap();
            let text = write(micros).unwrap();
            prop_assert_eq!(text.as_str(), expected.to_rfc3339_opts(SecondsFormat::AutoSi, true));
            prop_assert_eq!(read(text.as_str()), Some(micros));
        }

        #[test]
        fn what_is_read_is_what_chrono_reads(text in "[0-2][0-9]{3}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,7})?Z") {
            if let Some(micros) = read(&text) {
                prop_assert_eq!(DateTime::parse_from_rfc3339(&text).unwrap().timestamp_micros(), micros);
            }
        }
    }
}
