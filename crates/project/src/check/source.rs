//! A source: its columns for id and times.

use perennial_types::{
    AvailableAt, DataType, EventTime, Format, KafkaStream, SourceSpec, StreamSpec, did_you_mean,
};

use super::derived;
use crate::fault::owner;
use crate::scope::Scope;
use crate::spec::ClockKind;

/// Check one source.
pub(crate) fn source(scope: &Scope<'_>, source: &SourceSpec) {
    let owner = owner("Source", &source.name);
    if let Some(spec) = source.derived() {
        return derived::derived(scope, source, spec);
    }
    if source.dedupe.is_some() {
        derived::follows(scope, source, &owner);
    }
    if let Some(name) = source.event_time.column() {
        column(scope, source, &owner, ("event_time", name), &[DataType::Timestamp]);
    }
    if let Some(id) = &source.id {
        column(scope, source, &owner, ("id", id), &[DataType::String, DataType::Int64]);
    }
    if source.event_time == EventTime::Arrival && source.at_most_ahead.is_some() {
        let help = "leave at_most_ahead out, or name the column that says when it happened";
        scope.refuse(
            format!("{owner}: at_most_ahead"),
            "rows happen when they arrive, never ahead of it",
            help,
        );
    }
    if source.event_time == EventTime::Arrival && scope.project.histories.contains_key(&source.name) {
        let help = "name the column that says when they happened, or send the file with `perennial import`";
        scope.refuse(format!("{owner}: history"), "rows that happen when they arrive have no history", help);
    }
    match &source.available_at {
        AvailableAt::Arrival => {}
        AvailableAt::Column(name) => {
            column(scope, source, &owner, ("available_at", name), &[DataType::Timestamp]);
        }
    }
    match &source.stream {
        StreamSpec::Http {} | StreamSpec::Derived(_) => {}
        StreamSpec::Kafka(stream) => kafka(scope, source, &owner, stream),
    }
}

/// A topic is read as it comes, and what is needed to read it is there.
fn kafka(scope: &Scope<'_>, source: &SourceSpec, owner: &str, stream: &KafkaStream) {
    let path = format!("{owner}: stream.kafka");
    if scope.project.clock == ClockKind::Event {
        scope.refuse(
            path.clone(),
            "a topic is read as its messages arrive, and this project's clock moves by the requests of a play",
            "use clock: wall, or send the topic's rows with `perennial import`",
        );
    }
    if let Some(column_name) = &stream.timestamp {
        column(scope, source, owner, ("stream.kafka.timestamp", column_name), &[DataType::Timestamp]);
    }
    if !is_topic(&stream.topic) {
        let help = "use at most 249 letters, digits, dots, dashes and underscores";
        scope.refuse(format!("{path}.topic"), format!("{:?} is no name of a topic", stream.topic), help);
    }
    let given = (&stream.registry, &stream.writer_schema);
    match (stream.format, given) {
        (Format::Avro | Format::Protobuf, (Some(_), None) | (None, Some(_)))
        | (Format::Json, (_, None))
        | (Format::Csv, (None, None)) => {}
        (Format::Avro | Format::Protobuf, (None, None)) => scope.refuse(
            path,
            format!("{} can only be read with the schema that it was written by", stream.format.name()),
            "name a registry, if values begin with the id of a schema there, else give the writer_schema",
        ),
        (Format::Avro | Format::Protobuf, (Some(_), Some(_))) => scope.refuse(
            path,
            "a registry and a writer_schema exclude each other",
            "values either begin with the id of a schema or they do not",
        ),
        (Format::Json | Format::Csv, (_, Some(_))) => {
            scope.refuse(path, format!("{} has no writer_schema", stream.format.name()), "");
        }
        (Format::Csv, (Some(_), None)) => {
            scope.refuse(path, "csv has no registry", "use format: json, avro or protobuf");
        }
    }
}

fn is_topic(name: &str) -> bool {
    let letters = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    (1..=249).contains(&name.len()) && name.chars().all(letters) && name != "." && name != ".."
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
