//! The features of a request: every view and key is looked up once, every definition's row is built once.

use std::sync::Arc;

use perennial_features::EntityKey;
use perennial_pipeline::{Asked, Definition, Engine, Fallback, ServedView, key_schema};
use perennial_project::Lookup;
use perennial_types::{ContentHash, Position, Row, Timestamp, Value};
use serde_json::Value as Json;

/// A request as every version will see it.
pub(crate) struct Prepared {
    /// The views as they were read, for the record.
    pub(crate) views: Vec<ServedView>,
    /// The learner's inputs by definition, or why there are none.
    rows: Vec<(ContentHash, Result<Row, Unanswered>)>,
}

/// Why a version has no answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Unanswered {
    /// What kind of trouble it is.
    pub(crate) fallback: Fallback,
    /// In words.
    pub(crate) reason: String,
}

impl Unanswered {
    /// The version cannot compute an answer.
    pub(crate) fn error(reason: impl ToString) -> Self {
        Self { fallback: Fallback::Error, reason: reason.to_string() }
    }
}

/// The features of one view version for one key.
struct Looked {
    version: ContentHash,
    key: Row,
    values: Row,
}

/// What has been read for one request.
struct Reader<'a> {
    engine: &'a Engine,
    at: Timestamp,
    looked: Vec<Looked>,
    views: Vec<ServedView>,
}

impl Prepared {
    /// Read the features of every definition as of an instant.
    pub(crate) fn new(
        definitions: &[Arc<Definition>],
        request: &Json,
        engine: &Engine,
        at: Timestamp,
    ) -> Self {
        let mut reader = Reader { engine, at, looked: Vec::new(), views: Vec::new() };
        let rows = definitions.iter().map(|definition| {
            let hash = definition.model.definition;
            (hash, reader.row(definition, request))
        });
        let rows = rows.collect();
        Self { views: reader.views, rows }
    }

    /// The inputs of a learner under a definition.
    ///
    /// # Errors
    /// Why there are none.
    pub(crate) fn row(&self, definition: ContentHash) -> Result<&Row, Unanswered> {
        match self.rows.iter().find(|(known, _)| *known == definition) {
            Some((_, Ok(row))) => Ok(row),
            Some((_, Err(reason))) => Err(reason.clone()),
            None => Err(Unanswered::error(format!("definition {definition} is not in use"))),
        }
    }
}

impl Reader<'_> {
    fn row(&mut self, definition: &Definition, request: &Json) -> Result<Row, Unanswered> {
        let model = &definition.model;
        // A column that only an earlier definition has may be missing: then its versions cannot answer.
        let asked = Asked::decode(model, request).map_err(Unanswered::error)?;
        let found: Vec<Option<usize>> =
            model.lookups.iter().map(|lookup| self.look_up(lookup, asked.key(lookup))).collect();
        let mut features: Vec<&[Value]> = Vec::with_capacity(found.len());
        for (lookup, index) in model.lookups.iter().zip(found) {
            let index = index.ok_or_else(|| {
                let name = &lookup.view.spec().name;
                let reason = self.engine.unready(&lookup.view);
                let reason = reason.unwrap_or_else(|| format!("view {name:?} was not ready a moment ago"));
                Unanswered { fallback: Fallback::NotReady, reason }
            })?;
            features.push(&self.looked[index].values);
        }
        Ok(asked.inputs(features))
    }

    /// Where the features stand in `looked`; nothing if the view version is not live.
    fn look_up(&mut self, lookup: &Lookup, key: Row) -> Option<usize> {
        let version = lookup.view.version();
        let known = self.looked.iter().position(|known| known.version == version && known.key == key);
        if known.is_some() {
            return known;
        }
        let reading = self.engine.read(version, &EntityKey::from_values(&key), self.at)?;
        self.views.push(served_view(lookup, &key, &reading.values, reading.seen));
        self.looked.push(Looked { version, key, values: reading.values });
        Some(self.looked.len() - 1)
    }
}

fn served_view(lookup: &Lookup, key: &Row, values: &Row, seen: Position) -> ServedView {
    ServedView {
        view: Arc::clone(&lookup.view.spec().name),
        version: lookup.view.version(),
        key: key_schema(&lookup.view).encode_json(key),
        seen,
        features: lookup.view.outputs().encode_json(values),
    }
}
