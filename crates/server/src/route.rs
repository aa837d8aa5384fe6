//! A route: its path, its handler and what the OpenAPI document says of it; and the router of them all.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{DefaultBodyLimit, MatchedPath, RawPathParams, Request, State};
use axum::handler::Handler;
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{self, MethodRouter};
pub(crate) use perennial_control::Scope;
use serde_json::Value;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::trace::TraceLayer;
use tracing::{Instrument, Span};
use utoipa::openapi::{HttpMethod, RefOr, Schema};

use crate::App;
use crate::gate::Door;
use crate::parameters::{self, Param};
use crate::problem::{Problem, no_method, no_route};
use crate::{body, routes};

/// The parameters of a path, unless it has none or they are no text, which the handler's own reading refuses.
type PathParams = Result<RawPathParams, RawPathParamsRejection>;

/// A route of the service.
pub(crate) struct Route {
    pub(crate) method: HttpMethod,
    pub(crate) path: &'static str,
    /// What its caller must be allowed to do; nothing for a route that anybody may use.
    pub(crate) scope: Option<Scope>,
    pub(crate) handler: MethodRouter<Arc<App>>,
    /// Whether people open it in a browser, which knows no way to bring a key but Basic.
    pub(crate) page: bool,
    /// What it does, a sentence.
    pub(crate) summary: &'static str,
    pub(crate) query: Vec<Param>,
    /// What query parameters beyond `query` mean, where others are taken.
    pub(crate) other_query: Option<&'static str>,
    /// What the body is.
    pub(crate) body: Option<RefOr<Schema>>,
    /// A body that is taken where the project of the examples runs.
    pub(crate) example: Option<Value>,
    /// What a line is, where the body may be an object a line.
    pub(crate) lines: Option<RefOr<Schema>>,
    /// The answer of status 200: its media type and form.
    pub(crate) reply: (&'static str, RefOr<Schema>),
    /// Failures beyond those that any route may have.
    pub(crate) failures: Vec<StatusCode>,
    /// Whether it waits its turn with others that bring much.
    bounded: bool,
}

impl Route {
    /// A route that reads, by scope `read`.
    pub(crate) fn get<H, T>(path: &'static str, handler: H, summary: &'static str) -> Self
    where
        H: Handler<T, Arc<App>>,
        T: 'static,
    {
        Self::new(HttpMethod::Get, Scope::Read, path, routing::get(handler), summary)
    }

    /// A route that takes a body.
    pub(crate) fn post<H, T>(scope: Scope, path: &'static str, handler: H, summary: &'static str) -> Self
    where
        H: Handler<T, Arc<App>>,
        T: 'static,
    {
        Self::new(HttpMethod::Post, scope, path, routing::post(handler), summary)
    }

    /// A route that replaces what is there.
    pub(crate) fn put<H, T>(scope: Scope, path: &'static str, handler: H, summary: &'static str) -> Self
    where
        H: Handler<T, Arc<App>>,
        T: 'static,
    {
        Self::new(HttpMethod::Put, scope, path, routing::put(handler), summary)
    }

    fn new(
        method: HttpMethod,
        scope: Scope,
        path: &'static str,
        handler: MethodRouter<Arc<App>>,
        summary: &'static str,
    ) -> Self {
        Self {
            method,
            path,
            scope: Some(scope),
            handler,
            page: false,
            summary,
            query: Vec::new(),
            other_query: None,
            body: None,
            example: None,
            lines: None,
            reply: ("application/json", RefOr::T(Schema::default())),
            failures: Vec::new(),
            bounded: false,
        }
    }

    /// A route that takes something away.
    pub(crate) fn delete<H, T>(scope: Scope, path: &'static str, handler: H, summary: &'static str) -> Self
    where
        H: Handler<T, Arc<App>>,
        T: 'static,
    {
        Self::new(HttpMethod::Delete, scope, path, routing::delete(handler), summary)
    }

    /// By another scope than its method suggests.
    pub(crate) fn only(mut self, scope: Scope) -> Self {
        self.scope = Some(scope);
        self
    }

    /// Anybody may use it, with a key or without.
    pub(crate) fn open(mut self) -> Self {
        self.scope = None;
        self
    }

    /// People open it in a browser.
    pub(crate) fn page(mut self) -> Self {
        self.page = true;
        self
    }

    /// With query parameters.
    pub(crate) fn query(mut self, params: &[Param]) -> Self {
        self.query = params.to_vec();
        self
    }

    /// With any other query parameters, and what they mean.
    pub(crate) fn other_query(mut self, about: &'static str) -> Self {
        self.other_query = Some(about);
        self
    }

    /// With a JSON body.
    pub(crate) fn body(mut self, schema: impl Into<RefOr<Schema>>) -> Self {
        self.body = Some(schema.into());
        self.failures.push(StatusCode::PAYLOAD_TOO_LARGE);
        self
    }

    /// With a body to copy, for the project of the examples.
    pub(crate) fn example(mut self, body: Value) -> Self {
        self.example = Some(body);
        self
    }

    /// With a body that may also be one object a line.
    pub(crate) fn or_lines(mut self, line: impl Into<RefOr<Schema>>) -> Self {
        self.lines = Some(line.into());
        self
    }

    /// With a JSON answer.
    pub(crate) fn reply(self, schema: impl Into<RefOr<Schema>>) -> Self {
        self.reply_as("application/json", schema)
    }

    /// With an answer of another media type.
    pub(crate) fn reply_as(mut self, media_type: &'static str, schema: impl Into<RefOr<Schema>>) -> Self {
        self.reply = (media_type, schema.into());
        self
    }

    /// Where a name in the path may not exist.
    pub(crate) fn may_be_missing(self) -> Self {
        self.may_fail(StatusCode::NOT_FOUND)
    }

    /// Where the request may contradict what is there.
    pub(crate) fn may_conflict(self) -> Self {
        self.may_fail(StatusCode::CONFLICT)
    }

    /// Where more is asked of a request than its form.
    pub(crate) fn may_be_unprocessable(self) -> Self {
        self.may_fail(StatusCode::UNPROCESSABLE_ENTITY)
    }

    /// Where much may come at once: what is too much is refused, and may come again.
    pub(crate) fn may_be_full(mut self) -> Self {
        self.bounded = true;
        self.may_fail(StatusCode::TOO_MANY_REQUESTS)
    }

    fn may_fail(mut self, status: StatusCode) -> Self {
        self.failures.push(status);
        self
    }

    /// The handler behind a check of the caller's key, and of the parameters in path and query.
    fn guarded(self, app: &Arc<App>) -> MethodRouter<Arc<App>> {
        let (app, scope, bounded) = (Arc::clone(app), self.scope, self.bounded);
        let door = if self.page { Door::Page } else { Door::Api };
        let known: Arc<[Param]> = self.query.into();
        let others = self.other_query.is_some();
        self.handler.route_layer(middleware::from_fn(
            move |path: PathParams, request: Request, next: Next| {
                let (app, known) = (Arc::clone(&app), Arc::clone(&known));
                async move {
                    let admit = |scope| app.gate.admit(request.headers(), scope, door);
                    let key = scope.map(admit).transpose()?.flatten();
                    if let Ok(path) = path {
                        parameters::check_path(&path)?;
                    }
                    parameters::check(request.uri(), &known, others)?;
                    let turn = || app.spikes.enter(request.headers(), app.pipeline());
                    let _turn = bounded.then(turn).transpose()?;
                    let span = by(key.as_deref(), scope);
                    Ok::<_, Problem>(next.run(request).instrument(span).await)
                }
            },
        ))
    }
}

/// Who asks: shown with every change, and with other requests where these are logged.
fn by(key: Option<&str>, scope: Option<Scope>) -> Span {
    match (key, scope) {
        (Some(key), Some(Scope::Admin)) => tracing::info_span!("asked", key),
        (Some(key), _) => tracing::debug_span!("asked", key),
        (None, _) => Span::none(),
    }
}

/// Every route, ready to be served.
pub fn router(app: Arc<App>) -> Router {
    let mut router = Router::new();
    for route in routes::all() {
        router = router.route(route.path, route.guarded(&app));
    }
    router
        .method_not_allowed_fallback(no_method)
        .fallback(no_route)
        .layer(DefaultBodyLimit::max(body::LARGEST))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), measured))
        // Failures are logged where they are understood: in the problem that is answered.
        .layer(TraceLayer::new_for_http().on_failure(()))
        .with_state(app)
}

async fn measured(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let route = request.extensions().get::<MatchedPath>().cloned();
    // What no route matched has one label together, and so do methods that no route has: anybody can send
    // any number of different ones.
    let mut known = ["GET", "HEAD", "POST", "PUT", "DELETE"].into_iter();
    let method = known.find(|known| *known == request.method().as_str()).unwrap_or("other");
    let response = next.run(request).await;
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    app.metrics.requested(route, method, response.status().as_u16(), started.elapsed());
    response
}

#[expect(clippy::needless_pass_by_value, reason = "the layer hands the cause of a panic over as a box")]
fn panicked(cause: Box<dyn Any + Send + 'static>) -> Response {
    let text = cause.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| cause.downcast_ref::<&str>().copied()).unwrap_or("no message");
    tracing::error!(panic = text, "a handler panicked");
    let detail = "a defect of the service; its log says more";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail).into_response()
}
