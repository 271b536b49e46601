//! A collector's URL, which may carry secrets: only [`std::fmt::Display`] of this type is ever shown.

use std::fmt;

use percent_encoding::percent_decode_str;
use reqwest::Url;

/// The port that OTLP/HTTP has by convention.
const OTLP_PORT: u16 = 4318;
const OTLP_PATHS: [&str; 2] = ["/v1/logs", "/v1/metrics"];

/// Where a collector listens.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    url: Url,
}

/// Why a text is not a collector's URL. Says nothing of the text: it may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// No URL at all.
    #[error("not a URL ({0}); expected something like https://collector.example:4318/events")]
    Malformed(String),
    /// A URL of another kind.
    #[error("a collector's URL starts with http:// or https://, not with {0}:")]
    Scheme(String),
}

impl Endpoint {
    /// From a URL as a person writes it.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let url = Url::parse(text).map_err(|error| EndpointError::Malformed(error.to_string()))?;
        match url.scheme() {
            "http" | "https" => Ok(Self { url }),
            other => Err(EndpointError::Scheme(other.to_owned())),
        }
    }

    /// The URL with its secrets: for the request alone.
    pub(crate) fn url(&self) -> Url {
        self.url.clone()
    }

    /// Where OTLP's `logs` or `metrics` go: below this URL, or in the place of the other where it names one.
    pub(super) fn otlp(&self, signal: &str) -> Self {
        let mut url = self.url.clone();
        let path = url.path().trim_end_matches('/');
        let base = OTLP_PATHS.iter().find_map(|known| path.strip_suffix(known)).unwrap_or(path);
        let path = format!("{base}/v1/{signal}");
        url.set_path(&path);
        Self { url }
    }

    /// It looks like an OTLP receiver's: by its port or its path.
    pub(crate) fn looks_like_otlp(&self) -> bool {
        let path = self.url.path().trim_end_matches('/');
        self.url.port() == Some(OTLP_PORT) || OTLP_PATHS.iter().any(|known| path.ends_with(known))
    }

    /// What of the URL must not be shown, as it is written and as it is sent.
    pub(super) fn secrets(&self) -> Vec<String> {
        let url = &self.url;
        let written = [Some(url.username()), url.password(), url.query()].into_iter().flatten();
        let plain = written.clone().map(|text| percent_decode_str(text).decode_utf8_lossy().into_owned());
        let values = url.query_pairs().map(|(_, value)| value.into_owned());
        let all = written.map(str::to_owned).chain(plain).chain(values);
        all.filter(|secret| !secret.is_empty()).collect()
    }

    /// It speaks TLS.
    pub fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Host and port, for a connection test.
    pub fn address(&self) -> (String, u16) {
        let host = self.url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let fallback = if self.is_https() { 443 } else { 80 };
        (host, self.url.port().unwrap_or(fallback))
    }
}

impl fmt::Display for Endpoint {
    /// Without user, password, query and fragment.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.url.scheme(), self.url.host_str().unwrap_or_default())?;
        if let Some(port) = self.url.port() {
            write!(f, ":{port}")?;
        }
        f.write_str(self.url.path())
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, shown: &str, address: (&str, u16)) {
        let endpoint = Endpoint::parse(text).unwrap();
        assert_eq!(endpoint.to_string(), shown);
        assert_eq!(format!("{endpoint:?}"), format!("Endpoint({shown})"));
        assert_eq!(endpoint.address(), (address.0.to_owned(), address.1));
    }

    #[test]
    fn secrets_are_not_shown() {
        check("http://c.example", "http://c.example/", ("c.example", 80));
        check("https://c.example:4318/v1", "https://c.example:4318/v1", ("c.example", 4318));
        check("https://ops:hunter2@c.example/v1?token=hunter2#x", "https://c.example/v1", ("c.example", 443));
        check("http://[::1]:80/", "http://[::1]/", ("::1", 80));
    }

    #[test]
    fn logs_and_metrics_of_otlp_go_below_the_url() {
        let check = |text: &str, logs: &str, metrics: &str| {
            let endpoint = Endpoint::parse(text).unwrap();
            assert_eq!(
                (endpoint.otlp("logs").url().as_str(), endpoint.otlp("metrics").url().as_str()),
                (logs, metrics)
            );
        };
        check("http://c:4318", "http://c:4318/v1/logs", "http://c:4318/v1/metrics");
        check("http://c:4318/", "http://c:4318/v1/logs", "http://c:4318/v1/metrics");
        check("http://c/v1/logs", "http://c/v1/logs", "http://c/v1/metrics");
        check("http://c/v1/logs/?k=v", "http://c/v1/logs?k=v", "http://c/v1/metrics?k=v");
        check("http://u:p@c/otlp", "http://u:p@c/otlp/v1/logs", "http://u:p@c/otlp/v1/metrics");
        check("http://c/xv1/logs", "http://c/xv1/logs/v1/logs", "http://c/xv1/logs/v1/metrics");
    }

    #[test]
    fn otlp_is_known_by_its_port_or_path() {
        for (text, expected) in [
            ("http://c:4318/events", true),
            ("https://c/v1/logs", true),
            ("https://c/v1/logs/", true),
            ("http://c:4317/", false),
            ("http://c/events", false),
        ] {
            assert_eq!(Endpoint::parse(text).unwrap().looks_like_otlp(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused_without_repeating_it() {
        for text in ["", "hunter2", "http://", "http://u:hunter2@h:port/", "ftp://u:hunter2@h/"] {
            let error = Endpoint::parse(text).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
