//! Query parameters: which there are, what they mean, and how they are read.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::Uri;
use axum::http::request::Parts;
use perennial_store::PageRequest;
use perennial_types::{Timestamp, did_you_mean};

use crate::problem::Problem;

/// A query parameter that a route takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Param {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) form: Form,
}

/// How a parameter is written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    /// Any text.
    Text,
    /// An instant, RFC 3339.
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

pub(crate) const PAGE_TOKEN: Param =
    Param { name: "page_token", about: "The `next_page_token` of the page before.", form: Form::Text };

/// Refuse a query that cannot be read, or has a parameter that is not `known`, or one twice.
pub(crate) fn check(uri: &Uri, known: &[&'static str], others: bool) -> Result<(), Problem> {
    let Some(query) = uri.query() else { return Ok(()) };
    check_escapes(query)?;
    let pairs = pairs(uri)?;
    for (index, (name, value)) in pairs.iter().enumerate() {
        if name.contains('\0') || value.contains('\0') {
            return Err(Problem::invalid(format!("query parameter {name:?} contains a NUL character")));
        }
        if pairs[..index].iter().any(|(earlier, _)| earlier == name) {
            return Err(Problem::invalid(format!("query parameter {name:?} is given twice")));
        }
        if !others && !known.contains(&name.as_str()) {
            let help = match known.is_empty() {
                true => "; this route takes none".to_owned(),
                false => did_you_mean(name, known.iter().copied()),
            };
            return Err(Problem::invalid(format!("unknown query parameter {name:?}{help}")));
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
        let Some(text) = self.text(param) else { return Ok(None) };
        let read = Timestamp::parse(text);
        let wrong = |error| Problem::invalid(format!("query parameter {:?}: {error}", param.name));
        read.map(Some).map_err(wrong)
    }

    /// The instant that a request is made at.
    pub(crate) fn at(&self) -> Result<Option<Timestamp>, Problem> {
        self.instant(&AT)
    }

    /// A whole number within the range of its form.
    pub(crate) fn whole(&self, param: &Param) -> Result<Option<u32>, Problem> {
        let Some(text) = self.text(param) else { return Ok(None) };
        let (least, most) = match param.form {
            Form::Whole { least, most } => (least, most),
            Form::Text | Form::Instant | Form::OneOf(_) => (0, u32::MAX),
        };
        match text.parse().ok().filter(|number| (least..=most).contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(Problem::invalid(format!(
                "query parameter {:?}: {text:?} is not a whole number between {least} and {most}",
                param.name
            ))),
        }
    }

    /// One of a few words, as a type that is written as such.
    pub(crate) fn one_of<T: serde::de::DeserializeOwned>(&self, param: &Param) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(param) else { return Ok(None) };
        serde_json::from_value(text.into()).map(Some).map_err(|_| {
            let words = match param.form {
                Form::OneOf(words) => words,
                Form::Text | Form::Instant | Form::Whole { .. } => &[],
            };
            let help = did_you_mean(text, words.iter().copied());
            Problem::invalid(format!("query parameter {:?}: unknown value {text:?}{help}", param.name))
        })
    }

    /// The page of a list.
    pub(crate) fn page(&self) -> Result<PageRequest, Problem> {
        let default = PageRequest::default();
        let size = self.whole(&PAGE_SIZE)?.unwrap_or(default.page_size);
        let page_token = self.text(&PAGE_TOKEN).map(str::to_owned);
        if page_token.as_deref().is_some_and(names_nul) {
            return Err(Problem::invalid("query parameter \"page_token\": this is no page token"));
        }
        Ok(PageRequest { page_size: size.min(PageRequest::LARGEST), page_token })
    }
}

/// Whether the text that a token stands for, in hex, has a NUL character.
fn names_nul(token: &str) -> bool {
    token.as_bytes().chunks(2).any(|digits| digits == b"00")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(query: &str) -> String {
        let uri: Uri = format!("/v1/runs?{query}").parse().unwrap();
        check(&uri, &["model", "page_size"], false).unwrap_err().detail().to_owned()
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
        let uri: Uri = "/?model=caf%C3%A9+1".parse().unwrap();
        assert!(check(&uri, &["model"], false).is_ok());
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
        assert!(params("at=noon").at().unwrap_err().detail().contains("\"noon\" is not a time"));
        assert!(params("page_token=72750a00").page().is_err());
    }
}
