use perennial_stats::Moments;
use perennial_stats::sequential::{Design, difference, mean};
use serde::Deserialize;

use crate::near;

#[derive(Deserialize)]
struct Golden {
    differences: Vec<Difference>,
    means: Vec<Mean>,
}

#[derive(Deserialize)]
struct Difference {
    control: Arm,
    treatment: Arm,
    alpha: f64,
    optimal_at: u64,
    estimate: f64,
    interval: (f64, f64),
    p_value: f64,
}

/// Sums over an arm; without squares the outcomes are zeros and ones, whose variance is taken as `p (1 − p)`.
#[derive(Deserialize)]
struct Arm {
    n: u64,
    sum: f64,
    sum_squares: Option<f64>,
}

impl Arm {
    fn moments(&self) -> Moments {
        let n = self.n as f64;
        let mean = self.sum / n;
        let m2 = match self.sum_squares {
            Some(squares) => squares - n * mean * mean,
            None => mean * (1.0 - mean) * (n - 1.0),
        };
        Moments { n: self.n, mean, m2 }
    }
}

#[derive(Deserialize)]
struct Mean {
    mean: f64,
    variance: f64,
    n: u64,
    alpha: f64,
    optimal_at: u64,
    half_width: f64,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("sequential.json")).unwrap()
}

#[test]
fn differences_of_arms_agree_with_gbstats() {
    for golden in golden().differences {
        let design = Design::new(golden.alpha, golden.optimal_at).unwrap();
        let told = difference(&golden.treatment.moments(), &golden.control.moments(), design).unwrap();
        assert!(near(told.estimate, golden.estimate), "{told:?}");
        assert!(near(told.estimate - told.half_width, golden.interval.0), "{told:?}");
        assert!(near(told.estimate + told.half_width, golden.interval.1), "{told:?}");
        assert!(near(told.p_value, golden.p_value), "{told:?} {}", golden.p_value);
    }
}

#[test]
fn half_widths_of_means_agree_with_the_formula_in_numpy() {
    for golden in golden().means {
        let moments = Moments { n: golden.n, mean: golden.mean, m2: golden.variance * (golden.n - 1) as f64 };
        let told = mean(&moments, Design::new(golden.alpha, golden.optimal_at).unwrap()).unwrap();
        assert!(near(told.half_width, golden.half_width), "{told:?} {}", golden.half_width);
    }
}
