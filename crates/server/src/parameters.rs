//! Parameters of paths and queries: which there are, what they mean, and how they are read.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::Uri;
use axum::http::request::Parts;
use perennial_store::PageRequest;
use perennial_types::{Timestamp, did_you_mean};

use crate::problem::Problem;
use crate::schemas::REPORT_FORMATS;
use crate::text::{self, TextForm};

/// A parameter that a route takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Param {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) form: Form,
}

/// How a parameter is written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    /// A text of a form.
    Text(&'static TextForm),
    /// An instant with its offset (RFC 3339), or a date.
    Instant,
    /// A whole number in a range.
    Whole { least: u32, most: u32 },
    /// One of these.
    OneOf(&'static [&'static str]),
}

/// The instant of a write or a prediction.
pub(crate) const AT: Param = Param {
    name: "at",
    about: "The instant of the request. Wanted under the event clock, where it never decreases; refused under \
            the wall clock.",
    form: Form::Instant,
};

/// The most items that a client may ask for in one page.
const LARGEST_PAGE: u32 = 1_000;

pub(crate) const PAGE_SIZE: Param = Param {
    name: "page_size",
    about: "How many items a page has at most (default 50). A page may be shorter than that.",
    form: Form::Whole { least: 1, most: LARGEST_PAGE },
};

pub(crate) const PAGE_TOKEN: Param = Param {
    name: "page_token",
    about: "The `next_page_token` of the page before.",
    form: Form::Text(&text::PAGE_TOKEN),
};

/// The parameters that stand in paths.
pub(crate) const IN_PATHS: [Param; 11] = [
    Param { name: "source", about: "The name of a source.", form: Form::Text(&text::NAME) },
    Param { name: "endpoint", about: "The name of an endpoint.", form: Form::Text(&text::NAME) },
    Param { name: "view", about: "The name of a feature view.", form: Form::Text(&text::NAME) },
    Param { name: "model", about: "The name of a model.", form: Form::Text(&text::NAME) },
    Param {
        name: "version",
        about: "A version of the model: its number, its content hash, at least eight first digits of the hash that \
                no other version has, or `current`.",
        form: Form::Text(&text::VERSION),
    },
    Param { name: "experiment", about: "The name of an experiment.", form: Form::Text(&text::NAME) },
    Param { name: "dataset", about: "The hash of a dataset.", form: Form::Text(&text::HASH) },
    Param { name: "run", about: "The id of a run.", form: Form::Text(&text::ID) },
    Param { name: "report", about: "The id of a report.", form: Form::Text(&text::ID) },
    Param { name: "format", about: "What the report was written as.", form: Form::OneOf(&REPORT_FORMATS) },
    Param { name: "key", about: "The id of a key.", form: Form::Text(&text::ID) },
];

/// The parameter that stands in a path by a name.
pub(crate) fn in_path(name: &str) -> Option<&'static Param> {
    IN_PATHS.iter().find(|param| param.name == name)
}

impl Param {
    /// What it is called in the project of the document's examples.
    pub(crate) fn example(&self) -> Option<&'static str> {
        match self.name {
            "source" => Some("demand"),
            "endpoint" => Some("bike"),
            "view" => Some("slot_demand"),
            "model" => Some("usual"),
            _ => None,
        }
    }

    /// Refuse a text that is not of the form; `place` says where it stood.
    fn check(&self, place: &str, text: &str) -> Result<(), Problem> {
        match self.form {
            Form::Text(form) if form.fits(text) => Ok(()),
            Form::Text(form) => {
                let (name, wants) = (self.name, form.wants());
                Err(Problem::invalid(format!("{place} {name:?}: {text:?} is not {wants}")))
            }
            Form::Instant => instant(place, self.name, text).map(|_| ()),
            Form::Whole { .. } => self.whole(place, text).map(|_| ()),
            Form::OneOf(words) if words.contains(&text) => Ok(()),
            Form::OneOf(_) => Err(self.unknown_word(place, text)),
        }
    }

    fn whole(&self, place: &str, text: &str) -> Result<u32, Problem> {
        let (least, most) = match self.form {
            Form::Whole { least, most } => (least, most),
            Form::Text(_) | Form::Instant | Form::OneOf(_) => (0, u32::MAX),
        };
        text.parse().ok().filter(|number| (least..=most).contains(number)).ok_or_else(|| {
            let name = self.name;
            Problem::invalid(format!(
                "{place} {name:?}: {text:?} is not a whole number between {least} and {most}"
            ))
        })
    }

    fn unknown_word(&self, place: &str, text: &str) -> Problem {
        let words = match self.form {
            Form::OneOf(words) => words,
            Form::Text(_) | Form::Instant | Form::Whole { .. } => &[],
        };
        let help = did_you_mean(text, words.iter().copied());
        Problem::invalid(format!("{place} {:?}: unknown value {text:?}{help}", self.name))
    }
}

fn instant(place: &str, name: &str, text: &str) -> Result<Timestamp, Problem> {
    let read = Timestamp::parse(text).ok().filter(|_| text::INSTANT.fits(text));
    let wants = text::INSTANT.wants();
    read.ok_or_else(|| Problem::invalid(format!("{place} {name:?}: {text:?} is not {wants}")))
}

/// Refuse a path with a parameter that is not of its form.
pub(crate) fn check_path(params: &RawPathParams) -> Result<(), Problem> {
    for (name, text) in params {
        if let Some(param) = in_path(name) {
            param.check("path parameter", text)?;
        }
    }
    Ok(())
}

/// Refuse a query that cannot be read, or has a parameter that is not `known`, one twice, or one that is not of
/// its form.
pub(crate) fn check(uri: &Uri, known: &[Param], others: bool) -> Result<(), Problem> {
    let Some(query) = uri.query() else { return Ok(()) };
    check_escapes(query)?;
    let pairs = pairs(uri)?;
    for (index, (name, value)) in pairs.iter().enumerate() {
        // A name with one is a name that nothing has, and is refused as that.
        if value.contains('\0') {
            return Err(Problem::invalid(format!("query parameter {name:?} contains a NUL character")));
        }
        if pairs[..index].iter().any(|(earlier, _)| earlier == name) {
            return Err(Problem::invalid(format!("query parameter {name:?} is given twice")));
        }
        match known.iter().find(|param| param.name == name) {
            Some(param) => param.check("query parameter", value)?,
            None if others => {}
            None => {
                let help = match known.is_empty() {
                    true => "; this route takes none".to_owned(),
                    false => did_you_mean(name, known.iter().map(|param| param.name)),
                };
                return Err(Problem::invalid(format!("unknown query parameter {name:?}{help}")));
            }
        }
    }
    Ok(())
}

/// Every `%` begins two hex digits, and what they stand for is UTF-8.
fn check_escapes(query: &str) -> Result<(), Problem> {
    let mut bytes = Vec::with_capacity(query.len());
    let mut rest = query.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let escaped =
            || std::str::from_utf8(tail.get(..2)?).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok());
        let (byte, length) = match (*first, escaped()) {
            (b'%', Some(byte)) => (byte, 2),
            (b'%', None) => {
                return Err(Problem::invalid(
                    "the query has a % that is not followed by two hex digits; write % itself as %25",
                ));
            }
            (other, _) => (other, 0),
        };
        bytes.push(byte);
        rest = &tail[length..];
    }
    match String::from_utf8(bytes) {
        Ok(_) => Ok(()),
        Err(_) => Err(Problem::invalid("the query is not UTF-8 once its %-escapes are resolved")),
    }
}

fn pairs(uri: &Uri) -> Result<Vec<(String, String)>, Problem> {
    let query = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri);
    query.map(|query| query.0).map_err(|rejection| Problem::invalid(rejection.body_text()))
}

/// The query parameters of a request, which [`check`] has let through.
#[derive(Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(pairs(&parts.uri).unwrap_or_default()))
    }
}

impl Params {
    /// Every name with its text.
    pub(crate) fn pairs(&self) -> &[(String, String)] {
        &self.0
    }

    /// A parameter as it was written.
    pub(crate) fn text(&self, param: &Param) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == param.name).map(|(_, value)| value.as_str())
    }

    /// An instant.
    pub(crate) fn instant(&self, param: &Param) -> Result<Option<Timestamp>, Problem> {
        self.text(param).map(|text| instant("query parameter", param.name, text)).transpose()
    }

    /// The instant that a request is made at.
    pub(crate) fn at(&self) -> Result<Option<Timestamp>, Problem> {
        self.instant(&AT)
    }

    /// A whole number within the range of its form.
    pub(crate) fn whole(&self, param: &Param) -> Result<Option<u32>, Problem> {
        self.text(param).map(|text| param.whole("query parameter", text)).transpose()
    }

    /// One of a few words, as a type that is written as such.
    pub(crate) fn one_of<T: serde::de::DeserializeOwned>(&self, param: &Param) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(param) else { return Ok(None) };
        let read = serde_json::from_value(text.into()).map(Some);
        read.map_err(|_| param.unknown_word("query parameter", text))
    }

    /// The page of a list.
    pub(crate) fn page(&self) -> Result<PageRequest, Problem> {
        let default = PageRequest::default();
        let size = self.whole(&PAGE_SIZE)?.unwrap_or(default.page_size);
        let page_token = self.text(&PAGE_TOKEN).map(str::to_owned);
        Ok(PageRequest { page_size: size.min(PageRequest::LARGEST), page_token })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: Param = Param { name: "model", about: "", form: Form::Text(&text::NAME) };
    const ANY: Param = Param { name: "model", about: "", form: Form::Text(&text::PLAIN) };

    fn refusal(query: &str) -> String {
        let uri: Uri = format!("/v1/runs?{query}").parse().unwrap();
        check(&uri, &[MODEL, PAGE_SIZE], false).unwrap_err().detail().to_owned()
    }

    fn params(query: &str) -> Params {
        Params(pairs(&format!("/?{query}").parse().unwrap()).unwrap())
    }

    #[test]
    fn an_unknown_parameter_is_refused_by_naming_the_nearest() {
        assert_eq!(refusal("modle=a"), "unknown query parameter \"modle\"; did you mean \"model\"?");
        assert_eq!(refusal("model=a&model=b"), "query parameter \"model\" is given twice");
        let uri: Uri = "/v1/status?x=1".parse().unwrap();
        assert_eq!(
            check(&uri, &[], false).unwrap_err().detail(),
            "unknown query parameter \"x\"; this route takes none"
        );
        assert!(check(&uri, &[], true).is_ok());
    }

    #[test]
    fn escapes_that_stand_for_nothing_are_refused() {
        assert!(refusal("model=%zz").contains("not followed by two hex digits"));
        assert!(refusal("model=%f").contains("not followed by two hex digits"));
        assert!(refusal("model=%ff%fe").contains("not UTF-8"));
        assert!(refusal("model=%00").contains("NUL"));
        assert!(refusal("%00=1").contains("unknown query parameter"));
        let uri: Uri = "/?model=caf%C3%A9+1".parse().unwrap();
        assert!(check(&uri, &[ANY], false).is_ok());
        assert_eq!(pairs(&uri).unwrap()[0].1, "café 1");
    }

    #[test]
    fn numbers_and_instants_are_named_when_they_are_wrong() {
        for text in ["0", "1001", "-1", "x", "", "99999999999999999999"] {
            let problem = params(&format!("page_size={text}")).page().unwrap_err();
            assert!(problem.detail().contains("is not a whole number between 1 and 1000"), "{text}");
        }
        assert_eq!(params("page_size=1000").page().unwrap().page_size, PageRequest::LARGEST);
        assert_eq!(params("").page().unwrap(), PageRequest::default());
        assert!(params("at=noon").at().unwrap_err().detail().contains("\"noon\" is not an instant"));
    }
}
