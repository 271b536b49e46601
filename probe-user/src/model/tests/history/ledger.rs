//! The ledger: every change booked, each process once in and once out.

use super::world::World;
use super::*;

/// Every change, booked.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) appeared: BTreeSet<ProcessKey>,
    /// Those that a scan brought: what they used before is nobody's.
    pub(super) brought: BTreeSet<ProcessKey>,
    pub(super) exited: BTreeSet<ProcessKey>,
    /// Those whose end a scan noticed first: an exec that comes after that is not announced.
    pub(super) noticed: BTreeSet<ProcessKey>,
    pub(super) closed: BTreeSet<ProcessKey>,
    pub(super) executed: BTreeMap<ProcessKey, u32>,
    pub(super) used_ns: BTreeMap<ProcessKey, u64>,
}

impl Ledger {
    pub(super) fn book(&mut self, changes: &[Change], by_scan: bool, world: &World) {
        for change in changes {
            match change {
                Change::Appeared { key, .. } => {
                    assert!(self.appeared.insert(*key), "{key:?} appeared twice");
                    if by_scan {
                        self.brought.insert(*key);
                    }
                }
                Change::Executed { key } => {
                    self.expect_open(*key);
                    *self.executed.entry(*key).or_default() += 1;
                }
                Change::Redefined { key } | Change::OomVictim { key } => self.expect_open(*key),
                Change::Exited { key } => {
                    self.expect_open(*key);
                    assert!(self.exited.insert(*key), "{key:?} exited twice");
                    if by_scan {
                        self.noticed.insert(*key);
                    }
                }
                Change::Used { key, delta } => {
                    self.expect_open(*key);
                    *self.used_ns.entry(*key).or_default() += delta.cpu_ns;
                }
                Change::Closed { process, account, delta } => {
                    let key = process.key;
                    self.expect_open(key);
                    assert!(self.exited.contains(&key), "{key:?} closed without an exit");
                    self.closed.insert(key);
                    let used = self.used_ns.remove(&key).unwrap_or_default() + delta.cpu_ns;
                    if self.brought.contains(&key) {
                        assert!(used <= account.cpu_ns, "{key:?} used {used} of {account:?}");
                    } else {
                        assert_eq!(used, account.cpu_ns, "{key:?}");
                    }
                    if account.exact {
                        assert_eq!(world.gone.get(&key).map(|gone| gone.0), Some(account.cpu_ns), "{key:?}");
                    }
                }
            }
        }
    }

    pub(super) fn expect_open(&self, key: ProcessKey) {
        assert!(self.appeared.contains(&key) && !self.closed.contains(&key), "{key:?} is not in the table");
    }
}
