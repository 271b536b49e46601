//! The thread that is this host among its peers: it feeds the core with what comes and carries out what it wants.
//!
//! Nothing in the loop waits: whatever takes time (messages over TCP, questions to hosts, names, files) is a task of its
//! own on the same runtime, so many of each, and reports back by a bounded queue.

mod carry;
mod news;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ring::digest::{SHA256, digest};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep_until};

use self::news::News;
use super::core::{Effect, Input, Member, PeerId, Reach, Settings, Signer, Site};
use super::finder::{self, Found};
use super::guard::{DATAGRAM_MAX, Guard, Opened as Packet};
use super::icmp::{Echoes, Icmp};
use super::identity::{self, Identity};
use super::kept::Kept;
use super::keys::unhex;
use super::open::{Begin, Opened};
use super::refused::Refusal;
use super::report::{Mine, PeerReport, PeersReport, Summary, Traffic};
use super::stream::{self, Places};
use super::{Order, Reload};
use crate::config::Join;
use crate::outlet::lock;
use crate::pipeline::clock;
use crate::time::KTime;

/// How often places to join at are looked up again.
const FIND_EVERY: Duration = Duration::from_secs(30);
/// The same while nobody else is known.
const FIND_ALONE: Duration = Duration::from_secs(3);
/// How often the numbers for status and metrics are made, and what is known is looked at to be kept.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// What is known is written down at most so often.
const KEEP_EVERY: Duration = Duration::from_secs(60);
/// Datagrams that are taken in one turn.
const TURN: usize = 64;
/// Tasks under way: messages to others, questions to hosts.
const STREAMS_OUT: usize = 32;
const QUESTIONS: usize = 512;
/// What tasks have to say, waiting.
const REPORTS: usize = 1024;

/// What a task has to say.
enum Done {
    /// A message over TCP was let in.
    Stream(SocketAddr, Vec<u8>),
    /// One was not.
    Refused(Refusal),
    /// A message could not be sent.
    Unsent,
    /// A host was asked.
    Asked { peer: PeerId, asked: KTime, answered: bool },
    /// Places were looked up.
    Found(Found),
    /// What is known was written down, or why not.
    Kept(Option<String>),
}

/// What the thread begins with.
pub(super) struct Running {
    site: Site,
    guard: Guard,
    udp: std::net::UdpSocket,
    tcp: std::net::TcpListener,
    icmp: Icmp,
    begin: Begin,
    join: Vec<Join>,
    address: SocketAddr,
    state_dir: PathBuf,
    boot: [u8; 16],
    summary: Arc<Mutex<Summary>>,
}

/// The thread's state, on its runtime.
struct Loop {
    site: Site,
    guard: Guard,
    udp: Arc<UdpSocket>,
    /// The socket speaks IPv6, and IPv4 by it.
    is_v6: bool,
    echoes: Echoes,
    places: Places,
    done: mpsc::Sender<Done>,
    streams_out: Arc<Semaphore>,
    questions: Arc<Semaphore>,
    effects: Vec<Effect>,
    /// When the core was told something last.
    stepped: KTime,
    news: News,
    join: Vec<Join>,
    /// Being looked up.
    finding: bool,
    find_at: Instant,
    look_at: Instant,
    kept: Keeping,
    address: SocketAddr,
    traffic: Traffic,
    settings: Settings,
    notes: Notes,
    summary: Arc<Mutex<Summary>>,
}

/// What is wrong at present.
#[derive(Default)]
struct Notes {
    find: Vec<String>,
    keep: Option<String>,
}

/// What is written down, and when.
struct Keeping {
    state_dir: PathBuf,
    boot: [u8; 16],
    /// What was written last: who, in which word of theirs, and the own life.
    last: Vec<(PeerId, u32)>,
    life: u32,
    next: Instant,
    under_way: bool,
}

struct Signs(Identity);

impl Signer for Signs {
    fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        self.0.sign(bytes)
    }

    fn verify(&self, key: &[u8; 32], bytes: &[u8], signature: &[u8; 64]) -> bool {
        identity::verify(key, bytes, signature)
    }
}

impl Running {
    /// Who this host is, with what an earlier daemon knew.
    pub(super) fn new(
        opened: Opened,
        begin: Begin,
        summary: Arc<Mutex<Summary>>,
        notes: &mut Vec<String>,
    ) -> io::Result<Self> {
        let Opened { udp, tcp, icmp, keys, identity, salt, seed, join, address, state_dir } = opened;
        let boot = boot_of(&begin.host.boot_id);
        let (kept, note) = Kept::read(&state_dir);
        notes.extend(note);
        let clocks = clock::read();
        let seconds = clocks.wall.0.max(0) / 1_000_000_000;
        let me = Member {
            public_key: identity.public(),
            name: begin.host.name.clone(),
            zone: begin.zone.clone(),
            labels: begin.labels.clone(),
            addr: address,
            open_port: 0,
            boot,
            incarnation: u32::try_from(seconds).unwrap_or(u32::MAX),
            life: if kept.boot == boot { kept.life } else { 0 },
            started_ns: 0,
            up_ns: 0,
            leaving: None,
        };
        if let Err(error) = me.check() {
            notes.push(format!("peers: {error}: it is cut"));
        }
        let guard = Guard::new(keys, salt).ok_or_else(|| io::Error::other("no key can be derived"))?;
        let mut site = Site::new(me, Settings::default(), seed, clocks.mono, Box::new(Signs(identity)));
        site.recall(clocks.mono, &kept.records);
        Ok(Self { site, guard, udp, tcp, icmp, begin, join, address, state_dir, boot, summary })
    }
}

/// 16 bytes that stand for a boot.
fn boot_of(id: &str) -> [u8; 16] {
    let digits: String = id.chars().filter(|c| *c != '-').collect();
    unhex(&digits).unwrap_or_else(|| {
        let mut boot = [0; 16];
        let hashed = digest(&SHA256, id.as_bytes());
        boot.iter_mut().zip(hashed.as_ref()).for_each(|(to, from)| *to = *from);
        boot
    })
}

/// The whole thread.
pub(super) fn thread(running: Running, orders: mpsc::Receiver<Order>) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(4).build() {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!("the peers have no runtime: {error}"),
    };
    if let Err(error) = runtime.block_on(live(running, orders)) {
        tracing::error!("the peers' sockets cannot be used: {error}");
    }
    // A name may still be looked up: nobody waits for it any more.
    runtime.shutdown_background();
}

async fn live(running: Running, mut orders: mpsc::Receiver<Order>) -> io::Result<()> {
    let Running { site, guard, udp, tcp, icmp, begin, join, address, state_dir, boot, summary } = running;
    let (udp, tcp) = (UdpSocket::from_std(udp)?, TcpListener::from_std(tcp)?);
    let (done, mut reports) = mpsc::channel(REPORTS);
    let now = Instant::now();
    let mut this = Loop {
        site,
        guard,
        is_v6: udp.local_addr()?.is_ipv6(),
        udp: Arc::new(udp),
        echoes: icmp.enter(),
        places: Places::default(),
        done,
        streams_out: Arc::new(Semaphore::new(STREAMS_OUT)),
        questions: Arc::new(Semaphore::new(QUESTIONS)),
        effects: Vec::new(),
        stepped: clock::now(),
        news: News::begin(begin.feed),
        join,
        finding: false,
        find_at: now,
        look_at: now,
        kept: Keeping { state_dir, boot, last: Vec::new(), life: 0, next: now, under_way: false },
        address,
        traffic: Traffic::default(),
        settings: Settings::default(),
        notes: Notes::default(),
        summary,
    };
    let udp = Arc::clone(&this.udp);
    let mut buffer = vec![0; DATAGRAM_MAX + 1];
    loop {
        this.carry_out();
        let wake = this.wake();
        tokio::select! {
            received = udp.recv_from(&mut buffer) => {
                if let Ok((length, from)) = received {
                    this.datagram(from, buffer.get(..length).unwrap_or_default());
                }
                this.more_datagrams(&udp, &mut buffer);
            }
            accepted = tcp.accept() => if let Ok((stream, from)) = accepted { this.accept(stream, from) },
            Some(done) = reports.recv() => this.take(done),
            order = orders.recv() => match order {
                Some(Order::Leave(why, left)) => {
                    this.leave(why, &mut reports).await;
                    let _ = left.send(());
                    return Ok(());
                }
                Some(order) => this.obey(order),
                None => return Ok(()),
            },
            () = sleep_until(wake) => this.on_time(),
        }
    }
}

impl Loop {
    fn step(&mut self, input: Input<'_>) {
        self.stepped = clock::now();
        self.site.step(self.stepped, input, &mut self.effects);
    }

    /// When something is due.
    fn wake(&self) -> Instant {
        let now = clock::now();
        let ticks = self.site.next().map(|at| Instant::now() + at.since(now));
        let others = [Some(self.find_at), Some(self.look_at), self.news.next(now), ticks];
        others.into_iter().flatten().min().unwrap_or(self.look_at)
    }

    fn on_time(&mut self) {
        let (now, instant) = (clock::now(), Instant::now());
        if self.site.next().is_some_and(|at| at <= now) {
            self.step(Input::Tick);
        }
        if instant >= self.find_at {
            self.find();
        }
        if instant >= self.look_at {
            self.look_at = instant + LOOK_EVERY;
            self.show();
            self.keep(instant);
        }
        self.news.on_time(now, &self.site);
    }

    fn datagram(&mut self, from: SocketAddr, bytes: &[u8]) {
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        self.traffic.received_packets += 1;
        self.traffic.received_bytes += bytes.len() as u64;
        match self.guard.open(clock::now(), from, bytes) {
            Packet::Words(words) => self.step(Input::Packet { from, bytes: &words, reliable: false }),
            Packet::Answer(packet) => self.send(from, &packet),
            Packet::Again(packets) => packets.iter().for_each(|(to, packet)| self.send(*to, packet)),
            Packet::Refused => {}
        }
    }

    /// What has gathered meanwhile, without another turn of the loop for each.
    fn more_datagrams(&mut self, udp: &UdpSocket, buffer: &mut [u8]) {
        for _ in 0..TURN {
            let Ok((length, from)) = udp.try_recv_from(buffer) else { break };
            self.datagram(from, buffer.get(..length).unwrap_or_default());
            self.carry_out();
        }
    }

    fn accept(&mut self, mut stream: tokio::net::TcpStream, from: SocketAddr) {
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        let Some(place) = self.places.take(from.ip()) else {
            self.guard.refuse(Refusal::Room);
            return;
        };
        let (keys, done) = (self.guard.keys().to_vec(), self.done.clone());
        tokio::spawn(async move {
            let taken = stream::take(&mut stream, &keys).await;
            drop(place);
            let told = taken.map_or_else(Done::Refused, |words| Done::Stream(from, words));
            // Nobody listens any more when the thread ends.
            let _ = done.send(told).await;
        });
    }

    fn take(&mut self, done: Done) {
        match done {
            Done::Stream(from, words) => {
                self.traffic.received_streams += 1;
                self.step(Input::Packet { from, bytes: &words, reliable: true });
            }
            Done::Refused(why) => self.guard.refuse(why),
            Done::Unsent => self.traffic.unsent += 1,
            Done::Asked { peer, asked, answered } => self.step(Input::HostAnswered { peer, asked, answered }),
            Done::Found(found) => self.found(&found),
            Done::Kept(why) => {
                self.kept.under_way = false;
                self.notes.keep = why;
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Reach(reach) => self.reach(reach),
            Order::Reload(reload) => self.reload(*reload),
            Order::Report(reply) => {
                self.show();
                drop(reply.send(Some(self.report())));
            }
            // Taken by the loop.
            Order::Leave(..) => {}
        }
    }

    fn reach(&mut self, reach: Reach) {
        self.step(Input::Collector(reach));
    }

    fn reload(&mut self, reload: Reload) {
        let Reload { join, keys, zone, labels } = reload;
        self.guard.set_keys(keys);
        self.step(Input::Relabel { zone, labels });
        if join != self.join {
            self.join = join;
            self.find_at = Instant::now();
        }
    }

    fn find(&mut self) {
        let alone = self.site.members().nth(1).is_none();
        self.find_at = Instant::now() + if alone { FIND_ALONE } else { FIND_EVERY };
        if self.finding || self.join.is_empty() {
            return;
        }
        self.finding = true;
        let (places, done) = (self.join.clone(), self.done.clone());
        tokio::spawn(async move {
            let found = finder::find(places).await;
            let _ = done.send(Done::Found(found)).await;
        });
    }

    fn found(&mut self, found: &Found) {
        self.finding = false;
        if found.notes != self.notes.find {
            found.notes.iter().for_each(|note| tracing::warn!("peers: {note}"));
        }
        self.notes.find.clone_from(&found.notes);
        let others: Vec<SocketAddr> = found.addresses.iter().filter(|address| **address != self.address).copied().collect();
        if !others.is_empty() {
            self.step(Input::Join(&others));
        }
    }

    /// Writes down what is known, where that has changed.
    fn keep(&mut self, now: Instant) {
        let life = self.site.members().next().map_or(0, |me| me.member.life);
        let is_due = now >= self.kept.next || life != self.kept.life;
        if self.kept.under_way || !is_due {
            return;
        }
        let known: Vec<(PeerId, u32)> =
            self.site.records().map(|record| (record.member.id(), record.member.incarnation)).collect();
        if known == self.kept.last && life == self.kept.life {
            return;
        }
        self.kept.next = now + KEEP_EVERY;
        (self.kept.last, self.kept.life, self.kept.under_way) = (known, life, true);
        let (kept, state_dir, done) = (self.known(), self.kept.state_dir.clone(), self.done.clone());
        tokio::spawn(async move {
            let written = tokio::task::spawn_blocking(move || kept.write(&state_dir)).await;
            let why = match written {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(format!("what is known of the peers cannot be kept: {error}")),
                Err(error) => Some(format!("what is known of the peers cannot be kept: {error}")),
            };
            let _ = done.send(Done::Kept(why)).await;
        });
    }

    fn known(&self) -> Kept {
        Kept { life: self.kept.life, boot: self.kept.boot, records: self.site.records().cloned().collect() }
    }

    /// How it stands, for whoever asks meanwhile.
    fn show(&self) {
        *lock(&self.summary) = self.numbers();
    }

    fn numbers(&self) -> Summary {
        let notes = self.notes.find.iter().chain(&self.notes.keep).cloned().collect();
        let traffic = Traffic { untold: self.news.untold(), ..self.traffic };
        Summary::of(self.site.members(), &self.site.health(), traffic, self.guard.refused(), notes)
    }

    fn report(&self) -> PeersReport {
        let now = clock::now();
        let mut members: Vec<PeerReport> = self.site.members().map(|view| PeerReport::of(&view, now)).collect();
        members.sort_by(|one, two| two.myself.cmp(&one.myself).then_with(|| one.name.cmp(&two.name)));
        PeersReport { me: Mine { address: self.address, summary: self.numbers() }, members }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_has_16_bytes_whatever_its_name() {
        assert_eq!(boot_of("00000000-0000-4000-8000-0000000000ff")[15], 0xff);
        assert_eq!(boot_of("btime:1"), boot_of("btime:1"));
        assert_ne!(boot_of("btime:1"), boot_of("btime:2"));
    }
}
