//! Thompson sampling as epoch vectors.

use std::sync::Arc;

use perennial_evaluate::{Algorithm, Earning, Rewards, Unit, by_id};
use perennial_types::{Position, Timestamp};

use crate::environment::uniform;

/// Arms that pay 1 with a probability that changes at most once.
struct Environment {
    id: u64,
    means: &'static [f64],
    /// The probabilities from this round on.
    switched: Option<(u64, &'static [f64])>,
    rounds: u64,
    /// Rounds from a choice to its reward.
    delay: u64,
}

const E1: Environment =
    Environment { id: 1, means: &[0.10, 0.15, 0.20, 0.25, 0.30], switched: None, rounds: 10_000, delay: 0 };
const E3: Environment =
    Environment { id: 3, means: &[0.030, 0.045], switched: None, rounds: 20_000, delay: 0 };
const E4: Environment = Environment {
    id: 4,
    means: &[0.6, 0.4, 0.3],
    switched: Some((5_000, &[0.3, 0.4, 0.6])),
    rounds: 10_000,
    delay: 0,
};
const E6: Environment = Environment { id: 6, delay: 1_000, ..E1 };

/// What became of one run.
struct Played {
    regret: f64,
    /// The vectors of the epochs.
    vectors: Vec<Vec<f64>>,
    regimes: u32,
}

impl Environment {
    fn means_at(&self, round: u64) -> &'static [f64] {
        match self.switched {
            Some((from, means)) if round >= from => means,
            Some(_) | None => self.means,
        }
    }

    fn play(&self, earning: Earning, floor: f64, epoch: u64, run: u64) -> Played {
        let names: Vec<Arc<str>> = (0..self.means.len()).map(|arm| arm.to_string().into()).collect();
        let mut rewards = Rewards::new(earning, &names);
        let (seed, salt) = (self.id * 1_000_003 + run, format!("run-{run}"));
        let (mut regret, mut vectors) = (0.0, Vec::new());
        let mut shares = rewards.shares(floor);
        for round in 0..self.rounds {
            let now = Timestamp::from_micros(round as i64);
            if round % epoch == 0 {
                rewards.mature(now);
                shares = rewards.shares(floor);
                vectors.push(shares.clone());
            }
            let arm = by_id(&salt, &round.to_string(), &shares).unwrap();
            let means = self.means_at(round);
            let reward = f64::from(uniform(seed, round * means.len() as u64 + arm as u64) < means[arm]);
            regret += means.iter().copied().fold(0.0, f64::max) - means[arm];
            let matured_at = Timestamp::from_micros((round + self.delay) as i64);
            rewards.labelled(Unit::Request("r"), &names[arm], reward, matured_at, Position(round));
        }
        Played { regret, vectors, regimes: rewards.regime() }
    }
}

fn beta(reset_on_change: bool) -> Earning {
    Earning { algorithm: Algorithm::BetaThompson, range: (0.0, 1.0), reset_on_change }
}

const RUNS: u64 = 100;
/// A vector for each so many rounds.
const EPOCH: u64 = 100;

fn runs(environment: &Environment, reset_on_change: bool) -> Vec<Played> {
    (0..RUNS).map(|run| environment.play(beta(reset_on_change), 0.0, EPOCH, run)).collect()
}

fn mean_regret(runs: &[Played]) -> f64 {
    runs.iter().map(|run| run.regret).sum::<f64>() / runs.len() as f64
}

/// Of one arm in the epoch that holds `round`.
fn share(run: &Played, round: u64, arm: usize) -> f64 {
    run.vectors[(round / EPOCH) as usize][arm]
}

#[test]
fn the_best_of_five_arms_ends_up_with_the_traffic() {
    let runs = runs(&E1, true);
    let settled = runs.iter().filter(|run| share(run, E1.rounds - 1, 4) > 0.9).count();
    assert!(settled >= 90, "the best arm has more than 90 % of the last epoch in {settled} of {RUNS} runs");
    // Nothing changes here: a regime that begins is a false alarm.
    assert!(runs.iter().all(|run| run.regimes == 0));
    // A policy that follows each reward from the first one on has 66 ± 4. Equal shares up to 100 rewards an arm
    // cost 50 by themselves. The standard error of the mean is 2.
    let regret = mean_regret(&runs);
    assert!(regret < 97.0, "{regret}");
}

#[test]
fn two_rare_rewards_are_told_apart_at_the_cost_of_following_each_one() {
    // Thompson sampling that follows each reward has 15 ± 2; equal shares would cost 150.
    let regret = mean_regret(&runs(&E3, true));
    assert!(regret < 25.0, "{regret}");
}

#[test]
fn rewards_that_come_1000_rounds_later_cost_what_equal_shares_cost_until_then() {
    // A policy that follows each reward has 146 ± 5. Equal shares cost 160 until the first vector, at about round
    // 1600: the first epoch at which 100 rewards of each arm have matured.
    let regret = mean_regret(&runs(&E6, true));
    assert!(regret < 200.0, "{regret}");
}

#[test]
fn after_a_switch_of_the_arms_the_new_best_one_takes_over() {
    let (with, without) = (runs(&E4, true), runs(&E4, false));
    // Thompson sampling without resets has 825 ± 67 when it follows each reward; UCB1, the best there, 155 ± 12.
    let (reset, stuck) = (mean_regret(&with), mean_regret(&without));
    assert!(reset < 200.0, "{reset}");
    assert!(stuck > 3.0 * reset, "{stuck} without resets, {reset} with them");
    let back = with.iter().filter(|run| share(run, 5_700, 2) > 0.5).count();
    assert!(
        back >= 90,
        "the new best arm has most of the traffic 700 rewards later in {back} of {RUNS} runs"
    );
}
