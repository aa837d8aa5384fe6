//! Expands the patterns of a model and lays out its row.

use std::collections::BTreeSet;
use std::sync::Arc;

use perennial_expr::Expr;
use perennial_features::{NamedExpr, View};
use perennial_learn::{TransformFn, TransformSpec};
use perennial_types::{Column, DataType, Schema, did_you_mean};

use super::{Input, Lookup, Origin, Program, Surroundings, computed};
use crate::pattern::{is_pattern, matches};
use crate::spec::ModelSpec;

/// The row of a model and what is taken from it.
pub(super) struct Layout {
    pub(super) row: Schema,
    pub(super) before: Vec<Program>,
    pub(super) lookups: Vec<Lookup>,
    pub(super) after: Vec<Program>,
    pub(super) inputs: Vec<Input>,
    pub(super) transforms: Vec<TransformSpec>,
}

/// A feature that the model may use.
struct Feature<'a> {
    view: &'a Arc<View>,
    output: usize,
    column: &'a Column,
}

/// Lay out the row of a model; `None` if something is wrong with it, which is noted.
pub(super) fn layout(around: &Surroundings<'_>, spec: &ModelSpec, owner: &str) -> Option<Layout> {
    let expansion = Expansion { around, spec, owner };
    let (features, faulty, all_found) = expansion.features();
    let names: Vec<Arc<str>> = expansion.names(&features).into_iter().chain(faulty.iter().cloned()).collect();
    let transforms = expansion.transforms(&names, all_found);
    let needed = expansion.needed(&transforms);
    if transforms.is_some() {
        expansion.check_use(&features, &needed);
    }
    let mut columns: Vec<Column> = spec.request.columns().to_vec();
    let (early, late) = expansion.stages();
    // Names that are declared but have no type, since what they name has a fault.
    let mut typeless: BTreeSet<Arc<str>> = faulty.into_iter().collect();
    typeless.extend(expansion.misspelt(&names));
    let before = expansion.programs(&early, &mut columns, &mut typeless, all_found);
    let known_alone = columns.len();
    let lookups = expansion.lookups(&features, &needed, &mut columns, known_alone, &typeless);
    let after = expansion.programs(&late, &mut columns, &mut typeless, all_found);
    expansion.check_types(&transforms, &columns);
    let inputs = inputs(spec, &features, &names, &transforms, &columns);
    Some(Layout {
        row: Schema::new(columns).ok()?,
        before: before?,
        lookups: lookups?,
        after: after?,
        inputs,
        transforms: transforms?,
    })
}

struct Expansion<'a> {
    around: &'a Surroundings<'a>,
    spec: &'a ModelSpec,
    owner: &'a str,
}

impl<'a> Expansion<'a> {
    fn refuse(&self, field: &str, message: impl Into<String>, help: &str) {
        self.around.scope.refuse(format!("{}: {field}", self.owner), message, help);
    }

    /// Whether a part of a field could not be read, so that what is missing may stand there.
    fn touched(&self, field: &str) -> bool {
        self.around.scope.marks.touches(&format!("{}: {field}", self.owner))
    }

    /// The features that the model declares, in the order of its patterns and the views' outputs; the names
    /// of those whose view has a fault; and whether these are all: a pattern that matches nothing may be
    /// misspelt, a view may have features that could not be read.
    fn features(&self) -> (Vec<Feature<'a>>, Vec<Arc<str>>, bool) {
        let mut features: Vec<Feature<'a>> = Vec::new();
        let mut faulty: Vec<Arc<str>> = Vec::new();
        let mut all_found = !self.touched("features");
        for (i, pattern) in self.spec.features.iter().enumerate() {
            let mut any = false;
            for checked in self.around.views {
                let Some(view) = &checked.view else {
                    let names = checked.names.iter().flatten().filter(|name| matches(pattern, name));
                    let before = faulty.len();
                    faulty.extend(names.cloned());
                    any |= faulty.len() > before;
                    all_found &= checked.names.is_some();
                    continue;
                };
                for (output, column) in view.outputs().columns().iter().enumerate() {
                    if !matches(pattern, &column.name) {
                        continue;
                    }
                    any = true;
                    if !features.iter().any(|feature| feature.column.name == column.name) {
                        features.push(Feature { view, output, column });
                    }
                }
            }
            if !any {
                self.refuse_pattern(i, pattern);
                all_found = false;
            }
        }
        (features, faulty, all_found)
    }

    fn refuse_pattern(&self, i: usize, pattern: &str) {
        let field = format!("features[{i}]");
        let Some((view_name, _)) = pattern.split_once('.') else {
            let message = format!("{pattern:?} is no feature");
            return self.refuse(&field, message, "write <view>.<feature>, or <view>.* for all of a view");
        };
        let views = &self.around.scope.project.views;
        match views.iter().position(|view| &*view.name == view_name) {
            Some(index) => {
                // Where names could not be read, this may be one of them.
                if let Some(names) = &self.around.views[index].names {
                    let help = did_you_mean(pattern, names.iter().map(|name| &**name));
                    self.refuse(&field, format!("view {view_name:?} has no feature {pattern:?}"), &help);
                }
            }
            None if is_pattern(view_name)
                || self.around.scope.marks.may_be_declared("FeatureView", view_name) => {}
            None => {
                let help = did_you_mean(view_name, views.iter().map(|view| &*view.name));
                self.refuse(&field, format!("no view {view_name:?}"), &help);
            }
        }
    }

    /// Every name that a transform may use: request, on-demand, features.
    fn names(&self, features: &[Feature<'_>]) -> Vec<Arc<str>> {
        let request = self.spec.request.columns().iter().map(|column| Arc::clone(&column.name));
        let on_demand = self.spec.on_demand.iter().map(|named| Arc::clone(&named.name));
        request
            .chain(on_demand)
            .chain(features.iter().map(|feature| Arc::clone(&feature.column.name)))
            .collect()
    }

    /// The transformations with their patterns expanded; `None` if a name is unknown.
    fn transforms(&self, names: &[Arc<str>], all_found: bool) -> Option<Vec<TransformSpec>> {
        let mut whole = true;
        let mut transforms: Vec<TransformSpec> = Vec::new();
        for (i, declared) in self.spec.transforms.iter().enumerate() {
            let mut of: Vec<Arc<str>> = Vec::new();
            for (j, pattern) in declared.of.iter().enumerate() {
                let found: Vec<&Arc<str>> = names.iter().filter(|name| matches(pattern, name)).collect();
                let may_be_none = is_pattern(pattern) && self.spec.like.is_some();
                if found.is_empty() && !may_be_none {
                    whole = false;
                    // A dotted name may be one of the features that were not found, which is a fault already.
                    let open = self.touched_open("request") || self.touched_open("on_demand");
                    if if pattern.contains('.') { all_found } else { !open } {
                        let help = did_you_mean(pattern, names.iter().map(|name| &**name));
                        self.refuse(
                            &format!("transforms[{i}].of[{j}]"),
                            format!("no input {pattern:?}"),
                            &help,
                        );
                    }
                }
                for name in found {
                    if !of.contains(name) {
                        of.push(Arc::clone(name));
                    }
                }
            }
            if !of.is_empty() {
                transforms.push(TransformSpec { of, function: declared.function.clone() });
            }
        }
        if transforms.is_empty() && whole {
            // A transform that could not be read may have named some.
            if self.touched("transforms") {
                return None;
            }
            self.refuse(
                "transforms",
                "the model has no input",
                "name request columns or features in a transform",
            );
            whole = false;
        }
        whole.then_some(transforms)
    }

    /// The names that transforms and on-demand expressions use.
    fn needed(&self, transforms: &Option<Vec<TransformSpec>>) -> BTreeSet<Arc<str>> {
        let transformed = transforms.iter().flatten().flat_map(|transform| transform.of.iter().cloned());
        // An expression that cannot be parsed is refused when it is compiled.
        let named = self.spec.on_demand.iter().flat_map(|named| Expr::names(&named.expr).unwrap_or_default());
        transformed.chain(named.map(Arc::from)).collect()
    }

    /// A declared pattern of which nothing is used says something that is not so.
    fn check_use(&self, features: &[Feature<'_>], needed: &BTreeSet<Arc<str>>) {
        let all_read = self.spec.on_demand.iter().all(|named| Expr::names(&named.expr).is_ok());
        if self.spec.like.is_some() || !all_read || self.touched("transforms") || self.touched("on_demand") {
            return;
        }
        for (i, pattern) in self.spec.features.iter().enumerate() {
            let mut matched =
                features.iter().filter(|feature| matches(pattern, &feature.column.name)).peekable();
            if matched.peek().is_some() && !matched.any(|feature| needed.contains(&feature.column.name)) {
                let message = format!("nothing uses {pattern:?}");
                self.refuse(&format!("features[{i}]"), message, "name it in a transform, or leave it out");
            }
        }
    }

    /// The on-demand expressions that cannot be compiled for the names they use.
    fn misspelt(&self, names: &[Arc<str>]) -> Vec<Arc<str>> {
        let known = |name: &String| names.iter().any(|known| **known == **name);
        let wrong = |sql: &str| Expr::names(sql).map_or(true, |used| !used.iter().all(known));
        let misspelt = self.spec.on_demand.iter().filter(|named| wrong(&named.expr));
        misspelt.map(|named| Arc::clone(&named.name)).collect()
    }

    /// The on-demand expressions that read the request alone, and the others.
    fn stages(&self) -> (Vec<&'a NamedExpr>, Vec<&'a NamedExpr>) {
        let mut known: Vec<&str> = self.spec.request.names().collect();
        let mut stages = (Vec::new(), Vec::new());
        for named in &self.spec.on_demand {
            let names = Expr::names(&named.expr).unwrap_or_default();
            if names.iter().all(|name| known.contains(&name.as_str())) {
                known.push(&named.name);
                stages.0.push(named);
            } else {
                stages.1.push(named);
            }
        }
        stages
    }

    /// Compile expressions, each over the columns so far, and append their columns. One that has a fault, or
    /// names what has no type, has no type either.
    fn programs(
        &self,
        stage: &[&NamedExpr],
        columns: &mut Vec<Column>,
        typeless: &mut BTreeSet<Arc<str>>,
        all_found: bool,
    ) -> Option<Vec<Program>> {
        let open = self.touched_open("request") || self.touched_open("on_demand");
        let mut programs = Vec::new();
        for named in stage {
            let names = Expr::names(&named.expr).unwrap_or_default();
            let unknown = |name: &String| {
                let missing = !columns.iter().any(|column| *column.name == **name);
                typeless.contains(name.as_str())
                    || missing && if name.contains('.') { !all_found } else { open }
            };
            let program = if names.iter().any(unknown) { None } else { self.program(named, columns) };
            if program.is_none() {
                typeless.insert(Arc::clone(&named.name));
            }
            programs.push(program);
        }
        programs.into_iter().collect()
    }

    /// Whether names may be missing from a field.
    fn touched_open(&self, field: &str) -> bool {
        self.around.scope.marks.is_open(&format!("{}: {field}", self.owner))
    }

    fn program(&self, named: &NamedExpr, columns: &mut Vec<Column>) -> Option<Program> {
        let field = format!("on_demand.{}", named.name);
        // Columns that differ were laid out so far, so this is no fault of the declaration.
        let schema = Schema::new(columns.clone()).ok()?;
        if schema.column(&named.name).is_some() {
            self.refuse(&field, format!("{:?} is a column of the request already", named.name), "");
            return None;
        }
        let expr = match Expr::compile(&named.expr, &schema) {
            Ok(expr) => expr,
            Err(error) => {
                self.around.scope.refuse_expression(format!("{}: {field}", self.owner), &error);
                return None;
            }
        };
        let Some(data_type) = expr.data_type() else {
            self.refuse(&field, "the expression is always NULL", "");
            return None;
        };
        columns.push(computed(&named.name, data_type));
        Some(Program { name: Arc::clone(&named.name), expr })
    }

    /// The lookups of the features that are needed; their columns are appended.
    fn lookups(
        &self,
        features: &[Feature<'_>],
        needed: &BTreeSet<Arc<str>>,
        columns: &mut Vec<Column>,
        known_alone: usize,
        typeless: &BTreeSet<Arc<str>>,
    ) -> Option<Vec<Lookup>> {
        let mut lookups: Vec<Lookup> = Vec::new();
        let mut whole = true;
        for view in self.around.views.iter().filter_map(|checked| checked.view.as_ref()) {
            let of_view = features.iter().filter(|feature| feature.view.spec().name == view.spec().name);
            let taken: Vec<&Feature<'_>> =
                of_view.filter(|feature| needed.contains(&feature.column.name)).collect();
            if taken.is_empty() {
                continue;
            }
            let key = self.key(view, &columns[..known_alone], typeless);
            whole &= key.is_some();
            columns
                .extend(taken.iter().map(|feature| computed(&feature.column.name, feature.column.data_type)));
            let outputs = taken.iter().map(|feature| feature.output).collect();
            lookups.push(Lookup { view: Arc::clone(view), key: key.unwrap_or_default(), outputs });
        }
        whole.then_some(lookups)
    }

    /// Where the entity of a view stands among the columns that are known before any lookup.
    fn key(&self, view: &View, columns: &[Column], typeless: &BTreeSet<Arc<str>>) -> Option<Vec<usize>> {
        let mut key = Some(Vec::new());
        for entity in view.entity() {
            let found = columns.iter().position(|column| column.name == entity.name);
            let message = match found {
                Some(index) if columns[index].data_type == entity.data_type => {
                    if let Some(key) = &mut key {
                        key.push(index);
                    }
                    continue;
                }
                Some(index) => format!(
                    "view {:?} is looked up by {:?}, which is {} there, but {} here",
                    view.spec().name,
                    entity.name,
                    entity.data_type,
                    columns[index].data_type
                ),
                None if typeless.contains(&entity.name) || self.touched_open("request") => {
                    key = None;
                    continue;
                }
                None => format!(
                    "view {:?} is looked up by {:?}, which is not known here",
                    view.spec().name,
                    entity.name
                ),
            };
            let help = format!(
                "give {:?} as {} in the request, or in on_demand over the request alone",
                entity.name, entity.data_type
            );
            self.refuse(&self.feature_field(view), message, &help);
            key = None;
        }
        key
    }

    /// The field that asks for a view.
    fn feature_field(&self, view: &View) -> String {
        let asks = |pattern: &Arc<str>| view.outputs().names().any(|name| matches(pattern, name));
        let index = self.spec.features.iter().position(asks);
        index.map_or_else(|| "features".to_owned(), |i| format!("features[{i}]"))
    }

    /// Each function gets the types that it can work on, and no input twice.
    fn check_types(&self, transforms: &Option<Vec<TransformSpec>>, columns: &[Column]) {
        let mut seen: BTreeSet<(&str, &str)> = BTreeSet::new();
        for transform in transforms.iter().flatten() {
            let function = function_name(&transform.function);
            for name in &transform.of {
                // A column that is not there belongs to an expression that was refused.
                let Some(column) = columns.iter().find(|column| column.name == *name) else { continue };
                let categories = matches!(transform.function, TransformFn::OneHot { .. });
                let fits = match column.data_type {
                    DataType::Int64 | DataType::Boolean => true,
                    DataType::Double => !categories,
                    DataType::String => categories,
                    DataType::Timestamp | DataType::Duration | DataType::List(_) | DataType::Map(_) => false,
                };
                let field = self.transform_field(&transform.function, name);
                if !fits {
                    let wanted = if categories { "int64, string or boolean" } else { "a number or boolean" };
                    let message = format!("{function} wants {wanted}, but {name:?} is {}", column.data_type);
                    let help = match column.data_type {
                        DataType::List(_) => {
                            "make an on-demand column of one element, as in x[1], or of len(x)"
                        }
                        DataType::Map(_) => "make an on-demand column of one entry, as in x['key']",
                        _ => "",
                    };
                    self.refuse(&field, message, help);
                }
                if !seen.insert((function, name)) {
                    self.refuse(&field, format!("{function} of {name:?} is declared twice"), "");
                }
            }
        }
    }

    /// The field that names an input under a function.
    fn transform_field(&self, function: &TransformFn, name: &str) -> String {
        for (i, declared) in self.spec.transforms.iter().enumerate().rev() {
            if declared.function == *function
                && let Some(j) = declared.of.iter().position(|pattern| matches(pattern, name))
            {
                return format!("transforms[{i}].of[{j}]");
            }
        }
        "transforms".to_owned()
    }
}

/// The inputs that transforms name, in the order of `names`.
fn inputs(
    spec: &ModelSpec,
    features: &[Feature<'_>],
    names: &[Arc<str>],
    transforms: &Option<Vec<TransformSpec>>,
    columns: &[Column],
) -> Vec<Input> {
    let mut inputs = Vec::new();
    for name in names {
        let named = transforms.iter().flatten().any(|transform| transform.of.contains(name));
        let Some(column) = columns.iter().position(|column| column.name == *name).filter(|_| named) else {
            continue;
        };
        let origin = match features.iter().find(|feature| feature.column.name == *name) {
            Some(feature) => Origin::View(Arc::clone(&feature.view.spec().name)),
            None if spec.request.column(name).is_some() => Origin::Request,
            None => Origin::OnDemand,
        };
        inputs.push(Input { name: Arc::clone(name), column, origin });
    }
    inputs
}

fn function_name(function: &TransformFn) -> &'static str {
    match function {
        TransformFn::Standardize { .. } => "standardize",
        TransformFn::OneHot { .. } => "one_hot",
        TransformFn::Clip { .. } => "clip",
        TransformFn::Pass { .. } => "pass",
    }
}
