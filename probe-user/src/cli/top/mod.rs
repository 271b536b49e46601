//! `procprobe top`: the daemon's answers, live in a terminal.
//!
//! [`feed`] asks and follows, [`terminal`] reads keys and writes; between them [`state`] decides what is shown, [`screens`]
//! makes rows of it, and [`draw`] a picture, all three pure. Without a daemon it says so and goes on asking. What comes too
//! fast is counted; nothing grows with time. However it ends, the terminal is as it was before.

mod draw;
mod feed;
mod help;
mod history;
mod keys;
mod paint;
mod places;
mod proc;
mod report;
mod screens;
mod state;
mod table;
mod terminal;
#[cfg(test)]
mod tests;
mod told;

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use self::feed::Inbox;
use self::paint::Looks;
use self::state::{About, Effect, Link, State};
use self::terminal::Screen;
use super::args::TopArgs;
use super::{Exit, block_on, complain};

/// Pictures are at least so far apart.
const BETWEEN: Duration = Duration::from_millis(40);
/// How long nobody has answered is counted in these steps.
const DOWN_EVERY: Duration = Duration::from_secs(1);
/// Nothing to count.
const IDLE: Duration = Duration::from_hours(1);
/// Answers that wait for the screen.
const ANSWERS: usize = 16;

pub(super) fn top(args: &TopArgs) -> Exit {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        complain(
            "procprobe: `top` needs a terminal for its input and its output; \
             `procprobe status` and `procprobe events --follow` do without one",
        );
        return Exit::Usage;
    }
    match block_on(live(args)) {
        Ok(Ok(())) => Exit::Well,
        Ok(Err(error)) | Err(error) => {
            complain(&format!("procprobe: the terminal: {error}"));
            Exit::NotWell
        }
    }
}

async fn live(args: &TopArgs) -> io::Result<()> {
    let looks = Looks::of(|name| std::env::var(name).ok());
    let mut signals = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal);
    let [Ok(terminate), Ok(interrupt), Ok(hangup)] = &mut signals else {
        return Err(io::Error::other("signals cannot be listened to"));
    };
    let (looked, looks_at) = watch::channel(About::Nothing);
    let (sender, mut answers) = mpsc::channel(ANSWERS);
    let inbox = Arc::new(Inbox::default());
    let mut feeds = JoinSet::new();
    feeds.spawn(feed::ask(args.socket.clone(), args.interval, looks_at, sender.clone()));
    feeds.spawn(feed::follow(args.socket.clone(), Arc::clone(&inbox), sender));
    let began = Instant::now();
    let mut state = State::new(TimeZone::system());
    let mut screen = Screen::take()?;
    let mut keys = terminal::keyboard()?;
    let mut drawn: Option<Instant> = None;
    let mut outdated = true;
    loop {
        if outdated && drawn.is_none_or(|drawn| drawn.elapsed() >= BETWEEN) {
            screen.draw(&mut state, looks)?;
            (drawn, outdated) = (Some(Instant::now()), false);
        }
        let idle = if matches!(state.link, Link::Down(..)) { DOWN_EVERY } else { IDLE };
        let input = tokio::select! {
            key = keys.recv() => match key {
                Some(key) => key,
                None => return Ok(()),
            },
            Some(answer) = answers.recv() => answer,
            told = inbox.take() => told,
            () = heard(terminate) => return Ok(()),
            () = heard(interrupt) => return Ok(()),
            () = heard(hangup) => return Ok(()),
            () = sleep(if outdated { BETWEEN } else { idle }) => {
                state.now = began.elapsed();
                outdated = true;
                continue;
            }
        };
        outdated = true;
        match state.step(began.elapsed(), input) {
            None => {}
            Some(Effect::Quit) => return Ok(()),
            Some(Effect::Suspend) => screen.suspend()?,
            Some(Effect::Redraw) => screen.forget()?,
            // The task that asks lives as long as this loop.
            Some(Effect::LookAt(about)) => drop(looked.send(about)),
        }
    }
}

async fn heard(signal: &mut Signal) {
    if signal.recv().await.is_none() {
        std::future::pending::<()>().await;
    }
}
