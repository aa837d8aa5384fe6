use perennial_stats::adwin::{Adwin, delta_for};

use crate::draws::Draws;

type Draw = fn(&mut Draws) -> f64;

fn alarms(seed: u64, rows: u64, one_in: u64, draw: Draw) -> u64 {
    let mut draws = Draws::new(seed);
    let mut adwin = Adwin::new(delta_for(one_in));
    (0..rows).filter(|_| adwin.push(draw(&mut draws)).is_some()).count() as u64
}

#[test]
fn streams_that_never_change_raise_at_most_the_claimed_alarms() {
    let streams: [(&str, Draw); 4] = [
        ("fair", |draws| draws.bernoulli(0.5)),
        ("rare", |draws| draws.bernoulli(0.03)),
        ("uniform", Draws::uniform),
        ("skewed", |draws| draws.uniform().powi(4)),
    ];
    for (name, draw) in streams {
        for one_in in [1_000, 10_000] {
            let rows = 1_000_000;
            let found = alarms(5, rows, one_in, draw);
            assert!(found <= rows / one_in, "{name}: {found} alarms in {rows} rows, claimed one in {one_in}");
        }
    }
}

/// Rows from a change of the mean by 0.3 after 2,000 rows until it is told, in the worst of 200 streams.
fn worst_delay(one_in: u64) -> Option<u64> {
    let mut draws = Draws::new(9);
    let mut delay = |_| {
        let mut adwin = Adwin::new(delta_for(one_in));
        for _ in 0..2_000 {
            adwin.push(draws.bernoulli(0.1));
        }
        (1..=3_000).find(|_| {
            adwin.push(draws.bernoulli(0.4)).is_some_and(|change| change.mean_after > change.mean_before)
        })
    };
    let delays: Option<Vec<u64>> = (0..200).map(&mut delay).collect();
    delays?.into_iter().max()
}

#[test]
fn errors_that_rise_from_a_tenth_to_four_are_told_within_200_rows() {
    let worst = worst_delay(50_000);
    assert!(worst.is_some_and(|rows| rows <= 200), "{worst:?}");
}
