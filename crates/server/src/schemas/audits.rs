//! Forms of audits.

use super::{Fields, asked_instant, asked_whole, instant, list_of, nullable, number, reference, text, whole};
use crate::text::ID;

/// The forms with their names.
pub(super) fn schemas() -> Vec<(&'static str, Fields)> {
    vec![
        ("Audits", audits()),
        ("SkewedValue", skewed()),
        ("ColumnAudit", column(Fields::new("The quality of a column over a window."))),
        ("FeatureAudit", feature()),
        ("SourceAudit", source()),
        ("SourceLoss", loss()),
        ("ArrivedRows", rows(Fields::new("What became of rows."))),
        ("ArrivedLoss", arrived()),
        ("HappenedLoss", happened()),
        ("SentCounts", sent()),
        ("SentCount", one_sent()),
        ("CountsReceipt", receipt()),
    ]
}

fn audits() -> Fields {
    Fields::new("How far the audits are.")
        .always("position", whole("The record up to which the log was audited."))
        .always("lag", whole("Records that are applied and not audited yet."))
        .always("failure", nullable(text("Why the log is not followed any further; null as long as it is.")))
        .always("predictions", whole("Predictions that were looked at."))
        .always("compared", whole("Lookups of sampled entities that were replayed and compared."))
        .always("not_compared", whole("Lookups that could not be compared."))
        .always("differences", list_of(reference("SkewedValue")))
}

fn skewed() -> Fields {
    Fields::new("A value that was served and is not what the log gives.")
        .always("prediction", text("The prediction's id."))
        .always("position", whole("Where it stands."))
        .always("entity", text("The entity."))
        .always("feature", text("The feature."))
        .always("served", text("The value as served."))
        .always("replayed", text("The value as replayed."))
        .always("bits", whole("How many bits differ; 64 where one side has no number."))
}

fn column(fields: Fields) -> Fields {
    fields
        .always("name", text("Its name; of a feature the full one."))
        .always("rows", whole("Values in the window."))
        .always("null_rate", nullable(number("The part of them that is NULL; null without values.")))
        .always("least", nullable(number("The least number.")))
        .always("largest", nullable(number("The largest number.")))
        .always("new_categories", new_categories())
}

fn new_categories() -> utoipa::openapi::Schema {
    let texts = list_of(text("")).description(Some("Texts that were never seen before the window."));
    let nothing = nullable(text("Null for what holds no categories, or has none before the window."));
    utoipa::openapi::OneOfBuilder::new().item(texts).item(only_null(nothing)).build().into()
}

/// Null alone.
fn only_null(mut object: utoipa::openapi::Object) -> utoipa::openapi::Object {
    object.schema_type = utoipa::openapi::schema::SchemaType::Type(utoipa::openapi::schema::Type::Null);
    object
}

fn feature() -> Fields {
    column(Fields::new("A feature as it was served, and beside a replay."))
        .always("compared", whole("Values of sampled entities that were replayed."))
        .always("mismatch", whole("Of these: both are there, and differ."))
        .always("missing", whole("NULL was served, and the replay has a value."))
        .always("extra", whole("A value was served, and the replay has NULL."))
        .always(
            "symmetric_error",
            nullable(number("Symmetric mean absolute percentage error of the numbers, from 0 to 2.")),
        )
}

fn rows(fields: Fields) -> Fields {
    fields
        .always("received", whole("Rows that came in: the next three, less those that were sent again."))
        .always("appended", whole("Rows that became events."))
        .always("duplicates", whole("Rows that were events already."))
        .always("dead_letters", whole("Rows that were refused."))
        .always("redriven", whole("Dead letters that were sent again."))
}

fn source() -> Fields {
    rows(Fields::new("What became of the rows of a source in a window, and their quality."))
        .always("source", text("The source."))
        .always("lost", whole("Rows that producers sent and that never came."))
        .always(
            "unapplied",
            whole("Events that are in the log and not in the features, or the other way round."),
        )
        .always(
            "freshness_p50",
            nullable(number("Seconds from half of the events until they could be read.")),
        )
        .always("freshness_p99", nullable(number("The same of 99 % of them.")))
        .always("slowest", nullable(number("The same of all of them.")))
        .always("columns", list_of(reference("ColumnAudit")))
}

fn loss() -> Fields {
    Fields::new("The loss audit of a source.")
        .always("total", reference("ArrivedRows"))
        .always("lost", whole("Rows that producers sent and that never came, in the window."))
        .always(
            "unapplied",
            whole("Events that are in the log and not in the features, or the other way round."),
        )
        .always("arrived", list_of(reference("ArrivedLoss")))
        .always("happened", list_of(reference("HappenedLoss")))
}

fn arrived() -> Fields {
    rows(Fields::new("Rows that arrived in ten minutes."))
        .always("start", instant("When these begin."))
        .always("in_log", nullable(whole("Events in the log, counted again; null until that is done.")))
}

fn happened() -> Fields {
    Fields::new("Rows with event times in ten minutes of which producers say how many they sent.")
        .always("start", instant("When these begin."))
        .always("sent", whole("Rows sent."))
        .always("received", whole("Rows received."))
        .always("lost", whole("Rows that never came."))
}

fn sent() -> Fields {
    Fields::new(
        "How many rows a producer sent; what it says of ten minutes replaces what it said of them before.",
    )
    .always("producer", ID.schema("Which producer."))
    .always("counts", list_of(reference("SentCount")))
    .closed()
}

fn one_sent() -> Fields {
    Fields::new("Rows with event times in ten minutes.")
        .always("start", asked_instant())
        .always("sent", asked_whole("How many were sent."))
        .closed()
}

fn receipt() -> Fields {
    Fields::new("The counts are kept.").always("stretches", whole("How many counts."))
}
