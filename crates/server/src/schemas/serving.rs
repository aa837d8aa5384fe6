//! Forms of what is sent and asked all the time, and of declarations.

use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::{Object, ObjectBuilder, Schema};

use super::{
    Fields, any_object, anything, asked_instant, asked_number, hash, instant, list_of, map_of, nullable,
    number, one_of_texts, reference, text, truth, whole,
};
use crate::text;

/// The forms with their names.
pub(super) fn schemas() -> Vec<(&'static str, Fields)> {
    let mut schemas =
        vec![("Problem", problem()), ("Fault", fault()), ("RefusedRow", refused_row()), ("Status", status())];
    schemas.extend(features());
    schemas.extend(feast());
    schemas.extend(requests());
    schemas.extend(declarations());
    schemas
}

fn problem() -> Fields {
    Fields::new("What a client gets in place of an answer (RFC 9457).")
        .always("type", text("Always about:blank: the status says what kind of problem it is."))
        .always("title", text("The name of the status."))
        .always("status", whole("The HTTP status."))
        .always("detail", text("What is wrong with this request, and what would help."))
        .maybe("faults", list_of(reference("Fault")))
        .maybe("refused", list_of(reference("RefusedRow")))
        .maybe("refusals", list_of(text("Why a change of the declarations cannot be applied.")))
}

fn fault() -> Fields {
    Fields::new("A mistake in the declarations.")
        .always("file", text("The file's name."))
        .always("line", whole("The line, from 1; 0 where there is none."))
        .always("column", whole("The column, from 1; 0 where there is none."))
        .always("path", text("The declaration and the field."))
        .always("message", text("What is wrong."))
        .always("help", nullable(text("What would help.")))
}

fn refused_row() -> Fields {
    Fields::new("A row that does not fit its source.")
        .always("line", whole("Its line in the body, from 1; of an array its element."))
        .always("reason", text("Why, and what would help."))
}

fn status() -> Fields {
    Fields::new("Where the service stands.")
        .always("project", nullable(text("The project's name; null before declarations were applied.")))
        .always("clock", nullable(one_of_texts("What drives the project's time.", &["wall", "event"])))
        .always("at", nullable(instant("The last instant, under the event clock.")))
        .always(
            "watermark",
            nullable(instant(
                "The earliest watermark of the sources that are not idle; null while one has none.",
            )),
        )
        .always("head", whole("Position of the last record of the log."))
        .always("projected", whole("Position up to which lineage shows the log."))
        .always("version", text("The version of the program."))
}

fn features() -> Vec<(&'static str, Fields)> {
    let latest = || nullable(instant("When the entity's newest event became known; null if there is none."));
    let late = || whole("Events that were late so far and were merged into their tiles, of any entity.");
    let seen = || whole("Events up to here were seen.");
    let names = list_of(text("A feature's full name: view.feature, or view.* for all of a view."));
    vec![
        (
            "Features",
            Fields::new("What a view says of an entity.")
                .always("view", text("The view."))
                .always("version", hash("Hash of its definition."))
                .always("entity", any_object("The entity's columns."))
                .always("at", instant("The instant whose windows were read."))
                .always("position", seen())
                .always("latest", latest())
                .always("late_events", late())
                .always(
                    "features",
                    map_of(anything("A value; null where it is unknown."), "The features by full name."),
                ),
        ),
        (
            "FeaturesRequest",
            Fields::new("Features to read, and of which entities.")
                .always("features", names.min_items(Some(1)))
                .always("entities", list_of(any_object("An entity: every entity column with its value.")))
                .maybe("at", instant_or_null("The instant whose windows are read; left out: now."))
                .closed(),
        ),
        (
            "FeatureRows",
            Fields::new("Features of many entities.")
                .always("at", instant("The instant whose windows were read."))
                .always("features", list_of(text("The features' full names.")))
                .always("rows", list_of(reference("FeatureRow")))
                .always("views", map_of(reference("ViewStatus"), "The views that were read.")),
        ),
        (
            "FeatureRow",
            Fields::new("The features of an entity; rows are in the order of the request.")
                .always("values", list_of(anything("A value; null where it is unknown.")))
                .always("latest", latest()),
        ),
        (
            "ViewStatus",
            Fields::new("Up to where a view was read.")
                .always("version", hash("Hash of its definition."))
                .always("position", seen())
                .always("late_events", late()),
        ),
    ]
}

/// Forms of Feast's protocol.
fn feast() -> Vec<(&'static str, Fields)> {
    let names = "view:feature, or view:* for all of a view.";
    vec![
        (
            "FeastRequest",
            Fields::new("A request of Feast's SDK; give features or a feature service.")
                .maybe(
                    "features",
                    list_of(text(names)).schema_type(SchemaType::from_iter([Type::Array, Type::Null])),
                )
                .maybe("feature_service", nullable(text::NAME.schema("A model, whose features are read.")))
                .always(
                    "entities",
                    map_of(
                        list_of(anything("A value.")),
                        "The values of each entity column, all of a length.",
                    ),
                )
                .maybe(
                    "full_feature_names",
                    nullable(truth("Whether names begin with the view's: view__feature.")),
                )
                .maybe("include_feature_view_version_metadata", nullable(truth("Taken, and without effect.")))
                .closed(),
        ),
        (
            "FeastReply",
            Fields::new("The entities' columns, then the features.")
                .always("metadata", reference("FeastMetadata"))
                .always("results", list_of(reference("FeastColumn")))
                .always("status", truth("Always true.")),
        ),
        (
            "FeastMetadata",
            Fields::new("What the results are.").always("feature_names", list_of(text("A name."))),
        ),
        (
            "FeastColumn",
            Fields::new("A column of the reply, an element for each entity.")
                .always("values", list_of(anything("A value.")))
                .always(
                    "statuses",
                    list_of(one_of_texts("Whether the value is known.", &["PRESENT", "NULL_VALUE"])),
                )
                .always(
                    "event_timestamps",
                    list_of(instant("When the entity's newest event became known; 1970 if there is none.")),
                ),
        ),
    ]
}

fn requests() -> Vec<(&'static str, Fields)> {
    let fallback = ["no_version", "error", "not_ready", "deadline"];
    let statuses = ["accepted", "late", "duplicate", "conflict", "unknown_pending"];
    vec![
        (
            "EventReceipt",
            Fields::new("What became of sent rows.")
                .always("accepted", whole("Rows that are events now."))
                .always("duplicates", whole("Rows that were events already."))
                .always("refused", list_of(reference("RefusedRow")))
                .always("position", whole("The accepted rows can be read from this position on.")),
        ),
        (
            "PredictionRequest",
            Fields::new("A request to an endpoint.")
                .maybe(
                    "id",
                    nullable(text::ID.schema("Names the request, for feedback and for repeating it.")),
                )
                .always("request", any_object("The request's columns."))
                .closed(),
        ),
        (
            "Prediction",
            Fields::new("An answered request.")
                .always("id", text("The request's id, for feedback."))
                .always(
                    "prediction",
                    number("The answer: the number of a regression, the probability of class 1."),
                )
                .always("model", nullable(text("The model that answered; null for the endpoint's default.")))
                .always("version", nullable(whole("The number of its version.")))
                .always("content_hash", nullable(hash("The content hash of its version.")))
                .always(
                    "fallback",
                    nullable(one_of_texts("Why the version that was drawn did not answer.", &fallback)),
                )
                .always("experiment", nullable(text("The experiment in which an arm was drawn.")))
                .always("epoch", nullable(instant("The start of the epoch whose probabilities were used.")))
                .always("drawn", nullable(text("The version that was drawn, as model/number.")))
                .always("propensity", number("With which probability; 0 if there was nothing to draw."))
                .always("position", whole("Position of its record in the log.")),
        ),
        (
            "Feedback",
            Fields::new("A label or reward of a prediction.")
                .always("prediction_id", text::ID.schema("The prediction's id."))
                .always("value", asked_number("The label."))
                .maybe(
                    "endpoint",
                    nullable(text::NAME.schema("The endpoint; only needed where none knows the prediction.")),
                )
                .closed(),
        ),
        (
            "FeedbackResults",
            Fields::new("What became of labels, in their order.")
                .always("results", list_of(reference("FeedbackResult"))),
        ),
        (
            "FeedbackResult",
            Fields::new("What became of a label.")
                .always("prediction_id", text("The prediction's id."))
                .always("status", one_of_texts("What became of it.", &statuses)),
        ),
    ]
}

/// An instant that a client may name.
fn instant_or_null(about: &str) -> Schema {
    let null = ObjectBuilder::new().schema_type(Type::Null);
    asked_instant().item(null).description(Some(about)).build().into()
}

/// A text in another language: its media type says more of it than a pattern could.
fn yaml() -> Object {
    let mut object =
        text::PLAIN.schema("Its YAML documents. What is wrong with them is answered with its place.");
    object.content_media_type = "application/yaml".to_owned();
    object
}

fn declarations() -> Vec<(&'static str, Fields)> {
    vec![
        (
            "ProjectFiles",
            Fields::new("The declarations of a project.")
                .always("files", list_of(reference("ProjectFile")).min_items(Some(1)))
                .closed(),
        ),
        (
            "ProjectFile",
            Fields::new("A file of declarations.")
                .always("name", text::PLAIN.schema("Its name, for messages; no two files have the same."))
                .always("text", yaml())
                .closed(),
        ),
        (
            "Plan",
            Fields::new("What applying declarations changes.")
                .always("hash", hash("Hash of the declarations."))
                .always("from", nullable(hash("Hash of what ran before.")))
                .always("project", text("The project's name."))
                .always("changes", list_of(reference("Change")))
                .always("views", list_of(reference("ViewCost")))
                .always("text", text("The plan for people.")),
        ),
        (
            "Change",
            Fields::new("A declaration that differs.")
                .always("effect", one_of_texts("What happens to it.", &["created", "changed", "retired"]))
                .always("kind", text("Its kind, as declared."))
                .always("name", text("Its name."))
                .always("fields", list_of(text("A field that differs.")))
                .always("follows", list_of(text("What follows from it.")))
                .always("refused", nullable(text("Why it cannot be applied."))),
        ),
        (
            "ViewCost",
            Fields::new("What the state of a view costs.")
                .always("name", text("The view."))
                .always("bytes_per_key", whole("Bytes of memory for each entity.")),
        ),
        (
            "Project",
            Fields::new("The declarations that run.")
                .always("hash", hash("Hash of the declarations."))
                .always("name", text("The project's name."))
                .always("at", instant("When they were applied."))
                .always("position", whole("Where the log says so."))
                .always("declarations", anything("The canonical declarations.")),
        ),
    ]
}
