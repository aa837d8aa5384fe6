//! What is asked of a spine: the features of views, or everything that a model sees.

use std::sync::Arc;

use perennial_features::{EntityKey, View};
use perennial_project::CompiledModel;
use perennial_types::{Column, Row, Schema, Value, did_you_mean};

use super::Spine;
use crate::PipelineError;
use crate::example::Asked;

/// What is asked of every row of a spine.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// The features of views. The spine has their entities' columns.
    Views(Vec<Arc<View>>),
    /// What a model computes from a request: its on-demand columns and its features. The spine has the request's
    /// columns.
    Model(Arc<CompiledModel>),
}

impl Wanted {
    /// The columns that a spine must have, by the types that they must be of.
    pub fn columns(&self) -> Vec<Column> {
        match self {
            Self::Views(views) => {
                let mut columns: Vec<Column> = Vec::new();
                for column in views.iter().flat_map(|view| view.entity()) {
                    if columns.iter().all(|known| known.name != column.name) {
                        columns.push(column.clone());
                    }
                }
                columns
            }
            Self::Model(model) => model.spec.request.columns().to_vec(),
        }
    }

    /// The views that are read.
    pub fn views(&self) -> Vec<&Arc<View>> {
        match self {
            Self::Views(views) => views.iter().collect(),
            Self::Model(model) => model.lookups.iter().map(|lookup| &lookup.view).collect(),
        }
    }

    /// Find a spine's keys.
    pub(super) fn ask<'a>(&'a self, spine: &'a Spine) -> Result<AskedSpine<'a>, PipelineError> {
        let lookups = match self {
            Self::Views(views) => {
                views.iter().map(|view| of_view(view, spine)).collect::<Result<Vec<_>, _>>()?
            }
            Self::Model(model) => of_model(model, spine)?,
        };
        Ok(AskedSpine { wanted: self, spine, lookups })
    }
}

/// The keys of one view, row by row.
pub(super) struct Keys<'a> {
    pub(super) view: &'a Arc<View>,
    pub(super) keys: Vec<EntityKey>,
}

/// A spine on its way to its features.
pub(super) struct AskedSpine<'a> {
    wanted: &'a Wanted,
    spine: &'a Spine,
    lookups: Vec<Keys<'a>>,
}

impl<'a> AskedSpine<'a> {
    /// The views and keys to be looked up.
    pub(super) fn lookups(&self) -> Vec<&Keys<'a>> {
        self.lookups.iter().collect()
    }

    /// The columns of the spine and those that are added.
    pub(super) fn schema(&self) -> Result<Schema, PipelineError> {
        let added: Vec<Column> = match self.wanted {
            Wanted::Views(views) => views.iter().flat_map(|view| view.outputs().columns()).cloned().collect(),
            Wanted::Model(model) => model.row.columns()[model.spec.request.columns().len()..].to_vec(),
        };
        let nullable = added.into_iter().map(|column| Column { nullable: true, ..column });
        let columns = self.spine.schema().columns().iter().cloned().chain(nullable).collect();
        Schema::new(columns).map_err(|error| {
            PipelineError::Invalid(format!("{error}: give the spine's column of this name another one"))
        })
    }

    /// Every row complete, given the outputs of each lookup for it.
    pub(super) fn rows(&self, mut outputs: Vec<Vec<Row>>) -> Vec<Row> {
        let rows = self.spine.rows().iter().enumerate();
        let rows = rows.map(|(at, row)| {
            let mut features: Vec<Row> =
                outputs.iter_mut().map(|column| std::mem::take(&mut column[at])).collect();
            match self.wanted {
                Wanted::Views(_) => {
                    let mut row = row.clone();
                    features.iter_mut().for_each(|values| row.append(values));
                    row
                }
                Wanted::Model(model) => {
                    let asked = Asked::of_row(model, request(model, self.spine, row));
                    let complete = asked.complete(features.iter().map(Vec::as_slice));
                    let added = complete.into_iter().skip(model.spec.request.columns().len());
                    row.iter().cloned().chain(added).collect()
                }
            }
        });
        rows.collect()
    }
}

fn of_view<'a>(view: &'a Arc<View>, spine: &Spine) -> Result<Keys<'a>, PipelineError> {
    let places: Vec<usize> = view
        .entity()
        .iter()
        .map(|column| {
            let of = format!("the entity of view {:?}", view.spec().name);
            place(spine, column, &of)
        })
        .collect::<Result<_, _>>()?;
    let key = |row: &Row| {
        let values: Row = places.iter().map(|place| row[*place].clone()).collect();
        EntityKey::from_values(&values)
    };
    Ok(Keys { view, keys: spine.rows().iter().map(key).collect() })
}

fn of_model<'a>(model: &'a CompiledModel, spine: &Spine) -> Result<Vec<Keys<'a>>, PipelineError> {
    let mut problems = Vec::new();
    for column in model.spec.request.columns() {
        if column.nullable && spine.schema().index_of(&column.name).is_none() {
            continue;
        }
        let at = place(spine, column, &format!("a request to model {:?}", model.spec.name))?;
        if !column.nullable {
            problems.extend(spine.without(at, "a value"));
        }
    }
    super::refuse(problems)?;
    let mut lookups: Vec<Keys<'_>> =
        model.lookups.iter().map(|lookup| Keys { view: &lookup.view, keys: Vec::new() }).collect();
    for row in spine.rows() {
        let asked = Asked::of_row(model, request(model, spine, row));
        for (lookup, keys) in model.lookups.iter().zip(&mut lookups) {
            keys.keys.push(EntityKey::from_values(&asked.key(lookup)));
        }
    }
    Ok(lookups)
}

/// The request that a row is; a column that may be missing is NULL where the spine has none.
fn request(model: &CompiledModel, spine: &Spine, row: &Row) -> Row {
    let columns = model.spec.request.columns().iter();
    let value =
        |column: &Column| spine.schema().index_of(&column.name).map_or(Value::Null, |at| row[at].clone());
    columns.map(value).collect()
}

/// Where a column stands in the spine.
fn place(spine: &Spine, column: &Column, of: &str) -> Result<usize, PipelineError> {
    let (path, name) = (spine.file.path.display(), &column.name);
    let found = spine.schema().index_of(name).ok_or_else(|| {
        let help = did_you_mean(name, spine.schema().names());
        PipelineError::Invalid(format!("{path} has no column {name:?}, which {of} has{help}"))
    })?;
    let data_type = spine.schema().columns()[found].data_type;
    if data_type != column.data_type {
        let wanted = column.data_type;
        return Err(PipelineError::Invalid(format!(
            "{path}: column {name:?} is {data_type}; {of} has {wanted}"
        )));
    }
    Ok(found)
}
