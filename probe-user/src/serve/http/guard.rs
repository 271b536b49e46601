//! Who is answered: whoever has the token, or where there is none, whoever asks for this host by its own names.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use axum::body::Body;
use axum::http::header::{AUTHORIZATION, HOST, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use ring::hmac::{self, HMAC_SHA256, Key, Tag};
use ring::rand::SystemRandom;

/// The token, kept so that comparing takes the same time whatever is presented.
#[derive(Debug, Default)]
pub(super) struct Guard {
    wanted: Mutex<Wanted>,
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

/// Why somebody is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No token, or another one.
    Token,
    /// Asked for another host.
    Host,
}

impl Guard {
    /// Another token from now on, or none.
    pub(super) fn set_token(&self, token: Option<&str>) {
        let wanted = match token.map(|token| (Key::generate(HMAC_SHA256, &SystemRandom::new()), token)) {
            None => Wanted::Nothing,
            Some((Ok(key), token)) => {
                let tag = hmac::sign(&key, token.as_bytes());
                Wanted::Token(Box::new(Token { key, tag }))
            }
            // The system has no random numbers.
            Some((Err(_), _)) => Wanted::Refused,
        };
        *self.wanted.lock().unwrap_or_else(PoisonError::into_inner) = wanted;
    }

    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        match &*self.wanted.lock().unwrap_or_else(PoisonError::into_inner) {
            Wanted::Nothing if is_own_name(headers.get(HOST)) => Ok(()),
            Wanted::Nothing => Err(Refusal::Host),
            Wanted::Token(token) => {
                let presented = bearer(headers).ok_or(Refusal::Token)?;
                hmac::verify(&token.key, presented, token.tag.as_ref()).map_err(|_| Refusal::Token)
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
}
