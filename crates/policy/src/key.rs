//! What makes a decision happen once.

use perennial_types::{ContentHash, Timestamp};

/// The key of a decision: 64 hex digits that depend on the policy version, the model, the trigger and the
/// instant of an [`Outcome::Start`](crate::Outcome::Start), so that a decision taken twice has one key.
pub fn decision_key(policy_version: &str, model: &str, trigger: &str, instant: Timestamp) -> String {
    let micros = instant.micros().to_le_bytes();
    let parts = [policy_version.as_bytes(), model.as_bytes(), trigger.as_bytes(), &micros];
    ContentHash::of_parts(parts).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_counts_and_the_key_is_stable() {
        let at = Timestamp::from_micros(1);
        let key = decision_key("p1", "m", "t", at);
        let others = [
            decision_key("p2", "m", "t", at),
            decision_key("p1", "n", "t", at),
            decision_key("p1", "m", "u", at),
            decision_key("p1", "m", "t", Timestamp::from_micros(2)),
            decision_key("p1m", "", "t", at),
        ];
        assert!(!others.contains(&key));
        // SHA-256 over each part after its length as a little-endian u64, by hashlib of Python.
        assert_eq!(key, "1d0b2809bb4c0031a7551ba73af00ee88cfadec0f5f48a3859ef9c9144c8113c");
    }
}
