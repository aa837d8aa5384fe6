//! Many tests at once.

/// Benjamini and Hochberg's adjusted p-values (1995), in the order given: refusing every hypothesis whose adjusted
/// value is at most `alpha` keeps the expected share of wrong refusals at `alpha`, for tests that are independent
/// or positively dependent. Where nothing differs at all, some refusal happens with probability `alpha`.
pub fn benjamini_hochberg(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*b].total_cmp(&p_values[*a]));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut smallest = 1.0_f64;
    for (above, &index) in order.iter().enumerate() {
        let rank = p_values.len() - above;
        smallest = smallest.min(p_values[index] * p_values.len() as f64 / rank as f64);
        adjusted[index] = smallest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The step-up rule as it is stated: the largest k with the k-th smallest at most k/m of alpha.
    fn slow(p_values: &[f64], alpha: f64) -> Vec<bool> {
        let mut sorted = p_values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let count = p_values.len() as f64;
        let refused = (1..=sorted.len()).rev().find(|k| sorted[k - 1] * count / *k as f64 <= alpha);
        p_values.iter().map(|p| refused.is_some_and(|k| *p <= sorted[k - 1])).collect()
    }

    proptest! {
        #[test]
        fn adjusted_values_decide_as_the_step_up_rule(
            p_values in prop::collection::vec(0.0..=1.0_f64, 0..20), alpha in 0.001..0.9_f64,
        ) {
            let adjusted: Vec<bool> = benjamini_hochberg(&p_values).into_iter().map(|p| p <= alpha).collect();
            prop_assert_eq!(adjusted, slow(&p_values, alpha));
        }
    }
}
