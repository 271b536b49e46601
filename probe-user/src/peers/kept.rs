//! What outlives the daemon: who is known and what they signed, and how often this host was called down in this boot. Without
//! it a restart would begin with nobody, and take the first words of anyone for the truth about a name.
//!
//! One file of JSON in the state directory, written aside and renamed. A damaged one is left out and told: the site tells
//! again what was in it.

use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::core::{MEMBERS_MAX, Member, Record, Why};
use super::keys::{hex, unhex};

/// The file's name in the state directory.
const FILE: &str = "peers.json";
/// Larger than any that is written.
const LONGEST: u64 = 16 << 20;

/// What is known.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// How often this host was called down, in that boot.
    pub(super) life: u32,
    /// The last word of this host about itself: the next daemon's first one must be a later one.
    pub(super) incarnation: u32,
    pub(super) boot: [u8; 16],
    pub(super) records: Vec<Arc<Record>>,
}

#[derive(Serialize, Deserialize)]
struct File {
    boot: String,
    life: u32,
    incarnation: u32,
    members: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    key: String,
    name: String,
    zone: String,
    labels: Vec<(String, String)>,
    addr: std::net::SocketAddr,
    open_port: u16,
    boot: String,
    incarnation: u32,
    life: u32,
    started_ns: u64,
    up_ns: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    leaving: Option<String>,
    signature: String,
}

impl Kept {
    /// What the last daemon left; a note where that cannot be used.
    pub(super) fn read(state_dir: &Path) -> (Self, Option<String>) {
        let path = state_dir.join(FILE);
        let note = |why: String| {
            let note = format!("{} is left out ({why}): the site tells again who is there", path.display());
            (Self::default(), Some(note))
        };
        let file = match OpenOptions::new().read(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return (Self::default(), None),
            Err(error) => return note(error.to_string()),
        };
        let mut text = String::new();
        if let Err(error) = file.take(LONGEST).read_to_string(&mut text) {
            return note(error.to_string());
        }
        let mut read: File = match serde_json::from_str(&text) {
            Ok(read) => read,
            Err(error) => return note(error.to_string()),
        };
        let Some(boot) = unhex(&read.boot) else { return note("its boot is no number".into()) };
        let records = std::mem::take(&mut read.members)
            .into_iter()
            .take(MEMBERS_MAX)
            .filter_map(|entry| entry.record().map(Arc::new));
        let File { life, incarnation, .. } = read;
        (Self { life, incarnation, boot, records: records.collect() }, None)
    }

    /// Writes it down.
    pub(super) fn write(&self, state_dir: &Path) -> std::io::Result<()> {
        let members = self.records.iter().map(|record| Entry::of(record)).collect();
        let text = serde_json::to_vec(&File {
            boot: hex(&self.boot),
            life: self.life,
            incarnation: self.incarnation,
            members,
        })?;
        let path = state_dir.join(FILE);
        let aside = path.with_extension("new");
        // A leftover of an earlier try.
        let _ = std::fs::remove_file(&aside);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
        file.write_all(&text)?;
        file.sync_all()?;
        std::fs::rename(&aside, &path)
    }
}

impl Entry {
    fn of(record: &Record) -> Self {
        let Member {
            public_key,
            name,
            zone,
            labels,
            addr,
            open_port,
            boot,
            incarnation,
            life,
            started_ns,
            up_ns,
            leaving,
        } = &record.member;
        Self {
            key: hex(public_key),
            name: name.clone(),
            zone: zone.clone(),
            labels: labels.clone(),
            addr: *addr,
            open_port: *open_port,
            boot: hex(boot),
            incarnation: *incarnation,
            life: *life,
            started_ns: *started_ns,
            up_ns: *up_ns,
            leaving: leaving.map(|why| match why {
                Why::Stop => "stop".to_owned(),
                Why::Reboot => "reboot".to_owned(),
            }),
            signature: hex(&record.signature),
        }
    }

    /// `None` where it is damaged.
    fn record(self) -> Option<Record> {
        let member = Member {
            public_key: unhex(&self.key)?,
            name: self.name,
            zone: self.zone,
            labels: self.labels,
            addr: self.addr,
            open_port: self.open_port,
            boot: unhex(&self.boot)?,
            incarnation: self.incarnation,
            life: self.life,
            started_ns: self.started_ns,
            up_ns: self.up_ns,
            leaving: match self.leaving.as_deref() {
                None => None,
                Some("stop") => Some(Why::Stop),
                Some("reboot") => Some(Why::Reboot),
                Some(_) => return None,
            },
        };
        member.check().ok()?;
        Some(Record { member, signature: unhex(&self.signature)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str, leaving: Option<Why>) -> Arc<Record> {
        let member = Member {
            public_key: [7; 32],
            name: name.into(),
            zone: "a".into(),
            labels: vec![("role".into(), "web".into())],
            addr: "10.0.0.1:7946".parse().unwrap(),
            open_port: 22,
            boot: [3; 16],
            incarnation: 4,
            life: 1,
            started_ns: 5,
            up_ns: u64::MAX,
            leaving,
        };
        Arc::new(Record { member, signature: [9; 64] })
    }

    #[test]
    fn what_was_known_is_known_again() {
        let dir = tempfile::tempdir().unwrap();
        let (nothing, note) = Kept::read(dir.path());
        assert!(nothing.records.is_empty() && note.is_none());
        let records = vec![record("web-1", None), record("w\u{1b}", Some(Why::Reboot)), record("x", Some(Why::Stop))];
        let kept = Kept { life: 3, incarnation: 8, boot: [1; 16], records: records.clone() };
        kept.write(dir.path()).unwrap();
        kept.write(dir.path()).unwrap();
        let (again, note) = Kept::read(dir.path());
        assert_eq!((again.life, again.incarnation, again.boot, note), (3, 8, [1; 16], None));
        assert_eq!(again.records, records);
    }

    #[test]
    fn a_damaged_file_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        for text in ["", "{}", "{\"boot\":\"zz\",\"life\":0,\"incarnation\":0,\"members\":[]}"] {
            std::fs::write(&path, text).unwrap();
            assert!(Kept::read(dir.path()).1.unwrap().contains("left out"), "{text}");
        }
        let kept = Kept {
            life: 0,
            incarnation: 0,
            boot: [0; 16],
            records: vec![record(&"x".repeat(65), None), record("y", None)],
        };
        kept.write(dir.path()).unwrap();
        // One that cannot be is left out by itself.
        assert_eq!(Kept::read(dir.path()).0.records.len(), 1);
        assert!(kept.write(Path::new("/nonexistent")).is_err());
    }
}
