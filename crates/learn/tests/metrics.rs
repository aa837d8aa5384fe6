//! Metrics against scikit-learn and against their definitions.

use perennial_learn::metrics::{accuracy, log_loss, mae, rmse, roc_auc};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    made_with: String,
    binary: Vec<Binary>,
    regression: Vec<Regression>,
}

#[derive(Deserialize)]
struct Binary {
    predictions: Vec<f64>,
    labels: Vec<f64>,
    accuracy: f64,
    roc_auc: f64,
    log_loss: f64,
}

#[derive(Deserialize)]
struct Regression {
    predictions: Vec<f64>,
    labels: Vec<f64>,
    mae: f64,
    rmse: f64,
}

#[test]
fn metrics_equal_those_of_scikit_learn() {
    let golden: Golden = serde_json::from_str(include_str!("golden/metrics.json")).unwrap();
    assert!(golden.made_with.starts_with("scikit-learn"));
    assert!(golden.binary.len() == 4 && golden.regression.len() == 3);
    let close = |found: Option<f64>, expected: f64| {
        let found = found.unwrap();
        assert!((found - expected).abs() <= 1e-12 * expected.abs().max(1.0), "{found} is not {expected}");
    };
    for case in golden.binary {
        close(accuracy(&case.predictions, &case.labels), case.accuracy);
        close(roc_auc(&case.predictions, &case.labels), case.roc_auc);
        close(log_loss(&case.predictions, &case.labels), case.log_loss);
    }
    for case in golden.regression {
        close(mae(&case.predictions, &case.labels), case.mae);
        close(rmse(&case.predictions, &case.labels), case.rmse);
    }
}

#[test]
fn undefined_metrics_are_nothing() {
    for metric in [mae, rmse, accuracy, log_loss, roc_auc] {
        assert_eq!(metric(&[], &[]), None);
        assert_eq!(metric(&[0.5], &[1.0, 0.0]), None);
        assert_eq!(metric(&[f64::NAN, 0.1], &[1.0, 0.0]), None);
    }
    for metric in [accuracy, log_loss, roc_auc] {
        assert_eq!(metric(&[0.5, 0.5], &[1.0, 2.0]), None);
    }
    assert_eq!(roc_auc(&[0.1, 0.9], &[1.0, 1.0]), None);
}

#[test]
fn a_certain_mistake_costs_a_finite_log_loss() {
    assert_eq!(log_loss(&[0.0], &[1.0]), Some(-f64::EPSILON.ln()));
}

#[test]
fn negative_zero_ties_with_zero() {
    assert_eq!(roc_auc(&[-0.0, 0.0], &[0.0, 1.0]), Some(0.5));
}

proptest! {
    #[test]
    fn auc_is_the_share_of_pairs_in_order(rows in prop::collection::vec((0_u8..12, any::<bool>()), 2..80)) {
        let predictions: Vec<f64> = rows.iter().map(|(p, _)| f64::from(*p) / 12.0).collect();
        let labels: Vec<f64> = rows.iter().map(|(_, one)| f64::from(u8::from(*one))).collect();
        let (mut won, mut pairs) = (0.0, 0.0);
        for one in rows.iter().filter(|row| row.1) {
            for zero in rows.iter().filter(|row| !row.1) {
                pairs += 1.0;
                won += if one.0 > zero.0 { 1.0 } else if one.0 == zero.0 { 0.5 } else { 0.0 };
            }
        }
        let expected = (pairs > 0.0).then(|| won / pairs);
        prop_assert_eq!(roc_auc(&predictions, &labels), expected);
    }
}
