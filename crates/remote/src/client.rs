//! How calls travel: one address, kept-alive connections, JSON both ways.

use std::error::Error;
use std::time::Duration;

use perennial_types::{Secret, Timestamp};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Problem, RemoteError};

/// How long a call may take, the runs of an instant under the event clock included.
const DEADLINE: Duration = Duration::from_secs(120);
/// Rows of a page: the most that the service gives.
const PAGE_SIZE: &str = "1000";

/// A client of one service. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    base: Url,
    http: reqwest::Client,
}

/// A page of a list.
#[derive(Deserialize)]
struct Page<T> {
    items: Vec<T>,
    #[serde(default)]
    truncated: bool,
    next_page_token: Option<String>,
}

/// All pages of a list.
pub(crate) struct Listing<T> {
    pub(crate) items: Vec<T>,
    pub(crate) truncated: bool,
}

impl Client {
    /// A client of the service at `address`, such as `http://127.0.0.1:7070`. Nothing is sent yet.
    ///
    /// # Errors
    /// When the address is not one of plain HTTP.
    pub fn new(address: &str) -> Result<Self, RemoteError> {
        let wrong =
            |reason: &str| RemoteError::Address { given: address.to_owned(), reason: reason.to_owned() };
        let base = Url::parse(address).map_err(|error| wrong(&error.to_string()))?;
        if base.scheme() != "http" || !base.has_host() {
            return Err(wrong("expected http and a host"));
        }
        let http = connections(HeaderMap::new()).map_err(|error| wrong(&causes(&error)))?;
        Ok(Self { base, http })
    }

    /// The same client with a key that every call brings.
    ///
    /// # Errors
    /// When the key cannot stand in a header.
    pub fn with_key(self, key: &Secret) -> Result<Self, RemoteError> {
        let wrong = |reason: String| RemoteError::Key { reason };
        let mut value = HeaderValue::try_from(format!("Bearer {}", key.reveal()))
            .map_err(|_| wrong("it has characters that a header cannot have".to_owned()))?;
        value.set_sensitive(true);
        let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
        let http = connections(headers).map_err(|error| wrong(causes(&error)))?;
        Ok(Self { http, ..self })
    }

    /// The address of the service, without a slash at its end.
    pub fn address(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Any `GET` as it is answered: `path` such as `/v1/models`, `query` in pairs.
    ///
    /// # Errors
    /// When there is no answer, or it is a problem.
    pub async fn ask(&self, path: &str, query: &[(&str, String)]) -> Result<serde_json::Value, RemoteError> {
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        let query: Vec<(&str, Option<String>)> =
            query.iter().map(|(name, value)| (*name, Some(value.clone()))).collect();
        self.get(self.url(&segments, &query)).await
    }

    /// `base/segments…?query`, everything escaped; pairs without a value are left out.
    pub(crate) fn url(&self, segments: &[&str], query: &[(&str, Option<String>)]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        for (name, value) in query {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        url
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, url: Url) -> Result<T, RemoteError> {
        let call = format!("GET {url}");
        self.answer(self.http.get(url), call).await
    }

    /// A `POST` without a body.
    pub(crate) async fn post<T: DeserializeOwned>(&self, url: Url) -> Result<T, RemoteError> {
        let call = format!("POST {url}");
        self.answer(self.http.post(url), call).await
    }

    pub(crate) async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        url: Url,
        body: &impl Serialize,
    ) -> Result<T, RemoteError> {
        let call = format!("{method} {url}");
        self.answer(self.http.request(method, url).json(body), call).await
    }

    /// Every item of a list, page after page.
    pub(crate) async fn list<T: DeserializeOwned>(&self, url: Url) -> Result<Listing<T>, RemoteError> {
        let mut listing = Listing { items: Vec::new(), truncated: false };
        let mut token: Option<String> = None;
        loop {
            let mut page_url = url.clone();
            page_url.query_pairs_mut().append_pair("page_size", PAGE_SIZE);
            if let Some(token) = &token {
                page_url.query_pairs_mut().append_pair("page_token", token);
            }
            let page: Page<T> = self.get(page_url).await?;
            listing.items.extend(page.items);
            listing.truncated |= page.truncated;
            match page.next_page_token {
                None => return Ok(listing),
                next => token = next,
            }
        }
    }

    async fn answer<T: DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
        call: String,
    ) -> Result<T, RemoteError> {
        let lost =
            |error: reqwest::Error| RemoteError::NoAnswer { call: call.clone(), reason: causes(&error) };
        let response = request.send().await.map_err(lost)?;
        let status = response.status();
        let body = response.bytes().await.map_err(lost)?;
        if !status.is_success() {
            let problem = Box::new(Problem::of_answer(status.as_u16(), &body));
            return Err(RemoteError::Refused { call, problem });
        }
        serde_json::from_slice(&body)
            .map_err(|error| RemoteError::Malformed { call, reason: error.to_string() })
    }
}

/// Connections whose requests bring these headers.
fn connections(headers: HeaderMap) -> Result<reqwest::Client, reqwest::Error> {
    let builder = reqwest::Client::builder().tcp_nodelay(true).no_proxy().pool_idle_timeout(None);
    builder.timeout(DEADLINE).default_headers(headers).build()
}

/// `at` as a query pair.
pub(crate) fn at_pair(at: Option<Timestamp>) -> (&'static str, Option<String>) {
    ("at", at.map(|at| at.to_string()))
}

/// An error with its causes, outermost first; the address is named by the caller.
fn causes(error: &reqwest::Error) -> String {
    let mut text = match error.source() {
        Some(source) => source.to_string(),
        None => error.to_string(),
    };
    let mut cause = error.source().and_then(Error::source);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_sent_and_never_printed() {
        let client = Client::new("http://127.0.0.1:7070").unwrap();
        let with_key = client.clone().with_key(&Secret::new("pk_a_b")).unwrap();
        assert!(!format!("{with_key:?}").contains("pk_a_b"));
        let error = client.with_key(&Secret::new("pk_a\nb")).unwrap_err();
        assert!(!error.to_string().contains("pk_a"), "{error}");
    }
}
