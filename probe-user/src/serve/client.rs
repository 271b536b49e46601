//! The command line's side of the local API.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{MatchReport, Subject};
use crate::engine::Roster;
use crate::event::clean;
use crate::series::{HistoryReport, MeasuresReport};

/// A little longer than the daemon lets a query wait, so that its own words arrive.
const WITHIN: Duration = Duration::from_secs(8);
/// An answer larger than this comes from something else.
const ANSWER_MAX: usize = 64 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No socket, or nobody behind it.
    #[error("no procprobe daemon answers on {}: {why}; start one with `procprobe run`, or name its --socket", .socket.display())]
    NoDaemon {
        /// Where it was looked for.
        socket: PathBuf,
        /// What the system said.
        why: String,
    },
    /// The socket is not for this user.
    #[error("{}: permission denied; ask as root or as a member of the socket's group", .0.display())]
    Denied(PathBuf),
    /// The daemon said no.
    #[error("the daemon answered: {0}")]
    Refused(String),
    /// The answer ended in the middle.
    #[error(
        "the daemon ended the answer early: it is ending itself, its disk cannot be read, or nothing was taken for 30 s"
    )]
    CutOff,
    /// What came is no answer.
    #[error("{} answered something that is not procprobe's: {why}", .socket.display())]
    Garbled {
        /// Who answered.
        socket: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// `GET /v1/status`, as it came: a newer daemon may say more than this version knows.
pub async fn status(socket: &Path) -> Result<Value, AskError> {
    get(socket, "/v1/status").await
}

/// `GET /v1/peers`, as it came.
pub async fn peers(socket: &Path) -> Result<Value, AskError> {
    get(socket, "/v1/peers").await
}

/// The same answer, as this version understands it.
pub async fn peers_as<T: DeserializeOwned>(socket: &Path) -> Result<T, AskError> {
    get(socket, "/v1/peers").await
}

/// `GET /v1/status`, as this version understands it.
pub async fn status_as<T: DeserializeOwned>(socket: &Path) -> Result<T, AskError> {
    get(socket, "/v1/status").await
}

/// `GET /v1/group`.
pub async fn group(socket: &Path, name: &str) -> Result<Roster, AskError> {
    let mut url = reqwest::Url::parse("http://procprobe/v1/group").map_err(|error| garbled(socket, &error))?;
    url.query_pairs_mut().append_pair("name", name);
    get(socket, &format!("{}?{}", url.path(), url.query().unwrap_or_default())).await
}

/// `GET /v1/history`.
pub async fn history(socket: &Path, name: &str, since: &str, step: Option<&str>) -> Result<HistoryReport, AskError> {
    let mut url = reqwest::Url::parse("http://procprobe/v1/history").map_err(|error| garbled(socket, &error))?;
    url.query_pairs_mut().append_pair("name", name).append_pair("since", since);
    if let Some(step) = step {
        url.query_pairs_mut().append_pair("step", step);
    }
    get(socket, &format!("{}?{}", url.path(), url.query().unwrap_or_default())).await
}

/// `GET /v1/measures`.
pub async fn measures(socket: &Path, since: &str) -> Result<MeasuresReport, AskError> {
    let mut url = reqwest::Url::parse("http://procprobe/v1/measures").map_err(|error| garbled(socket, &error))?;
    url.query_pairs_mut().append_pair("since", since);
    get(socket, &format!("{}?{}", url.path(), url.query().unwrap_or_default())).await
}

/// `GET /v1/alarms`.
pub async fn alarms<T: DeserializeOwned>(socket: &Path) -> Result<T, AskError> {
    get(socket, "/v1/alarms").await
}

/// `GET /v1/match`.
pub async fn matches(socket: &Path, subject: &Subject) -> Result<MatchReport, AskError> {
    let mut url = reqwest::Url::parse("http://procprobe/v1/match").map_err(|error| garbled(socket, &error))?;
    match subject {
        Subject::Pid(pid) => {
            url.query_pairs_mut().append_pair("pid", &pid.to_string());
        }
        Subject::Fields(fields) => {
            let given = [
                ("exe", &fields.exe),
                ("args", &fields.args),
                ("user", &fields.user),
                ("comm", &fields.comm),
                ("cgroup", &fields.cgroup),
            ];
            for (name, value) in given {
                if let Some(value) = value {
                    url.query_pairs_mut().append_pair(name, value);
                }
            }
        }
    }
    let path = format!("{}?{}", url.path(), url.query().unwrap_or_default());
    get(socket, &path).await
}

/// What of the local history is wanted.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Since so long ago, such as `10m`.
    pub since: Option<String>,
    /// Names, as a glob.
    pub name: Option<String>,
    /// What comes too.
    pub follow: bool,
}

/// `GET /v1/events`: hands each event to `take`, one line of JSON without its newline, until that says no.
pub async fn events(socket: &Path, told: &Told, mut take: impl FnMut(&[u8]) -> bool) -> Result<(), AskError> {
    let mut url = reqwest::Url::parse("http://procprobe/v1/events").map_err(|error| garbled(socket, &error))?;
    for (name, value) in [("since", &told.since), ("name", &told.name)] {
        if let Some(value) = value {
            url.query_pairs_mut().append_pair(name, value);
        }
    }
    if told.follow {
        url.query_pairs_mut().append_pair("follow", "true");
    }
    check(socket).await?;
    let request = client(socket).build().map_err(|error| garbled(socket, &error))?.get(url);
    let response = request.send().await.map_err(|error| garbled(socket, &error.without_url()))?;
    if !response.status().is_success() {
        return whole::<Value>(socket, response).await.map(drop);
    }
    let mut response = response;
    let mut rest = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| AskError::CutOff)? {
        rest.extend_from_slice(&chunk);
        let mut lines = rest.split_inclusive(|byte| *byte == b'\n');
        let mut taken = 0;
        for line in lines.by_ref().filter(|line| line.ends_with(b"\n")) {
            taken += line.len();
            if !take(line.trim_ascii_end()) {
                return Ok(());
            }
        }
        rest.drain(..taken);
        if rest.len() > ANSWER_MAX {
            return Err(AskError::Garbled { socket: socket.to_owned(), why: "a line does not end".into() });
        }
    }
    Ok(())
}

async fn get<T: DeserializeOwned>(socket: &Path, path: &str) -> Result<T, AskError> {
    check(socket).await?;
    let client = client(socket).timeout(WITHIN).build().map_err(|error| garbled(socket, &error))?;
    let request = client.get(format!("http://procprobe{path}"));
    whole(socket, request.send().await.map_err(|error| garbled(socket, &error.without_url()))?).await
}

fn client(socket: &Path) -> reqwest::ClientBuilder {
    // The client is built for TLS even where none is spoken.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().unix_socket(socket).no_proxy().tls_certs_only([])
}

async fn whole<T: DeserializeOwned>(socket: &Path, mut response: reqwest::Response) -> Result<T, AskError> {
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| garbled(socket, &error.without_url()))? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_MAX {
            return Err(AskError::Garbled { socket: socket.to_owned(), why: "it does not end".into() });
        }
    }
    if !status.is_success() {
        let told: Option<Value> = serde_json::from_slice(&body).ok();
        let told = told.as_ref().and_then(|body| body.get("error")?.as_str()).map(clean);
        return Err(AskError::Refused(told.unwrap_or_else(|| format!("HTTP {status}"))));
    }
    serde_json::from_slice(&body).map_err(|error| garbled(socket, &error))
}

/// A connection on its own tells the ordinary cases apart better than the client's errors.
async fn check(socket: &Path) -> Result<(), AskError> {
    match tokio::net::UnixStream::connect(socket).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Err(AskError::Denied(socket.to_owned())),
        Err(error) => Err(AskError::NoDaemon { socket: socket.to_owned(), why: error.to_string() }),
    }
}

fn garbled(socket: &Path, error: &dyn std::error::Error) -> AskError {
    AskError::Garbled { socket: socket.to_owned(), why: clean(&error.to_string()) }
}
