//! Reads a Model.

use std::sync::Arc;

use perennial_learn::{
    BatchSpec, InFineTune, LearnerSpec, Missing, OutputSpec, SgdSpec, Task, TransformFn, UnknownCategory,
};

use super::{open, source, view};
use crate::fields::{Faults, Fields, Item};
use crate::spec::{DeclaredTransform, ModelSpec};
use crate::tree::{Entry, Node, Tree};

/// A first version is fitted from this on unless said.
const DEFAULT_FIRST_VERSION: &str = "labels.rows >= 1000";

/// The largest number that a bound may be.
const MOST: f64 = f64::MAX;

/// The model's document with the fields of the model that it is like, as far as it does not give them, and whether
/// all of the models that it is like are there.
///
/// Notes a chain of copies that has no end; a model that is not there is found by the cross-checks.
pub(super) fn with_copied(node: &Node, nodes: &[Node], faults: &Faults) -> (Node, bool) {
    let mut entries: Vec<Entry> = node.entries().to_vec();
    let mut seen = vec![node.get("name").and_then(Node::text).unwrap_or_default()];
    let mut like = node.get("like");
    let mut whole = true;
    while let Some(at) = like {
        let Some(name) = at.text() else {
            whole = false;
            break;
        };
        if seen.contains(&name) {
            Item::root(at, format!("Model {:?}: like", seen[0]), faults)
                .refuse(format!("a model cannot be like itself, and {name:?} leads back"), "");
            whole = false;
            break;
        }
        seen.push(name);
        let is_it = |other: &&Node| {
            let text = |field| other.get(field).and_then(Node::text);
            text("kind") == Some("Model") && text("name") == Some(name)
        };
        let Some(original) = nodes.iter().find(is_it) else {
            whole = false;
            break;
        };
        for entry in original.entries() {
            let own = ["kind", "name", "like"].contains(&entry.key.as_str());
            if !own && !entries.iter().any(|other| other.key == entry.key) {
                entries.push(entry.clone());
            }
        }
        like = original.get("like");
    }
    (Node { at: node.at.clone(), tree: Tree::Map(entries) }, whole)
}

/// Read a model; `whole` says that all models that it is like are there.
pub(super) fn read(item: &Item<'_>, whole: bool) -> ModelSpec {
    let (mut fields, name) = open(item, Item::name);
    if !whole {
        fields.may_stand_elsewhere();
    }
    let like = fields.optional("like").and_then(|item| item.name());
    let tasks = [("regression", Task::Regression), ("binary", Task::Binary)];
    let task = fields.required("task").and_then(|item| item.one_of(&tasks, &["multiclass"]));
    let request = fields.required("request").map(|item| source::schema(&item)).unwrap_or_default();
    let on_demand = fields.optional("on_demand").map(|item| view::expressions(&item)).unwrap_or_default();
    let features = fields.optional("features").map(|item| texts(&item)).unwrap_or_default();
    let transforms = fields.required("transforms").map(|item| item.list()).unwrap_or_default();
    let transforms = transforms.iter().map(transform).collect();
    let learner = fields.required("learner").and_then(|item| learner(&item));
    let output = fields.optional("output").map_or(Some(OutputSpec::default()), |item| output(&item));
    let first_version = match fields.optional("first_version") {
        Some(item) => first_version(&item),
        None => Some(DEFAULT_FIRST_VERSION.into()),
    };
    fields.finish();
    let sgd = SgdSpec { learning_rate: 0.01, l2: 0.0, epochs: item.guess(&[1, 1_000]) };
    ModelSpec {
        name,
        like,
        task: task.unwrap_or_else(|| item.guess(&[Task::Regression, Task::Binary])),
        request,
        on_demand,
        features,
        transforms,
        learner: learner
            .unwrap_or_else(|| item.guess(&[LearnerSpec::Linear(sgd.clone()), LearnerSpec::Logistic(sgd)])),
        output: output.unwrap_or_default(),
        first_version: first_version.unwrap_or_else(|| {
            let rows = item.guess(&[1_u64, 1_000_000_000_000]);
            format!("labels.rows >= {rows}").into()
        }),
    }
}

fn texts(item: &Item<'_>) -> Vec<Arc<str>> {
    item.list().iter().map(|item| item.text().unwrap_or_default()).collect()
}

/// Reads the fields of one function.
type ReadFunction = fn(&mut Fields<'_>) -> Option<TransformFn>;

fn transform(item: &Item<'_>) -> DeclaredTransform {
    let mut fields = item.fields();
    let of = fields.required("of").map(|item| texts(&item)).unwrap_or_default();
    let functions: [(&str, ReadFunction); 4] =
        [("standardize", standardize), ("one_hot", one_hot), ("clip", clip), ("pass", pass)];
    // Which fields it may have depends on the function: where that is wrong, nothing is said about them.
    let function = match fields.required("fn").and_then(|item| item.one_of(&functions, &[])) {
        Some(read_function) => {
            let function = read_function(&mut fields);
            fields.finish();
            function
        }
        None => {
            fields.finish_unknown();
            None
        }
    };
    let function = function.unwrap_or_else(|| {
        let one_hot = TransformFn::OneHot { unknown: UnknownCategory::Other };
        item.guess(&[TransformFn::Pass { missing: Missing::Mean }, one_hot])
    });
    DeclaredTransform { of, function }
}

fn standardize(fields: &mut Fields<'_>) -> Option<TransformFn> {
    let clip = fields.optional("clip").map_or(Some(5.0), |item| item.number_in(f64::MIN_POSITIVE, MOST));
    let missing = missing(fields);
    let moves = [("moving", InFineTune::Moving), ("frozen", InFineTune::Frozen)];
    let in_fine_tune =
        fields.optional("in_fine_tune").map_or(Some(InFineTune::Moving), |item| item.one_of(&moves, &[]));
    Some(TransformFn::Standardize { clip: clip?, missing: missing?, in_fine_tune: in_fine_tune? })
}

fn one_hot(fields: &mut Fields<'_>) -> Option<TransformFn> {
    let choices = [("other", UnknownCategory::Other), ("zero", UnknownCategory::Zero)];
    let unknown =
        fields.optional("unknown").map_or(Some(UnknownCategory::Other), |item| item.one_of(&choices, &[]));
    Some(TransformFn::OneHot { unknown: unknown? })
}

fn clip(fields: &mut Fields<'_>) -> Option<TransformFn> {
    let bounds = bounds(fields);
    let missing = missing(fields);
    let (min, max) = bounds?;
    if min.is_none() && max.is_none() {
        fields.refuse("clip has no bound", "give min, max or both");
        return None;
    }
    Some(TransformFn::Clip { min, max, missing: missing? })
}

fn pass(fields: &mut Fields<'_>) -> Option<TransformFn> {
    missing(fields).map(|missing| TransformFn::Pass { missing })
}

fn missing(fields: &mut Fields<'_>) -> Option<Missing> {
    let Some(item) = fields.optional("missing") else { return Some(Missing::Mean) };
    if item.as_text().is_none() {
        return item.number().map(Missing::Constant);
    }
    item.one_of(&[("mean", Missing::Mean), ("zero", Missing::Zero)], &[])
}

fn output(item: &Item<'_>) -> Option<OutputSpec> {
    let mut fields = item.fields();
    let bounds = bounds(&mut fields);
    fields.finish();
    bounds.map(|(min, max)| OutputSpec { min, max })
}

/// The fields `min` and `max`.
fn bounds(fields: &mut Fields<'_>) -> Option<(Option<f64>, Option<f64>)> {
    let mut bound = |name| match fields.optional(name) {
        Some(item) => item.number().map(Some),
        None => Some(None),
    };
    let (min, max) = (bound("min"), bound("max"));
    let (min, max) = (min?, max?);
    if let (Some(min), Some(max)) = (min, max)
        && min >= max
    {
        fields.refuse(format!("min {min} is not below max {max}"), "");
        return None;
    }
    Some((min, max))
}

fn first_version(item: &Item<'_>) -> Option<Arc<str>> {
    let mut fields = item.fields();
    let when = fields.required("when").and_then(|item| item.text());
    fields.finish();
    when
}

/// The kinds of learners.
#[derive(Clone, Copy, PartialEq)]
enum Family {
    Linear,
    Logistic,
}

/// The optimizers.
#[derive(Clone, Copy, PartialEq)]
enum Optimizer {
    Sgd,
    Lbfgs,
}

fn learner(item: &Item<'_>) -> Option<LearnerSpec> {
    let mut fields = item.fields();
    let families = [("linear", Family::Linear), ("logistic", Family::Logistic)];
    let later = ["external", "softmax", "tree", "forest", "elastic_net", "remote", "onnx"];
    // The fields depend on kind and optimizer: where these are wrong, nothing is said about the others.
    let family = fields.required("kind").and_then(|item| item.one_of(&families, &later));
    let optimizers = [("sgd", Optimizer::Sgd), ("lbfgs", Optimizer::Lbfgs)];
    let optimizer = match fields.optional("optimizer") {
        Some(item) => item.one_of(&optimizers, &["adam", "ftrl"]),
        None => Some(Optimizer::Sgd),
    };
    let (Some(family), Some(optimizer)) = (family, optimizer) else {
        fields.finish_unknown();
        return None;
    };
    if (family, optimizer) == (Family::Linear, Optimizer::Lbfgs) {
        fields.refuse("a linear learner is fitted by sgd; lbfgs is for logistic", "");
        return None;
    }
    let learner = match optimizer {
        Optimizer::Sgd => sgd(&mut fields).map(|spec| match family {
            Family::Linear => LearnerSpec::Linear(spec),
            Family::Logistic => LearnerSpec::Logistic(spec),
        }),
        Optimizer::Lbfgs => lbfgs(&mut fields).map(LearnerSpec::LogisticBatch),
    };
    fields.finish();
    learner
}

fn sgd(fields: &mut Fields<'_>) -> Option<SgdSpec> {
    let learning_rate =
        fields.optional("learning_rate").map_or(Some(0.01), |item| item.number_in(f64::MIN_POSITIVE, MOST));
    let l2 = fields.optional("l2").map_or(Some(0.0), |item| item.number_in(0.0, MOST));
    let epochs = fields.optional("epochs").map_or(Some(5), |item| epochs(&item));
    Some(SgdSpec { learning_rate: learning_rate?, l2: l2?, epochs: epochs? })
}

fn lbfgs(fields: &mut Fields<'_>) -> Option<BatchSpec> {
    let l2 = fields.optional("l2").map_or(Some(1.0), |item| item.number_in(0.0, MOST));
    let max_iterations = fields.optional("max_iterations").map_or(Some(100), |item| item.whole(1));
    Some(BatchSpec { l2: l2?, max_iterations: max_iterations? })
}

/// A number of passes, at least one.
pub(super) fn epochs(item: &Item<'_>) -> Option<u32> {
    let number = item.whole(1)?;
    if let Ok(number) = u32::try_from(number) {
        return Some(number);
    }
    item.refuse(format!("{number} passes are too many"), "");
    None
}
