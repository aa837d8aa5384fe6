//! From a declared source to what it follows from, or to all faults.

mod operator;

use std::fmt;
use std::sync::Arc;

use perennial_types::{ContentHash, DataType, DedupeSpec, EventTime, Schema, SourceSpec, did_you_mean};
use serde_json::{Value as Json, json};

use crate::FeatureError;
use crate::streams::dedupe::{DedupeState, Repetition};
use crate::streams::node::{Dedupe, Node, States};

/// Part of every identity: it changes when the operators compute other rows from the same declaration.
const STREAMS: &str = "streams 1";

/// A source with everything that it follows from, ready to run.
pub struct Derivation {
    source: Arc<SourceSpec>,
    reads: Vec<Arc<SourceSpec>>,
    root: Node,
    initial: States,
}

impl Derivation {
    /// Compile a source whose inputs are filled in. One that stands in the log follows from itself alone.
    ///
    /// # Errors
    /// Every fault of the source's own declaration; none if only one of its inputs is at fault.
    pub fn compile(source: &SourceSpec) -> Result<Arc<Self>, Vec<FeatureError>> {
        let mut draft = Draft::new(source);
        match draft.node(source) {
            Some((root, source)) if draft.faults.is_empty() => {
                let Draft { reads, states: initial, .. } = draft;
                Ok(Arc::new(Self { source: Arc::new(source), reads, root, initial }))
            }
            Some(_) | None => Err(draft.faults),
        }
    }

    /// The source with what follows from its inputs: its schema, its event time, its lateness and its retention.
    ///
    /// # Errors
    /// As [`Derivation::compile`].
    pub fn complete(source: &SourceSpec) -> Result<SourceSpec, Vec<FeatureError>> {
        Self::compile(source).map(|derivation| SourceSpec::clone(&derivation.source))
    }

    /// The identity of what views of a source see beside its columns: of what it follows from, and how. None for
    /// one whose events are those of the log.
    pub fn identity(source: &SourceSpec) -> Option<ContentHash> {
        let own = source.derived().is_none() && source.dedupe.is_none();
        (!own).then(|| ContentHash::of(json!([STREAMS, identity(source, false)]).to_string().as_bytes()))
    }

    /// The source, complete.
    pub fn source(&self) -> &Arc<SourceSpec> {
        &self.source
    }

    /// The sources whose events it follows from: those that stand in the log.
    pub fn reads(&self) -> &[Arc<SourceSpec>] {
        &self.reads
    }

    /// Whether its events are those of the log as they are.
    pub fn as_logged(&self) -> bool {
        matches!(self.root, Node::Leaf(_))
    }

    pub(crate) fn leaf(&self, source: &str) -> Option<usize> {
        self.reads.iter().position(|read| *read.name == *source)
    }

    pub(crate) fn root(&self) -> &Node {
        &self.root
    }

    pub(crate) fn initial(&self) -> &States {
        &self.initial
    }
}

impl fmt::Debug for Derivation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reads: Vec<&str> = self.reads.iter().map(|read| &*read.name).collect();
        write!(f, "Derivation({} of {})", self.source.name, reads.join(", "))
    }
}

/// `timed`: whether it matters how late and how old rows may be.
fn identity(source: &SourceSpec, timed: bool) -> Json {
    let times = (timed || source.dedupe.is_some()).then_some((source.lateness, source.retention));
    let how = match source.derived() {
        None => json!(source.name),
        Some(derived) => {
            let joined = derived.operator.name() == "join";
            let inputs: Vec<Json> = derived.inputs.iter().map(|input| identity(input, joined)).collect();
            json!([derived.operator, inputs])
        }
    };
    json!([how, source.event_time, source.dedupe, times])
}

/// A source in the making.
struct Draft<'a> {
    /// The source that faults are told of.
    name: &'a str,
    /// How deep in its inputs: their faults are told where they are declared.
    depth: usize,
    faults: Vec<FeatureError>,
    reads: Vec<Arc<SourceSpec>>,
    states: States,
}

impl<'a> Draft<'a> {
    fn new(source: &'a SourceSpec) -> Self {
        let (faults, reads, states) = (Vec::new(), Vec::new(), States::default());
        Self { name: &source.name, depth: 0, faults, reads, states }
    }

    fn fault(&mut self, field: impl Into<String>, problem: impl Into<String>) {
        if self.depth == 0 {
            let (name, field, problem) = (self.name.to_owned(), field.into(), problem.into());
            self.faults.push(FeatureError::Source { name, field, problem });
        }
    }

    /// A source, complete, and what it follows from; nothing where that is at fault.
    fn node(&mut self, source: &SourceSpec) -> Option<(Node, SourceSpec)> {
        let (node, source) = match source.derived() {
            None => (Node::Leaf(self.read(source)), source.clone()),
            Some(derived) => self.operator(source, derived)?,
        };
        let Some(dedupe) = &source.dedupe else { return Some((node, source)) };
        let node = self.dedupe(node, dedupe, &source)?;
        Some((node, source))
    }

    /// The number of a source that stands in the log.
    fn read(&mut self, source: &SourceSpec) -> usize {
        let known = self.reads.iter().position(|read| read.name == source.name);
        known.unwrap_or_else(|| {
            self.reads.push(Arc::new(source.clone()));
            self.reads.len() - 1
        })
    }

    fn dedupe(&mut self, of: Node, spec: &DedupeSpec, source: &SourceSpec) -> Option<Node> {
        let mut key = Vec::new();
        for (i, name) in spec.by.iter().enumerate() {
            let column = self.key_column(&source.schema, &source.name, name, &format!("dedupe.by[{i}]"));
            key.push(column);
        }
        let key: Vec<usize> = key.into_iter().collect::<Option<_>>()?;
        let (within, lateness) = (spec.within.micros(), source.lateness.micros());
        self.states.dedupes.push(DedupeState::new(Repetition { within, lateness }));
        let state = self.states.dedupes.len() - 1;
        Some(Node::Dedupe(Box::new(Dedupe { of, key, state })))
    }

    /// Where the column of a key stands.
    fn key_column(&mut self, schema: &Schema, source: &str, name: &str, field: &str) -> Option<usize> {
        let Some(at) = schema.index_of(name) else {
            let help = did_you_mean(name, schema.names());
            self.fault(field, format!("source {source:?} has no column {name:?}{help}"));
            return None;
        };
        let data_type = schema.columns()[at].data_type;
        if data_type == DataType::Double || data_type.nested() {
            let problem =
                format!("column {name:?} is a {data_type}, which identifies nothing; use int64 or string");
            self.fault(field, problem);
            return None;
        }
        Some(at)
    }
}

/// Whether a source says itself which column holds the time of its rows.
fn named(event_time: &EventTime) -> Option<&Arc<str>> {
    event_time.column().filter(|column| !column.is_empty())
}
