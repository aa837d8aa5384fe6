//! Who answers at an endpoint: one probability vector over versions.

use std::sync::Arc;

use perennial_evaluate::{EndpointSpec, UnitSpec};
use perennial_types::Timestamp;
use serde_json::json;

use crate::endpoint::EndpointState;
use crate::model::ModelState;
use crate::{ModelShare, Routed, RoutedVersion, RoutingCause, State};

/// What an endpoint's traffic should be, without when and why.
struct Wanted {
    experiment: Option<Arc<str>>,
    unit: UnitSpec,
    salt: Arc<str>,
    champion: Arc<str>,
    shares: Vec<ModelShare>,
    shadows: Vec<RoutedVersion>,
}

impl Wanted {
    fn is(&self, routed: &Routed) -> bool {
        (&self.experiment, &self.unit, &self.salt) == (&routed.experiment, &routed.unit, &routed.salt)
            && (&self.champion, &self.shares) == (&routed.champion, &routed.shares)
            && self.shadows == routed.shadows
    }
}

impl State {
    /// The first endpoint in the order of declaration whose traffic should be another one than it is.
    pub(crate) fn routing(&self, at: Timestamp, now: Timestamp) -> Option<Routed> {
        let goal = self.goal.as_ref()?;
        goal.endpoints.iter().find_map(|spec| {
            let endpoint = self.endpoints.get(&spec.name)?;
            let wanted = self.wanted(spec, endpoint)?;
            let last = endpoint.routed();
            if last.is_some_and(|last| wanted.is(last)) {
                return None;
            }
            Some(routed(spec, endpoint, wanted, at, now))
        })
    }

    /// Nothing until the champion has a version: until then the endpoint answers its default.
    fn wanted(&self, spec: &EndpointSpec, endpoint: &EndpointState) -> Option<Wanted> {
        let champion = endpoint.champion();
        let current = self.models.get(champion).and_then(ModelState::current)?.id.clone();
        let share = ModelShare { model: Arc::clone(champion), share: 1.0, current, candidate: None };
        Some(Wanted {
            experiment: None,
            unit: UnitSpec::Request,
            salt: Arc::clone(&spec.name),
            champion: Arc::clone(champion),
            shares: vec![share],
            shadows: Vec::new(),
        })
    }
}

fn routed(
    spec: &EndpointSpec,
    endpoint: &EndpointState,
    wanted: Wanted,
    at: Timestamp,
    now: Timestamp,
) -> Routed {
    let last = endpoint.routed();
    let same_shares = last.filter(|last| last.shares == wanted.shares);
    let (cause, why) = endpoint.cause();
    let sentence = sentence(&wanted);
    let reason = if why.is_empty() { sentence } else { format!("{why}; {sentence}") };
    Routed {
        endpoint: Arc::clone(&spec.name),
        at: now,
        experiment: wanted.experiment,
        epoch: same_shares.map_or(at, |last| last.epoch),
        unit: wanted.unit,
        salt: wanted.salt,
        champion: wanted.champion,
        shares: wanted.shares,
        shadows: wanted.shadows,
        cause: if last.is_none() { RoutingCause::FirstVersion } else { cause },
        reason,
        evidence: json!({}),
    }
}

/// "bike-raw 7 answers all requests", "bike-raw 7 answers 0.95 and bike-raw 8 0.05 of the requests".
fn sentence(wanted: &Wanted) -> String {
    let mut parts = Vec::new();
    for share in &wanted.shares {
        let split = share.candidate.as_ref().map_or(0.0, |(_, split)| *split);
        let candidate = share.candidate.iter().map(|(version, _)| (version.number, share.share * split));
        let current = std::iter::once((share.current.number, share.share * (1.0 - split)));
        let positive = current.chain(candidate).filter(|(_, part)| *part > 0.0);
        parts.extend(positive.map(|(number, part)| (format!("{} {number}", share.model), part)));
    }
    match parts.as_slice() {
        [(version, _)] => format!("{version} answers all requests"),
        _ => {
            let parts: Vec<String> =
                parts.into_iter().map(|(version, part)| format!("{version} {part:.3}")).collect();
            format!("the shares of the requests are {}", parts.join(", "))
        }
    }
}
