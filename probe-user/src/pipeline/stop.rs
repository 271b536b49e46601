//! The daemon's end: what is known is told before anything is let go.

use std::time::Duration;

use tokio::sync::mpsc;

use super::{Daemon, PipelineError, clock};
use crate::agent;
use crate::engine::Input;

/// How often, at the end, the ring is looked at for accounts that are still open, and how long in between.
pub(super) const LAST_DRAINS: u32 = 6;
pub(super) const LAST_DRAIN_EVERY: Duration = Duration::from_millis(25);

/// How long actions under way may take at the end: programs are asked to end at once.
const ACTIONS_WITHIN: Duration = Duration::from_secs(5);

impl Daemon {
    /// Drains, detaches what is not pinned, says so, and gives the ways out some time.
    pub(super) async fn stop(mut self, reason: &str, mut inputs: mpsc::Receiver<Input>) -> Result<(), PipelineError> {
        self.supervisor.stopping();
        // Nobody answers its questions any more.
        self.http.close();
        // The others hear that this is no outage.
        self.site.leave().await;
        let core = &mut self.core;
        std::mem::take(&mut self.logs).stop(&mut inputs, |input| core.input(input)).await?;
        self.core.drain_all()?;
        // Accounts close some ms after an exit: those under way are waited for, zombies are not.
        for _ in 0..LAST_DRAINS {
            if self.core.engine().table().iter().all(|process| process.exit.is_none()) {
                break;
            }
            tokio::time::sleep(LAST_DRAIN_EVERY).await;
            self.core.drain_all()?;
        }
        self.tell_events();
        let Self { mut core, acting, mut outlets, noting, began, feed, pins, .. } = self;
        noting.close();
        // Nothing new is begun; what becomes of actions under way is still told.
        drop(feed);
        let closing = acting.close(ACTIONS_WITHIN);
        tokio::pin!(closing);
        loop {
            tokio::select! {
                () = &mut closing => break,
                Some(input) = inputs.recv() => core.input(input)?,
            }
        }
        while let Ok(input) = inputs.try_recv() {
            core.input(input)?;
        }
        core.close();
        let events = core.take_events();
        core.note(outlets.next_seq(), &events);
        outlets.tell_all(events);
        drop(core);
        outlets.tell_last_drops().await;
        let now = clock::now();
        outlets.tell(agent::stopped(now, reason, now.since(began)));
        // That was one more event to find room for.
        outlets.tell_last_drops().await;
        outlets.close().await;
        drop(pins);
        Ok(())
    }
}
