//! Every fault of a declared rollout and rollback.

use perennial_types::did_you_mean;

use super::Faults;
use crate::{PolicySpec, StageSpec, paired_schema, rollout_schema};

/// The bandits that may split a model's share.
const ALGORITHMS: [&str; 2] = ["gaussian_thompson", "beta_thompson"];

impl Faults {
    pub(super) fn rollout(&mut self, stages: &[StageSpec]) {
        for (place, stage) in stages.iter().enumerate() {
            self.stage(&format!("rollout[{place}]"), stage);
            if *stage == StageSpec::Promote && place + 1 < stages.len() {
                let fault = "what comes after `promote` is never reached; make it the last stage";
                self.add(format!("rollout[{place}]"), fault);
            }
        }
        if stages.last() != Some(&StageSpec::Promote) {
            self.add("rollout", "a rollout ends with `promote`; without it no candidate ever serves");
        }
    }

    fn stage(&mut self, path: &str, stage: &StageSpec) {
        match stage {
            StageSpec::Shadow { length } => self.longer_than_zero(format!("{path}.shadow"), *length),
            StageSpec::Bandit { algorithm, epoch, floor, until, at_most, otherwise: _ } => {
                if !ALGORITHMS.contains(&&**algorithm) {
                    let help = did_you_mean(algorithm, ALGORITHMS);
                    self.add(format!("{path}.bandit"), format!("unknown algorithm {algorithm:?}{help}"));
                }
                self.longer_than_zero(format!("{path}.epoch"), *epoch);
                self.longer_than_zero(format!("{path}.at_most"), *at_most);
                if !(0.0..0.5).contains(floor) {
                    let fault = format!(
                        "{floor} is not from 0 to below 0.5; at a half for each version nothing is left to decide"
                    );
                    self.add(format!("{path}.floor"), fault);
                }
                self.condition(format!("{path}.until"), until, &rollout_schema());
            }
            StageSpec::Promote => {}
        }
    }

    pub(super) fn rollback(&mut self, spec: &PolicySpec) {
        let Some(rollback) = &spec.rollback else { return };
        self.condition("rollback.when".to_owned(), &rollback.when, &paired_schema());
        self.longer_than_zero("rollback.within".to_owned(), rollback.within);
    }
}

#[cfg(test)]
mod tests {
    use perennial_types::TimeSpan;

    use crate::evaluate::tests::declared;
    use crate::{Otherwise, RollbackSpec, StageSpec, check};

    fn bandit(algorithm: &str, floor: f64, until: &str) -> StageSpec {
        StageSpec::Bandit {
            algorithm: algorithm.into(),
            epoch: TimeSpan::from_hours(6),
            floor,
            until: until.into(),
            at_most: TimeSpan::from_hours(48),
            otherwise: Otherwise::PromoteIfNotWorse,
        }
    }

    fn faults_of(rollout: Vec<StageSpec>, when: &str) -> Vec<(String, String)> {
        let mut spec = declared();
        spec.rollout = rollout;
        spec.rollback = Some(RollbackSpec { when: when.into(), within: TimeSpan::from_days(7) });
        check(&spec)
    }

    #[test]
    fn the_declared_rollout_has_no_fault() {
        let shadow = StageSpec::Shadow { length: TimeSpan::from_hours(24) };
        let bandit = bandit("gaussian_thompson", 0.05, "probability_better > 0.8 AND rows > 100");
        assert_eq!(faults_of(vec![shadow, bandit, StageSpec::Promote], "paired.relative_change > 0.1"), []);
    }

    #[test]
    fn every_fault_of_a_rollout_is_named_at_its_field() {
        let faults = faults_of(
            vec![StageSpec::Promote, bandit("gausian_thompson", 0.6, "probability_beter > 0.8")],
            "paired.change > 0.1",
        );
        let paths: Vec<&str> = faults.iter().map(|(path, _)| path.as_str()).collect();
        let expected = [
            "rollout[0]",
            "rollout[1].bandit",
            "rollout[1].floor",
            "rollout[1].until",
            "rollout",
            "rollback.when",
        ];
        assert_eq!(paths, expected);
        assert_eq!(faults[3].1, "unknown name \"probability_beter\"; did you mean \"probability_better\"?");
    }
}
