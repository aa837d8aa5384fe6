//! Operators: what they read, what they add, and the columns that come of it.

use std::sync::Arc;

use perennial_expr::Expr;
use perennial_types::{
    Column, DataType, DerivedSpec, EnrichSpec, EventTime, JoinSpec, KeyPair, NamedExpr, Operator, Schema,
    SourceSpec, TimeSpan, UnionPart,
};

use super::{Draft, named};
use crate::compile::typed;
use crate::streams::enrich::EnrichState;
use crate::streams::join::{JoinState, Reach};
use crate::streams::node::{Cell, Enrich, Join, Node, Part};
use crate::streams::projection::Projection;

/// An input of an operator, complete.
type Input = (Node, SourceSpec);

/// What one source of a union gives: names, types and what is evaluated.
type Given = Vec<(Arc<str>, DataType, Expr)>;

impl Draft<'_> {
    /// The rows of a derived source.
    pub(super) fn operator(&mut self, source: &SourceSpec, derived: &DerivedSpec) -> Option<Input> {
        if derived.inputs.len() != derived.operator.sources().len() {
            return None;
        }
        self.depth += 1;
        let inputs: Vec<Option<Input>> = derived.inputs.iter().map(|input| self.node(input)).collect();
        self.depth -= 1;
        let inputs: Vec<Input> = inputs.into_iter().collect::<Option<_>>()?;
        let lateness = inputs.iter().map(|(_, input)| input.lateness).max().unwrap_or_default();
        let retention = inputs.iter().map(|(_, input)| input.retention).min().unwrap_or(source.retention);
        let (node, columns, event_time) = match &derived.operator {
            Operator::Union(parts) => self.union(source, parts, inputs)?,
            Operator::Join(spec) => self.join(source, spec, pair(inputs)?)?,
            Operator::Enrich(spec) => self.enrich(source, spec, pair(inputs)?)?,
        };
        let schema = match Schema::new(columns) {
            Ok(schema) => schema,
            Err(error) => {
                self.fault("stream", error.to_string());
                return None;
            }
        };
        Some((node, SourceSpec { schema, event_time, lateness, retention, ..source.clone() }))
    }

    fn union(
        &mut self,
        source: &SourceSpec,
        parts: &[UnionPart],
        inputs: Vec<Input>,
    ) -> Option<(Node, Vec<Column>, EventTime)> {
        let first = inputs.first().and_then(|(_, input)| input.event_time.column());
        let Some(time) = named(&source.event_time).or(first).cloned() else {
            self.fault("event_time", "no column is named that takes the time of each row; name one");
            return None;
        };
        let mut given = Vec::new();
        for (i, (part, (_, input))) in parts.iter().zip(&inputs).enumerate() {
            if parts[..i].iter().any(|other| other.source == part.source) {
                self.fault(format!("stream.union[{i}]"), format!("source {:?} stands twice", part.source));
            }
            given.push(self.given(i, part, input, &time));
        }
        let given: Vec<Given> = given.into_iter().collect::<Option<_>>()?;
        let columns = self.agreed(&given, parts)?;
        let cell = |given: &Given, name: &Arc<str>| {
            let found = given.iter().find(|(other, ..)| other == name);
            found.map_or(Cell::Nothing, |(_, _, expr)| Cell::Expr(expr.clone()))
        };
        let parts = inputs.into_iter().zip(&given).map(|((node, _), given)| {
            let cells = columns.iter().map(|column| cell(given, &column.name));
            Part { node, cells: cells.chain([Cell::EventTime]).collect() }
        });
        let node = Node::Union(parts.collect());
        let columns = columns.into_iter().chain([time_column(&time)]).collect();
        Some((node, columns, EventTime::Column(time)))
    }

    /// What a source of a union gives, without the time of its rows.
    fn given(&mut self, i: usize, part: &UnionPart, input: &SourceSpec, time: &Arc<str>) -> Option<Given> {
        let by_name = |column: &Column| NamedExpr {
            name: Arc::clone(&column.name),
            expr: format!("\"{}\"", column.name).into(),
        };
        let own_time = input.event_time.column();
        let wanted: Vec<NamedExpr> = match &part.columns {
            Some(columns) => columns.clone(),
            None => {
                let columns = input.schema.columns().iter();
                columns.filter(|column| column.name != *time || own_time != Some(time)).map(by_name).collect()
            }
        };
        let mut given = Given::new();
        for NamedExpr { name, expr } in wanted {
            let field = match part.columns {
                Some(_) => format!("stream.union[{i}].{name}"),
                None => format!("stream.union[{i}]"),
            };
            if name == *time {
                let problem =
                    format!("column {name:?} takes the time of each row; name another in event_time");
                self.fault(field, problem);
                return None;
            }
            let (expr, data_type) = self.expression(&field, &expr, &input.schema)?;
            given.push((name, data_type, expr));
        }
        Some(given)
    }

    /// The columns that the sources of a union give, each of one type.
    fn agreed(&mut self, given: &[Given], parts: &[UnionPart]) -> Option<Vec<Column>> {
        let mut columns: Vec<(Column, &Arc<str>)> = Vec::new();
        let mut agree = true;
        for (i, (given, part)) in given.iter().zip(parts).enumerate() {
            for (name, data_type, _) in given {
                match columns.iter().find(|(column, _)| column.name == *name) {
                    None => {
                        let column = Column { name: Arc::clone(name), data_type: *data_type, nullable: true };
                        columns.push((column, &part.source));
                    }
                    Some((column, _)) if column.data_type == *data_type => {}
                    Some((column, first)) => {
                        let (source, wanted) = (&part.source, column.data_type);
                        let problem = format!(
                            "column {name:?} is {data_type} in {source:?} and {wanted} in {first:?}; \
                             give it by an expression: CAST({name} AS …)"
                        );
                        agree = false;
                        self.fault(format!("stream.union[{i}]"), problem);
                    }
                }
            }
        }
        agree.then(|| columns.into_iter().map(|(column, _)| column).collect())
    }

    fn join(
        &mut self,
        source: &SourceSpec,
        spec: &JoinSpec,
        [(left, left_spec), (right, right_spec)]: [Input; 2],
    ) -> Option<(Node, Vec<Column>, EventTime)> {
        let keys = self.keys("stream.join.on", &spec.on, &left_spec, &right_spec);
        let added = self.added("stream.join", &spec.columns, &spec.on, &left_spec.schema, &right_spec);
        let time = named(&source.event_time).cloned();
        if time.is_none() {
            let help = "name the column that takes it, as event_time: matched_at";
            self.fault("event_time", format!("a pair of rows happens when the later one did; {help}"));
        }
        let (keys, (projection, added), time) = (keys?, added?, time?);
        let columns: Vec<Column> = left_spec.schema.columns().iter().cloned().chain(added).collect();
        if columns.iter().any(|column| column.name == time) {
            self.fault("event_time", format!("there is a column {time:?} already; name one that is new"));
            return None;
        }
        let (back, forward) = (spec.before.micros(), spec.within.micros());
        let span = TimeSpan::from_micros(back.saturating_add(forward));
        let reach = |back, forward, own: &SourceSpec, other: &SourceSpec| Reach {
            back,
            forward,
            patience: other.lateness.max(span).micros(),
            retention: own.retention.micros(),
        };
        let state = JoinState::new(
            reach(back, forward, &left_spec, &right_spec),
            reach(forward, back, &right_spec, &left_spec),
        );
        self.states.joins.push(state);
        let state = self.states.joins.len() - 1;
        let node = Node::Join(Box::new(Join { left, right, keys, projection, state }));
        let columns = columns.into_iter().chain([time_column(&time)]).collect();
        Some((node, columns, EventTime::Column(time)))
    }

    fn enrich(
        &mut self,
        source: &SourceSpec,
        spec: &EnrichSpec,
        [(of, of_spec), (by, by_spec)]: [Input; 2],
    ) -> Option<(Node, Vec<Column>, EventTime)> {
        let keys = self.keys("stream.enrich.on", &spec.on, &of_spec, &by_spec);
        let added = self.added("stream.enrich", &spec.columns, &spec.on, &of_spec.schema, &by_spec);
        if named(&source.event_time).is_some() && source.event_time != of_spec.event_time {
            let problem = format!("its rows happen when those of {:?} do; leave event_time out", spec.of);
            self.fault("event_time", problem);
        }
        let (keys, (projection, added)) = (keys?, added?);
        self.states.enriches.push(EnrichState::default());
        let state = self.states.enriches.len() - 1;
        let node = Node::Enrich(Box::new(Enrich { of, by, keys, projection, state }));
        let columns = of_spec.schema.columns().iter().cloned().chain(added).collect();
        Some((node, columns, of_spec.event_time))
    }

    /// Where the key columns of two sources stand.
    fn keys(
        &mut self,
        field: &str,
        on: &[KeyPair],
        first: &SourceSpec,
        second: &SourceSpec,
    ) -> Option<[Vec<usize>; 2]> {
        let mut places = [Vec::new(), Vec::new()];
        let mut found = true;
        for (i, pair) in on.iter().enumerate() {
            let field = format!("{field}[{i}]");
            let left = self.key_column(&first.schema, &first.name, &pair.left, &field);
            let right = self.key_column(&second.schema, &second.name, &pair.right, &field);
            let (Some(left), Some(right)) = (left, right) else {
                found = false;
                continue;
            };
            let types = (first.schema.columns()[left].data_type, second.schema.columns()[right].data_type);
            if types.0 != types.1 {
                let problem = format!(
                    "{:?} of {:?} is {} and {:?} of {:?} is {}, which are never equal",
                    pair.left, first.name, types.0, pair.right, second.name, types.1
                );
                self.fault(field, problem);
                found = false;
            }
            places[0].push(left);
            places[1].push(right);
        }
        found.then_some(places)
    }

    /// The columns that are added to those of the first source.
    fn added(
        &mut self,
        operator: &str,
        columns: &Option<Vec<NamedExpr>>,
        on: &[KeyPair],
        first: &Schema,
        second: &SourceSpec,
    ) -> Option<(Projection, Vec<Column>)> {
        let qualified: Vec<Column> = second
            .schema
            .columns()
            .iter()
            .map(|column| Column {
                name: format!("{}.{}", second.name, column.name).into(),
                nullable: true,
                ..column.clone()
            })
            .collect();
        let both = |picked: &[usize]| {
            let picked = picked.iter().map(|column| qualified[*column].clone());
            // Names of the second source have a dot, those of the first have none.
            Schema::new(first.columns().iter().cloned().chain(picked).collect()).unwrap_or_default()
        };
        let all: Vec<usize> = (0..qualified.len()).collect();
        let (schema, width) = (both(&all), first.columns().len());
        let wanted = columns.clone().unwrap_or_else(|| every_other(first, second, on));
        let (mut added, mut whole): (Vec<Column>, bool) = (Vec::new(), true);
        let mut picked = Vec::new();
        for NamedExpr { name, expr } in &wanted {
            let field =
                if columns.is_some() { format!("{operator}.columns.{name}") } else { operator.to_owned() };
            if first.column(name).is_some() || added.iter().any(|column| column.name == *name) {
                self.fault(field, format!("there is a column {name:?} already; list others by columns"));
                whole = false;
                continue;
            }
            let Some((expr, data_type)) = self.expression(&field, expr, &schema) else {
                whole = false;
                continue;
            };
            picked.extend(expr.columns().iter().filter_map(|column| column.checked_sub(width)));
            added.push(Column { name: Arc::clone(name), data_type, nullable: true });
        }
        if !whole {
            return None;
        }
        picked.sort_unstable();
        picked.dedup();
        let schema = both(&picked);
        let exprs = wanted.iter().map(|wanted| Expr::compile(&wanted.expr, &schema).ok());
        let exprs = exprs.collect::<Option<_>>()?;
        Some((Projection { picked, exprs }, added))
    }

    /// Compile an expression that has a type.
    fn expression(&mut self, field: &str, sql: &str, schema: &Schema) -> Option<(Expr, DataType)> {
        typed(sql, schema).map_err(|problem| self.fault(field, problem)).ok()
    }
}

fn pair(inputs: Vec<Input>) -> Option<[Input; 2]> {
    inputs.try_into().ok()
}

fn time_column(name: &Arc<str>) -> Column {
    Column { name: Arc::clone(name), data_type: DataType::Timestamp, nullable: false }
}

/// Every column of the second source but its keys; one whose name is taken gets its source's name before it.
fn every_other(first: &Schema, second: &SourceSpec, on: &[KeyPair]) -> Vec<NamedExpr> {
    let others = second.schema.columns().iter();
    let others = others.filter(|column| !on.iter().any(|pair| pair.right == column.name));
    let named = others.map(|column| {
        let name = match first.column(&column.name) {
            None => Arc::clone(&column.name),
            Some(_) => format!("{}_{}", second.name, column.name).into(),
        };
        NamedExpr { name, expr: format!("\"{}.{}\"", second.name, column.name).into() }
    });
    named.collect()
}
