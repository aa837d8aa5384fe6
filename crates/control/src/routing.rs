//! Who answers at an endpoint: one probability vector over versions.

use std::collections::BTreeMap;
use std::sync::Arc;

use perennial_evaluate::{EndpointSpec, UnitSpec};
use perennial_types::{Rounded, Timestamp};
use serde_json::json;

use crate::endpoint::EndpointState;
use crate::model::{InFlight, ModelState};
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
            let wanted = self.wanted(spec, endpoint, at)?;
            if endpoint.routed().is_some_and(|last| wanted.is(last)) {
                return None;
            }
            Some(self.routed(spec, endpoint, wanted, (at, now)))
        })
    }

    /// Nothing until the champion has a version: until then the endpoint answers its default.
    fn wanted(&self, spec: &EndpointSpec, endpoint: &EndpointState, at: Timestamp) -> Option<Wanted> {
        let champion = endpoint.champion();
        self.models.get(champion).and_then(ModelState::current)?;
        let last = endpoint.routed();
        // On the wall clock labels come between two looks at one instant; its shares are computed once.
        let computed = last.is_some_and(|last| last.epoch >= at);
        let running = endpoint.experiment().filter(|experiment| experiment.is_running());
        let mut shares = match running {
            Some(experiment) => {
                let anew = !computed && experiment.epoch_begins(self.done, at);
                experiment.shares(champion, last, anew)
            }
            None => vec![(Arc::clone(champion), 1.0)],
        };
        if shares.iter().all(|(model, _)| model != champion) {
            shares.push((Arc::clone(champion), 0.0));
        }
        let shares: Vec<ModelShare> = shares
            .into_iter()
            .filter_map(|(model, share)| self.share(model, share, last, at, computed))
            .collect();
        let unit = running.map_or(UnitSpec::Request, |experiment| experiment.spec().unit.clone());
        let salt = running.map_or(&spec.name, |experiment| &experiment.spec().name);
        Some(Wanted {
            experiment: running.map(|experiment| Arc::clone(&experiment.spec().name)),
            unit,
            salt: Arc::clone(salt),
            champion: Arc::clone(champion),
            shadows: self.shadows(spec, endpoint, &shares),
            shares,
        })
    }

    /// A model's share with the part of its candidate, which changes when an epoch begins.
    fn share(
        &self,
        model: Arc<str>,
        share: f64,
        last: Option<&Routed>,
        at: Timestamp,
        computed: bool,
    ) -> Option<ModelShare> {
        let state = self.models.get(&model)?;
        let current = state.current()?.id.clone();
        let in_rollout = state.in_flight().and_then(InFlight::in_rollout);
        let candidate = in_rollout.and_then(|(rollout, terms)| {
            let split = rollout.split(terms, at)?;
            let shares = last.into_iter().flat_map(|last| &last.shares);
            let before =
                shares.filter(|share| share.model == model).find_map(|share| share.candidate.as_ref());
            let before = before.filter(|(version, _)| version == rollout.version());
            let anew = !computed && rollout.epoch_begins(terms, self.done, at);
            let split = before.filter(|_| !anew).map_or(split, |(_, before)| *before);
            Some((rollout.version().clone(), split))
        });
        Some(ModelShare { model, share, current, candidate })
    }

    /// Who scores every request beside the version that is drawn: a candidate and its current version, a replaced
    /// version while a rollback may follow, all arms of an experiment in which all earn. A version that answers every
    /// request needs no shadow.
    fn shadows(
        &self,
        spec: &EndpointSpec,
        endpoint: &EndpointState,
        shares: &[ModelShare],
    ) -> Vec<RoutedVersion> {
        let in_shadow =
            endpoint.experiment().filter(|experiment| experiment.is_running() && experiment.all_earn());
        let mut shadows: Vec<RoutedVersion> = Vec::new();
        for name in &spec.models {
            let Some(model) = self.models.get(name) else { continue };
            let Some(current) = model.current() else { continue };
            let in_rollout = model.in_flight().and_then(InFlight::in_rollout);
            let entered = in_rollout.filter(|(rollout, _)| rollout.stage().is_some());
            let candidate = entered.map(|(rollout, _)| rollout.version());
            let replaced = model.watch().map(|watch| watch.replaced());
            let arm = in_shadow.is_some_and(|experiment| experiment.arms().any(|arm| arm == name));
            let compared = candidate.is_some() || replaced.is_some() || arm;
            let sure =
                |share: &ModelShare| share.model == *name && share.share >= 1.0 && share.candidate.is_none();
            let current = (compared && !shares.iter().any(sure)).then_some(&current.id);
            let versions = [current, candidate, replaced].into_iter().flatten();
            shadows.extend(
                versions.map(|version| RoutedVersion { model: Arc::clone(name), version: version.clone() }),
            );
        }
        shadows
    }

    fn routed(
        &self,
        spec: &EndpointSpec,
        endpoint: &EndpointState,
        wanted: Wanted,
        (at, now): (Timestamp, Timestamp),
    ) -> Routed {
        let last = endpoint.routed();
        let same_shares = last.filter(|last| last.shares == wanted.shares);
        let (cause, why) = endpoint.cause();
        let sentence = sentence(&wanted);
        let reason = if why.is_empty() { sentence } else { format!("{why}; {sentence}") };
        Routed {
            endpoint: Arc::clone(&spec.name),
            at: now,
            evidence: self.evidence(endpoint, &wanted, now),
            experiment: wanted.experiment,
            epoch: same_shares.map_or(at, |last| last.epoch),
            unit: wanted.unit,
            salt: wanted.salt,
            champion: wanted.champion,
            shares: wanted.shares,
            shadows: wanted.shadows,
            cause: if last.is_none() { RoutingCause::FirstVersion } else { cause },
            reason,
        }
    }

    /// What the shares follow from.
    fn evidence(&self, endpoint: &EndpointState, wanted: &Wanted, now: Timestamp) -> serde_json::Value {
        let experiment = endpoint.experiment().filter(|_| wanted.experiment.is_some());
        let rollouts: BTreeMap<&str, _> = wanted
            .shares
            .iter()
            .filter(|share| share.candidate.is_some())
            .filter_map(|share| {
                let (rollout, _) = self.models.get(&share.model)?.in_flight()?.in_rollout()?;
                Some((&*share.model, rollout.compared(now)))
            })
            .collect();
        json!({"experiment": experiment.map(|experiment| experiment.to_json()), "rollouts": rollouts})
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
                parts.into_iter().map(|(version, part)| format!("{version} {}", Rounded(part))).collect();
            format!("the shares of the requests are {}", parts.join(", "))
        }
    }
}
