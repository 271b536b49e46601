//! What the daemon shows over TCP, read-only: `GET /metrics` for Prometheus, `GET /health` for whoever restarts or balances, and
//! `GET /` for people: a page ([`page`]) with what it shows ([`live`], [`answers`]).
//!
//! - It runs on a thread and a runtime of its own: a large or slow answer keeps no record waiting, and a pipeline that does
//!   not answer is told by one that does. The thread starts after the daemon gave up its capabilities, and so has none;
//!   the port is bound before, for it may be a privileged one.
//! - Nothing is computed unless somebody asks; then the pipeline is asked as `procprobe status` asks it ([`super::Query`]).
//! - Without a token it listens on loopback only, which the configuration sees to, and answers only to the names of this
//!   host itself: a page in a browser that has its own name resolve to 127.0.0.1 gets nothing ([`guard`]).
//! - Clients may be hostile: so many connections, each so long, one request each, so long to send its head, so large. Who
//!   looks at the page stays on, in a place of its own ([`seat`]), so that viewers keep no Prometheus out.
//! - Without a token it shows nothing that an account on this host does not give to see ([`open`]).
//! - A port that is taken, or a token that cannot be read, is a degradation and no reason to watch nothing: it is told, and
//!   tried again at each reload.

mod answers;
mod ask;
mod guard;
mod live;
mod open;
mod page;
mod routes;
mod seat;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, sleep};

use self::guard::Guard;
use self::seat::Seat;
use super::Query;
use crate::config;
use crate::post::secret;

/// Connections at a time; others wait in the kernel's backlog.
const CONNECTIONS: usize = 8;
/// Largest head of a request.
const HEAD_MAX: usize = 16 << 10;
/// Most headers in it.
const HEADERS_MAX: usize = 64;
/// After the system refused a connection (too many descriptors, say).
const REFUSED_PAUSE: Duration = Duration::from_secs(1);

/// How long things may take.
#[derive(Clone, Copy, Debug)]
struct Times {
    /// A request's head.
    head: Duration,
    /// A connection, the answer included.
    connection: Duration,
    /// The pipeline. What asks gives up after 10 s by default (Prometheus) or sooner, and should hear of it.
    answer: Duration,
    /// Whoever looks, to take what was sent.
    viewer: Duration,
}

const TIMES: Times = Times {
    head: Duration::from_secs(5),
    connection: Duration::from_secs(30),
    answer: Duration::from_secs(4),
    viewer: live::PATIENCE,
};

/// The listener, whether it could be opened or not.
#[derive(Debug)]
pub struct Http {
    settings: config::Http,
    guard: Arc<Guard>,
    state: State,
}

#[derive(Debug)]
enum State {
    Off,
    /// Bound, not served yet.
    Bound(TcpListener),
    Serving(Running),
    /// Why not.
    Failed(String),
}

#[derive(Debug)]
struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// Why it does not listen.
#[derive(Debug, thiserror::Error)]
enum ListenError {
    #[error("http.token_file {}: {why}", .path.display())]
    Token { path: std::path::PathBuf, why: String },
    #[error("http.listen {address}: {error}; free the port, or choose another one, and reload")]
    Bind { address: SocketAddr, error: io::Error },
    #[error("http: a thread cannot be started: {0}")]
    Thread(io::Error),
}

impl Http {
    /// Takes the port. Nobody is answered before [`Self::serve`].
    pub fn bind(settings: &config::Http) -> Self {
        let mut http = Self { settings: settings.clone(), guard: Arc::default(), state: State::Off };
        http.open();
        http
    }

    /// Answers from now on, on a thread that inherits the present one's capabilities.
    pub fn serve(&mut self, queries: &mpsc::Sender<Query>) {
        self.serve_within(queries, TIMES);
    }

    /// Other settings, or the same ones tried again. A new token is in force for the next request.
    pub fn reload(&mut self, settings: &config::Http, queries: &mpsc::Sender<Query>) {
        let stays = matches!(self.state, State::Serving(_)) && self.settings.listen == settings.listen;
        self.settings = settings.clone();
        if !stays {
            self.close();
            self.open();
            self.serve(queries);
        } else if let Err(error) = self.read_token() {
            // Whoever had the old token is not to have it any more.
            self.close();
            self.state = State::Failed(error.to_string());
        }
    }

    /// Where it answers.
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.state {
            State::Serving(running) => Some(running.address),
            State::Off | State::Bound(_) | State::Failed(_) => None,
        }
    }

    /// Why it does not, where it should.
    pub fn note(&self) -> Option<String> {
        match &self.state {
            State::Failed(why) => Some(format!("no page and no metrics over HTTP: {why}")),
            State::Off | State::Bound(_) | State::Serving(_) => None,
        }
    }

    /// Ends it; the port is free afterwards.
    pub fn close(&mut self) {
        if let State::Serving(Running { stop, thread, .. }) = std::mem::replace(&mut self.state, State::Off) {
            // It may have ended by itself, with an error in the log.
            let _ = stop.send(());
            let _ = thread.join();
        }
    }

    fn open(&mut self) {
        let Some(address) = self.settings.listen else { return };
        let bound = self.read_token().and_then(|()| bind(address));
        self.state = bound.map_or_else(|error| State::Failed(error.to_string()), State::Bound);
    }

    fn read_token(&self) -> Result<(), ListenError> {
        let read = |path: &Path| secret::read(path).map_err(|why| ListenError::Token { path: path.to_owned(), why });
        let token = self.settings.token_file.as_deref().map(read).transpose()?;
        self.guard.set_token(token.as_deref());
        Ok(())
    }

    fn serve_within(&mut self, queries: &mpsc::Sender<Query>, times: Times) {
        match std::mem::replace(&mut self.state, State::Off) {
            State::Bound(listener) => {
                let router = routes::router(queries.clone(), Arc::clone(&self.guard), times.answer, times.viewer);
                self.state = start(listener, router, times)
                    .map_or_else(|error| State::Failed(error.to_string()), State::Serving);
            }
            other => self.state = other,
        }
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        self.close();
    }
}

fn bind(address: SocketAddr) -> Result<TcpListener, ListenError> {
    let bound = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.map_err(|error| ListenError::Bind { address, error })
}

fn start(listener: TcpListener, router: Router, times: Times) -> Result<Running, ListenError> {
    let address = listener.local_addr().map_err(ListenError::Thread)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ListenError::Thread)?;
    let (stop, stopped) = oneshot::channel();
    let run = async move {
        let listener = match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(%error, "HTTP cannot be served"),
        };
        tokio::select! {
            () = accept(listener, router, times) => {}
            // The sender's end is an end, too.
            _ = stopped => {}
        }
    };
    // Connections under way end with the runtime.
    let thread = std::thread::Builder::new().name("http".into()).spawn(move || runtime.block_on(run));
    Ok(Running { address, stop, thread: thread.map_err(ListenError::Thread)? })
}

async fn accept(listener: tokio::net::TcpListener, router: Router, times: Times) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // Nobody closes it.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let seat = Seat::new(place, Instant::now() + times.connection);
                let router = router.clone().layer(Extension(seat.clone()));
                tokio::spawn(async move {
                    tokio::select! {
                        () = converse(stream, router, times) => {}
                        () = seat.over() => {}
                    }
                });
            }
            Err(error) => {
                tracing::debug!(%error, "a connection was not accepted");
                sleep(REFUSED_PAUSE).await;
            }
        }
    }
}

/// One request. What goes wrong is the client's affair.
async fn converse(stream: TcpStream, router: Router, times: Times) {
    // A viewer whose network is gone takes nothing and says nothing.
    let unheard = u32::try_from(times.connection.as_millis()).unwrap_or(u32::MAX);
    if let Err(error) = set_tcp_user_timeout(&stream, unheard) {
        tracing::debug!(%error, "an HTTP client that goes away unheard is noticed late");
    }
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(times.head);
    server.max_buf_size(HEAD_MAX).max_headers(HEADERS_MAX).keep_alive(false);
    if let Err(error) = server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)).await {
        tracing::debug!(%error, "an HTTP client went away");
    }
}
