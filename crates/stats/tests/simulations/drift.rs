use perennial_stats::drift::{Assessment, ColumnDrift, Rule, Sample, assess, compare};

use crate::draws::Draws;

/// A column of a law, shared by both windows unless something is done to the current one.
fn column(draws: &mut Draws, law: usize, rows: usize) -> Sample {
    let weights: &[f64] =
        if law % 4 == 2 { &[0.5, 0.3, 0.2] } else { &[0.4, 0.3, 0.2, 0.06, 0.03, 0.008, 0.002] };
    match law % 4 {
        0 => Sample::numeric((0..rows).map(|_| Some(draws.bell()))),
        // Skewed, and a tenth of it missing.
        1 => Sample::numeric((0..rows).map(|_| (draws.uniform() > 0.1).then(|| draws.exponential()))),
        _ => Sample::categorical((0..rows).map(|_| Some(category(draws, weights)))),
    }
}

const NAMES: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];

fn category(draws: &mut Draws, weights: &[f64]) -> &'static str {
    let mut left = draws.uniform();
    let found = weights.iter().position(|weight| {
        left -= weight;
        left < 0.0
    });
    NAMES[found.unwrap_or(weights.len() - 1)]
}

type Columns = Vec<(String, ColumnDrift, f64)>;

fn report(mut columns: Columns, replaced: Option<(usize, ColumnDrift)>) -> Assessment {
    if let Some((index, drift)) = replaced {
        columns[index].1 = drift;
    }
    assess(&columns, Rule::default()).unwrap()
}

/// Twenty columns of which nothing has moved.
fn clean(draws: &mut Draws, reference: usize, current: usize) -> Columns {
    (0..20)
        .map(|law| {
            let (before, after) = (column(draws, law, reference), column(draws, law, current));
            (format!("column {law}"), compare(&before, &after).unwrap(), 1.0)
        })
        .collect()
}

#[test]
fn at_most_six_of_a_hundred_reports_of_twenty_unmoved_columns_alarm() {
    let mut draws = Draws::new(20);
    for (reference, current, reports) in [(2_000, 168, 1_000), (1_000, 1_000, 500), (300, 100, 500)] {
        let alarms =
            (0..reports).filter(|_| report(clean(&mut draws, reference, current), None).alarmed).count();
        assert!(alarms * 100 <= 6 * reports, "{reference}/{current}: {alarms} of {reports}");
    }
}

/// How often, of 200, a shift by half a deviation, missing values and a new category are found among twenty columns.
fn found(seed: u64, reference: usize, current: usize) -> [usize; 3] {
    let mut draws = Draws::new(seed);
    let mut found = [0; 3];
    for _ in 0..200 {
        let columns = clean(&mut draws, reference, current);
        let numbers = column(&mut draws, 0, reference);
        let shifted = Sample::numeric((0..current).map(|_| Some(draws.bell() - 0.5)));
        let missing = Sample::numeric((0..current).map(|_| (draws.uniform() > 0.6).then(|| draws.bell())));
        let texts = column(&mut draws, 2, reference);
        let new = Sample::categorical(
            (0..current)
                .map(|row| Some(if row % 20 == 0 { "new" } else { category(&mut draws, &[0.5, 0.3, 0.2]) })),
        );
        let cases = [(0, &numbers, &shifted), (0, &numbers, &missing), (2, &texts, &new)];
        for (found, (index, before, after)) in found.iter_mut().zip(cases) {
            let told = report(columns.clone(), Some((index, compare(before, after).unwrap())));
            *found += usize::from(told.columns[index].alarmed);
        }
    }
    found
}

#[test]
fn shifts_missing_values_and_new_categories_are_found_among_twenty_columns() {
    assert!(found(21, 1_000, 1_000).iter().all(|found| *found >= 199), "{:?}", found(21, 1_000, 1_000));
    // A week of hours: a shift of half a deviation is at the edge of what so few rows prove.
    let [shifted, missing, new] = found(22, 2_000, 168);
    assert!(shifted >= 175 && missing >= 199 && new >= 199, "{shifted} {missing} {new}");
}

#[test]
fn a_change_too_small_to_matter_is_no_alarm_however_many_rows_there_are() {
    let mut draws = Draws::new(22);
    let before = Sample::numeric((0..40_000).map(|_| Some(draws.bell())));
    let after = Sample::numeric((0..40_000).map(|_| Some(draws.bell() + 0.05)));
    let drift = compare(&before, &after).unwrap();
    assert!(drift.values.is_some_and(|values| values.p_value < 1e-6));
    let told = report(vec![("load".to_owned(), drift, 1.0)], None);
    assert!(!told.alarmed && told.columns[0].reason.contains("below the 0.1 that matters"), "{told:?}");
}
