//! What cross-checks know and note.

use std::cell::RefCell;
use std::sync::Arc;

use perennial_evaluate::EndpointSpec;
use perennial_expr::{Expr, ExprError};
use perennial_types::{DataType, Schema, SourceSpec, TimeSpan, did_you_mean};

use crate::fault::Fault;
use crate::marks::Marks;
use crate::spec::{ModelSpec, Project};

/// A project under check.
pub(crate) struct Scope<'a> {
    pub(crate) project: &'a Project,
    /// What could not be read.
    pub(crate) marks: &'a Marks,
    faults: RefCell<Vec<Fault>>,
}

impl<'a> Scope<'a> {
    pub(crate) fn new(project: &'a Project, marks: &'a Marks) -> Self {
        Self { project, marks, faults: RefCell::default() }
    }

    /// Note a fault of the field at `path`; `help` as `did_you_mean` writes it.
    pub(crate) fn refuse(&self, path: impl Into<String>, message: impl Into<String>, help: &str) {
        self.faults.borrow_mut().push(Fault::at(path, message).help(help));
    }

    /// Note a fault that a core told in one text.
    pub(crate) fn refuse_as_told(&self, path: impl Into<String>, text: &str) {
        self.faults.borrow_mut().push(Fault::told(path, text));
    }

    /// Note a fault of an expression.
    pub(crate) fn refuse_expression(&self, path: impl Into<String>, error: &ExprError) {
        self.faults.borrow_mut().push(Fault::of_expression(path, error));
    }

    pub(crate) fn into_faults(self) -> Vec<Fault> {
        self.faults.into_inner()
    }

    /// The source that the field at `path` names; a fault is noted if there is none.
    pub(crate) fn source(&self, name: &str, path: &str) -> Option<&'a SourceSpec> {
        let sources = &self.project.sources;
        let found = sources.iter().find(|source| &*source.name == name);
        self.note_missing(found.is_none(), "Source", name, path, sources.iter().map(|source| &source.name));
        found
    }

    /// The model that the field at `path` names; a fault is noted if there is none.
    pub(crate) fn model(&self, name: &str, path: &str) -> Option<&'a ModelSpec> {
        let models = &self.project.models;
        let found = models.iter().find(|model| &*model.name == name);
        self.note_missing(found.is_none(), "Model", name, path, models.iter().map(|model| &model.name));
        found
    }

    /// The endpoint that the field at `path` names; a fault is noted if there is none.
    pub(crate) fn endpoint(&self, name: &str, path: &str) -> Option<&'a EndpointSpec> {
        let endpoints = &self.project.endpoints;
        let found = endpoints.iter().find(|endpoint| &*endpoint.name == name);
        let known = endpoints.iter().map(|endpoint| &endpoint.name);
        self.note_missing(found.is_none(), "Endpoint", name, path, known);
        found
    }

    /// The endpoint that a model belongs to, if there is one.
    pub(crate) fn endpoint_of(&self, model: &str) -> Option<&'a EndpointSpec> {
        self.project.endpoints.iter().find(|endpoint| endpoint.models.iter().any(|name| &**name == model))
    }

    /// The condition at `path` is true or false of something that `schema` has.
    pub(crate) fn condition(&self, sql: &str, schema: &Schema, path: &str) {
        match Expr::compile(sql, schema) {
            Ok(expr) if expr.columns().is_empty() => {
                let help = format!("name one of {}", schema.names().collect::<Vec<_>>().join(", "));
                self.refuse(path, format!("{sql:?} never changes"), &help);
            }
            Ok(expr) if expr.data_type() == Some(DataType::Boolean) => {}
            Ok(expr) => {
                let found = expr.data_type().map_or("NULL", DataType::name);
                self.refuse(path, format!("expected a condition, found {found}"), "");
            }
            Err(error) => self.refuse_expression(path, &error),
        }
    }

    /// Everything happens at ticks: a length of time that something is counted in is a multiple of them.
    pub(crate) fn whole_ticks(&self, span: TimeSpan, path: &str) {
        let tick = self.project.tick;
        if span.micros() % tick.micros().max(1) != 0 {
            let message = format!("{span} is no multiple of the project's tick of {tick}");
            let below = span.micros() / tick.micros() * tick.micros();
            let nearest = TimeSpan::from_micros(if below > 0 { below } else { tick.micros() });
            self.refuse(path, message, &format!("what is due happens at ticks; write {nearest}"));
        }
    }

    fn note_missing<'n>(
        &self,
        missing: bool,
        kind: &str,
        name: &str,
        path: &str,
        known: impl Iterator<Item = &'n Arc<str>>,
    ) {
        if missing && !self.marks.may_be_declared(kind, name) {
            let help = did_you_mean(name, known.map(|known| &**known));
            self.refuse(path, format!("no {} {name:?} is declared", kind.to_lowercase()), &help);
        }
    }
}
