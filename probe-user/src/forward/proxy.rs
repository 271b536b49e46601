//! The proxy of the environment that requests to a collector go by.

use hyper_util::client::proxy::matcher::Matcher;

use super::Endpoint;
use super::send::credentials;

/// The proxy that the environment (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY) has for a URL.
pub(super) struct Proxy {
    /// Scheme, host and port.
    pub(super) name: String,
    /// Its credentials as they are sent.
    pub(super) secret: Option<String>,
}

impl Proxy {
    /// Found as the HTTP client finds it.
    pub(super) fn of(endpoint: &Endpoint) -> Option<Self> {
        let found = Matcher::from_env().intercept(&endpoint.url().as_str().parse().ok()?)?;
        let (scheme, host) = (found.uri().scheme_str()?, found.uri().host()?);
        let port = found.uri().port_u16().map(|port| format!(":{port}")).unwrap_or_default();
        Some(Self { name: format!("{scheme}://{host}{port}"), secret: found.basic_auth().and_then(credentials) })
    }
}
