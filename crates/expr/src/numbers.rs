//! Arithmetic on numbers and on microseconds: what has no answer is `None`, or not finite and made NULL by the
//! tree that called it.

/// Integer quotient, towards zero.
pub(crate) fn quotient(a: i64, b: i64) -> Option<i64> {
    a.checked_div(b)
}

/// Remainder with the sign of `a`.
pub(crate) fn remainder(a: i64, b: i64) -> Option<i64> {
    a.checked_rem(b)
}

/// -1, 0 or 1.
pub(crate) fn sign_of_int(a: i64) -> Option<i64> {
    Some(a.signum())
}

/// -1, 0 or 1.
pub(crate) fn sign_of_double(a: f64) -> Option<i64> {
    Some(i64::from(a > 0.0) - i64::from(a < 0.0))
}

/// Widening; above 2^53 to the nearest double.
pub(crate) fn widen(a: i64) -> f64 {
    a as f64
}

/// To the nearest integer, halves to the even one.
pub(crate) fn to_int(a: f64) -> Option<i64> {
    // 2^63 is the first double above the range; -2^63 is in it.
    let limit = 9_223_372_036_854_775_808.0;
    let rounded = a.round_ties_even();
    (-limit..limit).contains(&rounded).then_some(rounded as i64)
}

/// Rounded to `digits` decimals (to tens and hundreds if negative), halves away from zero.
pub(crate) fn round_to(a: f64, digits: f64) -> f64 {
    let scale = 10_f64.powi(digits.abs().min(400.0) as i32);
    let rounded = if digits < 0.0 { (a / scale).round() * scale } else { (a * scale).round() / scale };
    match (rounded.is_finite(), digits < 0.0) {
        (true, _) => rounded,
        // More decimals than a double has leave it as it is; rounding to a power beyond it leaves nothing.
        (false, false) => a,
        (false, true) => 0.0,
    }
}

/// A duration times a number.
pub(crate) fn lengthen(micros: i64, factor: f64) -> Option<i64> {
    to_int(micros as f64 * factor)
}

/// A duration divided by a number.
pub(crate) fn shorten(micros: i64, divisor: f64) -> Option<i64> {
    to_int(micros as f64 / divisor)
}

/// How often one duration goes into another.
pub(crate) fn ratio(micros: i64, other: i64) -> f64 {
    micros as f64 / other as f64
}

/// Microseconds as seconds.
pub(crate) fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

/// An integer from text: spaces around it, a sign, digits.
pub(crate) fn read_int(text: &str) -> Option<i64> {
    text.trim().parse().ok()
}

/// A double from text: spaces around it, decimal or scientific.
pub(crate) fn read_double(text: &str) -> Option<f64> {
    text.trim().parse().ok()
}

/// A boolean from text, in any case.
pub(crate) fn read_boolean(text: &str) -> Option<bool> {
    let is = |names: &[&str]| names.iter().any(|name| text.eq_ignore_ascii_case(name));
    if is(&["true", "t", "yes", "y", "1"]) {
        Some(true)
    } else if is(&["false", "f", "no", "n", "0"]) {
        Some(false)
    } else {
        None
    }
}

/// The shortest text that reads back as the same double: `1.0`, `0.0001`, `1e-05`, `1e+16`.
pub(crate) fn write_double(a: f64) -> String {
    let scientific = format!("{a:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        format!("{a:?}")
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{digits}e{sign}{:02}", exponent.abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_that_do_not_fit_are_no_integers() {
        assert_eq!(to_int(9_223_372_036_854_775_808.0), None);
        assert_eq!(to_int(-9_223_372_036_854_775_808.0), Some(i64::MIN));
        assert_eq!(to_int(2.5), Some(2));
        assert_eq!(to_int(3.5), Some(4));
    }

    #[test]
    fn rounding_beyond_the_digits_of_a_double_keeps_it() {
        assert_eq!(round_to(1.5, 400.0), 1.5);
        assert_eq!(round_to(1.5, -400.0), 0.0);
        assert_eq!(round_to(1234.5, -2.0), 1200.0);
    }

    #[test]
    fn doubles_are_written_as_they_are_read() {
        for a in [0.0, -0.0, 1.0, 0.1, 1e15, 1e16, 1.5e-7, 0.0001, f64::MAX, f64::MIN_POSITIVE] {
            assert_eq!(read_double(&write_double(a)).unwrap().to_bits(), a.to_bits());
        }
        assert_eq!(write_double(1e16), "1e+16");
        assert_eq!(write_double(1e-5), "1e-05");
        assert_eq!(write_double(1e15), "1000000000000000.0");
    }
}
