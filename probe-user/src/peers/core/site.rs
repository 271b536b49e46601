//! One node of a site: what it knows, and the order in which it acts.

use crate::time::KTime;

use super::{Effect, Health, Input, Member, Record, Settings, Signer, View};

/// One node of a site.
pub struct Site {}

impl Site {
    /// A node that knows only itself. What does not fit of its texts and labels is cut ([`Member::check`] says before what
    /// would be). `me.incarnation` should be above that of earlier runs (seconds since 1970 will do).
    pub fn new(me: Member, settings: Settings, seed: u64, now: KTime, signer: Box<dyn Signer>) -> Self { todo!() }

    /// Takes in members from an earlier run, or from whoever is trusted: nothing is verified or told.
    pub fn recall(&mut self, now: KTime, records: &[std::sync::Arc<Record>]) { todo!() }

    /// What is known about others, to be kept for [`Site::recall`].
    pub fn records(&self) -> impl Iterator<Item = &std::sync::Arc<Record>> { std::iter::empty() }

    /// Takes in one input; what is to be done is added to `effects`.
    pub fn step(&mut self, now: KTime, input: Input<'_>, effects: &mut Vec<Effect>) { todo!() }

    /// When it wants [`Input::Tick`].
    pub fn next(&self) -> Option<KTime> { todo!() }

    /// Everyone it knows, itself first.
    pub fn members(&self) -> impl Iterator<Item = View<'_>> { std::iter::empty() }

    /// How it fares itself.
    pub fn health(&self) -> Health { todo!() }
}
