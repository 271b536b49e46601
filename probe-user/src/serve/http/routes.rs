//! What is answered to which path.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::IntoResponse as _;
use axum::routing::get;
use serde_json::json;
use tokio::sync::mpsc;

use super::answers::{self, Answers};
use super::ask::Pipeline;
use super::guard::Guard;
use super::live::{self, Live};
use super::page;
use crate::metrics::{self, text};
use crate::serve::Query;

/// Nothing that goes out is kept, guessed at, framed, or read by pages of others; the page brings its own policy for contents.
const HEADERS: [(HeaderName, &str); 7] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (CACHE_CONTROL, "no-store"),
    (REFERRER_POLICY, "no-referrer"),
    (X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
];

pub(super) fn router(queries: mpsc::Sender<Query>, guard: Arc<Guard>, within: Duration, patience: Duration) -> Router {
    let pipeline = Pipeline::new(queries, within);
    let live = Live::new(pipeline.clone(), Arc::clone(&guard), patience);
    let answers = Answers::new(pipeline.clone(), Arc::clone(&guard));
    let guarded = Router::new()
        .route("/metrics", get(show_metrics))
        .route("/health", get(health))
        .with_state(pipeline)
        .route("/v1/live", get(live::live).with_state(live))
        .merge(answers::router(answers))
        .fallback(async || (StatusCode::NOT_FOUND, "there are /, /metrics, /health and /v1/...\n"))
        .layer(from_fn_with_state(guard, guarded));
    // The page itself is the same text for everybody, and it is where a token is asked for.
    Router::new().route("/", get(page::page)).merge(guarded).layer(from_fn(sealed))
}

/// Nobody gets further without being let in.
async fn guarded(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response<Body> {
    match guard.check(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.response(),
    }
}

async fn sealed(request: Request, next: Next) -> Response<Body> {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

async fn show_metrics(State(pipeline): State<Pipeline>) -> Response<Body> {
    match pipeline.status().await {
        Ok(report) => {
            let text = text::text(&metrics::families(&report));
            ([(CONTENT_TYPE, text::CONTENT_TYPE)], text).into_response()
        }
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

async fn health(State(pipeline): State<Pipeline>) -> Response<Body> {
    let reasons = match pipeline.status().await {
        Ok(report) => report.unhealthy,
        Err(why) => vec![why],
    };
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, axum::Json(json!({ "healthy": reasons.is_empty(), "reasons": reasons }))).into_response()
}
