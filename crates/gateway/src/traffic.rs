//! The traffic of an endpoint as it is split now: who may be drawn, and who looks on.

use std::borrow::Cow;
use std::sync::Arc;

use perennial_control::{Routed, VersionRef};
use perennial_evaluate::{Contribution, Role, Unit, UnitSpec, Vector};
use perennial_pipeline::ArmProbability;
use perennial_types::Timestamp;
use serde_json::Value as Json;

use crate::GatewayError;
use crate::version::{Loader, Version};

/// A probability vector with its versions loaded. It is replaced as a whole, so that a request sees one vector.
pub(crate) struct Traffic {
    pub(crate) experiment: Option<Arc<str>>,
    pub(crate) epoch: Option<Timestamp>,
    /// The probability of every arm, as records have it.
    pub(crate) probabilities: Vec<ArmProbability>,
    /// The version that answers where the drawn one fails.
    pub(crate) champion: Option<Arc<Version>>,
    /// The versions that score every request beside the one that answers.
    pub(crate) shadows: Vec<Arc<Version>>,
    vector: Vector,
    /// In the order of the vector.
    arms: Vec<Arc<Version>>,
    unit: UnitSpec,
    /// Tells sticky units of one experiment from those of another.
    unit_salt: Arc<str>,
    /// The same for single requests, which are drawn anew in every epoch.
    request_salt: String,
}

/// The arm of a request.
pub(crate) struct Drawn<'a> {
    pub(crate) version: &'a Arc<Version>,
    pub(crate) propensity: f64,
    /// What it was drawn for, where that is not the request itself.
    pub(crate) unit: Option<Arc<str>>,
}

impl Traffic {
    /// As it was routed. `current` is the champion's current version, which answers for those that fail even
    /// where it has no share.
    pub(crate) fn routed(
        routed: &Routed,
        current: Option<&VersionRef>,
        loader: &mut Loader<'_>,
    ) -> Result<Self, GatewayError> {
        let contributions: Vec<Contribution> = routed
            .shares
            .iter()
            .map(|share| Contribution {
                model: Arc::clone(&share.model),
                share: share.share,
                current: share.current.number,
                candidate: share.candidate.as_ref().map(|(version, part)| (version.number, *part)),
            })
            .collect();
        let vector = Vector::compose(&contributions).map_err(|error| {
            GatewayError::Internal(format!("the traffic of endpoint {:?}: {error}", routed.endpoint))
        })?;
        let mut arms = Vec::with_capacity(vector.arms().len());
        for share in &routed.shares {
            arms.push(loader.load(&share.model, &share.current)?);
            if let Some((candidate, _)) = &share.candidate {
                arms.push(loader.load(&share.model, candidate)?);
            }
        }
        let mut shadows = Vec::with_capacity(routed.shadows.len());
        for shadow in &routed.shadows {
            shadows.push(loader.load(&shadow.model, &shadow.version)?);
        }
        let in_service = vector
            .arms()
            .iter()
            .zip(&arms)
            .find(|(arm, _)| arm.scorer.model == routed.champion && arm.role == Role::Current);
        let champion = match (in_service, current) {
            (Some((_, version)), _) => Some(Arc::clone(version)),
            (None, Some(version)) => Some(loader.load(&routed.champion, version)?),
            (None, None) => None,
        };
        Ok(Self {
            experiment: routed.experiment.clone(),
            epoch: Some(routed.epoch),
            probabilities: probabilities(&vector),
            champion,
            shadows,
            vector,
            arms,
            unit: routed.unit.clone(),
            unit_salt: Arc::clone(&routed.salt),
            request_salt: format!("{} {}", routed.salt, routed.epoch.micros()),
        })
    }

    /// One version has everything: the traffic of a log that says nothing of routing.
    pub(crate) fn whole(
        model: &Arc<str>,
        version: &VersionRef,
        loader: &mut Loader<'_>,
    ) -> Result<Self, GatewayError> {
        let (current, candidate) = (version.number, None);
        let contribution = Contribution { model: Arc::clone(model), share: 1.0, current, candidate };
        let vector =
            Vector::compose(&[contribution]).map_err(|error| GatewayError::Internal(error.to_string()))?;
        let version = loader.load(model, version)?;
        Ok(Self {
            experiment: None,
            epoch: None,
            probabilities: probabilities(&vector),
            champion: Some(Arc::clone(&version)),
            shadows: Vec::new(),
            vector,
            arms: vec![version],
            unit: UnitSpec::Request,
            unit_salt: Arc::clone(model),
            request_salt: String::new(),
        })
    }

    /// The arm of a canonical request. One whose unit is unknown is drawn by its id.
    pub(crate) fn draw(&self, id: &str, request: &Json) -> Drawn<'_> {
        let unit = match &self.unit {
            UnitSpec::Request => None,
            UnitSpec::Column(column) => request.get(&**column).and_then(text),
        };
        let arm = match &unit {
            Some(unit) => self.vector.draw(Unit::Sticky(unit), &self.unit_salt),
            None => self.vector.draw(Unit::Request(id), &self.request_salt),
        };
        let propensity = self.vector.arms()[arm].propensity;
        Drawn { version: &self.arms[arm], propensity, unit: unit.map(Arc::from) }
    }

    /// The versions that may be drawn.
    pub(crate) fn drawable(&self) -> impl Iterator<Item = &Arc<Version>> {
        let arms = self.vector.arms().iter().zip(&self.arms);
        arms.filter(|(arm, _)| arm.propensity > 0.0).map(|(_, version)| version)
    }

    /// Every version that may be asked.
    pub(crate) fn versions(&self) -> impl Iterator<Item = &Arc<Version>> {
        self.arms.iter().chain(&self.champion).chain(&self.shadows)
    }
}

fn probabilities(vector: &Vector) -> Vec<ArmProbability> {
    let arms = vector.arms().iter().map(|arm| ArmProbability {
        model: Arc::clone(&arm.scorer.model),
        number: arm.scorer.number,
        probability: arm.propensity,
    });
    arms.collect()
}

/// A value as the name of a unit; nothing for NULL.
fn text(value: &Json) -> Option<Cow<'_, str>> {
    match value {
        Json::Null => None,
        Json::String(text) => Some(Cow::Borrowed(text)),
        Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => {
            Some(Cow::Owned(value.to_string()))
        }
    }
}
