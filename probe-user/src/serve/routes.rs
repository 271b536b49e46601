//! Requests to queries to answers.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{ConnectInfo, Query as Params, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, http::Uri};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::listener::Lease;
use super::{AlarmsOn, Fields, Query, Subject, events};
use crate::event::clean;
use crate::policy::glob::Glob;
use crate::yaml::units;

/// How long the pipeline may take; it answers between two records, so this is a daemon in trouble.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// A history of measures that does not say since when.
pub(super) const HOUR: Duration = Duration::from_hours(1);

pub(super) fn router(queries: mpsc::Sender<Query>) -> Router {
    let histories = Histories { queries: queries.clone(), places: Arc::new(Semaphore::new(events::STREAMS)) };
    Router::new()
        .route("/v1/events", get(history).with_state(histories))
        .route("/v1/status", get(status))
        .route("/v1/match", get(matches))
        .route("/v1/peers", get(peers))
        .route("/v1/group", get(group))
        .route("/v1/history", get(measured))
        .route("/v1/measures", get(summed))
        .route("/v1/alarms", get(alarms))
        .fallback(async |uri: Uri| refuse(StatusCode::NOT_FOUND, &format!("there is no {}", clean(uri.path()))))
        .with_state(queries)
}

async fn status(State(queries): State<mpsc::Sender<Query>>) -> Response {
    let (reply, answer) = oneshot::channel();
    ask(&queries, Query::Status { reply }, answer, |report| Json(report).into_response()).await
}

async fn peers(State(queries): State<mpsc::Sender<Query>>) -> Response {
    let (reply, answer) = oneshot::channel();
    ask(&queries, Query::Peers { reply }, answer, |report| match report {
        Some(report) => Json(report).into_response(),
        None => {
            refuse(StatusCode::NOT_FOUND, "this host has no peers: `peers` is not configured, or its port is taken")
        }
    })
    .await
}

/// The query string of a match: a pid, or fields.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    pid: Option<u32>,
    exe: Option<String>,
    args: Option<String>,
    user: Option<String>,
    comm: Option<String>,
    cgroup: Option<String>,
}

async fn matches(
    State(queries): State<mpsc::Sender<Query>>,
    wanted: Result<Params<Wanted>, QueryRejection>,
) -> Response {
    let wanted = match wanted {
        Ok(Params(wanted)) => wanted,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &clean(&error.body_text())),
    };
    let Wanted { pid, exe, args, user, comm, cgroup } = wanted;
    let fields = Fields { exe, args, user, comm, cgroup };
    let subject = match (pid, fields == Fields::default()) {
        (Some(pid), true) => Subject::Pid(pid),
        (None, false) => Subject::Fields(fields),
        _ => {
            return refuse(
                StatusCode::BAD_REQUEST,
                "give either pid, or at least one of exe, args, user, comm, cgroup",
            );
        }
    };
    let (reply, answer) = oneshot::channel();
    ask(&queries, Query::Match { subject, reply }, answer, |report| match report {
        Ok(report) => Json(report).into_response(),
        Err(why) => refuse(StatusCode::BAD_REQUEST, &why),
    })
    .await
}

/// The query string of a group.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: String,
}

async fn group(State(queries): State<mpsc::Sender<Query>>, named: Result<Params<Named>, QueryRejection>) -> Response {
    let name = match named {
        Ok(Params(Named { name })) => name,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &clean(&error.body_text())),
    };
    let missing = format!("there is no group or job `{}`", clean(&name));
    let (reply, answer) = oneshot::channel();
    ask(&queries, Query::Group { name, reply }, answer, |roster| match roster {
        Some(roster) => Json(roster).into_response(),
        None => refuse(StatusCode::NOT_FOUND, &missing),
    })
    .await
}

/// The query string of a history of measures.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Measured {
    name: String,
    since: Option<String>,
    step: Option<String>,
}

async fn measured(
    State(queries): State<mpsc::Sender<Query>>,
    measured: Result<Params<Measured>, QueryRejection>,
) -> Response {
    let Measured { name, since, step } = match measured {
        Ok(Params(measured)) => measured,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &clean(&error.body_text())),
    };
    let (since, step) = match (span("since", since.as_deref()), span("step", step.as_deref())) {
        (Ok(since), Ok(step)) => (since.unwrap_or(HOUR), step),
        (Err(why), _) | (_, Err(why)) => return refuse(StatusCode::BAD_REQUEST, &why),
    };
    let missing = format!("there is no group or job `{}`", clean(&name));
    let (reply, answer) = oneshot::channel();
    ask(&queries, Query::History { name, since, step, reply }, answer, |report| match report {
        Some(report) => Json(report).into_response(),
        None => refuse(StatusCode::NOT_FOUND, &missing),
    })
    .await
}

/// The query string of sums.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Summed {
    since: Option<String>,
}

async fn summed(
    State(queries): State<mpsc::Sender<Query>>,
    summed: Result<Params<Summed>, QueryRejection>,
) -> Response {
    let since = match summed.map(|Params(Summed { since })| span("since", since.as_deref())) {
        Ok(Ok(since)) => since.unwrap_or(HOUR),
        Ok(Err(why)) => return refuse(StatusCode::BAD_REQUEST, &why),
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &clean(&error.body_text())),
    };
    let (reply, answer) = oneshot::channel();
    ask(&queries, Query::Measures { since, reply }, answer, |report| Json(report).into_response()).await
}

/// A duration of the query string.
pub(super) fn span(what: &str, text: Option<&str>) -> Result<Option<Duration>, String> {
    text.map(units::duration).transpose().map_err(|why| format!("{what}: {}", clean(&why)))
}

async fn alarms(State(queries): State<mpsc::Sender<Query>>) -> Response {
    let (reply, answer) = oneshot::channel();
    ask(&queries, Query::Alarms { reply }, answer, |on| {
        ([(CONTENT_TYPE, "application/json")], told(&on)).into_response()
    })
    .await
}

/// The events as they lie there, with the names of their alarms around them.
pub(super) fn told(on: &AlarmsOn) -> Vec<u8> {
    let mut body = format!("{{\"left_out\":{},\"alarms\":[", on.left_out).into_bytes();
    for (place, alarm) in on.alarms.iter().enumerate() {
        let named = json!({ "name": alarm.name, "instance": alarm.instance }).to_string();
        body.extend_from_slice(if place == 0 { b"" } else { b"," });
        body.extend_from_slice(named.strip_suffix('}').unwrap_or_default().as_bytes());
        body.extend_from_slice(b",\"event\":");
        body.extend_from_slice(alarm.event.trim_ascii_end());
        body.push(b'}');
    }
    body.extend_from_slice(b"]}\n");
    body
}

/// What a history is asked with: few at a time, so that there is room for other questions.
#[derive(Clone)]
struct Histories {
    queries: mpsc::Sender<Query>,
    places: Arc<Semaphore>,
}

/// The query string of a history.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    since: Option<String>,
    name: Option<String>,
    #[serde(default)]
    follow: bool,
}

async fn history(
    State(histories): State<Histories>,
    ConnectInfo(lease): ConnectInfo<Lease>,
    told: Result<Params<Told>, QueryRejection>,
) -> Response {
    let told = match told {
        Ok(Params(told)) => told,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &clean(&error.body_text())),
    };
    let since = match told.since.as_deref().map(units::duration).transpose() {
        Ok(since) => since,
        Err(why) => return refuse(StatusCode::BAD_REQUEST, &format!("since: {why}")),
    };
    let names = match told.name.as_deref().map(Glob::name).transpose() {
        Ok(names) => names,
        Err(why) => return refuse(StatusCode::BAD_REQUEST, &format!("name: {}", clean(&why.to_string()))),
    };
    let Ok(place) = histories.places.try_acquire_owned() else {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "others read as many histories as can be read at a time");
    };
    let (reply, answer) = oneshot::channel();
    let query = Query::Events { since, follow: told.follow, reply };
    ask(&histories.queries, query, answer, |view| {
        let body = events::stream(view, names, told.follow, lease, place);
        ([(CONTENT_TYPE, "application/x-ndjson")], body).into_response()
    })
    .await
}

async fn ask<T>(
    queries: &mpsc::Sender<Query>,
    query: Query,
    answer: oneshot::Receiver<T>,
    respond: impl FnOnce(T) -> Response,
) -> Response {
    let asked = async {
        queries.send(query).await.ok()?;
        answer.await.ok()
    };
    match timeout(ANSWER_WITHIN, asked).await {
        Ok(Some(answer)) => respond(answer),
        Ok(None) => refuse(StatusCode::SERVICE_UNAVAILABLE, "the daemon is ending"),
        Err(_) => refuse(StatusCode::GATEWAY_TIMEOUT, "the daemon is too busy to answer"),
    }
}

pub(super) fn refuse(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({ "error": why }))).into_response()
}
