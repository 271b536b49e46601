//! Whether a host is there though its daemon is silent: an ICMP echo, which only the system answers.
//!
//! The sockets are opened before capabilities are dropped: one for pings, where the system gives that to this user
//! (`net.ipv4.ping_group_range`), else a raw one. Without either there is the TCP connection alone ([`super::ask`]). A raw
//! socket hears every echo of the host: it is read only while an answer is waited for, and its queue is small.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto, sockopt};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use crate::outlet::lock;
use crate::readable::Readable;

/// Bytes that make an echo ours.
const TOKEN_BYTES: usize = 16;
/// Bytes before them.
const ICMP_BYTES: usize = 8;
/// Queue of a socket.
const QUEUE_BYTES: usize = 16 << 10;
/// Longest answer that is looked at: an IP header with options, and ours.
const ANSWER_BYTES: usize = 128;
/// An echo that got lost is sent again.
const AGAIN_AFTER: Duration = Duration::from_millis(400);

/// Echoes, for each family where they can be sent.
#[derive(Debug, Default)]
pub(super) struct Icmp {
    v4: Option<OwnedFd>,
    v6: Option<OwnedFd>,
}

/// The same on a runtime.
#[derive(Clone, Debug, Default)]
pub(super) struct Echoes {
    v4: Option<Arc<Readable<OwnedFd>>>,
    v6: Option<Arc<Readable<OwnedFd>>>,
    /// Who waits for which answer; whoever reads one hands it on.
    waiting: Arc<Mutex<HashMap<Token, Waiting>>>,
}

/// Whose answer is waited for, and who is told of it.
type Waiting = (IpAddr, oneshot::Sender<()>);

/// What makes an echo ours.
pub(super) type Token = [u8; TOKEN_BYTES];

impl Icmp {
    /// Opens what can be opened; why IPv4 cannot is the error.
    pub(super) fn open() -> (Self, Option<String>) {
        let v4 = open(AddressFamily::INET, ipproto::ICMP);
        let v6 = open(AddressFamily::INET6, ipproto::ICMPV6);
        let why = v4.as_ref().err().map(|error| format!("no ICMP echo can be sent ({error})"));
        (Self { v4: v4.ok(), v6: v6.ok() }, why)
    }

    /// For use on this runtime.
    pub(super) fn enter(self) -> Echoes {
        // One that cannot be watched is one that is not there.
        let watched = |fd: Option<OwnedFd>| fd.and_then(|fd| Readable::new(fd).ok()).map(Arc::new);
        Echoes { v4: watched(self.v4), v6: watched(self.v6), waiting: Arc::default() }
    }
}

fn open(family: AddressFamily, protocol: rustix::net::Protocol) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let of_pings = rustix::net::socket_with(family, SocketType::DGRAM, flags, Some(protocol));
    let socket = of_pings.or_else(|_| rustix::net::socket_with(family, SocketType::RAW, flags, Some(protocol)))?;
    sockopt::set_socket_recv_buffer_size(&socket, QUEUE_BYTES)?;
    Ok(socket)
}

impl Echoes {
    /// Whether the host answers. False as well where no echo can be sent.
    pub(super) async fn answers(&self, host: IpAddr, token: Token, until: Instant) -> bool {
        let socket = match host {
            IpAddr::V4(_) => &self.v4,
            IpAddr::V6(_) => &self.v6,
        };
        let Some(socket) = socket else { return false };
        let (answered, mut answer) = oneshot::channel();
        lock(&self.waiting).insert(token, (host, answered));
        let heard = self.ask(socket, host, token, until, &mut answer).await;
        lock(&self.waiting).remove(&token);
        heard
    }

    async fn ask(
        &self,
        socket: &Readable<OwnedFd>,
        host: IpAddr,
        token: Token,
        until: Instant,
        answer: &mut oneshot::Receiver<()>,
    ) -> bool {
        let mut sequence = 0_u16;
        loop {
            sequence = sequence.wrapping_add(1);
            let echo = echo(host, sequence, token);
            // A network that is not there is no answer, like an answer that does not come.
            let _ = rustix::net::sendto(socket.get_ref(), &echo, SendFlags::empty(), &SocketAddr::new(host, 0));
            let again = until.min(Instant::now() + AGAIN_AFTER);
            loop {
                tokio::select! {
                    biased;
                    heard = &mut *answer => return heard.is_ok(),
                    () = sleep_until(again) => break,
                    ready = socket.ready() => {
                        if ready.is_err() {
                            return false;
                        }
                        self.take_in(socket.get_ref());
                    }
                }
            }
            if again >= until {
                return false;
            }
        }
    }

    /// Hands on all that has come.
    fn take_in(&self, socket: &OwnedFd) {
        loop {
            match receive(socket) {
                Ok((packet, from)) => self.hand_on(&packet, from),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // What the network tells of an earlier echo is told once.
                Err(_) => {}
            }
        }
    }

    /// Gives an answer to whoever waits for it.
    fn hand_on(&self, packet: &[u8], from: Option<IpAddr>) {
        let mut waiting = lock(&self.waiting);
        let token = waiting.iter().find(|(token, (host, _))| is_answer(packet, from, *host, **token));
        if let Some((_, answered)) = token.map(|(token, _)| *token).and_then(|token| waiting.remove(&token)) {
            // Who asked may have given up.
            let _ = answered.send(());
        }
    }
}

fn receive(socket: &OwnedFd) -> io::Result<(Vec<u8>, Option<IpAddr>)> {
    let mut buffer = vec![0; ANSWER_BYTES];
    let (_, length, from) = rustix::net::recvfrom(socket, buffer.as_mut_slice(), RecvFlags::TRUNC)?;
    buffer.truncate(length.min(ANSWER_BYTES));
    let from = from.and_then(|from| SocketAddr::try_from(from).ok()).map(|from| from.ip());
    Ok((buffer, from))
}

/// An echo. The system sets its own number and checksum where it knows better (pings, and all of IPv6).
fn echo(host: IpAddr, sequence: u16, token: Token) -> Vec<u8> {
    let kind = if host.is_ipv4() { 8 } else { 128 };
    let number = u16::from_be_bytes([token[0], token[1]]);
    let mut echo = vec![kind, 0, 0, 0];
    echo.extend_from_slice(&number.to_be_bytes());
    echo.extend_from_slice(&sequence.to_be_bytes());
    echo.extend_from_slice(&token);
    let sum = checksum(&echo);
    if let Some(place) = echo.get_mut(2..4) {
        place.copy_from_slice(&sum.to_be_bytes());
    }
    echo
}

/// Whether this is the answer to our echo, with or without an IPv4 header before it.
fn is_answer(packet: &[u8], from: Option<IpAddr>, host: IpAddr, token: Token) -> bool {
    let is_from_there = from.is_none_or(|from| same_host(from, host));
    let body = match (host, packet.first()) {
        // A raw socket of IPv4 hands out the header as well; an echo's first byte is never that of one.
        (IpAddr::V4(_), Some(first)) if first >> 4 == 4 => {
            packet.get(usize::from(first & 0x0f) * 4..).unwrap_or_default()
        }
        _ => packet,
    };
    let answer = if host.is_ipv4() { 0 } else { 129 };
    let payload = body.get(ICMP_BYTES..ICMP_BYTES + TOKEN_BYTES);
    is_from_there && body.first() == Some(&answer) && payload == Some(&token[..])
}

fn same_host(one: IpAddr, two: IpAddr) -> bool {
    let plain = |ip: IpAddr| match ip {
        IpAddr::V6(ip) => ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4),
        IpAddr::V4(ip) => IpAddr::V4(ip),
    };
    plain(one) == plain(two)
        // What goes to any of our own addresses may be answered by another of them.
        || (is_own(one) && is_own(two))
}

fn is_own(ip: IpAddr) -> bool {
    ip == IpAddr::V4(Ipv4Addr::LOCALHOST) || ip == IpAddr::V6(Ipv6Addr::LOCALHOST)
}

fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| {
        u32::from(pair.first().copied().unwrap_or_default()) << 8 | u32::from(pair.get(1).copied().unwrap_or_default())
    });
    let mut sum = words.fold(0_u32, u32::wrapping_add);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
    const TOKEN: [u8; TOKEN_BYTES] = *b"0123456789abcdef";

    #[test]
    fn an_echo_has_its_checksum() {
        let echo = echo(HOST, 1, TOKEN);
        assert_eq!((echo[0], echo.len()), (8, ICMP_BYTES + TOKEN_BYTES));
        assert_eq!(checksum(&echo), 0, "over a packet with its checksum it comes to nothing");
    }

    #[test]
    fn only_its_own_answer_counts() {
        let mut answer = echo(HOST, 1, TOKEN);
        answer[0] = 0;
        let with_header = [&[0x45; 20][..], &answer].concat();
        let with_options = [&[0x46; 24][..], &answer].concat();
        for packet in [&answer, &with_header, &with_options] {
            assert!(is_answer(packet, Some(HOST), HOST, TOKEN));
            assert!(!is_answer(packet, Some(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 3))), HOST, TOKEN));
            assert!(!is_answer(packet, Some(HOST), HOST, [0; TOKEN_BYTES]));
            assert!((0..packet.len()).all(|length| !is_answer(&packet[..length], Some(HOST), HOST, TOKEN)));
        }
        // Our own echo on its way is no answer.
        assert!(!is_answer(&echo(HOST, 1, TOKEN), Some(HOST), HOST, TOKEN));
    }

    #[tokio::test]
    async fn this_host_answers_where_echoes_can_be_sent() {
        let (icmp, why) = Icmp::open();
        let echoes = icmp.enter();
        let host = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let answers = echoes.answers(host, TOKEN, Instant::now() + Duration::from_secs(10)).await;
        assert_eq!(answers, why.is_none(), "{why:?}");
    }
}
