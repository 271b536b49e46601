//! Which groups a program belongs to, remembered.
//!
//! What most hosts start they have started before: the same program with the same arguments, for the same user, in the
//! same cgroup. As long as no selector names a `parent` and nothing is passed down to the process, that is all that
//! selectors look at, so the last answers are kept and found by it. Programs are known by their place in memory, which
//! an answer keeps from being given to another one; a fork shares its forker's, and [`crate::kernel`] shares those that
//! are executed again. Other policies or users make a new, empty memory.

use std::sync::Arc;

use super::reread::Hope;
use super::track::Groups;
use crate::model::Process;
use crate::record::{Comm, Program};

/// How many answers are kept; a power of two.
const PLACES: usize = 128;

/// Programs with longer arguments are rare, and not worth their room.
const ARGS_MAX: usize = 512;

/// The last answers.
#[derive(Debug, Default)]
pub(super) struct Verdicts {
    places: Vec<Option<Known>>,
    /// The last one that was not kept.
    unkept: Verdict,
}

/// One answer: the groups, in their order, and what new arguments or another user could change about that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) belongs: Groups,
    pub(super) hope: Hope,
}

#[derive(Debug)]
struct Known {
    program: Arc<Program>,
    comm: Comm,
    cgroup: Arc<str>,
    uid: u32,
    kernel_thread: bool,
    verdict: Verdict,
    /// It was asked for since another one wanted its place.
    again: bool,
}

impl Known {
    fn new(process: &Process, verdict: Verdict) -> Self {
        Self {
            program: Arc::clone(&process.program),
            comm: process.identity.comm.clone(),
            cgroup: Arc::clone(&process.cgroup),
            uid: process.identity.uid,
            kernel_thread: process.identity.kernel_thread,
            verdict,
            again: false,
        }
    }

    fn is(&self, process: &Process) -> bool {
        let identity = &process.identity;
        Arc::ptr_eq(&self.program, &process.program)
            && self.uid == identity.uid
            && self.kernel_thread == identity.kernel_thread
            && self.comm == identity.comm
            && same(&self.cgroup, &process.cgroup)
    }
}

impl Verdicts {
    /// What was found of a process like this one, or else what `judge` finds now.
    ///
    /// That is remembered, unless what has its place was asked for since the last time that another one wanted it: programs
    /// whose arguments are new each time do not wash out the others.
    pub(super) fn of(&mut self, process: &Process, mut judge: impl FnMut() -> Verdict) -> &Verdict {
        if self.places.is_empty() {
            self.places.resize_with(PLACES, || None);
        }
        let at = place(process);
        let mut is_kept = false;
        if let Some(place) = self.places.get_mut(at) {
            is_kept = match place {
                Some(known) if known.is(process) => {
                    known.again = true;
                    true
                }
                Some(known) if known.again => {
                    known.again = false;
                    false
                }
                _ if process.program.args.len() > ARGS_MAX => false,
                _ => {
                    *place = Some(Known::new(process, judge()));
                    true
                }
            };
            if !is_kept {
                self.unkept = judge();
            }
        }
        match self.places.get(at) {
            Some(Some(known)) if is_kept => &known.verdict,
            _ => &self.unkept,
        }
    }
}

/// Where the text lies tells most of the time, and what it says when not.
fn same(a: &Arc<str>, b: &Arc<str>) -> bool {
    Arc::ptr_eq(a, b) || a == b
}

fn place(process: &Process) -> usize {
    let mix = |hash: u64, number: u64| (hash.rotate_left(5) ^ number).wrapping_mul(0x517c_c1b7_2722_0a95);
    let program = Arc::as_ptr(&process.program).addr() as u64;
    let comm = process.identity.comm.number();
    let hash = mix(mix(mix(0, program), comm), process.identity.uid.into());
    usize::try_from(hash >> 57).unwrap_or(0) % PLACES
}
