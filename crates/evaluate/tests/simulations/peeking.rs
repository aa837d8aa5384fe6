//! Tests that are looked at all the time.

use std::sync::Arc;

use perennial_evaluate::{Algorithm, Earning, Evidence, Rewards};
use perennial_stats::sequential::Design;
use perennial_types::{Position, Timestamp};

use crate::environment::gauss;

/// The number of rewards an arm at the first look with a p-value below 0.05, of a look after each 100; the
/// arms pay normal rewards of these means and standard deviation 1.
fn found_after(test: u64, means: &[f64], rows: u64) -> Option<u64> {
    let names: Vec<Arc<str>> = (0..means.len()).map(|arm| arm.to_string().into()).collect();
    let earning =
        Earning { algorithm: Algorithm::GaussianThompson, range: (-10.0, 10.0), reset_on_change: false };
    let mut rewards = Rewards::new(earning, &names);
    (1..=rows).find(|row| {
        let at = Timestamp::from_micros(*row as i64);
        for (arm, mean) in means.iter().enumerate() {
            let position = row * means.len() as u64 + arm as u64;
            rewards.labelled(&names[arm], mean + gauss(test, position), at, Position(position));
        }
        rewards.mature(at);
        let look = row.is_multiple_of(100);
        look && Evidence::of(&rewards, Design::default()).p_value.is_some_and(|p_value| p_value < 0.05)
    })
}

#[test]
fn equal_arms_differ_in_at_most_one_of_twenty_tests_however_often_one_looks() {
    let tests = 2_000;
    let found = (0..tests).filter(|test| found_after(*test, &[0.0, 0.0], 2_000).is_some()).count();
    assert!(found <= tests as usize / 20, "{found} of {tests}");
    // A test that never finds anything would pass too.
    assert!(found > 0);
}

#[test]
fn of_four_equal_arms_none_leads_in_more_than_one_of_twenty_tests() {
    let tests = 500;
    let found = (0..tests).filter(|test| found_after(10_000 + test, &[0.0; 4], 2_000).is_some()).count();
    assert!(found <= tests as usize / 20, "{found} of {tests}");
}

#[test]
fn a_difference_of_a_fifth_of_a_standard_deviation_is_found_by_2000_rewards_an_arm() {
    let found = (0..200).filter(|test| found_after(20_000 + test, &[0.0, 0.2], 2_000).is_some()).count();
    assert!(found >= 190, "{found} of 200");
}
