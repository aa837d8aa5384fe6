//! From a declaration to a view, or to all its faults.

mod aggregate;
mod windows;

use std::collections::BTreeSet;
use std::sync::Arc;

use perennial_expr::Expr;
use perennial_types::{Column, ContentHash, DataType, Schema, SourceSpec, did_you_mean};

use crate::inputs::Inputs;
use crate::layout::{Lane, Layout, Wanted};
use crate::streams::Derivation;
use crate::view::View;
use crate::{FeatureError, ViewSpec};

/// Part of every version: it changes when the engine computes other bits from the same declaration.
const ENGINE: &[u8] = b"features 2";

/// Compile an expression that has a type, or say what is wrong with it.
pub(crate) fn typed(sql: &str, schema: &Schema) -> Result<(Expr, DataType), String> {
    let expr = Expr::compile(sql, schema).map_err(|error| error.to_string())?;
    let data_type = expr.data_type().ok_or_else(|| format!("{sql:?} is always NULL"))?;
    Ok((expr, data_type))
}

/// Compile `spec`, or list every fault.
pub(crate) fn compile(spec: ViewSpec, source: &SourceSpec) -> Result<View, Vec<FeatureError>> {
    let mut draft = Draft::new(&spec, source);
    draft.names();
    let entity_columns = draft.entity();
    draft.columns();
    for (i, aggregate) in spec.aggregates.iter().enumerate() {
        draft.aggregate(i, aggregate);
    }
    let derived = draft.derived();
    let outputs = draft.prefixed();
    if !draft.faults.is_empty() {
        return Err(draft.faults);
    }
    let Draft { mut lanes, wanted, columns, exprs, .. } = draft;
    let entity = entity_columns.iter().map(|i| source.schema.columns()[*i].clone()).collect();
    let width = source.schema.columns().len();
    let mut carried: Vec<usize> = exprs.iter().flat_map(|(_, expr)| expr.columns()).copied().collect();
    carried.retain(|column| *column < width);
    carried.sort_unstable();
    carried.dedup();
    let layout = Layout::new(&mut lanes, &wanted);
    let exprs = exprs.into_iter().map(|(_, expr)| expr).collect();
    let inputs = Inputs { source_columns: width, carried, columns, exprs, lanes };
    let version = version(&spec, source, &inputs, &entity_columns).map_err(|fault| vec![fault])?;
    Ok(View { spec, version, entity, entity_columns, inputs, layout, outputs, derived })
}

fn version(
    spec: &ViewSpec,
    source: &SourceSpec,
    inputs: &Inputs,
    entity: &[usize],
) -> Result<ContentHash, FeatureError> {
    let mut read: BTreeSet<usize> = inputs.columns.iter().flat_map(Expr::columns).copied().collect();
    read.extend(entity.iter().chain(&inputs.carried));
    read.extend(source.event_time.column().and_then(|column| source.schema.index_of(column)));
    let columns: Vec<&Column> = read.iter().map(|i| &source.schema.columns()[*i]).collect();
    let json = serde_json::to_vec(&(spec, &source.event_time, columns)).map_err(|error| {
        let problem = format!("it cannot be written as JSON: {error}");
        FeatureError::Declaration { view: spec.name.to_string(), field: "name".into(), problem }
    })?;
    // What a derived source follows from is part of what its views are.
    let derivation = Derivation::identity(source);
    let derivation = derivation.as_ref().map(|hash| hash.as_bytes().as_slice());
    Ok(ContentHash::of_parts([ENGINE, json.as_slice()].into_iter().chain(derivation)))
}

/// What the expressions of a lane say.
type Texts = [Option<Arc<str>>; 4];

/// A view in the making.
struct Draft<'a> {
    spec: &'a ViewSpec,
    source: &'a SourceSpec,
    faults: Vec<FeatureError>,
    /// The source's columns, then the view's.
    inputs: Vec<Column>,
    /// Names whose own expression is at fault: what uses them is not blamed as well.
    broken: BTreeSet<Arc<str>>,
    columns: Vec<Expr>,
    /// By text.
    exprs: Vec<(Arc<str>, Expr)>,
    /// By the texts of `of`, `with`, `by` and `where`, and the edges.
    lane_texts: Vec<(Texts, Option<Arc<[f64]>>)>,
    lanes: Vec<Lane>,
    wanted: Vec<Wanted>,
    /// Without the view's prefix.
    outputs: Vec<Column>,
}

impl<'a> Draft<'a> {
    fn new(spec: &'a ViewSpec, source: &'a SourceSpec) -> Self {
        Self {
            spec,
            source,
            faults: Vec::new(),
            inputs: source.schema.columns().to_vec(),
            broken: BTreeSet::new(),
            columns: Vec::new(),
            exprs: Vec::new(),
            lane_texts: Vec::new(),
            lanes: Vec::new(),
            wanted: Vec::new(),
            outputs: Vec::new(),
        }
    }

    fn fault(&mut self, field: impl Into<String>, problem: impl Into<String>) {
        let view = self.spec.name.to_string();
        self.faults.push(FeatureError::Declaration { view, field: field.into(), problem: problem.into() });
    }

    fn names(&mut self) {
        self.name("name", &self.spec.name);
        if self.spec.from != self.source.name {
            let problem =
                format!("it reads source {:?}, but was given {:?}", self.spec.from, self.source.name);
            self.fault("from", problem);
        }
        if self.spec.aggregates.is_empty() {
            self.fault("aggregates", "a view needs at least one aggregate");
        }
    }

    fn name(&mut self, field: impl Into<String>, name: &str) {
        let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !starts || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            let problem = format!("{name:?} is not a name; write letters, digits and underscores");
            self.fault(field, problem);
        }
    }

    fn entity(&mut self) -> Vec<usize> {
        if self.spec.entity.is_empty() {
            self.fault("entity", "a view needs at least one column that identifies what it describes");
        }
        let mut found = Vec::new();
        for (i, name) in self.spec.entity.iter().enumerate() {
            let field = format!("entity[{i}]");
            let Some(at) = self.source.schema.index_of(name) else {
                let help = did_you_mean(name, self.source.schema.names());
                self.fault(field, format!("source {:?} has no column {name:?}{help}", self.source.name));
                continue;
            };
            if found.contains(&at) {
                self.fault(field.as_str(), format!("column {name:?} stands twice"));
            }
            let data_type = self.source.schema.columns()[at].data_type;
            if data_type == DataType::Double || data_type.nested() {
                let problem = format!(
                    "column {name:?} is a {data_type}, which identifies nothing; use int64 or string"
                );
                self.fault(field, problem);
            }
            found.push(at);
        }
        found
    }

    fn columns(&mut self) {
        for (i, column) in self.spec.columns.iter().enumerate() {
            let field = format!("columns.{}", column.name);
            self.name(field.as_str(), &column.name);
            let twice = self.spec.columns[..i].iter().any(|other| other.name == column.name);
            if twice || self.source.schema.column(&column.name).is_some() {
                let owner = if twice { "this view" } else { "the source" };
                self.fault(field, format!("{owner} already has a column {:?}", column.name));
                continue;
            }
            match self.expression(&field, &column.expr, &self.source.schema.clone()) {
                Some((expr, data_type)) => {
                    self.columns.push(expr);
                    self.inputs.push(Column { name: Arc::clone(&column.name), data_type, nullable: true });
                }
                None => {
                    self.broken.insert(Arc::clone(&column.name));
                }
            }
        }
    }

    /// Compile an expression that has a type; nothing when it is at fault or uses a name that is.
    fn expression(&mut self, field: &str, sql: &str, schema: &Schema) -> Option<(Expr, DataType)> {
        if Expr::names(sql).is_ok_and(|names| names.iter().any(|name| self.broken.contains(name.as_str()))) {
            return None;
        }
        typed(sql, schema).map_err(|problem| self.fault(field, problem)).ok()
    }

    /// Compile an expression over the source's columns and the view's, once for each text.
    fn shared(&mut self, field: &str, sql: &Arc<str>) -> Option<(usize, DataType)> {
        if let Some(i) = self.exprs.iter().position(|(text, _)| text == sql) {
            return self.exprs[i].1.data_type().map(|data_type| (i, data_type));
        }
        let schema = match Schema::new(self.inputs.clone()) {
            Ok(schema) => schema,
            Err(error) => {
                self.fault(field, error.to_string());
                return None;
            }
        };
        let (expr, data_type) = self.expression(field, sql, &schema)?;
        self.exprs.push((Arc::clone(sql), expr));
        Some((self.exprs.len() - 1, data_type))
    }

    fn derived(&mut self) -> Vec<Expr> {
        let schema = Schema::new(self.outputs.clone()).unwrap_or_default();
        let duplicates = schema.columns().len() < self.outputs.len();
        let mut exprs = Vec::new();
        for derived in &self.spec.derived {
            let field = format!("derived.{}", derived.name);
            self.name(field.as_str(), &derived.name);
            if self.outputs.iter().any(|other| other.name == derived.name) {
                self.fault(field, format!("there is already a feature {:?}", derived.name));
                continue;
            }
            if duplicates {
                continue;
            }
            let Some((expr, data_type)) = self.expression(&field, &derived.expr, &schema) else { continue };
            if data_type == DataType::Duration {
                self.fault(
                    field,
                    "a feature cannot be a duration; divide it by another, or count in seconds",
                );
                continue;
            }
            exprs.push(expr);
            self.outputs.push(Column { name: Arc::clone(&derived.name), data_type, nullable: true });
        }
        exprs
    }

    /// The outputs with the view's prefix.
    fn prefixed(&self) -> Schema {
        let full = |column: &Column| Column {
            name: format!("{}.{}", self.spec.name, column.name).into(),
            data_type: column.data_type,
            nullable: column.nullable,
        };
        // Two of one name are a fault already.
        Schema::new(self.outputs.iter().map(full).collect()).unwrap_or_default()
    }
}
