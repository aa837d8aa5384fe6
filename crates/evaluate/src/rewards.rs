//! What the arms of an experiment earned, and the shares that follow from it.

use std::sync::Arc;

use perennial_stats::posterior::{Normal, probability_best, probability_best_beta};
use perennial_stats::{Clustered, Moments};
use perennial_types::{Position, Timestamp};
use serde::{Deserialize, Serialize};

use crate::regime::{Counted, Recent, RegimeChange, Shift};
use crate::units::{Units, hash_of};
use crate::waiting::Waiting;
use crate::{Algorithm, Prediction, Scorer, Unit, with_floor};

/// Units with matured rewards, of each arm in a regime, before which nobody says which arm is best.
pub const LEAST_REWARDS: u64 = 100;

/// How rewards are counted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Earning {
    /// The family of posteriors.
    pub algorithm: Algorithm,
    /// The least and the largest reward; what lies outside counts as the nearer end. The first is below the
    /// second.
    pub range: (f64, f64),
    /// Whether a change of an arm's rewards begins a new regime.
    pub reset_on_change: bool,
}

/// The rewards of the arms of one experiment.
///
/// A reward counts from the instant its prediction matures, in the order of maturity and position, so that
/// answers whose labels come early do not lead. Posteriors restart at a detected change: see
/// [`mature`](Self::mature).
///
/// A sticky unit is given an arm once for all its requests, so that units are what is compared: the mean of an arm
/// is over rewards, how sure it is follows from units, and a hundred rewards of one unit are one observation. A
/// single request is a unit.
///
/// Memory is that of the open label windows, a bounded stretch of each arm, and up to 8,192 sticky units of each;
/// where there are more, groups of units that are fixed by their names stand for them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rewards {
    earning: Earning,
    arms: Vec<ArmRewards>,
    waiting: Waiting<OfPrediction>,
    /// Rewards that ever counted, of all arms.
    counted: u64,
    regime: u32,
    /// What matured before does not belong to the regime.
    regime_from: Option<Timestamp>,
}

/// The rewards of one prediction.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct OfPrediction {
    /// The hash of the sticky unit that asked.
    unit: Option<u64>,
    /// The arms with their rewards: in shadow there is one of every arm.
    arms: Vec<(Arc<str>, f64)>,
}

/// The rewards of one arm in the present regime, scaled to 0…1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct ArmRewards {
    name: Arc<str>,
    /// Of single requests.
    single: Moments,
    /// Of sticky units.
    sticky: Units,
    /// The newest rewards and what watches them, where a change begins a regime.
    recent: Option<Recent>,
}

/// What one arm has earned in the present regime.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Earned {
    /// The arm.
    pub name: Arc<str>,
    /// Its matured rewards, as they were measured, clustered by the units that they come from.
    pub rewards: Clustered,
}

impl Prediction {
    /// What its arm was drawn for.
    pub fn unit(&self) -> Unit<'_> {
        self.exposure.unit.as_deref().map_or(Unit::Request(&self.id), Unit::Sticky)
    }

    /// The version whose reward this is: the one that was drawn, if it answered. What the champion or the
    /// default answered in its place says nothing about it.
    pub fn earner(&self) -> Option<&Scorer> {
        self.exposure.drawn.as_ref().filter(|_| !self.fallback)
    }
}

impl Rewards {
    /// Nothing earned yet by these arms, whose names are distinct.
    pub fn new(earning: Earning, arms: &[Arc<str>]) -> Self {
        let arm = |name: &Arc<str>| ArmRewards {
            name: Arc::clone(name),
            single: Moments::default(),
            sticky: Units::default(),
            recent: earning.reset_on_change.then(Recent::default),
        };
        Self {
            earning,
            arms: arms.iter().map(arm).collect(),
            waiting: Waiting::default(),
            counted: 0,
            regime: 0,
            regime_from: None,
        }
    }

    /// Take the reward of the prediction at `position`, which `unit` asked for, which matures at `matured_at` and
    /// was answered by `arm` as drawn ([`Prediction::earner`]). Rewards of others than the arms, and those that
    /// are no number, are passed over.
    pub fn labelled(
        &mut self,
        unit: Unit<'_>,
        arm: &str,
        reward: f64,
        matured_at: Timestamp,
        position: Position,
    ) {
        let (low, high) = self.earning.range;
        if let Some(arm) = self.arms.iter().find(|known| &*known.name == arm)
            && !reward.is_nan()
        {
            let scaled = (reward.max(low).min(high) - low) / (high - low);
            let of_prediction = self.waiting.at(matured_at, position);
            of_prediction.unit = match unit {
                Unit::Request(_) => None,
                Unit::Sticky(unit) => Some(hash_of(unit)),
            };
            if of_prediction.arms.iter().all(|(known, _)| *known != arm.name) {
                of_prediction.arms.push((Arc::clone(&arm.name), scaled));
            }
        }
    }

    /// Count the rewards that have matured at `now`.
    ///
    /// With `reset_on_change`, ADWIN watches each arm's rewards. Where it finds a change, a new regime begins: all
    /// arms restart from the rewards that counted since the first one that the detector kept. What matured
    /// before that no longer counts, even if its label comes later. The changes are returned in their order.
    /// ADWIN takes rewards one by one, of sticky units too: a unit that asks very often for a while can pass for a
    /// change, which begins the comparison anew and proves nothing.
    pub fn mature(&mut self, now: Timestamp) -> Vec<RegimeChange> {
        let mut changes = Vec::new();
        while let Some((matured_at, of_prediction)) = self.waiting.next_matured(now) {
            for (name, scaled) in of_prediction.arms {
                changes.extend(self.count(name, of_prediction.unit, scaled, matured_at));
            }
        }
        changes
    }

    /// Count a matured reward; the change of regime that is found by it.
    fn count(
        &mut self,
        name: Arc<str>,
        unit: Option<u64>,
        scaled: f64,
        matured_at: Timestamp,
    ) -> Option<RegimeChange> {
        if self.regime_from.is_some_and(|from| matured_at < from) {
            return None;
        }
        // An arm that was taken out since is passed over.
        let arm = self.arms.iter_mut().find(|arm| arm.name == name)?;
        self.counted += 1;
        arm.push(unit, scaled);
        let reward = Counted { number: self.counted, matured_at, unit, scaled };
        let shift = arm.recent.as_mut().and_then(|recent| recent.push(reward))?;
        Some(self.restart(name, shift, matured_at))
    }

    /// Take an arm out: its rewards count no more, and it has no share.
    pub fn remove(&mut self, arm: &str) {
        self.arms.retain(|known| &*known.name != arm);
    }

    /// The arms in their order, with what they earned in this regime.
    pub fn earned(&self) -> Vec<Earned> {
        let (low, high) = self.earning.range;
        let unit = high - low;
        let earned = |arm: &ArmRewards| {
            let scaled = arm.clustered();
            let mean = if scaled.rows == 0 { 0.0 } else { low + unit * scaled.mean };
            let rewards = Clustered { mean, m2: scaled.m2 * unit * unit, ..scaled };
            Earned { name: Arc::clone(&arm.name), rewards }
        };
        self.arms.iter().map(earned).collect()
    }

    /// How many regimes there were before this one.
    pub fn regime(&self) -> u32 {
        self.regime
    }

    /// How many predictions wait for their maturity.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The probability of each arm to have the highest expected reward, in the order of the arms; nothing before
    /// each has rewards of [`LEAST_REWARDS`] units in this regime.
    ///
    /// Beta: rewards scaled to 0…1 under the prior Beta(1, 1), each counted as that part of a success (Agrawal
    /// and Goyal, COLT 2012); of sticky units there are as many such rewards as units of one size would weigh as
    /// much, which is less sure than what they are known to. Gaussian: the mean has the prior N(middle of the range, (half the range)²), worth
    /// less than one reward, and a variance of rewards estimated with one more reward at half the range from
    /// the mean, so that an arm with equal rewards so far is not taken to be certain (Gelman et al., Bayesian
    /// Data Analysis, 3rd ed., equations 2.12 and 3.8 with one degree of freedom); the variance is that of units.
    pub fn probability_best(&self) -> Option<Vec<f64>> {
        let scaled: Vec<Clustered> = self.arms.iter().map(ArmRewards::clustered).collect();
        if scaled.is_empty() || scaled.iter().any(|arm| arm.clusters < LEAST_REWARDS) {
            return None;
        }
        let scaled = scaled.iter();
        // Rewards within a range make posteriors, so neither call refuses them.
        match self.earning.algorithm {
            Algorithm::GaussianThompson => probability_best(&scaled.map(normal).collect::<Vec<_>>()).ok(),
            Algorithm::BetaThompson => probability_best_beta(&scaled.map(beta).collect::<Vec<_>>()).ok(),
        }
    }

    /// The shares of the arms in the next epoch, in the order of the arms: Thompson sampling as a vector, each
    /// arm's probability to be the best one (Thompson 1933), raised to `floor` by [`with_floor`]. Equal while
    /// that is not known.
    pub fn shares(&self, floor: f64) -> Vec<f64> {
        match self.probability_best() {
            Some(best) => with_floor(&best, floor),
            None => vec![1.0 / self.arms.len() as f64; self.arms.len()],
        }
    }

    /// Begin a regime with the rewards that counted since the shift.
    fn restart(&mut self, arm: Arc<str>, shift: Shift, found_at: Timestamp) -> RegimeChange {
        self.regime += 1;
        self.regime_from = Some(shift.from.matured_at);
        for arm in &mut self.arms {
            arm.restart(shift.from.number);
        }
        let (low, high) = self.earning.range;
        let unscaled = |scaled: f64| low + (high - low) * scaled;
        RegimeChange {
            arm,
            regime: self.regime,
            from: shift.from.matured_at,
            found_at,
            mean_before: unscaled(shift.before),
            mean_after: unscaled(shift.after),
        }
    }
}

impl ArmRewards {
    fn push(&mut self, unit: Option<u64>, scaled: f64) {
        match unit {
            Some(unit) => self.sticky.push(unit, scaled),
            None => self.single.push(scaled),
        }
    }

    fn clustered(&self) -> Clustered {
        Clustered::of(&self.single, self.sticky.totals())
    }

    /// Forget the rewards before this number.
    fn restart(&mut self, from: u64) {
        let Some(mut recent) = self.recent.take() else { return };
        recent.restart(from);
        (self.single, self.sticky) = (Moments::default(), Units::default());
        recent.rewards().for_each(|reward| self.push(reward.unit, reward.scaled));
        self.recent = Some(recent);
    }
}

fn normal(scaled: &Clustered) -> Normal {
    let units = scaled.clusters as f64;
    let (middle, half) = (0.5, 0.5);
    let precision = units * units / (scaled.m2 + half * half);
    let prior = 1.0 / (half * half);
    let mean = (precision * scaled.mean + prior * middle) / (precision + prior);
    Normal { mean, sd: (precision + prior).sqrt().recip() }
}

fn beta(scaled: &Clustered) -> (f64, f64) {
    let rewards = scaled.effective;
    let successes = (rewards * scaled.mean).clamp(0.0, rewards);
    (1.0 + successes, 1.0 + rewards - successes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Exposure;

    const ONE: Unit<'_> = Unit::Request("r");

    fn at(second: u64) -> Timestamp {
        Timestamp::from_micros(1_000_000 * second as i64)
    }

    fn of(algorithm: Algorithm, reset_on_change: bool) -> Rewards {
        Rewards::new(Earning { algorithm, range: (-10.0, 10.0), reset_on_change }, &["a".into(), "b".into()])
    }

    /// A hundred rewards for each arm, in turn, a second apart.
    fn paid(mut rewards: Rewards, a: impl Fn(u64) -> f64, b: impl Fn(u64) -> f64) -> Rewards {
        for i in 0..LEAST_REWARDS {
            rewards.labelled(ONE, "a", a(i), at(2 * i), Position(2 * i));
            rewards.labelled(ONE, "b", b(i), at(2 * i + 1), Position(2 * i + 1));
        }
        rewards
    }

    #[test]
    fn shares_are_equal_until_each_arm_has_100_matured_rewards() {
        let mut rewards =
            paid(of(Algorithm::GaussianThompson, false), |i| (i % 3) as f64, |i| (i % 2) as f64);
        rewards.mature(at(2 * LEAST_REWARDS - 2));
        assert_eq!((rewards.probability_best(), rewards.waiting()), (None, 1));
        assert_eq!(rewards.shares(0.01), vec![0.5, 0.5]);
        rewards.mature(at(2 * LEAST_REWARDS));
        let best = rewards.probability_best().unwrap();
        assert!(best[0] > 0.9, "{best:?}");
        assert_eq!(rewards.shares(0.01), with_floor(&best, 0.01));
        assert_eq!(rewards.earned()[1].rewards.rows, LEAST_REWARDS);
        assert!((rewards.earned()[1].rewards.mean - 0.5).abs() < 1e-12);
    }

    #[test]
    fn posteriors_follow_the_hand_calculation() {
        let mut beta_rewards =
            paid(of(Algorithm::BetaThompson, false), |_| 10.0, |i| if i < 25 { 10.0 } else { -10.0 });
        beta_rewards.mature(at(1_000));
        let (shapes, moments) =
            (|arm: usize| beta(&beta_rewards.arms[arm].clustered()), &beta_rewards.earned());
        assert_eq!(shapes(0), (101.0, 1.0));
        assert!((shapes(1).0 - 26.0).abs() < 1e-9 && (shapes(1).1 - 76.0).abs() < 1e-9);
        assert!((moments[1].rewards.variance().unwrap() - 75.757_575_757_575_8).abs() < 1e-9);
        // 100 rewards at 1/2 ± 1/4: m2 is 6.25, the variance 6.5 / 100, the prior as good as nothing.
        let Normal { mean, sd } = normal(&Moments { n: 100, mean: 0.6, m2: 6.25 }.into());
        let precision = 100.0 / 0.065;
        assert!((mean - (precision * 0.6 + 4.0 * 0.5) / (precision + 4.0)).abs() < 1e-12);
        assert!((sd - 1.0 / (precision + 4.0_f64).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn arms_that_have_always_paid_the_same_are_not_taken_to_be_certain() {
        let mut rewards = paid(of(Algorithm::GaussianThompson, false), |_| 0.5, |_| 0.4);
        rewards.mature(at(1_000));
        let best = rewards.probability_best().unwrap();
        // The means lie 0.005 apart on the scale of the range, and each is known to 0.005.
        assert!((best[0] - 0.76).abs() < 0.01, "{best:?}");
    }

    #[test]
    fn only_who_was_drawn_and_answered_earns() {
        let scorer = Scorer { model: "a".into(), number: 3 };
        let mut prediction = Prediction {
            id: "r".into(),
            at: at(0),
            model: "a".into(),
            version: "v".into(),
            value: 1.0,
            fallback: false,
            position: Position(1),
            exposure: Exposure { drawn: Some(scorer.clone()), ..Exposure::default() },
        };
        assert_eq!(prediction.earner(), Some(&scorer));
        prediction.fallback = true;
        assert_eq!(prediction.earner(), None);
        let mut rewards = of(Algorithm::GaussianThompson, false);
        rewards.labelled(ONE, "c", 1.0, at(0), Position(1));
        rewards.labelled(ONE, "a", f64::NAN, at(0), Position(2));
        assert_eq!(rewards.waiting(), 0);
        rewards.labelled(ONE, "a", 99.0, at(0), Position(3));
        rewards.mature(at(0));
        assert_eq!(rewards.earned()[0].rewards.mean, 10.0);
    }

    #[test]
    fn a_change_of_one_arm_restarts_all_from_the_rewards_since() {
        let mut rewards = of(Algorithm::GaussianThompson, true);
        let mut changes = Vec::new();
        for i in 0..1_000 {
            let a = if i < 800 { 5.0 } else { -5.0 };
            rewards.labelled(ONE, "a", a + (i % 2) as f64, at(2 * i), Position(2 * i));
            rewards.labelled(ONE, "b", (i % 2) as f64, at(2 * i + 1), Position(2 * i + 1));
            changes.extend(rewards.mature(at(2 * i + 1)));
        }
        let first = &changes[0];
        assert_eq!((&*first.arm, first.regime, rewards.regime()), ("a", 1, changes.len() as u32));
        assert!(first.found_at >= at(1_600) && first.found_at <= at(1_800), "{first:?}");
        assert!(first.mean_before > 5.0 && first.mean_after < 4.0, "{first:?}");
        let [a, b] = &rewards.earned()[..] else { panic!("two arms") };
        assert!(a.rewards.mean < -4.0 && (b.rewards.mean - 0.5).abs() < 0.1, "{a:?} {b:?}");
        assert!(b.rewards.rows.abs_diff(a.rewards.rows) <= 1 && a.rewards.rows >= 200, "{a:?} {b:?}");
        // A label that comes now for an answer before the change belongs to no regime any more.
        rewards.labelled(ONE, "a", 5.0, at(0), Position(0));
        rewards.mature(at(3_000));
        assert_eq!(rewards.earned()[0].rewards, a.rewards);
    }

    /// Two hundred rewards an arm: of so many users, each of whom has always the same one.
    fn of_users(algorithm: Algorithm, users: u64) -> Rewards {
        let mut rewards = of(algorithm, false);
        for i in 0..400 {
            let (arm, user) = (i % 2, i / 2 % users);
            let (name, unit) = (["a", "b"][arm as usize], format!("user {arm} {user}"));
            let reward = arm as f64 + if user % 2 == 0 { 3.0 } else { -3.0 };
            rewards.labelled(Unit::Sticky(&unit), name, reward, at(i), Position(i));
        }
        rewards.mature(at(400));
        rewards
    }

    #[test]
    fn which_arm_is_best_is_as_sure_as_the_units_make_it_not_their_requests() {
        for algorithm in Algorithm::ALL {
            let often = of_users(algorithm, 100);
            let mut once = of(algorithm, false);
            for i in 0..200 {
                let (arm, user) = (i % 2, i / 2);
                let reward = arm as f64 + if user % 2 == 0 { 3.0 } else { -3.0 };
                once.labelled(ONE, ["a", "b"][arm as usize], reward, at(i), Position(i));
            }
            once.mature(at(400));
            assert_eq!(often.earned()[0].rewards.rows, 200);
            let (often, once) = (often.probability_best().unwrap(), once.probability_best().unwrap());
            assert!((often[1] - once[1]).abs() < 1e-9, "{often:?} {once:?}");
        }
    }

    #[test]
    fn two_hundred_rewards_of_99_units_say_nothing_of_which_arm_is_best() {
        let rewards = of_users(Algorithm::BetaThompson, 99);
        assert_eq!((rewards.probability_best(), rewards.earned()[1].rewards.clusters), (None, 99));
    }

    #[test]
    fn an_arm_that_was_taken_out_has_no_share() {
        let mut rewards = of(Algorithm::GaussianThompson, false);
        rewards.labelled(ONE, "b", 1.0, at(0), Position(0));
        rewards.remove("b");
        assert!(rewards.mature(at(1)).is_empty());
        assert_eq!(rewards.shares(0.1), vec![1.0]);
    }

    proptest! {
        #[test]
        fn the_order_in_which_labels_come_changes_no_byte(
            rows in prop::collection::vec((any::<bool>(), 0..50_u64, -12.0..12.0_f64), 0..80),
            sticky in any::<bool>(),
        ) {
            let (mut forwards, mut backwards) = (of(Algorithm::BetaThompson, true), of(Algorithm::BetaThompson, true));
            let rows: Vec<_> = rows.iter().enumerate().collect();
            let take = |rewards: &mut Rewards, (i, (a, second, reward)): (usize, &(bool, u64, f64))| {
                let unit = if sticky { Unit::Sticky(["u", "v", "w"][i % 3]) } else { ONE };
                rewards.labelled(unit, if *a { "a" } else { "b" }, *reward, at(*second), Position(i as u64));
            };
            rows.iter().for_each(|row| take(&mut forwards, *row));
            rows.iter().rev().for_each(|row| take(&mut backwards, *row));
            (0..25).for_each(|second| { forwards.mature(at(second)); });
            forwards.mature(at(50));
            backwards.mature(at(50));
            let bytes = postcard::to_stdvec(&forwards).unwrap();
            prop_assert_eq!(&bytes, &postcard::to_stdvec(&backwards).unwrap());
            prop_assert_eq!(postcard::from_bytes::<Rewards>(&bytes).unwrap(), forwards);
        }
    }
}
