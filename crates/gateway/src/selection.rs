//! Features of several views, chosen by name and read for many entities together.

use std::ops::Range;
use std::sync::Arc;

use perennial_features::{EntityKey, ReadRoom, Reading, View};
use perennial_pipeline::Engine;
use perennial_project::CompiledModel;
use perennial_types::{Column, Position, Row, Schema, Timestamp, Value, did_you_mean};

use crate::GatewayError;

/// Features that are read together.
pub struct Selection {
    views: Vec<Chosen>,
    features: Vec<Feature>,
    /// The columns of every view's entity, none twice.
    entity: Schema,
}

/// A view of which features were chosen.
struct Chosen {
    view: Arc<View>,
    /// Where its entity's columns stand in the selection's.
    key: Vec<usize>,
}

/// A chosen feature.
struct Feature {
    /// Its view in the selection.
    view: usize,
    /// Which of the view's outputs it is.
    output: usize,
}

/// What is known of one entity.
#[derive(Clone, Debug, PartialEq)]
pub struct EntityReading {
    /// In the order of the selection.
    pub values: Row,
    /// When the newest event of this entity became known, in any of the views; nothing if there was none.
    pub latest: Option<Timestamp>,
}

/// Up to where a view was read.
#[derive(Clone, Debug)]
pub struct ViewReading {
    /// The view.
    pub view: Arc<View>,
    /// Events up to here were seen in every reading.
    pub seen: Position,
    /// Events that were late so far and were merged into their tiles, of any entity.
    pub late_events: u64,
}

impl Selection {
    /// The features with these names, in their order; `view.*` stands for all of a view.
    ///
    /// # Errors
    /// When there is no such view or feature, none is named, or two views have an entity column of one name
    /// and different types.
    pub fn by_names<'a>(
        views: &[Arc<View>],
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, GatewayError> {
        let mut selection = Self::empty();
        for name in names {
            let (view, feature) = name.split_once('.').ok_or_else(|| {
                let problem =
                    format!("{name:?} is no feature; write view.feature, or view.* for all of a view");
                GatewayError::Selection(problem)
            })?;
            let view = find_view(views, view)?;
            let outputs = outputs(view, name, feature)?;
            let chosen = selection.choose(view)?;
            selection.add(chosen, outputs);
        }
        if selection.features.is_empty() {
            return Err(GatewayError::Selection("name at least one feature, such as view.*".to_owned()));
        }
        Ok(selection)
    }

    /// The features that a model looks up, in the order of its inputs.
    ///
    /// # Errors
    /// When the model looks up none, or two of its views have an entity column of one name and different types.
    pub fn of_model(model: &CompiledModel) -> Result<Self, GatewayError> {
        let mut selection = Self::empty();
        for lookup in &model.lookups {
            let view = selection.choose(&lookup.view)?;
            selection.add(view, lookup.outputs.iter().copied());
        }
        if selection.features.is_empty() {
            let problem = format!("model {:?} looks up no features of views", model.spec.name);
            return Err(GatewayError::Selection(problem));
        }
        Ok(selection)
    }

    fn empty() -> Self {
        Self { views: Vec::new(), features: Vec::new(), entity: Schema::default() }
    }

    /// Full names, in the order of the values.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.features.iter().map(|feature| &self.output(feature).name)
    }

    /// The columns that identify what is read: those of every view's entity.
    pub fn entity(&self) -> &Schema {
        &self.entity
    }

    /// Read entities, each a row of [`Selection::entity`], as of an instant; and up to where each view was read.
    ///
    /// # Errors
    /// When a view is not ready, with how far it is.
    pub fn read(
        &self,
        engine: &Engine,
        entities: &[Row],
        at: Timestamp,
    ) -> Result<(Vec<EntityReading>, Vec<ViewReading>), GatewayError> {
        let mut seen: Vec<Option<Position>> = vec![None; self.views.len()];
        let mut readings = Vec::with_capacity(entities.len());
        let mut room = ReadRoom::default();
        let mut found: Vec<Reading> = self.views.iter().map(|_| Reading::default()).collect();
        let mut key = Row::new();
        for entity in entities {
            let mut latest = None;
            for ((chosen, seen), reading) in self.views.iter().zip(&mut seen).zip(&mut found) {
                key.clear();
                key.extend(chosen.key.iter().map(|column| entity[*column].clone()));
                let key = EntityKey::from_values(&key);
                if !engine.read_into(chosen.view.version(), &key, at, &mut room, reading) {
                    return Err(not_live(engine, &chosen.view));
                }
                *seen = Some(seen.map_or(reading.seen, |seen| seen.min(reading.seen)));
                latest = latest.max(reading.latest);
            }
            let take = |feature: &Feature| {
                std::mem::replace(&mut found[feature.view].values[feature.output], Value::Null)
            };
            readings.push(EntityReading { values: self.features.iter().map(take).collect(), latest });
        }
        let views = self.views.iter().zip(seen).map(|(chosen, seen)| {
            let (_, late_events) =
                engine.counts(chosen.view.version()).ok_or_else(|| not_live(engine, &chosen.view))?;
            let seen = seen.unwrap_or(Position::START);
            Ok(ViewReading { view: Arc::clone(&chosen.view), seen, late_events })
        });
        Ok((readings, views.collect::<Result<_, GatewayError>>()?))
    }

    fn output(&self, feature: &Feature) -> &Column {
        &self.views[feature.view].view.outputs().columns()[feature.output]
    }

    /// Where a view stands among the chosen ones; it is added if it is not there.
    fn choose(&mut self, view: &Arc<View>) -> Result<usize, GatewayError> {
        if let Some(known) = self.views.iter().position(|known| known.view.version() == view.version()) {
            return Ok(known);
        }
        let mut columns = self.entity.columns().to_vec();
        let mut key = Vec::with_capacity(view.entity().len());
        for column in view.entity() {
            let known = columns.iter().position(|known| known.name == column.name);
            if let Some(known) = known.map(|known| &columns[known])
                && known.data_type != column.data_type
            {
                return Err(GatewayError::Selection(format!(
                    "entity column {:?} is {} in view {:?} and {} in another view; read the two apart",
                    column.name,
                    column.data_type,
                    view.spec().name,
                    known.data_type
                )));
            }
            key.push(known.unwrap_or(columns.len()));
            if known.is_none() {
                columns.push(Column { nullable: false, ..column.clone() });
            }
        }
        // No name is there twice, which is all that a schema could refuse.
        self.entity = Schema::new(columns).unwrap_or_default();
        self.views.push(Chosen { view: Arc::clone(view), key });
        Ok(self.views.len() - 1)
    }

    /// Add outputs of a chosen view; one that is there already is not added again.
    fn add(&mut self, view: usize, outputs: impl Iterator<Item = usize>) {
        for output in outputs {
            if !self.features.iter().any(|known| known.view == view && known.output == output) {
                self.features.push(Feature { view, output });
            }
        }
    }
}

/// The output of a full name, or all of them where the feature is `*`.
fn outputs(view: &View, name: &str, feature: &str) -> Result<Range<usize>, GatewayError> {
    let outputs = view.outputs();
    if feature == "*" {
        return Ok(0..outputs.columns().len());
    }
    let found = outputs.index_of(name).ok_or_else(|| {
        let help = did_you_mean(name, outputs.names());
        GatewayError::UnknownFeature { name: name.to_owned(), help }
    })?;
    Ok(found..found + 1)
}

fn find_view<'a>(views: &'a [Arc<View>], name: &str) -> Result<&'a Arc<View>, GatewayError> {
    views.iter().find(|view| *view.spec().name == *name).ok_or_else(|| GatewayError::UnknownView {
        name: name.to_owned(),
        help: did_you_mean(name, views.iter().map(|view| &*view.spec().name)),
    })
}

fn not_live(engine: &Engine, view: &View) -> GatewayError {
    let reason = engine.unready(view);
    GatewayError::NotReady(
        reason.unwrap_or_else(|| format!("view {:?} was not ready a moment ago", view.spec().name)),
    )
}
