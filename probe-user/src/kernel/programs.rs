//! Programs that are executed again and again with the same arguments, kept once.
//!
//! A health check every second, the shell of a cron job, the pieces of a script: most of what a host executes it has
//! executed before. The last ones are remembered by the bytes that they came as, as [`super::texts`] does with texts, so
//! that such an exec costs a comparison and no memory, and whoever looks at programs can tell at a glance that it knows
//! this one. Bounded: each program has one place. A newcomer takes a place over only when its program was not executed
//! since the last newcomer came, so that arguments that are new each time do not wash out the others.

use std::sync::Arc;

use super::texts::hash;
use crate::record::Program;

/// How many programs are remembered; a power of two.
const PLACES: usize = 128;

/// Longer ones are rare, and not worth their room.
const BYTES_MAX: usize = 512;

/// What a program came as.
#[derive(Clone, Copy)]
pub(super) struct Told<'a> {
    pub(super) exe: &'a [u8],
    pub(super) filename: &'a [u8],
    pub(super) args: &'a [u8],
    /// How many arguments, how many bytes they had in all, and whether the path was cut.
    pub(super) counts: (u32, u32, bool),
}

/// The programs last seen.
#[derive(Debug, Default)]
pub(super) struct Programs {
    places: Vec<Option<Remembered>>,
}

#[derive(Debug)]
struct Remembered {
    /// Path, file name and arguments, one behind the other, and how long the first two are.
    bytes: Vec<u8>,
    lengths: (usize, usize),
    counts: (u32, u32, bool),
    program: Arc<Program>,
    /// It was executed again since another one wanted its place.
    again: bool,
}

impl Told<'_> {
    fn len(&self) -> usize {
        self.exe.len() + self.filename.len() + self.args.len()
    }

    fn place(&self) -> usize {
        let hash = hash(hash(hash(0, self.exe), self.filename), self.args);
        usize::try_from(hash >> 57).unwrap_or(0) % PLACES
    }
}

impl Remembered {
    fn is(&self, told: &Told<'_>) -> bool {
        let Some((exe, rest)) = self.bytes.split_at_checked(self.lengths.0) else { return false };
        let Some((filename, args)) = rest.split_at_checked(self.lengths.1) else { return false };
        args == told.args && exe == told.exe && filename == told.filename && self.counts == told.counts
    }
}

impl Programs {
    /// What `name` makes of the program of these bytes: as `read` makes it of them, or as it did the last time.
    pub(super) fn get<P>(
        &mut self,
        told: Told<'_>,
        read: impl FnOnce() -> Program,
        name: impl FnOnce(&Arc<Program>) -> P,
    ) -> P {
        if told.len() > BYTES_MAX {
            return name(&Arc::new(read()));
        }
        if self.places.is_empty() {
            self.places.resize_with(PLACES, || None);
        }
        let Some(place) = self.places.get_mut(told.place()) else { return name(&Arc::new(read())) };
        let mut bytes = match place {
            Some(known) if known.is(&told) => {
                known.again = true;
                return name(&known.program);
            }
            Some(known) if known.again => {
                known.again = false;
                return name(&Arc::new(read()));
            }
            Some(known) => std::mem::take(&mut known.bytes),
            None => Vec::new(),
        };
        bytes.clear();
        for part in [told.exe, told.filename, told.args] {
            bytes.extend_from_slice(part);
        }
        let program = Arc::new(read());
        let named = name(&program);
        *place = Some(Remembered {
            bytes,
            lengths: (told.exe.len(), told.filename.len()),
            counts: told.counts,
            program,
            again: false,
        });
        named
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(told: Told<'_>) -> Program {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Program {
            exe: text(told.exe).into(),
            filename: text(told.filename).into(),
            args: text(told.args).into(),
            args_count: told.counts.0,
            args_cut: told.counts.2,
        }
    }

    fn told<'a>(exe: &'a str, filename: &'a str, args: &'a str) -> Told<'a> {
        Told { exe: exe.as_bytes(), filename: filename.as_bytes(), args: args.as_bytes(), counts: (1, 2, false) }
    }

    #[test]
    fn what_differs_anywhere_is_another_program() {
        let mut programs = Programs::default();
        let all = [told("a", "b", "c"), told("ab", "", "c"), told("a", "bc", ""), told("", "ab", "c")];
        let others = [(2, 2, false), (1, 3, false), (1, 2, true)].map(|counts| Told { counts, ..all[0] });
        for _ in 0..3 {
            for told in all.iter().chain(&others) {
                assert_eq!(*programs.get(*told, || program(*told), Arc::clone), program(*told));
            }
        }
    }

    #[test]
    fn programs_that_come_again_stay_among_those_that_come_once() {
        let mut programs = Programs::default();
        let usual = told("/bin/sh", "sh", "sh\0-c\0date");
        let mut made = 0;
        for number in 0..20 * PLACES {
            let read = || {
                made += 1;
                program(usual)
            };
            programs.get(usual, read, Arc::clone);
            let args = format!("worker\0{number}\0{}", "x".repeat(number));
            let once = told("/bin/worker", "worker", &args);
            assert_eq!(*programs.get(once, || program(once), Arc::clone), program(once));
        }
        assert_eq!(made, 1);
    }
}
