use perennial_stats::Moments;
use perennial_stats::sequential::{Design, FIRST_LOOK, Sequence, difference, mean};

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

/// How many of 1,000 tests of a true mean are ever wrong when looked at after every single row.
fn wrong_at_every_row(
    seed: u64,
    truth: f64,
    draw: fn(&mut Draws) -> f64,
    wrong: fn(&Sequence, f64) -> bool,
) -> usize {
    let mut draws = Draws::new(seed);
    let test = |draws: &mut Draws| {
        let mut moments = Moments::default();
        (0..2_000).any(|_| {
            moments.push(draw(draws));
            mean(&moments, Design::default()).is_some_and(|told| wrong(&told, truth))
        })
    };
    (0..1_000).filter(|_| test(&mut draws)).count()
}

#[test]
fn looks_after_every_row_are_wrong_in_at_most_one_of_twenty_tests_also_of_skewed_rows() {
    let outside = |told: &Sequence, truth: f64| (told.estimate - truth).abs() > told.half_width;
    let above = |told: &Sequence, truth: f64| told.lower > truth;
    let below = |told: &Sequence, truth: f64| told.upper < truth;
    let fair = wrong_at_every_row(1, 0.5, |draws| draws.bernoulli(0.5), outside);
    let skewed = wrong_at_every_row(2, 1.0, Draws::exponential, outside);
    let lower = wrong_at_every_row(3, 0.0, Draws::bell, above);
    let upper = wrong_at_every_row(4, 0.0, Draws::bell, below);
    for (name, wrong) in [("fair", fair), ("skewed", skewed), ("lower", lower), ("upper", upper)] {
        assert!(wrong <= 50, "{name}: {wrong} of 1000 tests were wrong at a look from row {FIRST_LOOK} on");
    }
}
