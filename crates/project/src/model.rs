//! A model made ready: its inputs pinned, each with where it comes from.

mod inputs;

use std::sync::Arc;

use perennial_expr::Expr;
use perennial_features::View;
use perennial_learn::{FitSpec, LearnerSpec, Task};
use perennial_policy::labels_schema;
use perennial_types::{Column, ContentHash, DataType, LARGEST_DOUBLE, Row, Schema, Value};
use serde::Serialize;

use crate::check::CheckedView;
use crate::fault::owner;
use crate::pattern;
use crate::scope::Scope;
use crate::spec::{ModelSpec, hash_of};

/// A model whose inputs are expanded and pinned.
///
/// An example row is built in one order, [`CompiledModel::row`]: the request's columns; what `before`
/// computes from them; the features of each lookup; what `after` computes from all of these. Each step reads
/// only what stands before it, so a driver extends one row and needs no names.
#[derive(Clone, Debug)]
pub struct CompiledModel {
    /// What was declared.
    pub spec: ModelSpec,
    /// The endpoint it belongs to.
    pub endpoint: Arc<str>,
    /// The name of the endpoint's label.
    pub label: Arc<str>,
    /// The layout of a complete row.
    pub row: Schema,
    /// On-demand expressions over the request alone, in the order of their columns.
    pub before: Vec<Program>,
    /// The views that are looked up, in the order of their columns.
    pub lookups: Vec<Lookup>,
    /// On-demand expressions that read features, in the order of their columns.
    pub after: Vec<Program>,
    /// The inputs of the learner's transformations, in the order of `fit.inputs`.
    pub inputs: Vec<Input>,
    /// What a fit needs to know.
    pub fit: FitSpec,
    /// Hash of everything that a version depends on, view versions and expanded inputs included.
    pub definition: ContentHash,
}

/// An on-demand expression over the columns of the row that stand before its own.
#[derive(Clone, Debug)]
pub struct Program {
    /// The column that it fills.
    pub name: Arc<str>,
    /// Compiled against the row as far as it goes.
    pub expr: Expr,
}

/// A view that is looked up by the entity of a row.
#[derive(Clone, Debug)]
pub struct Lookup {
    /// The view.
    pub view: Arc<View>,
    /// Where the entity's columns stand in the row, in the order of the view's entity.
    pub key: Vec<usize>,
    /// Which of the view's outputs are taken, in the order of their columns in the row.
    pub outputs: Vec<usize>,
}

/// An input of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Its full name.
    pub name: Arc<str>,
    /// Where it stands in the row.
    pub column: usize,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where an input comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The request.
    Request,
    /// An on-demand expression.
    OnDemand,
    /// The view of this name.
    View(Arc<str>),
}

impl Input {
    /// Its name with where it comes from, as drift signals name it: `request.temp`, `on_demand.slot`,
    /// `slot_demand.trend`.
    pub fn qualified(&self) -> String {
        match &self.origin {
            Origin::Request => format!("request.{}", self.name),
            Origin::OnDemand => format!("on_demand.{}", self.name),
            // The name of a feature begins with its view.
            Origin::View(_) => self.name.to_string(),
        }
    }
}

impl CompiledModel {
    /// The inputs whose qualified names one of these patterns matches, in the order of `inputs`.
    pub fn matching(&self, patterns: &[Arc<str>]) -> Vec<&Input> {
        let chosen = |input: &&Input| {
            let name = input.qualified();
            patterns.iter().any(|pattern| pattern::matches(pattern, &name))
        };
        self.inputs.iter().filter(chosen).collect()
    }

    /// The entity key of a lookup in a row that reaches at least to the lookups.
    pub fn key_of(lookup: &Lookup, row: &[Value]) -> Row {
        lookup.key.iter().map(|column| row[*column].clone()).collect()
    }

    /// Why a value cannot be a label of this model; nothing if it can.
    pub fn label_fault(&self, value: f64) -> Option<String> {
        match self.spec.task {
            Task::Binary if value != 0.0 && value != 1.0 => {
                Some(format!("the label {:?} is 0 or 1, found {value:e}", self.label))
            }
            Task::Regression if value.abs() > LARGEST_DOUBLE => {
                Some(format!("the label {:?} is at most {LARGEST_DOUBLE:e}, found {value:e}", self.label))
            }
            Task::Binary | Task::Regression => None,
        }
    }

    /// The inputs of the learner out of a complete row, in the order of `fit.inputs`.
    pub fn inputs_of(&self, row: &[Value]) -> Row {
        self.inputs.iter().map(|input| row[input.column].clone()).collect()
    }
}

impl ModelSpec {
    /// Passes of a fit from scratch; for a batch fit the most it may make.
    pub fn epochs(&self) -> u32 {
        match &self.learner {
            LearnerSpec::Linear(spec) | LearnerSpec::Logistic(spec) => spec.epochs,
            LearnerSpec::LogisticBatch(spec) => u32::try_from(spec.max_iterations).unwrap_or(u32::MAX),
        }
    }
}

/// What a model is compiled among.
pub(crate) struct Surroundings<'a> {
    pub(crate) scope: &'a Scope<'a>,
    /// The project's views in its order.
    pub(crate) views: &'a [CheckedView],
}

/// What the definition hash covers.
#[derive(Serialize)]
struct Definition<'a> {
    label: &'a str,
    request: &'a Schema,
    on_demand: &'a [perennial_features::NamedExpr],
    lookups: Vec<(&'a str, ContentHash, Vec<&'a str>)>,
    fit: &'a FitSpec,
}

impl Surroundings<'_> {
    /// Compile one model; `None` if it has a fault, which is noted.
    pub(crate) fn compile(&self, spec: &ModelSpec) -> Option<CompiledModel> {
        let owner = owner("Model", &spec.name);
        if let Some(like) = &spec.like {
            self.scope.model(like, &format!("{owner}: like"));
        }
        let endpoint = self.endpoint(spec, &owner);
        let learner_fits = self.learner_fits(spec, &owner);
        let when = format!("{owner}: first_version.when");
        self.scope.condition(&spec.first_version, &labels_schema(), &when);
        let layout = inputs::layout(self, spec, &owner)?;
        let (endpoint, label) = endpoint?;
        let fit = FitSpec {
            task: spec.task,
            inputs: layout.inputs.iter().map(|input| Arc::clone(&input.name)).collect(),
            transforms: layout.transforms,
            learner: spec.learner.clone(),
            output: spec.output,
        };
        // An input of a view with a fault stands in no column, for no fault of the model.
        let mut named = fit.transforms.iter().flat_map(|transform| &transform.of);
        let known =
            learner_fits && !self.scope.marks.touches(&owner) && named.all(|name| fit.inputs.contains(name));
        if let (true, Err(error)) = (known, fit.check()) {
            self.scope.refuse_as_told(&owner, &error.to_string());
            return None;
        }
        let key_names = |lookup: &Lookup| -> Vec<&str> {
            lookup.key.iter().map(|column| &*layout.row.columns()[*column].name).collect()
        };
        let lookups = layout.lookups.iter();
        let definition = hash_of(&Definition {
            label: &label,
            request: &spec.request,
            on_demand: &spec.on_demand,
            lookups: lookups
                .map(|lookup| (&*lookup.view.spec().name, lookup.view.version(), key_names(lookup)))
                .collect(),
            fit: &fit,
        });
        Some(CompiledModel {
            spec: spec.clone(),
            endpoint,
            label,
            row: layout.row,
            before: layout.before,
            lookups: layout.lookups,
            after: layout.after,
            inputs: layout.inputs,
            fit,
            definition,
        })
    }

    /// The endpoint and the label's name.
    fn endpoint(&self, spec: &ModelSpec, owner: &str) -> Option<(Arc<str>, Arc<str>)> {
        let found = self.scope.project.endpoints.iter().find(|endpoint| endpoint.models.contains(&spec.name));
        match found {
            Some(endpoint) => Some((Arc::clone(&endpoint.name), Arc::clone(&endpoint.label.name))),
            None if self.may_be_meant(owner) => None,
            None => {
                let message = "it belongs to no endpoint, so it has no label to train on";
                self.scope.refuse(owner, message, "name it in the models of an endpoint");
                None
            }
        }
    }

    /// Whether an endpoint may mean this model by a name that could not be read or is misspelt.
    fn may_be_meant(&self, model: &str) -> bool {
        let marks = self.scope.marks;
        let declared = |name: &Arc<str>| self.scope.project.models.iter().any(|model| model.name == *name);
        marks.kind_is_open("Endpoint")
            || marks.covers(&format!("{model}: name"))
            || self.scope.project.endpoints.iter().any(|endpoint| {
                marks.touches(&format!("{}: models", crate::fault::owner("Endpoint", &endpoint.name)))
                    || !endpoint.models.iter().all(declared)
            })
    }

    fn learner_fits(&self, spec: &ModelSpec, owner: &str) -> bool {
        let (task, help) = match &spec.learner {
            LearnerSpec::Linear(_) => (Task::Regression, "a binary model wants kind: logistic"),
            LearnerSpec::Logistic(_) | LearnerSpec::LogisticBatch(_) => {
                (Task::Binary, "a regression wants kind: linear")
            }
        };
        if task != spec.task {
            let message = "this learner does not fit the model's task";
            self.scope.refuse(format!("{owner}: learner.kind"), message, help);
        }
        task == spec.task
    }
}

/// A column of a row that may be NULL.
fn computed(name: &Arc<str>, data_type: DataType) -> Column {
    Column { name: Arc::clone(name), data_type, nullable: true }
}
