//! What texts that clients write must be. Each form stands once: what is published is what is checked.

use std::sync::OnceLock;

use regex::Regex;
use utoipa::openapi::schema::Type;
use utoipa::openapi::{Object, ObjectBuilder};

/// What a text must be, as JSON Schema says it.
#[derive(Debug)]
pub(crate) struct TextForm {
    /// What it is, for messages about a text that is not.
    wants: &'static str,
    /// A regular expression in the syntax that ECMA 262, Python and Rust have in common.
    pattern: &'static str,
    /// How many characters at most.
    longest: Option<usize>,
    compiled: OnceLock<Option<Regex>>,
}

/// A text: no name, id or file of the service holds the character NUL, and Postgres takes none.
pub(crate) static PLAIN: TextForm = TextForm::new("a text without NUL characters", r"^[^\x00]*$");

/// A text that says something.
pub(crate) static REASON: TextForm =
    TextForm::new("a text that is not blank and has no NUL character", r"^[^\x00]*[^\s\x00][^\x00]*$");

/// An id that a client chose.
pub(crate) static ID: TextForm =
    TextForm::new("a text of 1 to 256 characters without control characters", r"^[^\x00-\x1f\x7f-\x9f]+$")
        .at_most(256);

/// A declared name: what a declaration may be called.
pub(crate) static NAME: TextForm =
    TextForm::new("a name: letters, digits, _ and -, a letter first", r"^[A-Za-z][A-Za-z0-9_-]*$");

/// What somebody calls a key.
pub(crate) static KEY_NAME: TextForm = TextForm::new(
    "a text of 1 to 100 characters that is not blank and has no control characters",
    r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$",
)
.at_most(100);

/// A length of time that reaches into the future, and not out of the calendar.
pub(crate) static SPAN: TextForm = TextForm::new(
    "a length of time such as 30d or 12h: 1 to 99999, and one of d, h, m, s, ms, us",
    r"^[1-9][0-9]{0,4}(d|h|m|s|ms|us)$",
);

/// The token of a page. What it says is the affair of the list that gave it.
pub(crate) static PAGE_TOKEN: TextForm =
    TextForm::new("a page token: pairs of lower-case hex digits", r"^([0-9a-f]{2})+$");

/// A content hash.
pub(crate) static HASH: TextForm = TextForm::new("a content hash: 64 hex digits", r"^[0-9A-Fa-f]{64}$");

/// A version of a model, as a path names it.
pub(crate) static VERSION: TextForm = TextForm::new(
    "a version: its number, \"current\", or at least 8 digits of its content hash",
    r"^(current|[0-9]{1,7}|[0-9A-Fa-f]{8,64})$",
);

/// An instant that says where on earth, or a date. JSON Schema has a format for each, which says more.
pub(crate) static INSTANT: TextForm = TextForm::new(
    "an instant with its offset, as 2026-01-31T12:00:00Z, or a date",
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt].*([Zz]|[+-][0-9]{2}:[0-9]{2}))?$",
);

impl TextForm {
    const fn new(wants: &'static str, pattern: &'static str) -> Self {
        Self { wants, pattern, longest: None, compiled: OnceLock::new() }
    }

    const fn at_most(mut self, characters: usize) -> Self {
        self.longest = Some(characters);
        self
    }

    /// What such a text is, for messages.
    pub(crate) fn wants(&self) -> &'static str {
        self.wants
    }

    /// Whether a text is one.
    pub(crate) fn fits(&self, text: &str) -> bool {
        if self.longest.is_some_and(|most| text.chars().nth(most).is_some()) {
            return false;
        }
        let pattern = self.compiled.get_or_init(|| {
            let compiled = Regex::new(self.pattern);
            assert!(compiled.is_ok(), "every pattern is a constant, and a test compiles each");
            compiled.ok()
        });
        pattern.as_ref().is_some_and(|pattern| pattern.is_match(text))
    }

    /// The same for the OpenAPI document.
    pub(crate) fn schema(&self, about: &str) -> Object {
        let about = (!about.is_empty()).then_some(about);
        let builder = ObjectBuilder::new().schema_type(Type::String).description(about);
        builder.pattern(Some(self.pattern)).max_length(self.longest).build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_takes_what_it_names_and_nothing_else() {
        let long = "é".repeat(101);
        let cases: [(&TextForm, &[&str], &[&str]); 10] = [
            (&PLAIN, &["", "a\n", "é"], &["\0", "a\0b"]),
            (&REASON, &["x", " worse\n"], &["", " \n", "x\0", "\0"]),
            (&ID, &["p1", " ", &long], &["", "a\nb", "\u{85}", "\0"]),
            (&NAME, &["bike-windowed", "a_1"], &["", "1a", "a b", "a\n", "é"]),
            (&KEY_NAME, &["shop 1", &long[2..]], &["", "  ", "a\tb", &long]),
            (&SPAN, &["30d", "99999us"], &["", "0d", "007d", "100000d", "1", "1w", "-1d"]),
            (&PAGE_TOKEN, &["6d6f"], &["", "6", "6D", "zz", "00\n"]),
            (&HASH, &[&"aB".repeat(32)], &["", &"a".repeat(63), &"+f".repeat(32)]),
            (&VERSION, &["7", "current", "deadbeef", "12345678"], &["", "-1", "deadbee", "latest", "7 "]),
            (
                &INSTANT,
                &["2011-01-01", "2011-01-01T05:00:00Z", "2011-01-01T05:00:00.5+01:00"],
                &["", "noon", "2011-01-01T05:00:00", "2011-01-01 05:00:00"],
            ),
        ];
        for (form, right, wrong) in cases {
            for text in right {
                assert!(form.fits(text), "{text:?} is {}", form.wants);
            }
            for text in wrong {
                assert!(!form.fits(text), "{text:?} is not {}", form.wants);
            }
        }
        assert!(!ID.fits(&"x".repeat(257)));
    }
}
