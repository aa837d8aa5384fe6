//! Whether an endpoint's requests were given to its versions as often as their probabilities say.

use std::collections::BTreeSet;
use std::sync::Arc;

use perennial_types::hash64;
use serde::{Deserialize, Serialize};

use crate::{Role, SampleRatio, Scorer};

/// Tells the hashes of units from other hashes.
const UNIT: u64 = 0x756e_6974;
/// So many units of a column are remembered, and counted; later ones are passed over.
const MOST_UNITS: usize = 10_000;

/// Who could have been drawn for a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Choice {
    /// What the arm was drawn for, where that is not the request itself.
    pub unit: Option<Arc<str>>,
    /// Every version of the vector with its probability, in the order of the [`Vector`](crate::Vector); empty if
    /// there was nothing to draw.
    pub arms: Vec<(Scorer, f64)>,
}

impl Choice {
    /// The same choice among models, for which the first version of each stands.
    fn of_models(&self) -> Self {
        let mut arms: Vec<(Scorer, f64)> = Vec::new();
        for (by, probability) in &self.arms {
            match arms.iter_mut().find(|(known, _)| known.model == by.model) {
                Some((_, share)) => *share += probability,
                None => arms.push((by.clone(), *probability)),
            }
        }
        Self { unit: self.unit.clone(), arms }
    }

    /// Whether more than one version could have been drawn.
    fn is_free(&self) -> bool {
        self.arms.iter().filter(|(_, probability)| *probability > 0.0).count() > 1
    }
}

/// All choices at an endpoint, held against their probabilities.
///
/// Versions come and go, so that they are counted by what they are to their model: in service or in rollout. Only
/// requests for which more than one version could be drawn say something. Requests of one sticky unit have one
/// draw, so that a unit counts once, with the first request for which there was a choice.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Choices {
    cells: Vec<(Arc<str>, Role)>,
    ratio: SampleRatio,
    /// Hashes of the units that were counted.
    units: BTreeSet<u64>,
    /// Requests that were given to a version outside their vector.
    outside: u64,
}

/// How often the current versions, or the candidates, of a model were drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chosen {
    /// The model.
    pub model: Arc<str>,
    /// What the versions were to it.
    pub role: Role,
    /// How often one was drawn.
    pub chosen: u64,
    /// How often one was to be drawn: the sum of the logged probabilities.
    pub expected: f64,
}

impl Choices {
    /// Take one request: who could be drawn, and who was.
    pub fn chose(&mut self, choice: &Choice, drawn: &Scorer) {
        if !choice.arms.is_empty() && choice.arms.iter().all(|(by, _)| by != drawn) {
            self.outside += 1;
            return;
        }
        if !choice.is_free() || !self.is_new(choice.unit.as_deref()) {
            return;
        }
        let mut probabilities = vec![0.0; self.cells.len()];
        let mut place = 0;
        for (at, (by, probability)) in choice.arms.iter().enumerate() {
            // The current version stands before the candidate of its model.
            let second = at > 0 && choice.arms[at - 1].0.model == by.model;
            let role = if second { Role::Candidate } else { Role::Current };
            let cell = self.cell(&by.model, role);
            if cell >= probabilities.len() {
                probabilities.resize(cell + 1, 0.0);
            }
            probabilities[cell] += probability;
            if by == drawn {
                place = cell;
            }
        }
        self.ratio.chose(place, &probabilities);
    }

    /// Take one request as a choice among models: which could be drawn, and which was, in whichever version.
    pub fn chose_model(&mut self, choice: &Choice, drawn: &Arc<str>) {
        let choice = choice.of_models();
        let of_model = choice.arms.iter().find(|(by, _)| by.model == *drawn).map(|(by, _)| by.clone());
        let drawn = of_model.unwrap_or_else(|| Scorer { model: Arc::clone(drawn), number: 0 });
        self.chose(&choice, &drawn);
    }

    /// How many choices were counted.
    pub fn rows(&self) -> u64 {
        self.ratio.chosen().iter().sum()
    }

    /// See [`SampleRatio::p_value`]; zero if a version was drawn that was not among those of its vector.
    pub fn p_value(&self) -> Option<f64> {
        if self.outside > 0 { Some(0.0) } else { self.ratio.p_value() }
    }

    /// What was drawn and what was to be drawn, in the order in which it first could be.
    pub fn chosen(&self) -> impl Iterator<Item = Chosen> {
        let counts = self.ratio.chosen().iter().zip(self.ratio.expected());
        self.cells.iter().zip(counts).map(|((model, role), (chosen, expected))| Chosen {
            model: Arc::clone(model),
            role: *role,
            chosen: *chosen,
            expected: *expected,
        })
    }

    /// Whether nothing was counted for this unit yet; a single request is always new.
    fn is_new(&mut self, unit: Option<&str>) -> bool {
        let Some(unit) = unit else { return true };
        self.units.len() < MOST_UNITS && self.units.insert(hash64(UNIT, &[unit]))
    }

    fn cell(&mut self, model: &Arc<str>, role: Role) -> usize {
        let known = self.cells.iter().position(|cell| cell.0 == *model && cell.1 == role);
        known.unwrap_or_else(|| {
            self.cells.push((Arc::clone(model), role));
            self.cells.len() - 1
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Contribution, Unit, Vector};

    fn vector(share: f64, candidate: Option<(u64, f64)>) -> Vector {
        let of = |model: &str, share, candidate| Contribution {
            model: model.into(),
            share,
            current: 1,
            candidate,
        };
        Vector::compose(&[of("a", share, candidate), of("b", 1.0 - share, None)]).unwrap()
    }

    fn ask(choices: &mut Choices, vector: &Vector, unit: Option<&str>, id: u64, lost: bool) {
        let id = id.to_string();
        let place = match unit {
            Some(unit) => vector.draw(Unit::Sticky(unit), "salt"),
            None => vector.draw(Unit::Request(&id), "salt"),
        };
        let arms = vector.arms().iter().map(|arm| (arm.scorer.clone(), arm.propensity)).collect();
        let drawn = &vector.arms()[if lost { 0 } else { place }].scorer;
        choices.chose(&Choice { unit: unit.map(Into::into), arms }, drawn);
    }

    #[test]
    fn versions_count_by_what_they_are_to_their_model() {
        let mut choices = Choices::default();
        for id in 0..3_000 {
            let candidate = (id >= 1_000).then_some((id / 1_000 + 1, 0.25));
            ask(&mut choices, &vector(0.6, candidate), None, id, false);
        }
        let cells: Vec<Chosen> = choices.chosen().collect();
        let named: Vec<_> = cells.iter().map(|cell| (&*cell.model, cell.role)).collect();
        assert_eq!(named, [("a", Role::Current), ("b", Role::Current), ("a", Role::Candidate)]);
        assert!((cells[2].expected - 2_000.0 * 0.6 * 0.25).abs() < 1e-6, "{cells:?}");
        assert_eq!(choices.rows(), 3_000);
        assert!(choices.p_value().unwrap() > 0.001, "{cells:?}");
        // Eight of a hundred requests go astray.
        (3_000..6_000).for_each(|id| ask(&mut choices, &vector(0.6, None), None, id, id % 5 == 0));
        assert!(choices.p_value().unwrap() < 0.001);
    }

    #[test]
    fn requests_without_a_choice_are_left_out() {
        let mut choices = Choices::default();
        (0..50).for_each(|id| ask(&mut choices, &vector(1.0, None), None, id, false));
        choices.chose(&Choice::default(), &Scorer { model: "a".into(), number: 1 });
        assert_eq!((choices.rows(), choices.p_value(), choices.chosen().count()), (0, None, 0));
    }

    #[test]
    fn a_sticky_unit_counts_once_with_its_first_choice() {
        let (mut choices, split) = (Choices::default(), vector(0.5, None));
        for id in 0..20_000 {
            let unit = (id % 40).to_string();
            let now = if id < 40 { vector(1.0, None) } else { split.clone() };
            ask(&mut choices, &now, Some(&unit), id, false);
        }
        assert_eq!(choices.rows(), 40);
        assert!(choices.p_value().unwrap() > 0.001, "{:?}", choices.chosen().collect::<Vec<_>>());
    }

    #[test]
    fn units_beyond_those_remembered_are_passed_over() {
        let (mut choices, split) = (Choices::default(), vector(0.5, None));
        for id in 0..MOST_UNITS as u64 + 500 {
            ask(&mut choices, &split, Some(&id.to_string()), id, false);
        }
        assert_eq!(choices.rows(), MOST_UNITS as u64);
    }

    #[test]
    fn an_arm_outside_the_vector_is_never_drawn_by_chance() {
        let mut choices = Choices::default();
        let arms = vec![
            (Scorer { model: "a".into(), number: 1 }, 0.5),
            (Scorer { model: "b".into(), number: 1 }, 0.5),
        ];
        choices.chose(&Choice { unit: None, arms }, &Scorer { model: "c".into(), number: 1 });
        assert_eq!(choices.p_value(), Some(0.0));
    }
}
