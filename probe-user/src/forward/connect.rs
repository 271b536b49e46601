//! The HTTP client of one collector, made anew when the files of its TLS change.
//!
//! A certificate that is renewed is used from the next connection on, and there is one at the next request. Files that do
//! not serve leave those of before in use; that is told once it has lasted for two looks, for a certificate and its key are
//! never replaced at the same moment.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use super::watched::{LOOK_EVERY, Seen};
use super::wire::Tls;
use super::{Endpoint, Settings, StartError, tls};
use crate::post;

/// A client and what it is made of.
#[derive(Debug)]
pub(super) struct Connector {
    http: reqwest::Client,
    plan: Plan,
    seen: Vec<Option<Seen>>,
    looked: Instant,
    /// Why the files do not serve, as found at the last look.
    wrong: Option<String>,
    told: bool,
}

#[derive(Clone, Debug)]
struct Plan {
    connect: Duration,
    request: Duration,
    roots: Roots,
}

/// Whose certificates are believed.
#[derive(Clone, Debug)]
enum Roots {
    /// No certificate is ever shown.
    None,
    /// A proxy shows one.
    System,
    Collector(Tls),
}

impl Plan {
    fn of(settings: &Settings, tls_to_proxy: bool) -> Self {
        let roots = if settings.endpoints.iter().any(Endpoint::is_https) {
            Roots::Collector(settings.wire.tls.clone())
        } else if tls_to_proxy {
            Roots::System
        } else {
            Roots::None
        };
        Self { connect: settings.limits.connect_timeout, request: settings.limits.request_timeout, roots }
    }

    /// Reads the files. The system's root certificates are loaded only where they are needed.
    fn carry_out(&self) -> Result<reqwest::Client, StartError> {
        let builder = post::builder(self.connect, self.request);
        let builder = match &self.roots {
            Roots::None => builder.tls_certs_only([]),
            Roots::System => builder,
            Roots::Collector(files) => tls::apply(builder, files)?,
        };
        builder.build().map_err(|error| StartError::Client(post::chain(&error)))
    }

    fn files(&self) -> Vec<PathBuf> {
        let Roots::Collector(Tls { ca_file, client }) = &self.roots else { return Vec::new() };
        let own = client.iter().flat_map(|files| [&files.cert_file, &files.key_file]);
        ca_file.iter().chain(own).cloned().collect()
    }

    fn look(&self) -> Vec<Option<Seen>> {
        self.files().iter().map(|file| Seen::of(file)).collect()
    }
}

impl Connector {
    /// Reads the files; says what is wrong with them.
    pub(super) fn new(settings: &Settings, tls_to_proxy: bool) -> Result<Self, StartError> {
        let plan = Plan::of(settings, tls_to_proxy);
        let seen = plan.look();
        let http = plan.carry_out()?;
        Ok(Self { http, plan, seen, looked: Instant::now(), wrong: None, told: false })
    }

    /// The client of the files as they are, where it is time to look at them.
    pub(super) async fn fresh(&mut self) -> &reqwest::Client {
        if !self.seen.is_empty() && self.looked.elapsed() >= LOOK_EVERY {
            self.look().await;
        }
        &self.http
    }

    /// Why the files of before are used, where that is so.
    pub(super) fn note(&self) -> Option<&str> {
        self.wrong.as_deref().filter(|_| self.told)
    }

    async fn look(&mut self) {
        // What is wrong is read again: it may be put right without a trace.
        let (plan, before) = (self.plan.clone(), self.seen.clone());
        let known_wrong = self.wrong.is_some();
        let made = tokio::task::spawn_blocking(move || {
            // What the files look like is read first: a change in between is seen next time.
            let now = plan.look();
            (now != before || known_wrong).then(|| (now, plan.carry_out()))
        });
        self.looked = Instant::now();
        match made.await {
            Ok(Some((now, Ok(http)))) => {
                tracing::info!("files of the collector's TLS have changed and are used from the next connection on");
                (self.http, self.seen, self.wrong, self.told) = (http, now, None, false);
            }
            Ok(Some((_, Err(error)))) => {
                let wrong = format!("{error}; what was read before is used");
                if known_wrong && !std::mem::replace(&mut self.told, true) {
                    tracing::warn!("{wrong}");
                }
                self.wrong = Some(wrong);
            }
            Ok(None) | Err(_) => {}
        }
    }
}
