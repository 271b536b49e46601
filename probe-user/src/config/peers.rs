//! `peers`: where this host is heard by the others of its site, where it finds them, and the keys that they share.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use super::decode::{path, set};
use super::keys;
use crate::yaml::{Decoder, Fields};

/// The port where none is given.
pub const DEFAULT_PORT: u16 = 7946;
/// Most places that are named to join at.
const JOINS_MAX: usize = 256;
/// Longest DNS name.
const DNS_MAX: usize = 253;

/// Hosts that watch each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peers {
    /// Where they are heard, over UDP and TCP.
    pub listen: SocketAddr,
    /// Where others reach this host; `None`: at the address that it sends from.
    pub advertise: Option<SocketAddr>,
    /// Where this host answers over TCP though its daemon is gone.
    pub open_port: Option<u16>,
    /// Where others may be.
    pub join: Vec<Join>,
    /// The shared keys, one or two: the first seals.
    pub key_files: Vec<PathBuf>,
}

/// Where another host may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Join {
    /// There.
    Address(SocketAddr),
    /// At all addresses of this name, which is looked up again now and then.
    Name(String, u16),
    /// Where the lines of this file say, which is read again now and then.
    File(PathBuf),
}

impl FromStr for Join {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with('/') {
            return if text.contains('\0') { Err("a path without NUL".into()) } else { Ok(Self::File(text.into())) };
        }
        if let Some(address) = address(text) {
            return usable(address).map(Self::Address);
        }
        let (name, port) = match text.rsplit_once(':') {
            Some((name, given)) => (name, port(given)?),
            None => (text, DEFAULT_PORT),
        };
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if name.is_empty() || name.len() > DNS_MAX || !name.chars().all(fits) {
            return Err("letters, digits, dots and dashes make a DNS name; a path begins with a /".into());
        }
        Ok(Self::Name(name.to_owned(), port))
    }
}

fn port(text: &str) -> Result<u16, String> {
    text.parse().ok().filter(|port| *port > 0).ok_or_else(|| "a port is a number from 1 to 65535".into())
}

/// An IP address with or without a port.
fn address(text: &str) -> Option<SocketAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    text.parse().ok().or_else(|| bare.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, DEFAULT_PORT)))
}

/// One that something can be sent to.
fn usable(address: SocketAddr) -> Result<SocketAddr, String> {
    match address.ip() {
        ip if ip.is_unspecified() => Err("that is every address of a host, and none to send to".into()),
        ip if ip.is_multicast() => Err("that is a multicast address; name single hosts".into()),
        IpAddr::V4(Ipv4Addr::BROADCAST) => Err("that is the broadcast address; name single hosts".into()),
        _ if address.port() == 0 => Err("a port is a number from 1 to 65535".into()),
        _ => Ok(address),
    }
}

/// The table under `peers`.
pub(super) fn peers(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<Peers> {
    let mut listen = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), DEFAULT_PORT);
    if let Some(given) = fields.get("listen") {
        let parse = |text: &str| match text.parse::<SocketAddr>() {
            Ok(address) if address.ip().is_multicast() => Err("not a multicast address".into()),
            Ok(address) => Ok(address),
            Err(_) => Err("such as 0.0.0.0:7946 or [::]:7946".into()),
        };
        set(&mut listen, decoder.form(given, &keys::PEER_LISTEN, parse));
    }
    let advertise = fields.get("advertise").and_then(|given| {
        decoder.form(given, &keys::ADVERTISE, |text| {
            let port = if text.parse::<SocketAddr>().is_ok() { None } else { Some(listen.port()) };
            let address = address(text).ok_or("an IP address, as others see it")?;
            usable(SocketAddr::new(address.ip(), port.unwrap_or(address.port())))
        })
    });
    let open_port = fields.get("open_port").and_then(|given| decoder.form(given, &keys::PORT, port));
    let mut join: Vec<Join> = Vec::new();
    if let Some(given) = fields.get("join") {
        for item in decoder.one_or_many(given) {
            match decoder.form(item, &keys::JOIN, Join::from_str) {
                Some(place) if join.contains(&place) => decoder.error(item.span, "it is given twice"),
                Some(place) => join.push(place),
                None => {}
            }
        }
        if join.len() > JOINS_MAX {
            let help = "a few are enough: each host tells of all others; many can stand in a file or behind a name";
            decoder.error_help(given.span, format!("more than {JOINS_MAX} places to join at"), help);
        }
    }
    let given = fields.get("key_file")?;
    let key_files: Vec<PathBuf> = decoder.one_or_many(given).iter().filter_map(|item| path(decoder, item)).collect();
    if key_files.len() > 2 {
        decoder.error_help(given.span, "more than two keys", "the new one and the old one, while keys are changed");
    }
    Some(Peers { listen, advertise, open_port, join, key_files })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<Join, &str>) {
        match (text.parse::<Join>(), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{text}"),
            (Err(found), Err(part)) => assert!(found.contains(part), "{text}: {found}"),
            (found, expected) => panic!("{text}: {found:?}, not {expected:?}"),
        }
    }

    #[test]
    fn places_to_join_at() {
        let at = |text: &str| Ok(Join::Address(text.parse().unwrap()));
        check("10.0.0.2:7000", at("10.0.0.2:7000"));
        check("10.0.0.2", at("10.0.0.2:7946"));
        check("::1", at("[::1]:7946"));
        check("[fe80::1]", at("[fe80::1]:7946"));
        check("[fe80::1]:1", at("[fe80::1]:1"));
        check("peers.example", Ok(Join::Name("peers.example".into(), 7946)));
        check("peers.example:80", Ok(Join::Name("peers.example".into(), 80)));
        check("/etc/peers", Ok(Join::File("/etc/peers".into())));
        check("0.0.0.0:7946", Err("every address"));
        check("224.0.0.1", Err("multicast"));
        check("255.255.255.255:1", Err("broadcast"));
        check("10.0.0.2:0", Err("port"));
        check("peers.example:x", Err("port"));
        check("a b", Err("DNS name"));
        check("", Err("DNS name"));
    }
}
