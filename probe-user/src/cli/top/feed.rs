//! Asks the daemon, again and again, and hands on what it says. A daemon that is gone is asked on until it is back.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::proc::Figures;
use super::report::Report;
use super::state::{About, Input};
use super::told::{KEPT_MAX, Told};
use crate::outlet::lock;
use crate::serve::client::{self, AskError};

/// So much of what was told before is shown at the start, and after a daemon was away.
const PAST: Duration = Duration::from_mins(10);
/// A daemon that was lost is asked for its events again after so long.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// A connection that has lasted so long is one.
const STEADY_AFTER: Duration = Duration::from_millis(500);
/// Clocks and a daemon's end overlap by so much; what comes twice is told apart by its id.
const OVERLAP: Duration = Duration::from_secs(10);

/// Asks how everything stands, in these intervals, and for what is looked at besides.
pub(super) async fn ask(
    socket: PathBuf,
    every: Duration,
    mut looked: watch::Receiver<About>,
    answers: mpsc::Sender<Input>,
) {
    let mut figures = Figures::default();
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let all = tokio::select! {
            _ = ticks.tick() => true,
            changed = looked.changed() => match changed {
                Ok(()) => false,
                Err(_) => return,
            },
        };
        let about = looked.borrow_and_update().clone();
        let mut told = Vec::new();
        match about {
            About::Nothing => {}
            About::Group(name) => told.push(Input::Roster(members(&socket, &name, &mut figures).await)),
            About::Peers => told.push(Input::Peers(client::peers_as(&socket).await.map_err(|error| error.to_string()))),
        }
        if all {
            told.extend(standing(&socket).await);
        }
        for input in told {
            if answers.send(input).await.is_err() {
                return;
            }
        }
    }
}

async fn members(socket: &Path, name: &str, figures: &mut Figures) -> Result<Box<crate::engine::Roster>, String> {
    let mut roster = client::group(socket, name).await.map_err(|error| error.to_string())?;
    figures.fill(&mut roster, std::time::Instant::now());
    Ok(Box::new(roster))
}

async fn standing(socket: &Path) -> Vec<Input> {
    let report: Report = match client::status_as(socket).await {
        Ok(report) => report,
        Err(error) => return vec![Input::NoReport(error.to_string())],
    };
    let fires = !report.engine.firing.is_empty();
    let mut told = vec![Input::Report(Box::new(report))];
    if fires {
        // Evidence is worth having, and nothing else hangs on it.
        told.extend(client::alarms(socket).await.map(Input::Alarms));
    }
    told
}

/// Events between the task that reads them and the screen; those that come too fast go, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    waiting: Mutex<(Vec<Told>, u64)>,
    bell: Notify,
}

impl Inbox {
    fn put(&self, told: Told) {
        let mut waiting = lock(&self.waiting);
        let (events, missed) = &mut *waiting;
        if events.len() >= 2 * KEPT_MAX {
            events.drain(..KEPT_MAX);
            *missed += KEPT_MAX as u64;
        }
        events.push(told);
        drop(waiting);
        self.bell.notify_one();
    }

    /// What has come, once something has.
    pub(super) async fn take(&self) -> Input {
        loop {
            let (told, missed) = std::mem::take(&mut *lock(&self.waiting));
            if !told.is_empty() {
                return Input::Told(told, missed);
            }
            self.bell.notified().await;
        }
    }
}

/// Follows what is told.
pub(super) async fn follow(socket: PathBuf, inbox: Arc<Inbox>, answers: mpsc::Sender<Input>) {
    let mut past = PAST;
    loop {
        let told = client::Told { since: Some(format!("{}s", past.as_secs())), name: None, follow: true };
        let began = Instant::now();
        let why = stream(&socket, &told, &inbox, &answers)
            .await
            .map_or_else(|error| error.to_string(), |()| "the daemon has ended the stream".to_owned());
        if answers.send(Input::Stream(Some(why))).await.is_err() {
            return;
        }
        sleep(AGAIN_AFTER).await;
        past = if began.elapsed() < STEADY_AFTER + AGAIN_AFTER {
            (past + AGAIN_AFTER + STEADY_AFTER).min(PAST)
        } else {
            OVERLAP
        };
    }
}

async fn stream(
    socket: &Path,
    told: &client::Told,
    inbox: &Inbox,
    answers: &mpsc::Sender<Input>,
) -> Result<(), AskError> {
    let take = |line: &[u8]| {
        if let Some(told) = Told::of(line) {
            inbox.put(told);
        }
        true
    };
    let events = client::events(socket, told, take);
    tokio::pin!(events);
    tokio::select! {
        ended = &mut events => return ended,
        () = sleep(STEADY_AFTER) => {}
    }
    // Nobody to tell: the loop that listens has ended, and so will this task.
    let _ = answers.send(Input::Stream(None)).await;
    events.await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(number: usize) -> Told {
        Told { id: number.to_string(), ..Told::default() }
    }

    #[tokio::test]
    async fn what_comes_faster_than_it_is_taken_is_counted() {
        let inbox = Inbox::default();
        (0..=2 * KEPT_MAX).for_each(|number| inbox.put(told(number)));
        let Input::Told(events, missed) = inbox.take().await else { panic!("no events") };
        assert_eq!((events.len(), missed), (KEPT_MAX + 1, KEPT_MAX as u64));
        assert_eq!(events.first().map(|told| told.id.clone()), Some(KEPT_MAX.to_string()));
        inbox.put(told(7));
        let Input::Told(events, missed) = inbox.take().await else { panic!("no events") };
        assert_eq!((events.len(), missed), (1, 0));
    }
}
