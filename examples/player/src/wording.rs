//! How numbers and counts are written.

use std::collections::BTreeMap;
use std::fmt::Write;

/// `31148565` as `31,148,565`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A line for each name, with its count before it.
pub fn list(counts: &BTreeMap<String, u64>) -> String {
    let mut text = String::new();
    for (name, count) in counts {
        // Writing to a String does not fail.
        let _written = writeln!(text, "  {count:>6}  {name}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_are_grouped_by_thousands() {
        assert_eq!([0, 999, 1_000, 31_148_565].map(grouped), ["0", "999", "1,000", "31,148,565"]);
    }

    #[test]
    fn counts_stand_before_their_names() {
        let counts = BTreeMap::from([("promoted".to_owned(), 12), ("refused".to_owned(), 3)]);
        assert_eq!(list(&counts), "      12  promoted\n       3  refused\n");
    }
}
