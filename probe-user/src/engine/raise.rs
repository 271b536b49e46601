//! Alarms of every kind on their way out: the event, who hears of it, and what is done about it.

use std::sync::Arc;

use super::{Effect, Engine};
use crate::event::{Alarm, AlarmTurn, Event};
use crate::policy::spec::Response;
use crate::record::ProcessKey;

/// What a part of the engine has to say.
#[derive(Debug)]
pub(super) enum Told {
    /// A fact.
    Event(Event),
    /// An alarm that turned.
    Alarm(Raised),
}

/// An alarm that turned.
#[derive(Debug)]
pub(super) struct Raised {
    /// With its [`Alarm`] set.
    event: Event,
    response: Arc<Response>,
    /// The processes in breach, for actions that signal; empty where the alarm is about none.
    targets: Vec<ProcessKey>,
}

impl Raised {
    /// `name` is the bound's, `instance` what of its set.
    pub(super) fn new(
        mut event: Event,
        name: &Arc<str>,
        instance: Option<Arc<str>>,
        turn: AlarmTurn,
        response: &Arc<Response>,
        targets: Vec<ProcessKey>,
    ) -> Self {
        let notify = response.notify.clone();
        event.alarm = Some(Box::new(Alarm { name: Arc::clone(name), instance, turn, notify }));
        Self { event, response: Arc::clone(response), targets }
    }
}

#[cfg(test)]
impl Raised {
    /// What would be told.
    pub(super) fn into_event(self) -> Event {
        self.event
    }
}

impl Engine {
    /// Tells, in order.
    pub(super) fn tell(&mut self, told: impl IntoIterator<Item = Told>, effects: &mut Vec<Effect>) {
        for told in told {
            match told {
                Told::Event(event) => effects.push(Effect::Emit(event)),
                Told::Alarm(raised) => self.raise(raised, effects),
            }
        }
    }

    /// Tells an alarm and sees to what is to be done about it.
    pub(super) fn raise(&mut self, raised: Raised, effects: &mut Vec<Effect>) {
        let Raised { event, response, targets } = raised;
        if response.act.is_empty() {
            effects.push(Effect::Emit(event));
            return;
        }
        let mut done = Vec::new();
        self.act_on(&event, &response, &targets, &mut done);
        effects.push(Effect::Emit(event));
        effects.append(&mut done);
    }
}
