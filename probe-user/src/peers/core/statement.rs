//! What a witness states about a silent member, signed by it: the only thing that can bring a member down.

use super::wire::{Reader, Write};
use super::{Evidence, PeerId, Signer};

/// What is put before a statement when it is signed.
const SIGNED_AS: &[u8] = b"procprobe silent 1\0";
/// How many bytes a statement takes.
pub(super) const STATEMENT_BYTES: usize = 16 * 3 + 4 + 4 + 1 + 1 + 1 + 4 + 64;

/// "I, the witness, tried to hear this member in this life of this boot, and it was silent."
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) witness: PeerId,
    pub(super) subject: PeerId,
    pub(super) boot: [u8; 16],
    pub(super) incarnation: u32,
    pub(super) life: u32,
    pub(super) evidence: Evidence,
    pub(super) signature: [u8; 64],
}

impl Statement {
    pub(super) fn sign(&mut self, signer: &dyn Signer) {
        self.signature = signer.sign(&self.said());
    }

    pub(super) fn is_signed(&self, key: &[u8; 32], signer: &dyn Signer) -> bool {
        signer.verify(key, &self.said(), &self.signature)
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.write_said(out);
        out.bytes(&self.signature);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            witness: PeerId(reader.array()?),
            subject: PeerId(reader.array()?),
            boot: reader.array()?,
            incarnation: reader.u32()?,
            life: reader.u32()?,
            evidence: Evidence {
                direct: reader.u8()?,
                indirect: reader.u8()?,
                host: match reader.u8()? {
                    0 => None,
                    1 => Some(false),
                    2 => Some(true),
                    _ => return None,
                },
                silent_ms: reader.u32()?,
            },
            signature: reader.array()?,
        })
    }

    fn said(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SIGNED_AS.len() + STATEMENT_BYTES);
        bytes.bytes(SIGNED_AS);
        self.write_said(&mut bytes);
        bytes
    }

    fn write_said(&self, out: &mut Vec<u8>) {
        out.bytes(&self.witness.0);
        out.bytes(&self.subject.0);
        out.bytes(&self.boot);
        out.u32(self.incarnation);
        out.u32(self.life);
        out.u8(self.evidence.direct);
        out.u8(self.evidence.indirect);
        out.u8(self.evidence.host.map_or(0, |answered| 1 + u8::from(answered)));
        out.u32(self.evidence.silent_ms);
    }
}
