use perennial_stats::posterior::probability_best_beta;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    posteriors: Vec<(f64, f64)>,
    chances: Vec<f64>,
}

#[test]
fn chances_of_beta_arms_agree_with_scipy() {
    let golden: Golden = serde_json::from_str(include_str!("posterior.json")).unwrap();
    for case in golden.cases {
        let ours = probability_best_beta(&case.posteriors).unwrap();
        for (ours, golden) in ours.iter().zip(&case.chances) {
            assert!((ours - golden).abs() < 1e-9, "{:?}: {ours} instead of {golden}", case.posteriors);
        }
    }
}
