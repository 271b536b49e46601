//! What the thread begins with: who this host is, and what an earlier daemon knew.

use std::io;
use std::sync::{Arc, Mutex};

use ring::digest::{SHA256, digest};

use super::Running;
use crate::peers::Summary;
use crate::peers::core::{Member, Settings, Signer, Site};
use crate::peers::guard::Guard;
use crate::peers::identity::{self, Identity};
use crate::peers::kept::Kept;
use crate::peers::keys::unhex;
use crate::peers::open::{Begin, Opened};
use crate::pipeline::clock;

struct Signs(Identity);

impl Signer for Signs {
    fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        self.0.sign(bytes)
    }

    fn verify(&self, key: &[u8; 32], bytes: &[u8], signature: &[u8; 64]) -> bool {
        identity::verify(key, bytes, signature)
    }
}

impl Running {
    /// Who this host is, with what an earlier daemon knew.
    pub(in crate::peers) fn new(
        opened: Opened,
        begin: Begin,
        summary: Arc<Mutex<Summary>>,
        notes: &mut Vec<String>,
    ) -> io::Result<Self> {
        let Opened { udp, tcp, icmp, keys, identity, salt, seed, join, address, open_port, state_dir } = opened;
        let boot = boot_of(&begin.host.boot_id);
        let (kept, note) = Kept::read(&state_dir);
        notes.extend(note);
        let clocks = clock::read();
        let seconds = clocks.wall.0.max(0) / 1_000_000_000;
        let me = Member {
            public_key: identity.public(),
            name: begin.host.name.clone(),
            zone: begin.zone.clone(),
            labels: begin.labels.clone(),
            addr: address,
            open_port: open_port.unwrap_or_default(),
            boot,
            // A clock may have been set back, and the last words of the daemon before may be of this very second.
            incarnation: u32::try_from(seconds).unwrap_or(u32::MAX).max(kept.incarnation.saturating_add(1)),
            life: if kept.boot == boot { kept.life } else { 0 },
            started_ns: 0,
            up_ns: 0,
            leaving: None,
        };
        if let Err(error) = me.check() {
            notes.push(format!("peers: {error}: it is cut"));
        }
        let guard = Guard::new(keys, salt).ok_or_else(|| io::Error::other("no key can be derived"))?;
        let mut site = Site::new(me, Settings::default(), seed, clocks.mono, Box::new(Signs(identity)));
        site.recall(clocks.mono, &kept.records);
        Ok(Self { site, guard, udp, tcp, icmp, begin, join, address, state_dir, boot, summary })
    }
}

/// 16 bytes that stand for a boot.
fn boot_of(id: &str) -> [u8; 16] {
    let digits: String = id.chars().filter(|c| *c != '-').collect();
    unhex(&digits).unwrap_or_else(|| {
        let mut boot = [0; 16];
        let hashed = digest(&SHA256, id.as_bytes());
        boot.iter_mut().zip(hashed.as_ref()).for_each(|(to, from)| *to = *from);
        boot
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_has_16_bytes_whatever_its_name() {
        assert_eq!(boot_of("00000000-0000-4000-8000-0000000000ff")[15], 0xff);
        assert_eq!(boot_of("btime:1"), boot_of("btime:1"));
        assert_ne!(boot_of("btime:1"), boot_of("btime:2"));
    }
}
