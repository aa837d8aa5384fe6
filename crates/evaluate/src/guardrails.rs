//! What takes an arm out of an experiment.

use serde::{Deserialize, Serialize};
use statrs::function::beta::ln_beta;

/// The bound holds at all looks together with this probability.
const CONFIDENCE: f64 = 0.95;
/// Jeffreys' prior: the mixture loses least against the best fixed rate (Krichevsky and Trofimov 1981).
const MIXTURE: f64 = 0.5;
/// Draws before which nothing is proven, so that a hitch at the start does not end an arm.
const LEAST_DRAWN: u64 = 24;
/// Halvings of the interval in which the bound is looked for; as many as a double has digits.
const HALVINGS: u32 = 53;

/// How often an arm was drawn and did not answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorRate {
    drawn: u64,
    failed: u64,
}

/// What a guardrail on the error rate says of an arm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrorRateEvidence {
    /// Requests for which the arm was drawn.
    pub drawn: u64,
    /// Those that another version or the default answered.
    pub failed: u64,
    /// `failed / drawn`; nothing before the first draw.
    pub rate: Option<f64>,
    /// The true rate is above it at all looks together with probability 0.95; zero below 24 draws.
    pub lower_bound: f64,
    /// The most that is tolerated.
    pub max: f64,
    /// Whether the lower bound is above `max`: the arm is to be taken out.
    pub tripped: bool,
    /// The same as a sentence.
    pub reason: String,
}

impl ErrorRate {
    /// Take one draw of the arm; `failed` if something else answered.
    pub fn drew(&mut self, failed: bool) {
        self.drawn += 1;
        self.failed += u64::from(failed);
    }

    /// Hold the rate against `max`. It may be asked after every request: if the true rate is at most `max`,
    /// the guardrail trips, ever, with probability at most 0.05.
    pub fn evidence(&self, max: f64) -> ErrorRateEvidence {
        let lower_bound = self.lower_bound();
        let tripped = lower_bound > max;
        let rate = (self.drawn > 0).then(|| self.failed as f64 / self.drawn as f64);
        let verdict = if tripped { "above" } else { "not proven to be above" };
        let (drawn, failed, bound) = (self.drawn, self.failed, 100.0 * lower_bound);
        let reason = format!(
            "the arm failed {failed} of {drawn} requests, a rate of at least {bound:.2} % (at 95 %), {verdict} the {:.2} % that are tolerated",
            100.0 * max
        );
        ErrorRateEvidence { drawn, failed, rate, lower_bound, max, tripped, reason }
    }

    /// The lower end of a confidence sequence for a rate, exact at every number of draws: all rates `p` at which
    /// the beta mixture of likelihoods is less than `1 / (1 − confidence)` times as likely as `p` (Robbins 1970;
    /// Howard, Ramdas, McAuliffe and Sekhon 2021, section 3.2). Below the observed rate that quotient falls as
    /// `p` rises, so its crossing is found by halving.
    fn lower_bound(&self) -> f64 {
        if self.failed == 0 || self.drawn < LEAST_DRAWN {
            return 0.0;
        }
        let (drawn, failed) = (self.drawn as f64, self.failed as f64);
        let answered = drawn - failed;
        let mixture = ln_beta(MIXTURE + failed, MIXTURE + answered) - ln_beta(MIXTURE, MIXTURE);
        let limit = -(1.0 - CONFIDENCE).ln();
        let (mut low, mut high) = (0.0, failed / drawn);
        for _ in 0..HALVINGS {
            let middle = 0.5 * (low + high);
            let likelihood = failed * middle.ln() + answered * (-middle).ln_1p();
            if mixture - likelihood >= limit { low = middle } else { high = middle }
        }
        low
    }
}

#[cfg(test)]
mod tests {
    use perennial_types::unit_draw;

    use super::*;

    fn of(drawn: u64, failed: u64) -> ErrorRate {
        ErrorRate { drawn, failed }
    }

    /// The number of requests after which a rate trips, looking after each of `requests`.
    fn trips(seed: u64, rate: f64, max: f64, requests: u32) -> Option<u32> {
        let mut state = ErrorRate::default();
        (1..=requests).find(|request| {
            let failed = unit_draw(seed, &[&request.to_string()]) < rate;
            state.drew(failed);
            failed && state.evidence(max).tripped
        })
    }

    #[test]
    fn a_tolerated_rate_trips_in_less_than_one_of_twenty_arms() {
        let arms = 1_000;
        let tripped = (0..arms).filter(|seed| trips(*seed, 0.01, 0.01, 2_000).is_some()).count();
        assert!(tripped <= 50, "{tripped} of {arms} arms at the tolerated rate tripped");
    }

    #[test]
    fn a_rate_five_times_too_high_trips_within_500_requests_mostly() {
        let tripped = (0..200).filter(|seed| trips(*seed, 0.05, 0.01, 500).is_some()).count();
        assert!(tripped >= 180, "{tripped} of 200");
    }

    #[test]
    fn an_arm_that_always_fails_is_out_after_24_requests() {
        assert_eq!((1..99).find(|failed| of(*failed, *failed).evidence(0.01).tripped), Some(24));
    }

    #[test]
    fn the_bound_is_where_the_likelihood_ratio_crosses() {
        for (drawn, failed) in [(30, 1), (100, 3), (1_000, 500), (50_000, 700), (24, 24)] {
            let bound = of(drawn, failed).evidence(0.0).lower_bound;
            let (n, x) = (drawn as f64, failed as f64);
            assert!(bound > 0.0 && bound < x / n);
            let quotient = ln_beta(0.5 + x, 0.5 + n - x)
                - ln_beta(0.5, 0.5)
                - x * bound.ln()
                - (n - x) * (1.0 - bound).ln();
            assert!((quotient - 20.0_f64.ln()).abs() < 1e-6, "{drawn} {failed}: {quotient}");
        }
        assert_eq!(of(100, 0).evidence(0.0).lower_bound, 0.0);
    }

    #[test]
    fn the_sentence_has_the_numbers() {
        let evidence = of(200, 20).evidence(0.01);
        assert!(evidence.tripped);
        assert_eq!(
            evidence.reason,
            "the arm failed 20 of 200 requests, a rate of at least 4.28 % (at 95 %), above the 1.00 % that are tolerated"
        );
        let calm = of(0, 0).evidence(0.01);
        assert_eq!((calm.rate, calm.tripped), (None, false));
        assert_eq!(
            calm.reason,
            "the arm failed 0 of 0 requests, a rate of at least 0.00 % (at 95 %), not proven to be above the 1.00 % that are tolerated"
        );
    }
}
