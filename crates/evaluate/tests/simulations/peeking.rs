//! Tests that are looked at all the time.

use std::sync::Arc;

use perennial_evaluate::{Algorithm, Earning, Evidence, Rewards, Unit};
use perennial_stats::sequential::Design;
use perennial_types::{Position, Timestamp};

use crate::environment::{gauss, uniform};

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
            let reward = mean + gauss(test, position);
            rewards.labelled(Unit::Request("r"), &names[arm], reward, at, Position(position));
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

/// Users who ask again and again, each with rewards around a mean of their own; the arms share them.
struct Users {
    number: u64,
    /// Standard deviation of the users' means.
    between: f64,
    /// Standard deviation of a user's rewards around the own mean.
    within: f64,
    /// What the second arm pays more.
    effect: f64,
    requests: u64,
}

/// The request at the first look with a p-value below 0.05, of a look after each 100 requests, with the unit of
/// analysis that `unit` makes of a user.
fn found_among(test: u64, users: &Users, unit: for<'a> fn(&'a str) -> Unit<'a>) -> Option<u64> {
    let names: Vec<Arc<str>> = vec!["a".into(), "b".into()];
    let earning =
        Earning { algorithm: Algorithm::GaussianThompson, range: (-10.0, 10.0), reset_on_change: false };
    let mut rewards = Rewards::new(earning, &names);
    let ids: Vec<String> = (0..users.number).map(|user| user.to_string()).collect();
    let means: Vec<f64> = (0..users.number).map(|user| users.between * gauss(test, user)).collect();
    (1..=users.requests).find(|request| {
        let (at, draw) = (Timestamp::from_micros(*request as i64), users.number + request);
        // Some ask more often than others: the density of the draw falls along the users.
        let user = (users.number as f64 * uniform(test ^ 0xa5, draw).powf(1.3)) as usize;
        let arm = user % 2;
        let reward = means[user] + users.within * gauss(test, draw) + users.effect * arm as f64;
        rewards.labelled(unit(&ids[user]), &names[arm], reward, at, Position(*request));
        rewards.mature(at);
        let look = request.is_multiple_of(100);
        look && Evidence::of(&rewards, Design::default()).p_value.is_some_and(|p_value| p_value < 0.05)
    })
}

const LOYAL: Users = Users { number: 300, between: 1.0, within: 0.2, effect: 0.0, requests: 3_000 };

#[test]
fn equal_arms_of_users_who_differ_differ_in_at_most_one_of_twenty_tests_however_often_one_looks() {
    let tests = 2_000;
    let found = |unit: for<'a> fn(&'a str) -> Unit<'a>, tests: u64| {
        (0..tests).filter(|test| found_among(30_000 + test, &LOYAL, unit).is_some()).count()
    };
    let sticky = found(|user| Unit::Sticky(user), tests);
    assert!(sticky <= tests as usize / 20, "{sticky} of {tests}");
    // Taken for independent, the requests of the same users prove what is not there.
    let single = found(|user| Unit::Request(user), 100);
    assert!(single >= 30, "{single} of 100");
}

#[test]
fn users_who_do_not_differ_prove_nothing_false_by_asking_on_and_on() {
    let alike = Users { number: 240, between: 0.0, within: 1.0, requests: 20_000, ..LOYAL };
    let tests = 300;
    let found =
        (0..tests).filter(|test| found_among(40_000 + test, &alike, |user| Unit::Sticky(user)).is_some());
    let found = found.count();
    assert!(found <= tests as usize / 20, "{found} of {tests}");
}

#[test]
fn an_effect_of_half_a_standard_deviation_is_found_among_1000_users() {
    let better = Users { number: 1_000, effect: 0.5, requests: 8_000, ..LOYAL };
    let found =
        (0..100).filter(|test| found_among(50_000 + test, &better, |user| Unit::Sticky(user)).is_some());
    let found = found.count();
    assert!(found >= 95, "{found} of 100");
}
