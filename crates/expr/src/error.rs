//! What is wrong with the text of an expression.

use perennial_types::Kind;

/// Where a fault stands in the text of an expression, counted from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: u64,
    /// The character within the line.
    pub column: u64,
}

/// A text that is no expression over its schema; the message says what, where, and what would help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}", .place.map(|at| format!(" (line {}, column {})", at.line, at.column)).unwrap_or_default())]
pub struct ExprError {
    message: String,
    place: Option<Place>,
}

impl ExprError {
    pub(crate) fn new(place: Option<Place>, message: impl Into<String>) -> Self {
        Self { message: message.into(), place }
    }

    /// The same, at `place` if it had none.
    pub(crate) fn at(mut self, place: Option<Place>) -> Self {
        self.place = self.place.or(place);
        self
    }

    /// What a caller can do: always [`Kind::Invalid`], the declaration has to change.
    pub fn kind(&self) -> Kind {
        Kind::Invalid
    }

    /// Where the fault stands, if it stands at one place.
    pub fn place(&self) -> Option<Place> {
        self.place
    }

    /// The message without the place.
    pub fn message(&self) -> &str {
        &self.message
    }
}
