//! What takes privileges or can be refused: the shared keys, this host's identity, its sockets, its address.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::sync::mpsc;

use super::icmp::Icmp;
use super::identity::{Identity, IdentityError};
use super::keys::{Key, KeyError};
use super::run::{self, Running};
use super::{ORDERS, Peers, Summary};
use crate::config::{self, Join};
use crate::engine::Input;
use crate::event::Host;
use crate::host::identity::kernel_name;

/// What an address is asked for that nobody has: which of our own the system would send from.
const NOWHERE_V4: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9);
const NOWHERE_V6: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)), 9);
/// The kernel's queue of datagrams that the thread has not taken yet.
const QUEUE_BYTES: usize = 1 << 20;

/// Why this host cannot be a member of its site.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A shared key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Its own key.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A socket.
    #[error("peers: {address} cannot be listened on: {source}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The system has no randomness.
    #[error("peers: the system gives no random bytes")]
    Random,
}

impl OpenError {
    /// The configuration is wrong, rather than the moment.
    pub const fn is_about_the_configuration(&self) -> bool {
        matches!(self, Self::Key(_) | Self::Identity(_))
    }
}

/// Everything that the thread needs.
#[derive(Debug)]
pub struct Opened {
    pub(super) udp: UdpSocket,
    pub(super) tcp: TcpListener,
    pub(super) icmp: Icmp,
    pub(super) keys: Vec<Key>,
    pub(super) identity: Identity,
    pub(super) salt: super::seal::Salt,
    pub(super) seed: u64,
    pub(super) join: Vec<Join>,
    pub(super) address: SocketAddr,
    pub(super) open_port: Option<u16>,
    pub(super) state_dir: PathBuf,
}

/// Who this host is among the others.
#[derive(Debug)]
pub struct Begin {
    /// As in its events.
    pub host: Host,
    /// Its zone.
    pub zone: String,
    /// Its labels, without the zone.
    pub labels: Vec<(String, String)>,
    /// Where news go.
    pub feed: mpsc::Sender<Input>,
}

/// The shared keys of these files.
pub fn shared_keys(files: &[PathBuf]) -> Result<Vec<Key>, KeyError> {
    files.iter().map(|path| Key::read(path)).collect()
}

/// Whether both sockets could be had.
pub fn bindable(listen: SocketAddr) -> io::Result<()> {
    TcpListener::bind(listen).and_then(|tcp| UdpSocket::bind(tcp.local_addr()?)).map(drop)
}

impl Opened {
    /// Gets everything. The notes say what is degraded.
    pub fn open(config: &config::Peers, state_dir: &Path) -> Result<(Self, Vec<String>), OpenError> {
        let mut notes = Vec::new();
        let keys = shared_keys(&config.key_files)?;
        let (identity, note) = Identity::open(state_dir)?;
        notes.extend(note);
        let bind = |source| OpenError::Bind { address: config.listen, source };
        let (tcp, udp) = sockets(config.listen).map_err(bind)?;
        let listen = tcp.local_addr().map_err(bind)?;
        let (icmp, note) = Icmp::open();
        notes.extend(note.map(|why| {
            format!("peers: {why}: whether a silent host answers is told by TCP alone (CAP_NET_RAW gives both)")
        }));
        let address = config.advertise.or_else(|| own_address(listen, &config.join)).unwrap_or_else(|| {
            notes.push("peers: no address is known at which others could reach this host; set peers.advertise".into());
            SocketAddr::new(Ipv4Addr::LOCALHOST.into(), listen.port())
        });
        let (mut salt, mut seed) = ([0; super::seal::SALT_BYTES], [0; 8]);
        let random = SystemRandom::new();
        random.fill(&mut salt).and_then(|()| random.fill(&mut seed)).map_err(|_| OpenError::Random)?;
        let opened = Self {
            udp,
            tcp,
            icmp,
            keys,
            identity,
            salt,
            seed: u64::from_le_bytes(seed),
            join: config.join.clone(),
            address,
            open_port: config.open_port,
            state_dir: state_dir.to_owned(),
        };
        Ok((opened, notes))
    }

    /// Starts the thread. The notes say what is degraded.
    pub fn begin(self, begin: Begin) -> io::Result<(Peers, Vec<String>)> {
        let (orders, inbox) = mpsc::channel(ORDERS);
        let summary = Arc::new(Mutex::new(Summary::default()));
        let mut notes = Vec::new();
        let running = Running::new(self, begin, Arc::clone(&summary), &mut notes)?;
        let thread = std::thread::Builder::new().name("peers".into()).spawn(move || run::thread(running, inbox))?;
        Ok((Peers { orders, summary, thread }, notes))
    }
}

fn sockets(listen: SocketAddr) -> io::Result<(TcpListener, UdpSocket)> {
    let tcp = TcpListener::bind(listen)?;
    let udp = UdpSocket::bind(tcp.local_addr()?)?;
    tcp.set_nonblocking(true)?;
    udp.set_nonblocking(true)?;
    // Less is given where the system's limit is lower.
    let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&udp, QUEUE_BYTES);
    Ok((tcp, udp))
}

/// Where others would reach this host: the address that it listens on, else the one that it sends from.
fn own_address(listen: SocketAddr, join: &[Join]) -> Option<SocketAddr> {
    if !listen.ip().is_unspecified() {
        return Some(listen);
    }
    let named = join.iter().filter_map(|place| match place {
        Join::Address(address) => Some(*address),
        Join::Name(..) | Join::File(_) => None,
    });
    let toward = |to: SocketAddr| {
        let any = if to.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
        let socket = UdpSocket::bind(SocketAddr::new(any, 0)).ok()?;
        // Nothing is sent: the system looks for its own address on the way there.
        socket.connect(to).ok()?;
        let ip = socket.local_addr().ok()?.ip();
        (!ip.is_unspecified() && !ip.is_loopback() || to.ip().is_loopback())
            .then_some(SocketAddr::new(ip, listen.port()))
    };
    let fits = |to: &SocketAddr| to.is_ipv4() || listen.is_ipv6();
    named.chain([NOWHERE_V4, NOWHERE_V6]).filter(fits).find_map(toward)
}

impl Begin {
    /// Who the host of this identity and these labels is.
    pub fn new(host: Host, node: &config::Node, feed: mpsc::Sender<Input>) -> Self {
        let (zone, labels) = own_words(node);
        let name = if host.name.is_empty() { kernel_name() } else { host.name };
        Self { host: Host { name, ..host }, zone, labels, feed }
    }
}

/// A host's zone and its other labels.
pub(crate) fn own_words(node: &config::Node) -> (String, Vec<(String, String)>) {
    let zone = node.labels.get("zone").cloned().unwrap_or_default();
    let others = node.labels.iter().filter(|(key, _)| *key != "zone");
    (zone, others.map(|(key, value)| (key.clone(), value.clone())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_address_is_where_it_listens_or_sends_from() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        assert_eq!(own_address(at("10.0.0.1:1"), &[]), Some(at("10.0.0.1:1")));
        let join = [Join::Name("x".into(), 1), Join::Address(at("127.0.0.1:9"))];
        assert_eq!(own_address(at("0.0.0.0:7"), &join), Some(at("127.0.0.1:7")));
    }

    #[test]
    fn both_sockets_are_had_or_none() {
        let (tcp, udp) = sockets("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = tcp.local_addr().unwrap();
        assert_eq!(udp.local_addr().unwrap(), address);
        assert!(bindable(address).is_err());
        drop((tcp, udp));
        assert!(bindable(address).is_ok());
    }
}
