//! One bound on the host and the things that it is about, each by itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::group::REPEAT_MIN;
use super::super::held::{Change, Held};
use super::super::raise::Told;
use super::super::reload::says_the_same;
use super::super::restore::Standing;
use super::super::seen::{Extent, SeenBound};
use super::tell::News;
use super::values::{Lack, Reading, Readings};
use crate::policy::alarms::{HOST, bound_names};
use crate::policy::bound::Rule;
use crate::policy::glob::Glob;
use crate::policy::spec::{HostBound, HostFacts, Limit, Measure, PolicySet, Response};
use crate::time::KTime;

/// One bound.
#[derive(Debug)]
pub(super) struct HostState {
    pub(super) spec: HostBound,
    /// `host.measure.side`, with a number from 1 where several share that.
    pub(super) name: Arc<str>,
    pub(super) response: Arc<Response>,
    pub(super) rule: Rule,
    /// By mount point or interface; a measure that has none is under `None`.
    pub(super) instances: BTreeMap<Option<Arc<str>>, Instance>,
    /// At a reload: the state of a bound that said the same has come here.
    taken_over: bool,
}

/// One thing held against the bound.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) held: Held,
    /// Why it is not judged now.
    pub(super) lack: Option<Lack>,
}

/// All bounds of all blocks.
pub(super) fn all(policies: &PolicySet, host: &HostFacts) -> Vec<HostState> {
    let declared = || policies.host.iter().flat_map(|block| block.bounds.iter().map(move |bound| (block, bound)));
    let names = bound_names(HOST, declared().map(|(_, bound)| &bound.bound));
    let states = declared().zip(names).map(|((block, bound), name)| HostState {
        name,
        response: Arc::new(block.response.clone()),
        rule: Rule::of(&bound.bound, host),
        spec: bound.clone(),
        instances: BTreeMap::new(),
        taken_over: false,
    });
    states.collect()
}

impl HostState {
    /// Limit and values are shares of a total; a load for each CPU is told as a load.
    pub(super) fn is_share(&self) -> bool {
        match self.spec.bound.measure {
            Measure::HostCpu | Measure::PressureCpu | Measure::PressureMemory | Measure::PressureIo => true,
            Measure::Load => false,
            _ => matches!(self.spec.bound.limit, Limit::HostShare(_)),
        }
    }

    /// New values, observed at `at`. After a `gap` values were missed.
    pub(super) fn take(&mut self, at: KTime, readings: Readings, gap: bool, gate: KTime, news: &mut Vec<News>) {
        let name = Arc::clone(&self.name);
        if readings.complete {
            let gone = |key: &Option<Arc<str>>| !readings.found.iter().any(|(found, _)| found == key);
            let keys: Vec<_> = self.instances.keys().filter(|key| gone(key)).cloned().collect();
            for key in keys {
                if let Some(instance) = self.instances.remove(&key) {
                    news.extend(instance.end(at, "no longer there").map(|end| News::turn(&name, key, end)));
                }
            }
        }
        let (rule, repeat) = (self.rule, self.repeat());
        for (key, reading) in readings.found {
            let instance = self
                .instances
                .entry(key.clone())
                .or_insert_with(|| Instance { held: Held::new(rule, repeat), lack: None });
            match reading {
                Reading::Nothing => {}
                Reading::Lack(lack) => {
                    if lack == Lack::Missing {
                        news.extend(instance.end(at, "no longer there").map(|end| News::turn(&name, key.clone(), end)));
                        instance.held = Held::new(rule, repeat);
                    }
                    if instance.lack.replace(lack) != Some(lack) {
                        news.push(News::lacks(&name, key, lack, at));
                    }
                }
                Reading::Value(value) => {
                    let lacked = instance.lack.take();
                    news.extend(lacked.map(|lack| News::has_again(&name, key.clone(), lack, at)));
                    let changes = if gap || lacked.is_some() {
                        instance.held.reconcile(at, value, gate)
                    } else {
                        instance.held.observe(at, value, gate)
                    };
                    news.extend(changes.into_iter().map(|change| News::turn(&name, key.clone(), (change, None))));
                }
            }
        }
    }

    /// What was seen of all things that are there now.
    pub(super) fn seen(&self) -> SeenBound {
        let mut extent = Extent::default();
        let mut dips: u64 = 0;
        for instance in self.instances.values() {
            extent.absorb(instance.held.extent(), self.rule.side);
            dips = dips.saturating_add(instance.held.dips());
        }
        SeenBound {
            name: Arc::clone(&self.name),
            measure: self.spec.bound.measure,
            side: self.rule.side,
            limit: self.rule.limit,
            share: self.is_share(),
            hold: self.rule.hold,
            dips,
            extent,
        }
    }

    /// The alarm of an instance was on before this engine was.
    pub(super) fn stand(&mut self, alarm: &Standing, now: KTime) {
        let mut held = Held::new(self.rule, self.repeat());
        held.stand(alarm, now);
        self.instances.insert(alarm.instance.clone(), Instance { held, lack: None });
    }

    /// When time alone changes something.
    pub(super) fn next(&self, gate: KTime) -> Option<KTime> {
        let known = self.instances.values().filter(|instance| instance.lack.is_none());
        known.filter_map(|instance| instance.held.next(gate)).min()
    }

    /// Lets time pass.
    pub(super) fn advance(&mut self, until: KTime, gate: KTime, news: &mut Vec<News>) {
        for (key, instance) in self.instances.iter_mut().filter(|(_, instance)| instance.lack.is_none()) {
            let changes = instance.held.advance(until, gate);
            news.extend(changes.into_iter().map(|change| News::turn(&self.name, key.clone(), (change, None))));
        }
    }

    /// The limit on another host.
    pub(super) fn resolve_limit(&mut self, host: &HostFacts) {
        self.rule = Rule::of(&self.spec.bound, host);
        let (rule, repeat) = (self.rule, self.repeat());
        for instance in self.instances.values_mut() {
            instance.held.set_rule(rule, repeat);
        }
    }

    /// Whether it goes on with what an old bound knows: both say the same.
    pub(super) fn may_inherit(&self, old: &Self) -> bool {
        !self.taken_over
            && says_the_same(&self.spec.bound, &old.spec.bound)
            && self.spec.targets.iter().map(Glob::as_str).eq(old.spec.targets.iter().map(Glob::as_str))
    }

    /// Goes on with what an old bound knows.
    pub(super) fn inherit(&mut self, old: Self) {
        self.taken_over = true;
        self.instances = old.instances;
        let (rule, repeat) = (self.rule, self.repeat());
        for instance in self.instances.values_mut() {
            instance.held.set_rule(rule, repeat);
        }
    }

    /// Ends all alarms.
    pub(super) fn end_all(&mut self, at: KTime, why: &'static str, out: &mut Vec<Told>) {
        for (key, instance) in std::mem::take(&mut self.instances) {
            if let Some((Change::Resolved { at, duration, value }, why)) = instance.end(at, why) {
                out.push(Told::Alarm(self.resolved(key.as_ref(), at, duration, value, why)));
            }
        }
    }

    fn repeat(&self) -> Option<std::time::Duration> {
        self.response.repeat.map(|repeat| repeat.max(REPEAT_MIN))
    }
}

impl Instance {
    /// The end of its alarm, if it is one, and why.
    fn end(&self, at: KTime, why: &'static str) -> Option<(Change, Option<&'static str>)> {
        let since = self.held.firing_since()?;
        let value = self.held.value().unwrap_or_default();
        Some((Change::Resolved { at, duration: at.since(since), value }, Some(why)))
    }
}
