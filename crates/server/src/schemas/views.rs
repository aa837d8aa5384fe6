//! Forms of feature views.

use super::{
    Fields, anything, hash, instant, list_of, nullable, nullable_reference, number, one_of_texts, reference,
    text, truth, whole,
};

/// The forms with their names.
pub(super) fn schemas() -> Vec<(&'static str, Fields)> {
    vec![
        ("View", view()),
        ("Parity", parity()),
        ("FeatureParity", feature_parity()),
        ("ParityExample", parity_example()),
    ]
}

fn view() -> Fields {
    Fields::new("A version of a feature view, and how far it has taken in the log.")
        .always("name", text("Its name."))
        .always("version", hash("The hash of its definition."))
        .always(
            "declared",
            truth("Whether it is declared now; others are read by versions of models that were trained by them."),
        )
        .always(
            "state",
            one_of_texts("Whether it can be read: `filling` it cannot yet.", &["live", "filling", "failed"]),
        )
        .always("reason", nullable(text("Why it cannot be read; null if it can.")))
        .always("position", whole("The log was taken in up to here."))
        .always("target", whole("This is how far it has to come, and the log may have grown since."))
        .always("keys", nullable(whole("Entity keys with state; null if it cannot be read.")))
        .always("late_events", nullable(whole("Events that came late and were merged; null if it cannot be read.")))
        .always("serving", truth("Whether the view's name means this version."))
        .always("parity", nullable_reference("Parity"))
}

fn parity() -> Fields {
    Fields::new("A new version, compared with the one that serves by every read of that.")
        .always("with", hash("The version that serves."))
        .always("reads", whole("Reads that were compared."))
        .always("held", nullable(text("Why it does not take over; null if it will.")))
        .always("features", list_of(reference("FeatureParity")))
}

fn feature_parity() -> Fields {
    Fields::new("What two versions of a view say of a feature.")
        .always("feature", text("Its full name."))
        .always("same_definition", truth("Whether both define it in the same way, so that it must be equal."))
        .always("differing", whole("Reads whose values differ."))
        .always("max_error", number("The largest symmetric error, from 0 to 2."))
        .always("examples", list_of(reference("ParityExample")))
}

fn parity_example() -> Fields {
    Fields::new("A read whose two values differ.")
        .always("entity", text("The entity."))
        .always("at", instant("As of when it was read."))
        .always("old", anything("The value by the version that serves."))
        .always("new", anything("The value by the new version."))
}
