//! A source that follows from others.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{SourceSpec, TimeSpan};

/// A named SQL expression.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedExpr {
    /// The name it is known by.
    pub name: Arc<str>,
    /// SQL text.
    pub expr: Arc<str>,
}

/// What a derived source follows from, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DerivedSpec {
    /// How.
    pub operator: Operator,
    /// The sources that it reads, in the order in which the operator names them, each with all that it follows
    /// from in turn. They are filled in when a project is read.
    pub inputs: Vec<SourceSpec>,
}

/// How a source follows from others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operator {
    /// The rows of several sources.
    Union(Vec<UnionPart>),
    /// A row for each pair of rows of two sources that belong together.
    Join(JoinSpec),
    /// The rows of one source with the last known row of another.
    Enrich(EnrichSpec),
}

impl Operator {
    /// The name in declarations.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Union(_) => "union",
            Self::Join(_) => "join",
            Self::Enrich(_) => "enrich",
        }
    }

    /// The sources that it reads, in its own order.
    pub fn sources(&self) -> Vec<&Arc<str>> {
        match self {
            Self::Union(parts) => parts.iter().map(|part| &part.source).collect(),
            Self::Join(join) => vec![&join.left, &join.right],
            Self::Enrich(enrich) => vec![&enrich.of, &enrich.by],
        }
    }
}

/// A source of a union.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnionPart {
    /// The source.
    pub source: Arc<str>,
    /// The columns that it gives, over its own; all of them by their names if they are not given.
    pub columns: Option<Vec<NamedExpr>>,
}

/// Rows of two sources that have equal columns and are not far from each other in event time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinSpec {
    /// The source whose columns keep their names.
    pub left: Arc<str>,
    /// The other one.
    pub right: Arc<str>,
    /// The columns that are equal.
    pub on: Vec<KeyPair>,
    /// How long after the left row the right one may happen.
    pub within: TimeSpan,
    /// How long before it.
    pub before: TimeSpan,
    /// What is added to the left columns, over them and those of the right source as `right.column`.
    pub columns: Option<Vec<NamedExpr>>,
}

/// Rows of a source with what was known last of another one by a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrichSpec {
    /// The source whose rows are enriched.
    pub of: Arc<str>,
    /// The source whose last rows are kept.
    pub by: Arc<str>,
    /// The columns that are equal: those of `by` are its key.
    pub on: Vec<KeyPair>,
    /// What is added to the columns of `of`, over them and those of the other source as `by.column`.
    pub columns: Option<Vec<NamedExpr>>,
}

/// Two columns that are equal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyPair {
    /// Of the source that is named first.
    pub left: Arc<str>,
    /// Of the one that is named second.
    pub right: Arc<str>,
}

/// What makes a row a repetition of an earlier one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DedupeSpec {
    /// The columns that are equal; a row where one of them is NULL repeats nothing.
    pub by: Vec<Arc<str>>,
    /// How far apart in event time the two are at most.
    pub within: TimeSpan,
}
