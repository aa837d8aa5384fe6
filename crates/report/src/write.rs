//! How numbers and instants are written for people.

use std::fmt::Write;

use perennial_types::Timestamp;

/// A whole number with its thousands apart: `1,204,118`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number with a noun that follows it: `1 row`, `2 rows`.
pub fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

/// A number to about three significant digits: `0.0731`, `41.2`, `12,118`, `3.1e7`.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        return "unknown".to_owned();
    }
    if size == 0.0 {
        return "0".to_owned();
    }
    if !(1e-4..1e7).contains(&size) {
        return trimmed_exponent(&format!("{value:.2e}"));
    }
    if size >= 999.5 {
        let sign = if value < 0.0 { "−" } else { "" };
        return format!("{sign}{}", count(size.round() as u64));
    }
    // `size` is below 1000, so that the exponent lies between -4 and 2.
    let exponent = size.log10().floor() as i32;
    let decimals = (2 - exponent).clamp(0, 6) as usize;
    minus(trimmed(&format!("{value:.decimals$}")))
}

/// A number that may be unknown.
pub fn number_or_dash(value: Option<f64>) -> String {
    value.filter(|value| value.is_finite()).map_or_else(|| "–".to_owned(), number)
}

/// A share in percent: `0%`, `<0.1%`, `2.4%`, `37%`, `>99.9%`.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if !percent.is_finite() {
        return "unknown".to_owned();
    }
    if percent > 0.0 && percent < 0.1 {
        return "<0.1%".to_owned();
    }
    if percent > 99.9 && percent < 100.0 {
        return ">99.9%".to_owned();
    }
    let decimals = usize::from(percent.abs() < 10.0 || percent > 99.0);
    format!("{}%", minus(trimmed(&format!("{percent:.decimals$}"))))
}

/// `part` of `whole` in percent; a dash where there is no whole.
pub fn part(part: u64, whole: u64) -> String {
    if whole == 0 { "–".to_owned() } else { percent(part as f64 / whole as f64) }
}

/// A p-value: `0.031`, `<0.0001`; a dash where it is unknown.
pub fn p_value(p: Option<f64>) -> String {
    match p {
        Some(p) if p.is_finite() && p < 0.0001 => "<0.0001".to_owned(),
        Some(p) if p.is_finite() => trimmed(&format!("{p:.4}")).to_owned(),
        _ => "–".to_owned(),
    }
}

/// An instant to the minute, in UTC: `2011-03-07 14:05`.
pub fn instant(at: Timestamp) -> String {
    at.to_chrono().map_or_else(|| at.to_string(), |time| time.format("%Y-%m-%d %H:%M").to_string())
}

/// A window: `7 Mar 2011 – 14 Mar 2011`, with times of day where it does not begin and end at midnight.
pub fn window(from: Timestamp, to: Timestamp) -> String {
    let (Some(a), Some(b)) = (from.to_chrono(), to.to_chrono()) else { return format!("{from} – {to}") };
    let midnight = chrono::NaiveTime::MIN;
    let form = if a.time() == midnight && b.time() == midnight { "%-d %b %Y" } else { "%-d %b %Y %H:%M" };
    format!("{} – {}", a.format(form), b.format(form))
}

/// Without the zeros and the point at the end of its decimals.
fn trimmed(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// The same of a number such as `1.50e7`.
fn trimmed_exponent(text: &str) -> String {
    let (digits, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let mut out = minus(trimmed(digits));
    // Writing to a string does not fail.
    let _ = write!(out, "e{}", minus(exponent));
    out
}

/// With a minus sign that is as wide as a digit.
fn minus(text: &str) -> String {
    match text.strip_prefix('-') {
        Some("0") => "0".to_owned(),
        Some(rest) => format!("−{rest}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_three_digits_and_no_more_zeros_than_needed() {
        let written = |v| number(v);
        assert_eq!(written(0.0731249), "0.0731");
        assert_eq!(written(41.0), "41");
        assert_eq!(written(41.26), "41.3");
        assert_eq!(written(999.7), "1,000");
        assert_eq!(written(-12_118.4), "−12,118");
        assert_eq!(written(3.1e7), "3.1e7");
        assert_eq!(written(-2.5e-9), "−2.5e−9");
        assert_eq!(written(-0.0), "0");
        assert_eq!(written(f64::NAN), "unknown");
    }

    #[test]
    fn shares_near_the_ends_are_not_rounded_to_nothing_or_all() {
        assert_eq!(percent(0.0), "0%");
        assert_eq!(percent(0.0002), "<0.1%");
        assert_eq!(percent(0.024), "2.4%");
        assert_eq!(percent(0.37), "37%");
        assert_eq!(percent(0.996), "99.6%");
        assert_eq!(percent(0.9999), ">99.9%");
        assert_eq!(percent(1.0), "100%");
        assert_eq!(part(1, 0), "–");
    }

    #[test]
    fn p_values_below_what_matters_are_bounds() {
        assert_eq!(p_value(Some(3e-12)), "<0.0001");
        assert_eq!(p_value(Some(0.0312)), "0.0312");
        assert_eq!(p_value(Some(1.0)), "1");
        assert_eq!(p_value(None), "–");
    }

    #[test]
    fn windows_show_times_of_day_only_where_they_matter() {
        let t = |text| Timestamp::parse(text).unwrap();
        assert_eq!(window(t("2011-03-07"), t("2011-03-14")), "7 Mar 2011 – 14 Mar 2011");
        assert_eq!(
            window(t("2011-03-07T07:00:00Z"), t("2011-03-14T07:00:00Z")),
            "7 Mar 2011 07:00 – 14 Mar 2011 07:00"
        );
        assert_eq!(instant(t("2011-03-07T07:05:59Z")), "2011-03-07 07:05");
    }
}
