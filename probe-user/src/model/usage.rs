//! What processes use: samples turned into differences, and the balance at the end.
//!
//! Totals never fall, whatever a sample says: threads that are between their end and their freeing are missing from it
//! for a moment. A process whose fork was recorded is counted from 0. One that a scan brought is counted from its first
//! sample on: what it used before belongs to no interval that anybody watched, so its differences add up to less than
//! its account, and to nothing when it was never sampled.

use super::slice::LastSlice;
use super::store::{Ending, Entry};
use super::table::Table;
use super::{Account, Change, KTime, Totals};
use crate::record::UsageRow;

impl<T: Default> Table<T> {
    /// Takes in one sample of the watched processes, taken at `now`. Rows of processes that are unknown or have exited
    /// are left out: what those used comes with [`Change::Closed`].
    pub fn sample(&mut self, now: KTime, rows: &[UsageRow], changes: &mut Vec<Change<T>>) {
        changes.reserve(rows.len());
        for row in rows {
            let Some(entry) = self.store.get_mut(row.key) else { continue };
            let process = &mut entry.process;
            if process.exit.is_some() {
                continue;
            }
            let before = process.usage.totals;
            let totals = before.max(row.totals());
            let counted = std::mem::replace(&mut entry.counted, true);
            let delta = if counted { totals.since(before) } else { Totals::default() };
            process.threads = row.threads;
            process.usage.at = Some(now);
            process.usage.totals = totals;
            process.usage.rss_bytes = row.rss_bytes;
            changes.push(Change::Used { key: row.key, delta });
        }
    }
}

impl<T> Entry<T> {
    /// What the process used in its whole life, and how much of it was not told by samples.
    pub(super) fn balance(&self, slice: &LastSlice) -> (Account, Totals) {
        let sampled = self.process.usage.totals;
        let reaped = self.reaped_cpu_ns;
        let (recorded, exact) = if let Some((_, account)) = self.account {
            (Totals::of(&account), account.exact && reaped == 0)
        } else {
            // The exit record counts the reaped threads, samples and accounts do not.
            let told = self.ending == Ending::Record;
            let cpu_ns = if told { slice.complete(self.lived(), self.exit_cpu_ns) } else { 0 };
            (Totals { cpu_ns: cpu_ns.saturating_sub(reaped), ..Totals::default() }, false)
        };
        // An account that misses threads can be less than what was seen.
        let totals = recorded.max(sampled);
        let account = Account {
            cpu_ns: totals.cpu_ns.saturating_add(reaped),
            wait_ns: totals.wait_ns,
            read_bytes: totals.read_bytes,
            write_bytes: totals.write_bytes,
            exact,
        };
        (account, if self.counted { totals.since(sampled) } else { Totals::default() })
    }
}

impl UsageRow {
    const fn totals(&self) -> Totals {
        Totals {
            cpu_ns: self.cpu_ns,
            wait_ns: self.wait_ns,
            read_bytes: self.read_bytes,
            write_bytes: self.write_bytes,
        }
    }
}

impl Totals {
    const fn of(account: &Account) -> Self {
        Self {
            cpu_ns: account.cpu_ns,
            wait_ns: account.wait_ns,
            read_bytes: account.read_bytes,
            write_bytes: account.write_bytes,
        }
    }

    /// The larger of each.
    pub fn max(self, other: Self) -> Self {
        Self {
            cpu_ns: self.cpu_ns.max(other.cpu_ns),
            wait_ns: self.wait_ns.max(other.wait_ns),
            read_bytes: self.read_bytes.max(other.read_bytes),
            write_bytes: self.write_bytes.max(other.write_bytes),
        }
    }

    /// The sum of each, at most the largest number.
    pub const fn plus(self, other: Self) -> Self {
        Self {
            cpu_ns: self.cpu_ns.saturating_add(other.cpu_ns),
            wait_ns: self.wait_ns.saturating_add(other.wait_ns),
            read_bytes: self.read_bytes.saturating_add(other.read_bytes),
            write_bytes: self.write_bytes.saturating_add(other.write_bytes),
        }
    }

    /// How much each has risen since; 0 where it has not.
    pub const fn since(self, earlier: Self) -> Self {
        Self {
            cpu_ns: self.cpu_ns.saturating_sub(earlier.cpu_ns),
            wait_ns: self.wait_ns.saturating_sub(earlier.wait_ns),
            read_bytes: self.read_bytes.saturating_sub(earlier.read_bytes),
            write_bytes: self.write_bytes.saturating_sub(earlier.write_bytes),
        }
    }
}
