//! The thread that is this host among its peers: it feeds the core with what comes and carries out what it wants.
//!
//! Nothing in the loop waits: whatever takes time (messages over TCP, questions to hosts, names, files) is a task of its
//! own on the same runtime, so many of each, and reports back by a bounded queue.

mod begin;
mod carry;
mod keep;
mod news;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};

use self::keep::Keeping;
use self::news::News;
use super::core::{Effect, Input, PeerId, Reach, Settings, Site};
use super::finder::{self, Found};
use super::guard::{DATAGRAM_MAX, Guard, Opened as Packet};
use super::icmp::{Echoes, Icmp};
use super::open::Begin;
use super::refused::Refusal;
use super::report::{Mine, PeerReport, PeersReport, Summary, Traffic};
use super::stream::{self, Places};
use super::{Order, Reload};
use crate::config::Join;
use crate::outlet::lock;
use crate::pipeline::alarm::Alarm;
use crate::pipeline::clock;
use crate::readable::Readable;
use crate::time::KTime;

/// How often places to join at are looked up again.
const FIND_EVERY: Duration = Duration::from_secs(30);
/// The same while nobody else is known.
const FIND_ALONE: Duration = Duration::from_secs(3);
/// How often the numbers for status and metrics are made, and what is known is looked at to be kept.
const LOOK_EVERY: Duration = Duration::from_secs(5);
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
    udp: UdpSocket,
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
    /// Under watch for what comes alone: what is sent never waits, and room for more of it would be a wake-up.
    udp: Readable<UdpSocket>,
    /// More has come than was taken in the last turn.
    backlog: bool,
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
    find_at: KTime,
    look_at: KTime,
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
    let tcp = TcpListener::from_std(tcp)?;
    let mut alarm = Alarm::new()?;
    let (done, mut reports) = mpsc::channel(REPORTS);
    let now = clock::now();
    let mut this = Loop {
        site,
        guard,
        is_v6: udp.local_addr()?.is_ipv6(),
        udp: Readable::new(udp)?,
        backlog: false,
        echoes: icmp.enter(),
        places: Places::default(),
        done,
        streams_out: Arc::new(Semaphore::new(STREAMS_OUT)),
        questions: Arc::new(Semaphore::new(QUESTIONS)),
        effects: Vec::new(),
        stepped: now,
        news: News::begin(begin.feed),
        join,
        finding: false,
        find_at: now,
        look_at: now,
        kept: Keeping::new(state_dir, boot, now),
        address,
        traffic: Traffic::default(),
        settings: Settings::default(),
        notes: Notes::default(),
        summary,
    };
    let mut buffer = vec![0; DATAGRAM_MAX + 1];
    loop {
        this.carry_out();
        alarm.set(Some(this.wake()))?;
        tokio::select! {
            ready = this.udp.ready() => {
                ready?;
                this.datagrams(&mut buffer);
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
            rings = alarm.rings() => {
                rings?;
                alarm.rang();
                this.on_time(&mut buffer);
            }
        }
    }
}

impl Loop {
    fn step(&mut self, input: Input<'_>) {
        self.stepped = clock::now();
        self.site.step(self.stepped, input, &mut self.effects);
    }

    /// When something is due.
    fn wake(&self) -> KTime {
        if self.backlog {
            return self.stepped;
        }
        let others = [Some(self.find_at), self.news.next(), self.site.next()];
        others.into_iter().flatten().fold(self.look_at, KTime::min)
    }

    fn on_time(&mut self, buffer: &mut [u8]) {
        if self.backlog {
            self.datagrams(buffer);
        }
        let now = clock::now();
        if self.site.next().is_some_and(|at| at <= now) {
            self.step(Input::Tick);
        }
        if now >= self.find_at {
            self.find();
        }
        if now >= self.look_at {
            self.look_at = now.after(LOOK_EVERY);
            self.show();
            self.keep(now);
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

    /// Takes what has come, so much of it that everything else has its turn as well.
    fn datagrams(&mut self, buffer: &mut [u8]) {
        for _ in 0..TURN {
            match self.udp.get_ref().recv_from(buffer) {
                Ok((length, from)) => {
                    self.datagram(from, buffer.get(..length).unwrap_or_default());
                    self.carry_out();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.backlog = false;
                    return;
                }
                // About something that was sent.
                Err(_) => {}
            }
        }
        self.backlog = true;
    }

    fn accept(&mut self, mut stream: tokio::net::TcpStream, from: SocketAddr) {
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        let Some(place) = self.places.take(from.ip()) else {
            self.guard.refuse(Refusal::Room);
            return;
        };
        let (keys, done) = (self.guard.keys().to_vec(), self.done.clone());
        tokio::spawn(async move {
            let taken = stream::take(&mut stream, &keys, stream::WITHIN).await;
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
                self.kept.done();
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
            self.find_at = clock::now();
        }
    }

    fn find(&mut self) {
        let alone = self.site.members().nth(1).is_none();
        self.find_at = clock::now().after(if alone { FIND_ALONE } else { FIND_EVERY });
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
        let others: Vec<SocketAddr> =
            found.addresses.iter().filter(|address| **address != self.address).copied().collect();
        if !others.is_empty() {
            self.step(Input::Join(&others));
        }
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
