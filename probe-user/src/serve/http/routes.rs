//! What is answered to which path.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::IntoResponse as _;
use axum::routing::get;
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::guard::Guard;
use crate::metrics::{self, text};
use crate::serve::{Query, StatusReport};

#[derive(Clone)]
struct Pipeline {
    queries: mpsc::Sender<Query>,
    within: Duration,
}

pub(super) fn router(queries: mpsc::Sender<Query>, guard: Arc<Guard>, within: Duration) -> Router {
    Router::new()
        .route("/metrics", get(show_metrics))
        .route("/health", get(health))
        .fallback(async || (StatusCode::NOT_FOUND, "there are /metrics and /health\n"))
        .with_state(Pipeline { queries, within })
        .layer(from_fn_with_state(guard, guarded))
}

/// Nobody gets further without being let in, and nothing that goes out is kept, guessed at or executed.
async fn guarded(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response<Body> {
    let mut response = match guard.check(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.response(),
    };
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
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

impl Pipeline {
    /// What `procprobe status` gets, or why not.
    async fn status(&self) -> Result<StatusReport, String> {
        let asked = async {
            let (reply, answer) = oneshot::channel();
            self.queries.send(Query::Status { reply }).await.ok()?;
            answer.await.ok()
        };
        match timeout(self.within, asked).await {
            Ok(Some(report)) => Ok(report),
            Ok(None) => Err("the daemon is ending".to_owned()),
            Err(_) => Err(format!("the daemon stands still: no answer within {:?}", self.within)),
        }
    }
}
