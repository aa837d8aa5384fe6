//! Numbers in sentences.

use std::fmt;

/// Digits that a reader needs.
const DIGITS: i32 = 4;
/// What is nearer to zero, or to one from below, is named by this bound.
const LEAST: f64 = 1e-4;
/// From here on there are more digits than a reader counts.
const LARGEST: f64 = 1e15;

/// A number as a sentence has it: four digits that count, whole numbers of more digits as a whole.
///
/// What would round to zero or, from below, to one is a bound, `< 0.0001` or `> 0.9999`: a probability that is not
/// certain never looks as if it were.
///
/// ```
/// use perennial_types::Rounded;
/// let written = |number| Rounded(number).to_string();
/// assert_eq!(written(1.1547115229528853), "1.155");
/// assert_eq!(written(0.00000012485347885693622), "< 0.0001");
/// assert_eq!(written(0.05), "0.05");
/// assert_eq!(written(12_118.4), "12118");
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rounded(pub f64);

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number) = *self;
        let size = number.abs();
        if !number.is_finite() || size == 0.0 {
            // Without the sign of a zero.
            return write!(f, "{}", number + 0.0);
        }
        if size < LEAST {
            let (side, sign) = if number > 0.0 { ('<', "") } else { ('>', "-") };
            return write!(f, "{side} {sign}{LEAST}");
        }
        if number < 1.0 && number > 1.0 - 0.5 * LEAST {
            return write!(f, "> {}", 1.0 - LEAST);
        }
        if size >= LARGEST {
            return write!(f, "{number:.3e}");
        }
        // The size lies between 1e-4 and 1e15, so the decimals lie between 0 and 7.
        let decimals = (DIGITS - 1 - size.log10().floor() as i32).max(0) as usize;
        let text = format!("{number:.decimals$}");
        let short = match text.contains('.') {
            true => text.trim_end_matches('0').trim_end_matches('.'),
            false => &text,
        };
        f.write_str(short)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(number: f64) -> String {
        Rounded(number).to_string()
    }

    #[test]
    fn what_is_nearly_certain_is_not_written_as_certain() {
        assert_eq!((written(1.2e-7), written(-1.2e-7)), ("< 0.0001".to_owned(), "> -0.0001".to_owned()));
        assert_eq!((written(0.999_999_9), written(1.0)), ("> 0.9999".to_owned(), "1".to_owned()));
        assert_eq!((written(0.999_94), written(0.0001)), ("0.9999".to_owned(), "0.0001".to_owned()));
        assert_eq!((written(0.0), written(-0.0)), ("0".to_owned(), "0".to_owned()));
    }

    #[test]
    fn zeros_that_say_nothing_are_left_out() {
        assert_eq!(written(5.000_000_000_000_001), "5");
        assert_eq!(
            (written(40.1), written(999.96), written(-3.218_76)),
            ("40.1".into(), "1000".into(), "-3.219".into())
        );
        assert_eq!((written(1_204_118.0), written(3.1e20)), ("1204118".into(), "3.100e20".into()));
        assert_eq!(written(f64::NAN), "NaN");
    }

    proptest! {
        #[test]
        fn a_reader_is_off_by_less_than_a_thousandth(number in -1e18..1e18_f64, scale in 0..21_i32) {
            let number = number / 10_f64.powi(scale);
            prop_assume!(number.abs() >= LEAST && !(0.9999..1.0).contains(&number));
            let read: f64 = written(number).parse().unwrap();
            prop_assert!((read - number).abs() <= 1e-3 * number.abs(), "{number} as {read}");
        }
    }
}
