//! Carries out what the engine orders about alarms: runs programs, signals processes.
//!
//! The daemon gives up its capabilities once its programs are attached, and must never wait. So all of it is done by a
//! helper, `procprobe act`, a process of its own that is started before the capabilities go and only where a policy says
//! `mode: enforce`; it keeps no more of them than it takes to become another user and to signal ([`helper`]). Orders and
//! answers are lines of JSON on one socket ([`wire`]). When the daemon ends, by whatever cause, the helper sees the end of
//! the socket, ends the programs that still run, and goes.
//!
//! A helper that dies answers nothing more: its orders are told as failed, and the next order starts another one. That one
//! has what the daemon is left with: a daemon of root gets its capabilities back by executing, any other one cannot
//! become another user until it is restarted.

mod account;
pub mod become_user;
pub mod helper;
mod run;
mod signal;
mod tail;
mod wire;

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::engine::{Input, Order};
use crate::record::{Acted, Outcome};

/// This program, also after its file was replaced.
const OWN_PROGRAM: &str = "/proc/self/exe";

/// Orders on their way to the helper; the engine gives no more than it takes answers for.
const ORDERS: usize = 64;

/// The daemon's side.
#[derive(Debug)]
pub struct Acting {
    answers: mpsc::Sender<Input>,
    helper: Option<Helper>,
}

#[derive(Debug)]
struct Helper {
    orders: mpsc::Sender<(u64, String)>,
    task: JoinHandle<()>,
}

impl Acting {
    /// Nothing is started yet; what becomes of orders goes into `answers`.
    pub const fn new(answers: mpsc::Sender<Input>) -> Self {
        Self { answers, helper: None }
    }

    /// Sees to it that there is a helper, inside a tokio runtime; returns the pid of a new one.
    pub fn start(&mut self) -> io::Result<Option<u32>> {
        if self.helper.as_ref().is_some_and(|helper| !helper.orders.is_closed()) {
            return Ok(None);
        }
        let (ours, theirs) = StdStream::pair()?;
        let mut command = Command::new(OWN_PROGRAM);
        command.arg0("procprobe").arg("act").env_clear().current_dir("/");
        command.stdin(OwnedFd::from(theirs.try_clone()?)).stdout(OwnedFd::from(theirs));
        let child = command.spawn()?;
        // It holds the helper's end of the socket.
        drop(command);
        let pid = child.id();
        ours.set_nonblocking(true)?;
        let (orders, inbox) = mpsc::channel(ORDERS);
        let task = tokio::spawn(converse(UnixStream::from_std(ours)?, child, inbox, self.answers.clone()));
        self.helper = Some(Helper { orders, task });
        Ok(Some(pid))
    }

    /// Hands an order on. What cannot even be begun is answered at once.
    pub fn order(&mut self, order: &Order) -> Option<Acted> {
        let failed = |why: &str| Some(Acted { order: order.number, outcome: Outcome::Failed { why: why.into() } });
        let line = match wire::ask(order) {
            Ok(line) => line,
            Err(error) => return failed(&format!("the order cannot be written: {error}")),
        };
        if let Err(error) = self.start() {
            return failed(&format!("no helper can be started: {error}"));
        }
        match self.helper.as_ref().map(|helper| helper.orders.try_send((order.number, line))) {
            Some(Ok(())) => None,
            _ => failed("the helper takes no orders"),
        }
    }

    /// Lets what runs come to its end for so long, then ends it; the answers go where they always go, and someone must
    /// take them meanwhile.
    pub async fn close(self, within: Duration) {
        let Some(Helper { orders, mut task }) = self.helper else { return };
        drop(orders);
        if tokio::time::timeout(within, &mut task).await.is_err() {
            task.abort();
        }
    }
}

/// Orders out, answers in, until either side has had enough. After the last order the helper is told so, which makes it
/// end what runs.
async fn converse(
    socket: UnixStream,
    mut child: Child,
    mut orders: mpsc::Receiver<(u64, String)>,
    answers: mpsc::Sender<Input>,
) {
    let (reader, mut writer) = socket.into_split();
    let mut lines = BufReader::new(reader).lines();
    let mut open = BTreeSet::new();
    let mut more = true;
    loop {
        tokio::select! {
            order = orders.recv(), if more => {
                let written = if let Some((number, line)) = order {
                    open.insert(number);
                    writer.write_all(line.as_bytes()).await
                } else {
                    more = false;
                    writer.shutdown().await
                };
                if written.is_err() {
                    break;
                }
            }
            line = lines.next_line() => {
                let Ok(Some(line)) = line else { break };
                match wire::answer(&line) {
                    Ok(acted) => {
                        open.remove(&acted.order);
                        drop(answers.send(Input::Acted(acted)).await);
                    }
                    Err(error) => tracing::error!(%error, "the helper answered something else"),
                }
            }
        }
    }
    orders.close();
    while let Some((number, _)) = orders.recv().await {
        open.insert(number);
    }
    for order in open {
        let outcome = Outcome::Failed { why: "the helper ended before it".into() };
        drop(answers.send(Input::Acted(Acted { order, outcome })).await);
    }
    // It has closed its end, so it is gone or about to be: this is for its status to be taken.
    drop(tokio::task::spawn_blocking(move || child.wait()).await);
}
