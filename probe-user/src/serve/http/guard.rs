//! Who is answered: whoever has the token, or where there is none, whoever asks for this host by its own names.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use axum::body::Body;
use axum::http::header::{AUTHORIZATION, HOST, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use ring::hmac::{self, HMAC_SHA256, Key, Tag};
use ring::rand::SystemRandom;

/// The token, kept so that comparing takes the same time whatever is presented.
#[derive(Debug, Default)]
pub(super) struct Guard {
    wanted: Mutex<Wanted>,
    /// Counts what was wanted: who was let in by something else is to ask again.
    turn: AtomicU64,
}

#[derive(Debug, Default)]
enum Wanted {
    #[default]
    Nothing,
    Token(Box<Token>),
    /// There is a token, and nothing to compare it with.
    Refused,
}

/// What presented tokens are compared with.
#[derive(Debug)]
struct Token {
    key: Key,
    tag: Tag,
}

/// What browsers say of where a request comes from.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

impl Token {
    fn is(&self, presented: &[u8]) -> bool {
        hmac::verify(&self.key, presented, self.tag.as_ref()).is_ok()
    }
}

/// Why somebody is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No token, or another one.
    Token,
    /// Asked for another host.
    Host,
    /// A page of somebody else asks, by a browser that says so.
    Page,
}

impl Guard {
    /// Another token from now on, or none.
    pub(super) fn set_token(&self, token: Option<&str>) {
        let mut present = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        let stays = match (&*present, token) {
            (Wanted::Nothing, None) => true,
            (Wanted::Token(old), Some(token)) => old.is(token.as_bytes()),
            _ => false,
        };
        if stays {
            return;
        }
        *present = match token.map(|token| (Key::generate(HMAC_SHA256, &SystemRandom::new()), token)) {
            None => Wanted::Nothing,
            Some((Ok(key), token)) => {
                let tag = hmac::sign(&key, token.as_bytes());
                Wanted::Token(Box::new(Token { key, tag }))
            }
            // The system has no random numbers.
            Some((Err(_), _)) => Wanted::Refused,
        };
        self.turn.fetch_add(1, Ordering::Relaxed);
    }

    /// Another number means that another token is in force.
    pub(super) fn turn(&self) -> u64 {
        self.turn.load(Ordering::Relaxed)
    }

    /// No token is asked for.
    pub(super) fn is_open(&self) -> bool {
        matches!(&*self.wanted.lock().unwrap_or_else(PoisonError::into_inner), Wanted::Nothing)
    }

    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        // It could not read the answer, but hold as many connections as there are.
        if headers.get(FETCH_SITE).is_some_and(|site| site != "same-origin" && site != "none") {
            return Err(Refusal::Page);
        }
        match &*self.wanted.lock().unwrap_or_else(PoisonError::into_inner) {
            Wanted::Nothing if is_own_name(headers.get(HOST)) => Ok(()),
            Wanted::Nothing => Err(Refusal::Host),
            Wanted::Token(token) => {
                let presented = bearer(headers).ok_or(Refusal::Token)?;
                if token.is(presented) { Ok(()) } else { Err(Refusal::Token) }
            }
            Wanted::Refused => Err(Refusal::Token),
        }
    }
}

impl Refusal {
    pub(super) fn response(self) -> Response<Body> {
        let (status, why) = match self {
            Self::Token => {
                (StatusCode::UNAUTHORIZED, "a bearer token is needed: the one in the daemon's http.token_file\n")
            }
            Self::Host => (
                StatusCode::MISDIRECTED_REQUEST,
                "without http.token_file this answers only to an IP address or localhost as the host's name\n",
            ),
            Self::Page => (StatusCode::FORBIDDEN, "pages of others are not answered\n"),
        };
        let mut response = Response::new(Body::from(why));
        *response.status_mut() = status;
        if self == Self::Token {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// An address or localhost, with or without a port. A name that somebody else may have pointed here is not one; without the
/// header it is HTTP/1.0, which no browser speaks.
fn is_own_name(host: Option<&HeaderValue>) -> bool {
    let Some(host) = host else { return true };
    let Ok(host) = host.to_str() else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(token: Option<&str>, header: (&'static str, &str), expected: Result<(), Refusal>) {
        let guard = Guard::default();
        guard.set_token(token);
        let mut headers = HeaderMap::new();
        headers.insert(header.0, HeaderValue::from_bytes(header.1.as_bytes()).unwrap());
        assert_eq!(guard.check(&headers), expected, "{token:?} {header:?}");
    }

    #[test]
    fn only_the_token_opens() {
        let token = Some("hunter2");
        check(token, ("authorization", "Bearer hunter2"), Ok(()));
        check(token, ("authorization", "bearer  hunter2 "), Ok(()));
        for wrong in
            ["Bearer hunter", "Bearer hunter22", "Bearer ", "Bearer", "", "Basic hunter2", "hunter2", "Bearer ü"]
        {
            check(token, ("authorization", wrong), Err(Refusal::Token));
        }
        check(token, ("host", "127.0.0.1"), Err(Refusal::Token));
        check(token, ("x", "y"), Err(Refusal::Token));
    }

    #[test]
    fn without_a_token_names_of_others_are_refused() {
        for own in ["127.0.0.1:9464", "127.0.0.1", "[::1]:9464", "[::1]", "localhost:1", "LOCALHOST", "10.0.0.1:9464"] {
            check(None, ("host", own), Ok(()));
        }
        for other in
            ["evil.example", "evil.example:9464", "127.0.0.1.evil.example:80", "localhost.evil:1", "", ":", "ü"]
        {
            check(None, ("host", other), Err(Refusal::Host));
        }
        check(None, ("x", "y"), Ok(()));
    }

    #[test]
    fn another_token_is_another_turn() {
        let guard = Guard::default();
        let mut turns = vec![guard.turn()];
        for token in [None, Some("a"), Some("a"), Some("b"), None] {
            guard.set_token(token);
            turns.push(guard.turn());
        }
        assert_eq!(turns, [0, 0, 1, 1, 2, 3]);
    }

    #[test]
    fn pages_of_others_are_refused() {
        for own in ["same-origin", "none"] {
            check(None, ("sec-fetch-site", own), Ok(()));
        }
        for other in ["cross-site", "same-site", "", "ü"] {
            check(None, ("sec-fetch-site", other), Err(Refusal::Page));
            check(Some("hunter2"), ("sec-fetch-site", other), Err(Refusal::Page));
        }
    }
}
