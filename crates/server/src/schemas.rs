//! The forms of bodies and answers in the OpenAPI document.
//!
//! Rows of lineage are structures of the store, which knows nothing of HTTP; their forms are written down here,
//! and tests hold both together.

mod audits;
mod inference;
mod keys;
mod lineage;
mod serving;
mod sources;
mod traffic;
mod views;

pub(crate) use inference::MOST_ROWS;

use axum::http::StatusCode;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{
    AdditionalProperties, AnyOfBuilder, KnownFormat, SchemaFormat, SchemaType, Type,
};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ArrayBuilder, Components, ComponentsBuilder, Object, ObjectBuilder, OneOfBuilder, Ref, RefOr, Schema,
};

/// The states of a run.
pub(crate) const RUN_STATES: [&str; 7] =
    ["requested", "running", "succeeded", "failed", "admitted", "refused", "promoted"];

/// The verdicts of a decision.
pub(crate) const VERDICTS: [&str; 13] = [
    "started",
    "held",
    "changed",
    "admitted",
    "advanced",
    "promoted",
    "refused",
    "failed",
    "rolled_back",
    "began",
    "removed",
    "concluded",
    "routed",
];

/// What a version can be to its model in an endpoint's traffic.
pub(crate) const ARM_ROLES: [&str; 3] = ["current", "candidate", "shadow"];

/// What reports are written as.
pub(crate) const REPORT_FORMATS: [&str; 3] = ["html", "json", "markdown"];

/// The failures that a route can answer with, and when it does.
const PROBLEMS: [(StatusCode, &str, &str); 10] = [
    (StatusCode::BAD_REQUEST, "Invalid", "The request is not of the form that this document publishes."),
    (StatusCode::UNAUTHORIZED, "Unauthorized", "The service asks for a key, and none in force was sent."),
    (StatusCode::FORBIDDEN, "Forbidden", "The key that was sent lacks the scope of this operation."),
    (StatusCode::NOT_FOUND, "NotFound", "Something that is named does not exist."),
    (StatusCode::CONFLICT, "Conflict", "The request contradicts what is there already."),
    (StatusCode::PAYLOAD_TOO_LARGE, "TooLarge", "The body is too large."),
    (
        StatusCode::UNPROCESSABLE_ENTITY,
        "Unprocessable",
        "The request is of its form, and a rule beyond the form refuses it: what the project declares, or a part \
         that contradicts another.",
    ),
    (
        StatusCode::TOO_MANY_REQUESTS,
        "TooMany",
        "More is on its way than the service takes in at once; the same request may come again after Retry-After.",
    ),
    (StatusCode::INTERNAL_SERVER_ERROR, "Internal", "A defect of the service or a broken machine."),
    (
        StatusCode::SERVICE_UNAVAILABLE,
        "Unavailable",
        "Something is away or busy; the same request may succeed later.",
    ),
];

/// The ways in which a request may bring its key; the last one is for pages only, since browsers know it.
pub(crate) const KEY_SCHEMES: [&str; 3] = ["bearer", "header", "basic"];

/// How each of them is written.
fn key_scheme(name: &str) -> SecurityScheme {
    match name {
        "bearer" => {
            let about = "`Authorization: Bearer …`, a key. Nobody is asked for one while there is none.";
            let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(about));
            SecurityScheme::Http(scheme.build())
        }
        "basic" => {
            let about = "For browsers: the key as password, with any user name.";
            let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Basic).description(Some(about));
            SecurityScheme::Http(scheme.build())
        }
        _ => SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(
            "x-api-key",
            "The same key.",
        ))),
    }
}

/// Every form and every failure by its name.
pub(crate) fn components() -> Components {
    let schemas = serving::schemas()
        .into_iter()
        .chain(lineage::schemas())
        .chain(traffic::schemas())
        .chain(inference::schemas())
        .chain(keys::schemas())
        .chain(sources::schemas())
        .chain(audits::schemas())
        .chain(views::schemas());
    let mut components = ComponentsBuilder::new();
    for (name, fields) in schemas {
        components = components.schema(name, fields.build());
    }
    for (_, name, about) in PROBLEMS {
        let content = ContentBuilder::new().schema(Some(reference("Problem"))).build();
        let response = ResponseBuilder::new().description(about).content("application/problem+json", content);
        components = components.response(name, response.build());
    }
    for name in KEY_SCHEMES {
        components = components.security_scheme(name, key_scheme(name));
    }
    components.build()
}

/// The name of the response of a failure.
pub(crate) fn problem_name(status: StatusCode) -> &'static str {
    PROBLEMS.iter().find(|(known, ..)| *known == status).map_or("Internal", |(_, name, _)| *name)
}

/// An object whose members are listed.
pub(crate) struct Fields(ObjectBuilder);

impl Fields {
    /// An object without members yet.
    fn new(about: &str) -> Self {
        Self(ObjectBuilder::new().schema_type(Type::Object).description(some(about)))
    }

    /// A member that is always there.
    fn always(self, name: &str, schema: impl Into<RefOr<Schema>>) -> Self {
        Self(self.0.property(name, schema).required(name))
    }

    /// A member that may be left out.
    fn maybe(self, name: &str, schema: impl Into<RefOr<Schema>>) -> Self {
        Self(self.0.property(name, schema))
    }

    /// No other members than those.
    fn closed(self) -> Self {
        Self(self.0.additional_properties(Some(AdditionalProperties::FreeForm(false))))
    }

    fn build(self) -> Object {
        self.0.build()
    }
}

fn some(about: &str) -> Option<&str> {
    (!about.is_empty()).then_some(about)
}

fn of_type(kind: Type, about: &str) -> Object {
    ObjectBuilder::new().schema_type(kind).description(some(about)).build()
}

/// A form by its name.
pub(crate) fn reference(name: &str) -> RefOr<Schema> {
    RefOr::Ref(Ref::from_schema_name(name))
}

/// A text.
pub(crate) fn text(about: &str) -> Object {
    of_type(Type::String, about)
}

/// One of a few texts.
pub(crate) fn one_of_texts(about: &str, words: &[&str]) -> Object {
    let builder = ObjectBuilder::new().schema_type(Type::String).description(some(about));
    builder.enum_values(Some(words.iter().copied())).build()
}

/// An instant.
pub(crate) fn instant(about: &str) -> Object {
    let format = SchemaFormat::KnownFormat(KnownFormat::DateTime);
    ObjectBuilder::new().schema_type(Type::String).format(Some(format)).description(some(about)).build()
}

/// An instant that a client names, or the beginning of a day of UTC.
pub(crate) fn asked_instant() -> AnyOfBuilder {
    let date = ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Date)));
    AnyOfBuilder::new().item(instant("")).item(date)
}

fn hash(about: &str) -> Object {
    let builder = ObjectBuilder::new().schema_type(Type::String).description(some(about));
    builder.pattern(Some("^[0-9a-f]{64}$")).build()
}

fn number(about: &str) -> Object {
    of_type(Type::Number, about)
}

fn truth(about: &str) -> Object {
    of_type(Type::Boolean, about)
}

fn whole(about: &str) -> Object {
    let builder = ObjectBuilder::new().schema_type(Type::Integer).description(some(about));
    builder.minimum(Some(0)).build()
}

/// A whole number that a client sends, as every JSON reader has it exactly.
fn asked_whole(about: &str) -> Object {
    let mut object = whole(about);
    object.maximum = Some(9_007_199_254_740_991_u64.into());
    object
}

/// A finite number that a client sends.
fn asked_number(about: &str) -> Object {
    let mut object = number(about);
    object.minimum = Some(f64::MIN.into());
    object.maximum = Some(f64::MAX.into());
    object
}

/// A whole number in a range.
pub(crate) fn whole_between(least: u32, most: u32) -> Object {
    let builder = ObjectBuilder::new().schema_type(Type::Integer);
    builder.minimum(Some(f64::from(least))).maximum(Some(f64::from(most))).build()
}

/// The same or null.
fn nullable(mut object: Object) -> Object {
    if let SchemaType::Type(kind) = object.schema_type {
        object.schema_type = SchemaType::Array(vec![kind, Type::Null]);
    }
    if let Some(words) = &mut object.enum_values {
        words.push(serde_json::Value::Null);
    }
    object
}

/// Another form or null.
fn nullable_reference(name: &str) -> Schema {
    let null = ObjectBuilder::new().schema_type(Type::Null);
    OneOfBuilder::new().item(reference(name)).item(null).build().into()
}

/// An array.
pub(crate) fn list_of(item: impl Into<RefOr<Schema>>) -> ArrayBuilder {
    ArrayBuilder::new().items(item.into())
}

/// An object with any members of one form.
pub(crate) fn map_of(member: impl Into<RefOr<Schema>>, about: &str) -> Object {
    let builder = ObjectBuilder::new().schema_type(Type::Object).description(some(about));
    builder.additional_properties(Some(AdditionalProperties::RefOr(member.into()))).build()
}

/// Any JSON.
fn anything(about: &str) -> Object {
    ObjectBuilder::new().schema_type(SchemaType::AnyValue).description(some(about)).build()
}

/// An object with any members.
pub(crate) fn any_object(about: &str) -> Object {
    of_type(Type::Object, about)
}

/// A body of text.
pub(crate) fn plain_text() -> Object {
    text("")
}

/// A row of a source.
pub(crate) fn row() -> Object {
    any_object("A row: the columns that the source declares.")
}

/// Rows whose columns a source declares, or one of them.
pub(crate) fn rows() -> Schema {
    OneOfBuilder::new().item(row()).item(list_of(row())).build().into()
}

/// A form or an array of it.
pub(crate) fn one_or_many(name: &str) -> Schema {
    OneOfBuilder::new().item(reference(name)).item(list_of(reference(name))).build().into()
}

fn page(name: &str) -> Fields {
    Fields::new("A page of a list.")
        .always("items", list_of(reference(name)))
        .always("next_page_token", nullable(text("Asks for the next page; null at the end.")))
}

/// A page of a list.
pub(crate) fn page_of(name: &str) -> Object {
    page(name).build()
}

/// A page of the versions that are related to one.
pub(crate) fn relatives() -> Object {
    page("Version").always("truncated", truth("Whether the graph goes on beyond these.")).build()
}
