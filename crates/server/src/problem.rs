//! Errors as RFC 9457 problem details.

use axum::Json;
use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use perennial_gateway::GatewayError;
use perennial_log::LogError;
use perennial_orchestrator::OrchestratorError;
use perennial_pipeline::PipelineError;
use perennial_store::StoreError;
use perennial_types::Kind;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::keys::KeyRingError;

/// What a client gets in place of an answer.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    detail: String,
    /// Members beyond those of the standard, such as `faults` and `refused`; rarely any, hence the box.
    more: Option<Box<Map<String, Value>>>,
    /// How a key could be sent by a browser, where one is asked for.
    browser: bool,
}

/// A problem as it is written.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    type_uri: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
    #[serde(flatten)]
    more: Option<&'a Map<String, Value>>,
}

impl Problem {
    /// Of a status, with a sentence about what happened and what would help.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), more: None, browser: false }
    }

    /// The request is not of the form that the OpenAPI document publishes (400).
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// The request is of its form, and a rule beyond the form refuses it (422): what the project declares, or a
    /// part that contradicts another.
    pub fn unprocessable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    /// The request contradicts what is there (409).
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// The named thing does not exist (404).
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// A defect of the service (500).
    pub fn internal(error: &dyn std::error::Error) -> Self {
        Self::of(Kind::Internal, error)
    }

    /// Of an error's kind and message. The form of a request was checked before anything could fail in this way,
    /// so that input which is wrong nevertheless is of its form.
    pub fn of(kind: Kind, error: &dyn std::error::Error) -> Self {
        let status = match kind {
            Kind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::Conflict => StatusCode::CONFLICT,
            Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(error = %error, "a request failed");
        }
        Self::new(status, error.to_string())
    }

    /// A browser asks its user for the key, where one is wanted.
    #[must_use]
    pub(crate) fn for_browsers(mut self) -> Self {
        self.browser = true;
        self
    }

    /// With a sentence around that about what happened.
    #[must_use]
    pub(crate) fn said(mut self, sentence: impl FnOnce(&str) -> String) -> Self {
        self.detail = sentence(&self.detail);
        self
    }

    /// The sentence about what happened.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// With a further member.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Serialize) -> Self {
        let value = serde_json::to_value(value).unwrap_or_default();
        self.more.get_or_insert_default().insert(name.to_owned(), value);
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let document = Document {
            type_uri: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            more: self.more.as_deref(),
        };
        let mut response = (self.status, Json(document)).into_response();
        let problem = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, problem);
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"perennial\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
            if self.browser {
                let challenge = HeaderValue::from_static("Basic realm=\"perennial\", charset=\"UTF-8\"");
                response.headers_mut().append(header::WWW_AUTHENTICATE, challenge);
            }
        }
        if [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS].contains(&self.status) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl From<GatewayError> for Problem {
    fn from(error: GatewayError) -> Self {
        Self::of(error.kind(), &error)
    }
}

impl From<PipelineError> for Problem {
    fn from(error: PipelineError) -> Self {
        match error {
            PipelineError::Log(error) => error.into(),
            error => Self::of(error.kind(), &error),
        }
    }
}

impl From<LogError> for Problem {
    fn from(error: LogError) -> Self {
        match &error {
            LogError::Full { .. } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, error.to_string()).with("full", "log")
            }
            _ => Self::of(error.kind(), &error),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::of(error.kind(), &error)
    }
}

impl From<KeyRingError> for Problem {
    fn from(error: KeyRingError) -> Self {
        Self::of(error.kind(), &error)
    }
}

impl From<OrchestratorError> for Problem {
    fn from(error: OrchestratorError) -> Self {
        let problem = Self::of(error.kind(), &error);
        match error {
            OrchestratorError::Faults(faults) => problem.with("faults", faults),
            OrchestratorError::Refused(reasons) => problem.with("refusals", reasons),
            _ => problem,
        }
    }
}

/// Path parameters; what does not fit is a problem.
#[derive(Debug)]
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        path.map(|path| Self(path.0)).map_err(|rejection| Problem::invalid(rejection.body_text()))
    }
}

/// The answer to a path that no route has.
pub(crate) async fn no_route(request: Request) -> Problem {
    Problem::not_found(format!("no route {}; GET /openapi.json lists them all", request.uri().path()))
}

/// The answer to a method that a route does not have.
pub(crate) async fn no_method(request: Request) -> Problem {
    let detail = format!("{} does not take {}; see the Allow header", request.uri().path(), request.method());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}
