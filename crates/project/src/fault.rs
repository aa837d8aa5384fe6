//! What is wrong with a declaration, and where.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use perennial_expr::ExprError;
use serde::{Deserialize, Serialize};

/// One mistake in the declarations.
///
/// Written `bike.yaml:12:5: Model "bike": features[0]: no view "slot_demnd"; did you mean "slot_demand"?`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The file's name; empty for a project that was not read from files.
    pub file: String,
    /// The line, from 1; 0 where there is no file.
    pub line: u64,
    /// The column, from 1; 0 where there is no file.
    pub column: u64,
    /// The declaration and the field: `Model "bike": features[0]`.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What would help.
    pub help: Option<String>,
}

impl Fault {
    /// A fault of a field, without a place yet.
    pub(crate) fn at(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            file: String::new(),
            line: 0,
            column: 0,
            path: path.into(),
            message: message.into(),
            help: None,
        }
    }

    /// A fault of a field whose text may end in what would help, after a semicolon.
    pub(crate) fn told(path: impl Into<String>, text: &str) -> Self {
        match text.rsplit_once("; ") {
            Some((message, help)) => Self::at(path, message).help(help),
            None => Self::at(path, text),
        }
    }

    /// A fault of an expression, with the place inside its text.
    pub(crate) fn of_expression(path: impl Into<String>, error: &ExprError) -> Self {
        let mut fault = Self::told(path, error.message());
        if let Some(place) = error.place() {
            fault
                .message
                .push_str(&format!(" (line {}, column {} of the expression)", place.line, place.column));
        }
        fault
    }

    /// The same with what would help, as `did_you_mean` writes it; an empty text is no help.
    pub(crate) fn help(mut self, help: &str) -> Self {
        let help = help.trim_start_matches("; ");
        self.help = (!help.is_empty()).then(|| help.to_owned());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            write!(f, "{}:", self.file)?;
            if self.line > 0 {
                write!(f, "{}:{}:", self.line, self.column)?;
            }
            f.write_str(" ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Fault {}

/// How messages name a declaration: `Model "bike"`.
pub(crate) fn owner(kind: &str, name: &str) -> String {
    if name.is_empty() { kind.to_owned() } else { format!("{kind} {name:?}") }
}

/// A point of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file: Arc<str>,
    pub(crate) line: u64,
    pub(crate) column: u64,
}

/// Where each field of each declaration stands.
#[derive(Debug, Default)]
pub(crate) struct Places {
    by_path: HashMap<String, Place>,
}

impl Places {
    /// Remember a field; the first one of a path stays.
    pub(crate) fn insert(&mut self, path: String, place: Place) {
        self.by_path.entry(path).or_insert(place);
    }

    /// The fault with its place: that of its field, or of the nearest one around it.
    pub(crate) fn locate(&self, mut fault: Fault) -> Fault {
        let mut path = fault.path.as_str();
        loop {
            if let Some(place) = self.by_path.get(path) {
                let place = place.clone();
                (fault.file, fault.line, fault.column) = (place.file.to_string(), place.line, place.column);
                return fault;
            }
            path = match path.rfind(['.', '[', ':']) {
                Some(end) => &path[..end],
                None => return fault,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_stands_at_its_field_or_the_nearest_one_around_it() {
        let mut places = Places::default();
        let place = |line| Place { file: "a.yaml".into(), line, column: 3 };
        places.insert("Model \"m\"".into(), place(1));
        places.insert("Model \"m\": transforms[0]".into(), place(7));
        let fault = places.locate(Fault::at("Model \"m\": transforms[0].of[2]", "wrong").help("; try x"));
        assert_eq!(fault.to_string(), "a.yaml:7:3: Model \"m\": transforms[0].of[2]: wrong; try x");
        assert_eq!(places.locate(Fault::at("Model \"m\": task", "wrong")).line, 1);
        assert_eq!(
            places.locate(Fault::at("Model \"n\": task", "wrong")).to_string(),
            "Model \"n\": task: wrong"
        );
    }
}
