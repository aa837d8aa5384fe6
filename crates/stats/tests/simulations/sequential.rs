use perennial_stats::Moments;
use perennial_stats::sequential::{Design, FIRST_LOOK, difference, mean};

use crate::draws::Draws;

/// Two arms of up to 10,000 rows each, looked at every 100 rows an arm: the rows of an arm at the first look
/// that shows a difference.
fn stopped_at(draws: &mut Draws, apart: f64) -> Option<u64> {
    let (mut a, mut b) = (Moments::default(), Moments::default());
    for _ in 0..100 {
        for _ in 0..100 {
            a.push(draws.bell());
            b.push(draws.bell() + apart);
        }
        if difference(&a, &b, Design::default()).is_some_and(|told| told.p_value < 0.05) {
            return Some(a.n);
        }
    }
    None
}

#[test]
fn equal_arms_differ_at_some_of_a_hundred_looks_in_at_most_one_of_twenty_tests() {
    let mut draws = Draws::new(2024);
    let wrong = (0..2_000).filter(|_| stopped_at(&mut draws, 0.0).is_some()).count();
    // The bounds are wider than needed for a finite number of looks: about 2.5 % is usual.
    assert!((10..=100).contains(&wrong), "{wrong} of 2000 tests of equal arms found a difference");
}

#[test]
fn a_tenth_of_a_standard_deviation_is_found_early() {
    let mut draws = Draws::new(7);
    let stops: Vec<u64> = (0..200).filter_map(|_| stopped_at(&mut draws, 0.1)).collect();
    assert!(stops.len() >= 199, "{} of 200 found", stops.len());
    let mean = stops.iter().sum::<u64>() as f64 / stops.len() as f64;
    // A test of fixed size would need 1570 rows an arm for a power of 80 %.
    assert!(mean < 2_400.0, "stopped after {mean} rows an arm");
}

type Draw = fn(&mut Draws) -> f64;

/// How many of 1,000 tests are ever wrong when looked at after every single row: of a true mean, outside both sides,
/// above the lower bound or below the upper one.
fn wrong_means(seed: u64, truth: f64, draw: Draw) -> [usize; 3] {
    let mut draws = Draws::new(seed);
    let mut wrong = [0; 3];
    for _ in 0..1_000 {
        let mut moments = Moments::default();
        let mut ever = [false; 3];
        for _ in 0..2_000 {
            moments.push(draw(&mut draws));
            if let Some(told) = mean(&moments, Design::default()) {
                let outside = (told.estimate - truth).abs() > told.half_width;
                let now = [outside, told.lower > truth, told.upper < truth];
                ever.iter_mut().zip(now).for_each(|(ever, now)| *ever |= now);
            }
        }
        wrong.iter_mut().zip(ever).for_each(|(wrong, ever)| *wrong += usize::from(ever));
    }
    wrong
}

/// The same for two arms of one law, the second with this many rows for each of the first.
fn wrong_differences(seed: u64, ratio: u32, draw: Draw) -> usize {
    let mut draws = Draws::new(seed);
    let test = |draws: &mut Draws| {
        let (mut a, mut b) = (Moments::default(), Moments::default());
        (0..2_000).any(|_| {
            a.push(draw(draws));
            (0..ratio).for_each(|_| b.push(draw(draws)));
            difference(&a, &b, Design::default()).is_some_and(|told| told.p_value < 0.05)
        })
    };
    (0..1_000).filter(|_| test(&mut draws)).count()
}

#[test]
fn looks_at_a_mean_after_every_row_are_wrong_in_at_most_one_of_twenty_tests() {
    for wrong in [wrong_means(1, 0.5, |draws| draws.bernoulli(0.5)), wrong_means(2, 0.0, Draws::bell)] {
        assert!(wrong.iter().all(|wrong| *wrong <= 50), "{wrong:?} of 1000 from row {FIRST_LOOK} on");
    }
}

#[test]
fn looks_at_two_arms_after_every_row_are_wrong_in_at_most_one_of_twenty_tests_also_of_skewed_rows() {
    let skewed = wrong_differences(3, 1, Draws::exponential);
    let rare = wrong_differences(4, 1, |draws| draws.bernoulli(0.05));
    let unequal = wrong_differences(5, 5, Draws::bell);
    for wrong in [skewed, rare, unequal] {
        assert!(
            wrong <= 50,
            "{skewed} skewed, {rare} rare, {unequal} unequal of 1000 from row {FIRST_LOOK} on"
        );
    }
}
