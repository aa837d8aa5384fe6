//! Forms of the Open Inference Protocol.

use utoipa::openapi::schema::{AnyOfBuilder, ArrayItems, SchemaType, Type};
use utoipa::openapi::{ArrayBuilder, ObjectBuilder, Schema};

use super::{
    Fields, any_object, instant, list_of, nullable, number, one_of_texts, reference, text, truth, whole,
    whole_between,
};
use crate::text;

/// The most rows of one request.
pub(crate) const MOST_ROWS: u32 = 4_096;

const DATATYPES: [&str; 6] = ["BOOL", "INT64", "INT32", "FP64", "FP32", "BYTES"];

/// The forms with their names.
pub(super) fn schemas() -> Vec<(&'static str, Fields)> {
    let mut schemas = requests();
    schemas.extend([
        (
            "InferenceServer",
            Fields::new("The service.")
                .always("name", text("Its name."))
                .always("version", text("Its version."))
                .always("extensions", list_of(text("An extension of the protocol."))),
        ),
        ("Live", Fields::new("Whether the service runs.").always("live", truth(""))),
        ("Ready", Fields::new("Whether the service answers requests.").always("ready", truth(""))),
        (
            "ModelReady",
            Fields::new("Whether an endpoint answers requests.")
                .always("name", text("The endpoint."))
                .always("ready", truth("")),
        ),
        (
            "InferenceModel",
            Fields::new("What an endpoint takes and gives.")
                .always("name", text("The endpoint."))
                .always("versions", list_of(text("A version that may answer.")))
                .always("platform", text("Always perennial."))
                .always("inputs", list_of(reference("TensorMetadata")))
                .always("outputs", list_of(reference("TensorMetadata"))),
        ),
        (
            "TensorMetadata",
            Fields::new("A tensor: a column of the request, or the prediction.")
                .always("name", text("Its name."))
                .always("datatype", one_of_texts("Its datatype.", &DATATYPES))
                .always("shape", list_of(number("-1: any number of rows."))),
        ),
    ]);
    schemas
}

/// A value, or an array of one, which a shape of `[n, 1]` is written with.
fn datum() -> Schema {
    let scalar = || {
        let kinds = [Type::String, Type::Number, Type::Boolean, Type::Null];
        ObjectBuilder::new().schema_type(SchemaType::from_iter(kinds))
    };
    let one = list_of(scalar()).min_items(Some(1)).max_items(Some(1));
    AnyOfBuilder::new().item(scalar()).item(one).build().into()
}

/// `[n]` or `[n, 1]`.
fn shape() -> ArrayBuilder {
    let rows = whole_between(1, MOST_ROWS);
    let one = whole_between(1, 1);
    ArrayBuilder::new()
        .description(Some(format!("[n] or [n, 1]; at most {MOST_ROWS} rows.")))
        .prefix_items([rows, one])
        .items(ArrayItems::False)
        .min_items(Some(1))
        .max_items(Some(2))
}

fn requests() -> Vec<(&'static str, Fields)> {
    vec![
        (
            "InferenceRequest",
            Fields::new("A prediction for each row of the tensors.")
                .maybe(
                    "id",
                    nullable(
                        text::ID
                            .schema("Names the request; with n > 1 rows their ids are <id>/<row>, from 0."),
                    ),
                )
                .maybe("parameters", nullable(any_object("Of the protocol; none has an effect.")))
                .always("inputs", list_of(reference("InputTensor")).min_items(Some(1)))
                .maybe(
                    "outputs",
                    list_of(reference("WantedOutput"))
                        .schema_type(SchemaType::from_iter([Type::Array, Type::Null])),
                )
                .closed(),
        ),
        ("WantedOutput", Fields::new("What is asked for.").always("name", one_of_texts("", &["prediction"]))),
        (
            "InputTensor",
            Fields::new("A column of the request: a value for each row.")
                .always("name", text("The column."))
                .always("shape", shape())
                .always("datatype", one_of_texts("Its datatype.", &DATATYPES))
                .maybe("parameters", nullable(any_object("Of the protocol; none has an effect.")))
                .always("data", list_of(datum()).min_items(Some(1)))
                .closed(),
        ),
        (
            "InferenceResponse",
            Fields::new("The answers, in the order of the rows.")
                .always("model_name", text("The endpoint."))
                .maybe("model_version", text("The version that gave every answer."))
                .maybe("id", text("The request's id."))
                .always("parameters", reference("InferenceParameters"))
                .always("outputs", list_of(reference("OutputTensor"))),
        ),
        (
            "InferenceParameters",
            Fields::new("What is known of each row's answer.")
                .always("prediction_ids", list_of(text("The id, for feedback.")))
                .always("model", list_of(nullable(text("The model that answered; null for the default."))))
                .always("version", list_of(nullable(whole("The number of its version."))))
                .always("fallback", list_of(nullable(text("Why the drawn version did not answer."))))
                .always("experiment", list_of(nullable(text("The experiment in which an arm was drawn."))))
                .always("epoch", list_of(nullable(instant("The start of the epoch that it was drawn in."))))
                .always("drawn", list_of(nullable(text("The version that was drawn, as model/number."))))
                .always("propensity", list_of(number("With which probability.")))
                .always("position", list_of(whole("Position of the record in the log."))),
        ),
        (
            "OutputTensor",
            Fields::new("The predictions.")
                .always("name", text("Always prediction."))
                .always("datatype", text("Always FP64."))
                .always("shape", list_of(whole("The number of rows.")))
                .always("data", list_of(number("A prediction."))),
        ),
    ]
}
