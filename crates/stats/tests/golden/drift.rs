use perennial_stats::contingency::{chi_square, jensen_shannon, shares_p};
use perennial_stats::discovery::benjamini_hochberg;
use perennial_stats::drift::{Effect, Sample, Sorted, compare};
use perennial_stats::ks::distances;
use serde::Deserialize;

use crate::lcg::Lcg;
use crate::near;

#[derive(Deserialize)]
struct Golden {
    numeric: Vec<Numeric>,
    categorical: Vec<Categorical>,
    shares: Vec<Shares>,
    discovery: Vec<Discovery>,
}

#[derive(Deserialize)]
struct Numeric {
    name: String,
    reference: Generated,
    current: Generated,
    reference_sum: f64,
    current_sum: f64,
    ks: f64,
    exact_p: f64,
    asymptotic_p: f64,
    wasserstein: f64,
    wasserstein_sd: Option<f64>,
}

/// How a sample is drawn.
#[derive(Deserialize)]
struct Generated {
    #[serde(rename = "gen")]
    law: String,
    seed: u64,
    n: usize,
}

impl Generated {
    fn values(&self) -> Vec<f64> {
        let mut lcg = Lcg::new(self.seed);
        // Twelve uniform draws less six are nearly normal.
        let normal = |lcg: &mut Lcg| (0..12).fold(0.0, |sum, _| sum + lcg.uniform()) - 6.0;
        let draw = |lcg: &mut Lcg| match self.law.as_str() {
            "g" => normal(lcg),
            "g_shift0.3" => normal(lcg) + 0.3,
            "g_scale1.5" => normal(lcg) * 1.5,
            "u" => lcg.uniform(),
            "u_sq" => lcg.uniform().powi(2),
            "grid10" => (lcg.uniform() * 10.0).floor(),
            "grid10_skew" => (lcg.uniform().powi(2) * 10.0).floor(),
            "grid40" => (lcg.uniform() * 40.0).floor(),
            other => unreachable!("the golden file has no law {other}"),
        };
        (0..self.n).map(|_| draw(&mut lcg)).collect()
    }
}

#[derive(Deserialize)]
struct Categorical {
    name: String,
    reference: Vec<u64>,
    current: Vec<u64>,
    statistic: f64,
    p_value: f64,
    freedom: u64,
    yates_p: Option<f64>,
    fisher_p: Option<f64>,
}

#[derive(Deserialize)]
struct Shares {
    p: Vec<f64>,
    q: Vec<f64>,
    js_base_2: f64,
}

#[derive(Deserialize)]
struct Discovery {
    p: Vec<f64>,
    adjusted: Vec<f64>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("drift.json")).unwrap()
}

#[test]
fn distances_of_numbers_agree_with_scipy() {
    for case in golden().numeric {
        let (reference, current) = (case.reference.values(), case.current.values());
        assert!(near(reference.iter().sum(), case.reference_sum), "{}", case.name);
        assert!(near(current.iter().sum(), case.current_sum), "{}", case.name);
        let both = [&reference, &current].map(|values| Sorted::from(values.clone()));
        let ours = distances(both[0].as_slice(), both[1].as_slice()).unwrap();
        assert!(near(ours.ks, case.ks), "{}: {ours:?}", case.name);
        assert!(near(ours.wasserstein, case.wasserstein), "{}: {ours:?}", case.name);
        if reference.len() * current.len() <= 100_000 {
            assert!((ours.p_value / case.exact_p - 1.0).abs() < 1e-6, "{}: {ours:?}", case.name);
        } else {
            // scipy takes the law of one sample of the effective size for its limit, we Stephens' correction;
            // the exact value lies as near to the one as to the other.
            let (low, high) = (case.exact_p.min(case.asymptotic_p), case.exact_p.max(case.asymptotic_p));
            assert!(ours.p_value > 0.75 * low && ours.p_value < 1.25 * high, "{}: {ours:?}", case.name);
        }
        if let Some(golden) = case.wasserstein_sd {
            let samples = [reference, current].map(|values| Sample::numeric(values.into_iter().map(Some)));
            let values = compare(&samples[0], &samples[1]).unwrap().values.unwrap();
            assert!(
                matches!(values.effect, Effect::WassersteinSd(ours) if near(ours, golden)),
                "{}",
                case.name
            );
        }
    }
}

#[test]
fn tables_agree_with_scipy() {
    for case in golden().categorical {
        let pairs: Vec<(u64, u64)> =
            case.reference.iter().copied().zip(case.current.iter().copied()).collect();
        let ours = chi_square(&pairs);
        assert!(
            near(ours.statistic, case.statistic) && ours.freedom == case.freedom,
            "{}: {ours:?}",
            case.name
        );
        assert!((ours.p_value / case.p_value - 1.0).abs() < 1e-6, "{}: {ours:?}", case.name);
        if let Some(golden) = case.yates_p {
            let sums = [&case.reference, &case.current].map(|counts| counts.iter().sum());
            let ours = shares_p((case.reference[1], sums[0]), (case.current[1], sums[1]));
            assert!((ours / golden - 1.0).abs() < 1e-6, "{}: {ours} {golden}", case.name);
            // Fisher's test, although these counts do not need it, is near.
            assert!(case.fisher_p.is_some_and(|fisher| (ours / fisher - 1.0).abs() < 0.3), "{}", case.name);
        }
    }
}

#[test]
fn jensen_shannon_distances_agree_with_scipy() {
    for case in golden().shares {
        let pairs: Vec<(f64, f64)> = case.p.into_iter().zip(case.q).collect();
        assert!(near(jensen_shannon(&pairs), case.js_base_2), "{pairs:?}");
    }
}

#[test]
fn adjusted_p_values_agree_with_statsmodels() {
    for case in golden().discovery {
        for (ours, golden) in benjamini_hochberg(&case.p).into_iter().zip(case.adjusted) {
            assert!(near(ours, golden), "{:?}: {ours} {golden}", case.p);
        }
    }
}
