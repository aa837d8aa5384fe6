//! A source: its columns for id and times.

use perennial_types::{AvailableAt, DataType, SourceSpec, did_you_mean};

use crate::fault::owner;
use crate::scope::Scope;

/// Check one source.
pub(crate) fn source(scope: &Scope<'_>, source: &SourceSpec) {
    let owner = owner("Source", &source.name);
    column(scope, source, &owner, ("event_time", &source.event_time), &[DataType::Timestamp]);
    if let Some(id) = &source.id {
        column(scope, source, &owner, ("id", id), &[DataType::String, DataType::Int64]);
    }
    match &source.available_at {
        AvailableAt::Arrival => {}
        AvailableAt::Column(name) => {
            column(scope, source, &owner, ("available_at", name), &[DataType::Timestamp]);
        }
    }
}

/// The column that a field names is there, of a type that serves, and never missing.
fn column(scope: &Scope<'_>, source: &SourceSpec, owner: &str, field: (&str, &str), types: &[DataType]) {
    let (field, name) = field;
    let path = format!("{owner}: {field}");
    let Some(column) = source.schema.column(name) else {
        if scope.marks.is_open(&format!("{owner}: schema")) {
            return;
        }
        let help = did_you_mean(name, source.schema.names());
        return scope.refuse(path, format!("the schema has no column {name:?}"), &help);
    };
    if !types.contains(&column.data_type) {
        let wanted: Vec<&str> = types.iter().map(|data_type| data_type.name()).collect();
        let message = format!("column {name:?} is {}; wanted is {}", column.data_type, wanted.join(" or "));
        scope.refuse(path, message, "");
    } else if column.nullable {
        scope.refuse(path, format!("column {name:?} may be missing"), "declare it without the question mark");
    }
}
