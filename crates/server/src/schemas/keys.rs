//! Forms of keys.

use perennial_control::Scope;

use super::{Fields, instant, list_of, nullable, one_of_texts, text};
use crate::text;

/// The forms with their names.
pub(super) fn schemas() -> Vec<(&'static str, Fields)> {
    let secret = text("What callers send. It is shown this once and kept nowhere.");
    vec![
        ("KeyRequest", request()),
        ("Key", key("Who may call, without the secret.")),
        ("CreatedKey", key("A new key.").always("secret", secret)),
    ]
}

fn scopes() -> utoipa::openapi::ArrayBuilder {
    list_of(one_of_texts("What it opens; `admin` opens everything.", &Scope::ALL.map(Scope::name)))
}

fn request() -> Fields {
    Fields::new("A key that is wanted. The first one must be allowed to do everything.")
        .always("name", text::KEY_NAME.schema("What it is for."))
        .always("scopes", scopes().min_items(Some(1)))
        .maybe(
            "expires_in",
            nullable(text::SPAN.schema("How long it opens anything, as `30d`; for ever if left out.")),
        )
        .closed()
}

fn key(about: &str) -> Fields {
    Fields::new(about)
        .always("id", text("Its id, which is no secret."))
        .always("name", text("What it is for."))
        .always("scopes", scopes())
        .always("added_at", instant("When it was made, by the wall clock."))
        .always("expires_at", nullable(instant("When it stops to open anything.")))
        .always("revoked_at", nullable(instant("When it was revoked.")))
}
