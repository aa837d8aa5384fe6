//! An endpoint ready to answer: its request's columns, its models' definitions, the version that serves.

use std::collections::BTreeMap;
use std::sync::Arc;

use perennial_control::VersionRef;
use perennial_evaluate::EndpointSpec;
use perennial_features::EntityKey;
use perennial_learn::Fitted;
use perennial_pipeline::{
    ArmProbability, Asked, Declared, Definition, Engine, Fallback, PredictionRecord, ServedVersion,
    ServedView, key_schema,
};
use perennial_store::Blobs;
use perennial_types::{Clock, Column, ContentHash, Position, Row, RowError, Schema, Timestamp, did_you_mean};
use serde_json::Value as Json;

use crate::GatewayError;

/// Everything that answers need, as of a revision of the declarations.
#[derive(Default)]
pub(crate) struct Endpoints {
    endpoints: BTreeMap<Arc<str>, Arc<Endpoint>>,
}

/// One endpoint.
pub(crate) struct Endpoint {
    pub(crate) spec: EndpointSpec,
    request: Schema,
    /// The declared definitions of its models and those that its versions were trained under.
    definitions: Vec<Arc<Definition>>,
    champion: Option<Arc<Arm>>,
}

/// A version that can answer.
struct Arm {
    served: ServedVersion,
    definition: Arc<Definition>,
    fitted: Fitted,
}

/// The features of one view version for one key.
struct Looked {
    version: ContentHash,
    key: Row,
    values: Row,
}

impl Endpoints {
    /// Of what is declared. Artifacts that `before` holds already are not loaded again.
    pub(crate) fn build(declared: &Declared, blobs: &Blobs, before: &Self) -> Result<Self, GatewayError> {
        let mut endpoints = BTreeMap::new();
        let specs = declared.goal().map(|goal| goal.project.endpoints.as_slice()).unwrap_or_default();
        for spec in specs {
            let earlier = before.endpoints.get(&spec.name);
            let endpoint =
                Endpoint::build(spec, declared, blobs, earlier.and_then(|old| old.champion.as_ref()))?;
            endpoints.insert(Arc::clone(&spec.name), Arc::new(endpoint));
        }
        Ok(Self { endpoints })
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
        blobs: &Blobs,
        earlier: Option<&Arc<Arm>>,
    ) -> Result<Self, GatewayError> {
        let goal = declared.goal().ok_or_else(|| GatewayError::Internal("no goal".to_owned()))?;
        let models = spec.models.iter().filter_map(|name| goal.compiled.model(name));
        let wanted = models.map(|model| model.definition);
        let used =
            spec.models.iter().filter_map(|name| declared.current(name)).map(|version| version.definition);
        let mut definitions: Vec<Arc<Definition>> = Vec::new();
        for hash in wanted.chain(used) {
            let known = definitions.iter().any(|definition| definition.model.definition == hash);
            if let (false, Some(definition)) = (known, declared.definition(hash)) {
                definitions.push(Arc::clone(definition));
            }
        }
        let declared_now = spec.models.len();
        let request = request_schema(&definitions, declared_now)?;
        let champion = match declared.current(&spec.initial) {
            Some(version) => Some(Arm::load(&spec.initial, version, declared, blobs, earlier)?),
            None => None,
        };
        Ok(Self { spec: spec.clone(), request, definitions, champion })
    }

    /// The request as its columns' types have it.
    pub(crate) fn canonical(&self, request: &Json) -> Result<Json, RowError> {
        Ok(self.request.encode_json(&self.request.decode_json(request)?))
    }

    /// The columns of a request.
    pub(crate) fn request(&self) -> &Schema {
        &self.request
    }

    /// The version that answers now.
    pub(crate) fn serving(&self) -> Option<&ServedVersion> {
        self.champion.as_ref().map(|arm| &arm.served)
    }

    /// Answer a canonical request, and say everything about it. `wall` is there where deadlines are kept.
    pub(crate) fn answer(
        &self,
        request: Json,
        engine: &Engine,
        at: Timestamp,
        wall: Option<&dyn Clock>,
    ) -> PredictionRecord {
        let (views, looked) = self.look_up(&request, engine, at);
        let drawn = self.champion.as_ref().map(|arm| arm.served.clone());
        let (prediction, fallback) = match self.ask(&request, &looked, wall) {
            Ok(prediction) => (prediction, None),
            Err(fallback) => (self.spec.on_failure.default, Some(fallback)),
        };
        let served = drawn.clone().filter(|_| fallback.is_none());
        let probabilities = drawn.iter().map(|version| ArmProbability {
            model: Arc::clone(&version.model),
            number: version.number,
            probability: 1.0,
        });
        PredictionRecord {
            request,
            views,
            experiment: None,
            epoch: None,
            unit: None,
            probabilities: probabilities.collect(),
            propensity: if drawn.is_some() { 1.0 } else { 0.0 },
            drawn,
            served,
            prediction,
            fallback,
            shadows: Vec::new(),
        }
    }

    /// The version's answer, or why there is none.
    fn ask(&self, request: &Json, looked: &[Looked], wall: Option<&dyn Clock>) -> Result<f64, Fallback> {
        let Some(arm) = &self.champion else { return Err(Fallback::NoVersion) };
        let begun = wall.map(Clock::now);
        let answered = arm.predict(request, looked);
        let took = begun.zip(wall).map(|(begun, wall)| wall.now().since(begun));
        let (model, version) = (&arm.served.model, arm.served.number);
        match answered {
            Ok(_) if took.is_some_and(|took| took > self.spec.on_failure.deadline) => {
                tracing::warn!(endpoint = %self.spec.name, %model, version, "a version took too long");
                Err(Fallback::Deadline)
            }
            Ok(prediction) => Ok(prediction),
            Err(reason) => {
                tracing::warn!(endpoint = %self.spec.name, %model, version, reason, "a version failed");
                Err(Fallback::Error)
            }
        }
    }

    /// The features of every model of the endpoint, each view and key once.
    fn look_up(&self, request: &Json, engine: &Engine, at: Timestamp) -> (Vec<ServedView>, Vec<Looked>) {
        let mut looked: Vec<Looked> = Vec::new();
        let mut views = Vec::new();
        for definition in &self.definitions {
            // A column that only an earlier definition has may be missing; its version then fails below.
            let Ok(asked) = Asked::decode(&definition.model, request) else { continue };
            for lookup in &definition.model.lookups {
                let (version, key) = (lookup.view.version(), asked.key(lookup));
                if looked.iter().any(|known| known.version == version && known.key == key) {
                    continue;
                }
                let reading = engine.read(version, &EntityKey::from_values(&key), at);
                let (values, seen) = match reading {
                    Some(reading) => (reading.values, reading.seen),
                    None => continue,
                };
                views.push(served_view(lookup, &key, &values, seen));
                looked.push(Looked { version, key, values });
            }
        }
        (views, looked)
    }
}

impl Arm {
    fn load(
        model: &Arc<str>,
        version: &VersionRef,
        declared: &Declared,
        blobs: &Blobs,
        earlier: Option<&Arc<Self>>,
    ) -> Result<Arc<Self>, GatewayError> {
        if let Some(arm) = earlier
            && arm.served.content_hash == version.content_hash
            && arm.served.number == version.number
            && arm.served.model == *model
        {
            return Ok(Arc::clone(arm));
        }
        let definition = declared.definition(version.definition).ok_or_else(|| {
            GatewayError::Internal(format!("version {} of {model:?} has no definition", version.number))
        })?;
        let bytes =
            blobs.get(&version.artifact).map_err(|error| GatewayError::Internal(error.to_string()))?;
        let fitted = Fitted::load(&bytes).map_err(|error| GatewayError::Internal(error.to_string()))?;
        let served = ServedVersion {
            model: Arc::clone(model),
            number: version.number,
            content_hash: version.content_hash,
        };
        Ok(Arc::new(Self { served, definition: Arc::clone(definition), fitted }))
    }

    fn predict(&self, request: &Json, looked: &[Looked]) -> Result<f64, String> {
        let model = &self.definition.model;
        let asked = Asked::decode(model, request).map_err(|error| error.to_string())?;
        let mut features: Vec<&[perennial_types::Value]> = Vec::with_capacity(model.lookups.len());
        for lookup in &model.lookups {
            let key = asked.key(lookup);
            let version = lookup.view.version();
            let found = looked.iter().find(|known| known.version == version && known.key == key);
            let found = found.ok_or_else(|| format!("view {:?} is not live", lookup.view.spec().name))?;
            features.push(&found.values);
        }
        self.fitted.predict(&asked.inputs(features)).map_err(|error| error.to_string())
    }
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

fn served_view(lookup: &perennial_project::Lookup, key: &Row, values: &Row, seen: Position) -> ServedView {
    ServedView {
        view: Arc::clone(&lookup.view.spec().name),
        version: lookup.view.version(),
        key: key_schema(&lookup.view).encode_json(key),
        seen,
        features: lookup.view.outputs().encode_json(values),
    }
}
