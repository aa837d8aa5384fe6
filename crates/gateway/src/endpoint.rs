//! An endpoint ready to answer: its request's columns, its models' definitions, its traffic.

use std::collections::BTreeMap;
use std::sync::Arc;

use perennial_evaluate::EndpointSpec;
use perennial_pipeline::{
    Declared, Definition, Engine, Fallback, PredictionRecord, ServedVersion, ShadowScore,
};
use perennial_store::Blobs;
use perennial_types::{Clock, Column, ContentHash, RowError, Schema, Timestamp, did_you_mean};
use serde_json::Value as Json;

use crate::GatewayError;
use crate::features::{Prepared, Unanswered};
use crate::traffic::Traffic;
use crate::version::{Loader, Version, Versions};

/// Everything that answers need, as of a revision of the declarations.
#[derive(Default)]
pub(crate) struct Endpoints {
    endpoints: BTreeMap<Arc<str>, Arc<Endpoint>>,
    versions: Versions,
}

/// One endpoint.
pub(crate) struct Endpoint {
    pub(crate) spec: EndpointSpec,
    request: Schema,
    /// The declared definitions of its models and those of the versions that may be asked.
    definitions: Vec<Arc<Definition>>,
    /// Nothing before the first version.
    traffic: Option<Traffic>,
}

/// A request on its way to an answer.
pub(crate) struct Question<'a> {
    pub(crate) id: &'a str,
    /// Canonical.
    pub(crate) request: Json,
    pub(crate) at: Timestamp,
    /// There where deadlines are kept.
    pub(crate) wall: Option<&'a dyn Clock>,
}

/// What came of asking.
struct Answer<'a> {
    value: f64,
    /// Who gave it; nothing if it is the default.
    by: Option<&'a Arc<Version>>,
    /// Why it is not of the version that was drawn.
    fallback: Option<Fallback>,
}

impl Endpoints {
    /// Of what is declared. Artifacts that `before` holds already are not loaded again.
    pub(crate) fn build(declared: &Declared, blobs: &Blobs, before: &Self) -> Result<Self, GatewayError> {
        let mut loader = Loader::new(blobs, &before.versions);
        let mut endpoints = BTreeMap::new();
        let specs = declared.goal().map(|goal| goal.project.endpoints.as_slice()).unwrap_or_default();
        for spec in specs {
            let endpoint = Endpoint::build(spec, declared, &mut loader)?;
            endpoints.insert(Arc::clone(&spec.name), Arc::new(endpoint));
        }
        Ok(Self { endpoints, versions: loader.finish() })
    }

    pub(crate) fn get(&self, name: &str) -> Result<Arc<Endpoint>, GatewayError> {
        self.endpoints.get(name).cloned().ok_or_else(|| GatewayError::UnknownEndpoint {
            name: name.to_owned(),
            help: did_you_mean(name, self.endpoints.keys().map(AsRef::as_ref)),
        })
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.endpoints.keys()
    }
}

impl Endpoint {
    fn build(
        spec: &EndpointSpec,
        declared: &Declared,
        loader: &mut Loader<'_>,
    ) -> Result<Self, GatewayError> {
        let goal = declared.goal().ok_or_else(|| GatewayError::Internal("no goal".to_owned()))?;
        let traffic = match (declared.routing(&spec.name), declared.current(&spec.initial)) {
            (Some(routed), _) => Some(Traffic::routed(routed, declared.current(&routed.champion), loader)?),
            (None, Some(version)) => Some(Traffic::whole(&spec.initial, version, loader)?),
            (None, None) => None,
        };
        let models = spec.models.iter().filter_map(|name| goal.compiled.model(name));
        let definitions = known(declared, models.map(|model| model.definition), Vec::new())?;
        let required = definitions.len();
        let used = spec.models.iter().filter_map(|name| declared.current(name));
        let used = used.map(|version| version.definition);
        let asked = traffic.iter().flat_map(Traffic::versions).map(|version| version.definition);
        let definitions = known(declared, used.chain(asked), definitions)?;
        let request = request_schema(&definitions, required)?;
        Ok(Self { spec: spec.clone(), request, definitions, traffic })
    }

    /// The request as its columns' types have it.
    pub(crate) fn canonical(&self, request: &Json) -> Result<Json, RowError> {
        Ok(self.request.encode_json(&self.request.decode_json(request)?))
    }

    /// The columns of a request.
    pub(crate) fn request(&self) -> &Schema {
        &self.request
    }

    /// The versions that may answer now.
    pub(crate) fn serving(&self) -> Vec<ServedVersion> {
        let versions = self.traffic.iter().flat_map(Traffic::drawable);
        versions.map(|version| version.served.clone()).collect()
    }

    /// Answer a request, let those in shadow say what they think of it, and say everything about it.
    pub(crate) fn answer(&self, question: Question<'_>, engine: &Engine) -> PredictionRecord {
        let Question { id, request, at, wall } = question;
        let prepared = Prepared::new(&self.definitions, &request, engine, at);
        let drawn = self.traffic.as_ref().map(|traffic| (traffic, traffic.draw(id, &request)));
        let answer = match &drawn {
            Some((traffic, drawn)) => {
                self.ask_in_turn(drawn.version, traffic.champion.as_ref(), &prepared, wall)
            }
            None => self.default(Fallback::NoVersion),
        };
        let served = answer.by.map(|version| version.served.clone());
        let Some((traffic, drawn)) = drawn else {
            return PredictionRecord {
                request,
                views: prepared.views,
                experiment: None,
                epoch: None,
                unit: None,
                probabilities: Vec::new(),
                drawn: None,
                propensity: 0.0,
                served,
                prediction: answer.value,
                fallback: answer.fallback,
                shadows: Vec::new(),
            };
        };
        let looking_on = traffic.shadows.iter().filter(|shadow| served.as_ref() != Some(&shadow.served));
        let shadows = looking_on.map(|shadow| self.score(shadow, &prepared)).collect();
        PredictionRecord {
            request,
            views: prepared.views,
            experiment: traffic.experiment.clone(),
            epoch: traffic.epoch,
            unit: drawn.unit,
            probabilities: traffic.probabilities.clone(),
            drawn: Some(drawn.version.served.clone()),
            propensity: drawn.propensity,
            served,
            prediction: answer.value,
            fallback: answer.fallback,
            shadows,
        }
    }

    /// The drawn version answers; if it fails, the champion; if that fails too, nobody.
    fn ask_in_turn<'a>(
        &self,
        drawn: &'a Arc<Version>,
        champion: Option<&'a Arc<Version>>,
        prepared: &Prepared,
        wall: Option<&dyn Clock>,
    ) -> Answer<'a> {
        let fallback = match self.ask(drawn, prepared, wall) {
            Ok(value) => return Answer { value, by: Some(drawn), fallback: None },
            Err(fallback) => fallback,
        };
        let other = champion.filter(|champion| champion.served != drawn.served);
        match other.map(|champion| (champion, self.ask(champion, prepared, wall))) {
            Some((champion, Ok(value))) => Answer { value, by: Some(champion), fallback: Some(fallback) },
            Some((_, Err(_))) | None => self.default(fallback),
        }
    }

    fn default(&self, fallback: Fallback) -> Answer<'static> {
        Answer { value: self.spec.on_failure.default, by: None, fallback: Some(fallback) }
    }

    /// A version's answer, or why there is none.
    fn ask(&self, arm: &Version, prepared: &Prepared, wall: Option<&dyn Clock>) -> Result<f64, Fallback> {
        let begun = wall.map(Clock::now);
        let answered = arm.predict(prepared);
        let took = begun.zip(wall).map(|(begun, wall)| wall.now().since(begun));
        let (model, version) = (&arm.served.model, arm.served.number);
        match answered {
            Ok(_) if took.is_some_and(|took| took > self.spec.on_failure.deadline) => {
                tracing::warn!(endpoint = %self.spec.name, %model, version, "a version took too long");
                Err(Fallback::Deadline)
            }
            Ok(prediction) => Ok(prediction),
            Err(Unanswered { fallback, reason }) => {
                tracing::warn!(endpoint = %self.spec.name, %model, version, reason, "a version failed");
                Err(fallback)
            }
        }
    }

    fn score(&self, shadow: &Version, prepared: &Prepared) -> ShadowScore {
        let value = shadow.predict(prepared);
        if let Err(Unanswered { reason, .. }) = &value {
            let (model, version) = (&shadow.served.model, shadow.served.number);
            tracing::debug!(endpoint = %self.spec.name, %model, version, reason, "a version in shadow failed");
        }
        ShadowScore { version: shadow.served.clone(), value: value.ok() }
    }
}

/// The definitions of these hashes behind those that are there, each once.
fn known(
    declared: &Declared,
    hashes: impl Iterator<Item = ContentHash>,
    mut definitions: Vec<Arc<Definition>>,
) -> Result<Vec<Arc<Definition>>, GatewayError> {
    for hash in hashes {
        if definitions.iter().any(|definition| definition.model.definition == hash) {
            continue;
        }
        let gone = || GatewayError::Internal(format!("definition {hash} of a version in use is gone"));
        definitions.push(Arc::clone(declared.definition(hash).ok_or_else(gone)?));
    }
    Ok(definitions)
}

/// The columns of all definitions. Of the first `declared`, which are declared now, every column stays as it
/// is; one that only an earlier definition has may be missing.
fn request_schema(definitions: &[Arc<Definition>], declared: usize) -> Result<Schema, GatewayError> {
    let mut columns: Vec<Column> = Vec::new();
    for (index, definition) in definitions.iter().enumerate() {
        for column in definition.model.spec.request.columns() {
            if columns.iter().all(|known| known.name != column.name) {
                let nullable = column.nullable || index >= declared;
                columns.push(Column { nullable, ..column.clone() });
            }
        }
    }
    Schema::new(columns).map_err(|error| GatewayError::Internal(error.to_string()))
}
