//! Patterns of names.

/// Whether `name` is what `pattern` says; `*` stands for any text, the empty one included.
pub fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(rest) = name.strip_prefix(head) else {
        return false;
    };
    rest.char_indices().map(|(i, _)| i).chain([rest.len()]).any(|i| matches(tail, &rest[i..]))
}

/// Whether it may stand for several names.
pub(crate) fn is_pattern(text: &str) -> bool {
    text.contains('*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        assert!(matches("slot_demand.*", "slot_demand.rides_avg_7d"));
        assert!(matches("*_avg_*", "slot_demand.rides_avg_7d"));
        assert!(matches("*", ""));
        assert!(!matches("slot_demand.*", "slot_demander.rides"));
        assert!(!matches("a*b", "abc"));
        assert!(matches("temp", "temp") && !matches("temp", "atemp"));
    }
}
