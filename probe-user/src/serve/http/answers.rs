//! Short answers in JSON, for the page and for scripts: the same questions as on the local socket.
//!
//! - `GET /v1/group?name=NAME`, `GET /v1/history?name=NAME&since=1h&step=60s`, `GET /v1/alarms`, `GET /v1/peers`: as there;
//! - `GET /v1/events?since=1h&name=GLOB&newest=N`: events of the local history, one a line, in order: the newest of them, at
//!   most [`NEWEST`] unless told otherwise and [`NEWEST_MAX`] in all, and [`BYTES_MAX`]. Following goes by [`super::live`].
//!
//! Where no token is asked for, they show what is for everybody ([`open`]).

use std::collections::VecDeque;
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query as Params, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::Semaphore;

use super::ask::Pipeline;
use super::guard::Guard;
use super::open;
use crate::event::clean;
use crate::policy::glob::Glob;
use crate::serve::events::is_wanted;
use crate::serve::routes::{HOUR, refuse, span, told};
use crate::spool::View;

/// Histories that are read at a time.
const HISTORIES: usize = 2;
/// Events that are told where nobody says how many.
const NEWEST: usize = 1000;
/// However many are asked for.
const NEWEST_MAX: usize = 10_000;
/// However long they are.
const BYTES_MAX: usize = 8 << 20;
/// Read at a time.
const EVENTS: usize = 1000;
const BYTES: usize = 128 << 10;

/// What the answers are made with.
#[derive(Clone, Debug)]
pub(super) struct Answers {
    pipeline: Pipeline,
    guard: Arc<Guard>,
    histories: Arc<Semaphore>,
}

impl Answers {
    pub(super) fn new(pipeline: Pipeline, guard: Arc<Guard>) -> Self {
        Self { pipeline, guard, histories: Arc::new(Semaphore::new(HISTORIES)) }
    }
}

pub(super) fn router(answers: Answers) -> Router {
    Router::new()
        .route("/v1/group", get(group))
        .route("/v1/history", get(history))
        .route("/v1/alarms", get(alarms))
        .route("/v1/peers", get(peers))
        .route("/v1/events", get(events))
        .with_state(answers)
}

/// The query string of a group.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: String,
}

fn wrong(error: &QueryRejection) -> Response {
    refuse(StatusCode::BAD_REQUEST, &clean(&error.body_text()))
}

fn unanswered(why: &str) -> Response {
    refuse(StatusCode::SERVICE_UNAVAILABLE, why)
}

async fn group(State(answers): State<Answers>, named: Result<Params<Named>, QueryRejection>) -> Response {
    let name = match named {
        Ok(Params(Named { name })) => name,
        Err(error) => return wrong(&error),
    };
    let missing = format!("there is no group or job `{}`", clean(&name));
    match answers.pipeline.group(name).await {
        Ok(Some(mut roster)) => {
            if answers.guard.is_open() {
                open::roster(&mut roster);
            }
            Json(roster).into_response()
        }
        Ok(None) => refuse(StatusCode::NOT_FOUND, &missing),
        Err(why) => unanswered(&why),
    }
}

/// The query string of a history of measures.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Measured {
    name: String,
    since: Option<String>,
    step: Option<String>,
}

async fn history(State(answers): State<Answers>, measured: Result<Params<Measured>, QueryRejection>) -> Response {
    let Measured { name, since, step } = match measured {
        Ok(Params(measured)) => measured,
        Err(error) => return wrong(&error),
    };
    let (since, step) = match (span("since", since.as_deref()), span("step", step.as_deref())) {
        (Ok(since), Ok(step)) => (since.unwrap_or(HOUR), step),
        (Err(why), _) | (_, Err(why)) => return refuse(StatusCode::BAD_REQUEST, &why),
    };
    let missing = format!("there is no group or job `{}`", clean(&name));
    match answers.pipeline.history(name, since, step).await {
        Ok(Some(report)) => Json(report).into_response(),
        Ok(None) => refuse(StatusCode::NOT_FOUND, &missing),
        Err(why) => unanswered(&why),
    }
}

async fn alarms(State(answers): State<Answers>) -> Response {
    match answers.pipeline.alarms().await {
        Ok(mut on) => {
            if answers.guard.is_open() {
                for alarm in &mut on.alarms {
                    alarm.event = open::event(&alarm.event).map_or_else(|| Bytes::from_static(b"null"), Bytes::from);
                }
            }
            ([(CONTENT_TYPE, "application/json")], told(&on)).into_response()
        }
        Err(why) => unanswered(&why),
    }
}

async fn peers(State(answers): State<Answers>) -> Response {
    match answers.pipeline.peers().await {
        Ok(Some(report)) => Json(report).into_response(),
        Ok(None) => {
            refuse(StatusCode::NOT_FOUND, "this host has no peers: `peers` is not configured, or its port is taken")
        }
        Err(why) => unanswered(&why),
    }
}

/// The query string of a history.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    since: Option<String>,
    name: Option<String>,
    newest: Option<usize>,
}

async fn events(State(answers): State<Answers>, told: Result<Params<Told>, QueryRejection>) -> Response {
    let Told { since, name, newest } = match told {
        Ok(Params(told)) => told,
        Err(error) => return wrong(&error),
    };
    let since = match span("since", since.as_deref()) {
        Ok(since) => since,
        Err(why) => return refuse(StatusCode::BAD_REQUEST, &why),
    };
    let names = match name.as_deref().map(Glob::name).transpose() {
        Ok(names) => names,
        Err(why) => return refuse(StatusCode::BAD_REQUEST, &format!("name: {}", clean(&why.to_string()))),
    };
    let Ok(_place) = answers.histories.try_acquire_owned() else {
        return unanswered("others read as many histories as can be read at a time; try again");
    };
    let view = match answers.pipeline.events(since).await {
        Ok(view) => view,
        Err(why) => return unanswered(&why),
    };
    let newest = newest.unwrap_or(NEWEST).min(NEWEST_MAX);
    match newest_of(view, names.as_ref(), newest, answers.guard.is_open()).await {
        Ok(body) => ([(CONTENT_TYPE, "application/x-ndjson")], body).into_response(),
        Err(error) => {
            tracing::warn!(%error, "the local history cannot be read");
            unanswered("the local history cannot be read; the daemon's log says why")
        }
    }
}

/// The last of those that match, in order.
async fn newest_of(mut view: View, names: Option<&Glob>, most: usize, is_open: bool) -> std::io::Result<Vec<u8>> {
    let mut kept: VecDeque<Bytes> = VecDeque::new();
    let mut bytes = 0;
    while let Some(entries) = view.next(EVENTS, BYTES).await? {
        for entry in entries.into_iter().filter(|entry| is_wanted(names, &entry.line)) {
            bytes += entry.line.len();
            kept.push_back(entry.line);
            while kept.len() > most || bytes > BYTES_MAX {
                bytes -= kept.pop_front().map_or(0, |line| line.len());
            }
        }
    }
    let mut body = Vec::with_capacity(bytes);
    for line in kept {
        if is_open {
            let Some(line) = open::event(&line) else { continue };
            body.extend_from_slice(&line);
            body.push(b'\n');
        } else {
            body.extend_from_slice(&line);
        }
    }
    Ok(body)
}
