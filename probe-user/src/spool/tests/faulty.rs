//! A disk in memory that forgets what was not synced, tears what was being written, and fails when told to.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use super::super::disk::Disk;

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// No room: part of it may be done.
    Full,
    /// An error of the device: part of it may be done.
    Broken,
}

#[derive(Clone, Debug, Default)]
struct File {
    content: Vec<u8>,
    /// As a crash would leave it at worst.
    synced: Vec<u8>,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<String, Rc<RefCell<File>>>,
    /// Names as they were at the last sync, and what was done to them since, in order.
    synced: BTreeMap<String, Rc<RefCell<File>>>,
    journal: Vec<Change>,
    fault: Option<(u32, Fault)>,
}

#[derive(Clone, Debug)]
enum Change {
    Link(String, Rc<RefCell<File>>),
    Unlink(String),
}

/// Shared by a store and its test.
#[derive(Clone, Debug, Default)]
pub(super) struct Faulty(Rc<RefCell<State>>);

impl State {
    fn strike(&mut self) -> io::Result<()> {
        match &mut self.fault {
            Some((0, fault)) => {
                let kind = if *fault == Fault::Full { io::ErrorKind::StorageFull } else { io::ErrorKind::Other };
                self.fault = None;
                Err(kind.into())
            }
            Some((left, _)) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn file(&self, name: &str) -> io::Result<Rc<RefCell<File>>> {
        self.files.get(name).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn change(&mut self, change: Change) {
        apply(&mut self.files, &change);
        self.journal.push(change);
    }
}

fn apply(names: &mut BTreeMap<String, Rc<RefCell<File>>>, change: &Change) {
    match change {
        Change::Link(name, file) => drop(names.insert(name.clone(), Rc::clone(file))),
        Change::Unlink(name) => drop(names.remove(name)),
    }
}

impl Faulty {
    pub(super) fn put(&self, name: &str, content: &[u8]) {
        let file = File { content: content.to_vec(), synced: content.to_vec() };
        self.0.borrow_mut().files.insert(name.to_owned(), Rc::new(RefCell::new(file)));
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.0.borrow().files.keys().cloned().collect()
    }

    /// Turns a byte of a file.
    pub(super) fn damage(&self, name: &str, offset: u64) {
        let file = self.0.borrow().file(name).unwrap();
        let mut file = file.borrow_mut();
        let offset = usize::try_from(offset).unwrap();
        file.content[offset] ^= 0xff;
        file.synced = file.content.clone();
    }

    /// The operation after the next `after` ones fails.
    pub(super) fn fail(&self, after: u32, fault: Fault) {
        self.0.borrow_mut().fault = Some((after, fault));
    }

    pub(super) fn heal(&self) {
        self.0.borrow_mut().fault = None;
    }

    /// The power goes: of what was not synced some is there, block by block, and some of the last changes of names.
    pub(super) fn crash(&self, seed: u64) {
        const BLOCK: usize = 32;
        let mut random = seed | 1;
        let mut chance = move || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(random >> 40).unwrap()
        };
        let mut state = self.0.borrow_mut();
        state.fault = None;
        let mut names = std::mem::take(&mut state.synced);
        let journal = std::mem::take(&mut state.journal);
        let kept = chance() % (journal.len() + 1);
        for change in &journal[..kept] {
            apply(&mut names, change);
        }
        for file in names.values() {
            let mut file = file.borrow_mut();
            let (old, new) = (file.synced.clone(), file.content.clone());
            if old == new {
                continue;
            }
            let length =
                if new.len() >= old.len() { old.len() + chance() % (new.len() - old.len() + 1) } else { new.len() };
            let mut mixed = Vec::with_capacity(length);
            for begin in (0..length).step_by(BLOCK) {
                let end = (begin + BLOCK).min(length);
                let from = if chance() % 2 == 0 { &new } else { &old };
                mixed.extend((begin..end).map(|at| from.get(at).copied().unwrap_or_default()));
            }
            file.content.clone_from(&mixed);
            file.synced = mixed;
        }
        state.synced.clone_from(&names);
        state.files = names;
    }
}

impl Disk for Faulty {
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let state = self.0.borrow();
        Ok(state.files.iter().map(|(name, file)| (name.clone(), file.borrow().content.len() as u64)).collect())
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        state.strike()?;
        state.change(Change::Link(name.to_owned(), Rc::default()));
        Ok(())
    }

    fn write(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        let struck = state.strike();
        let file = state.file(name)?;
        let content = &mut file.borrow_mut().content;
        let offset = usize::try_from(offset).unwrap();
        let part = if struck.is_err() { bytes.len() / 2 } else { bytes.len() };
        if content.len() < offset + part {
            content.resize(offset + part, 0);
        }
        content[offset..offset + part].copy_from_slice(&bytes[..part]);
        struck
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        state.strike()?;
        let file = state.file(name)?;
        let mut file = file.borrow_mut();
        file.synced = file.content.clone();
        Ok(())
    }

    fn sync_names(&mut self) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        state.strike()?;
        state.synced = state.files.clone();
        state.journal.clear();
        Ok(())
    }

    fn cut(&mut self, name: &str, length: u64) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        state.strike()?;
        let file = state.file(name)?;
        file.borrow_mut().content.truncate(usize::try_from(length).unwrap());
        Ok(())
    }

    fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let file = self.0.borrow().file(name)?;
        let file = file.borrow();
        let begin = usize::try_from(offset).unwrap().min(file.content.len());
        let end = begin.saturating_add(length).min(file.content.len());
        Ok(file.content[begin..end].to_vec())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        state.strike()?;
        let file = state.file(from)?;
        state.change(Change::Link(to.to_owned(), file));
        state.change(Change::Unlink(from.to_owned()));
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        state.strike()?;
        state.file(name)?;
        state.change(Change::Unlink(name.to_owned()));
        Ok(())
    }
}
