//! How much work one sender may cause, so that a flood starves nobody else.
//!
//! What claims to be a member and comes from that member's address counts against the member; everything else counts
//! against the address it came from, so that nobody can use up another's share by using its name.

use std::net::SocketAddr;

use crate::time::KTime;

use super::random::{mix, number_of_bytes};

/// Messages a second, and how many may come at once.
const MESSAGES: (u32, u32) = (100, 300);
/// Signatures to check a second, and how many may come at once: a whole site, when the list is compared.
const SIGNATURES: (u32, u32) = (50, 4_500);
/// Shares for senders by address.
const SHARES: usize = 512;

/// What one sender has left.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Share {
    /// Used and not yet given back, in thousandths.
    messages: u32,
    signatures: u32,
    at_ms: u32,
}

impl Share {
    fn settle(&mut self, now: KTime) {
        // Wraps after 49 days; the difference stays right as long as it is shorter.
        #[expect(clippy::cast_possible_truncation, reason = "a clock that wraps is enough for differences")]
        let now_ms = (now.0 / 1_000_000) as u32;
        let passed = now_ms.wrapping_sub(self.at_ms);
        self.at_ms = now_ms;
        self.messages = self.messages.saturating_sub(passed.saturating_mul(MESSAGES.0));
        self.signatures = self.signatures.saturating_sub(passed.saturating_mul(SIGNATURES.0));
    }

    /// Whether one more message may be read.
    pub(super) fn message(&mut self, now: KTime) -> bool {
        self.settle(now);
        let fits = self.messages < MESSAGES.1 * 1000;
        self.messages += if fits { 1000 } else { 0 };
        fits
    }

    /// Whether one more signature may be checked.
    pub(super) fn signature(&mut self) -> bool {
        let fits = self.signatures < SIGNATURES.1 * 1000;
        self.signatures += if fits { 1000 } else { 0 };
        fits
    }
}

/// The shares of all senders, each found by a hash that they cannot foresee. Two may meet in one; it is large enough.
#[derive(Debug)]
pub(super) struct Budget {
    seed: u64,
    /// Made when first needed.
    shares: Vec<Share>,
}

impl Budget {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed: mix(seed), shares: Vec::new() }
    }

    /// The share of what came from here: of a member if `member` says so (its handle), of the address otherwise.
    pub(super) fn share(&mut self, member: Option<u32>, from: SocketAddr) -> &mut Share {
        let of_address = || {
            let number = match from.ip() {
                std::net::IpAddr::V4(ip) => number_of_bytes(self.seed, &ip.octets()),
                // A network of its own is what one host has.
                std::net::IpAddr::V6(ip) => number_of_bytes(self.seed, &ip.octets()[..8]),
            };
            usize::try_from(number % SHARES as u64).unwrap_or(0)
        };
        let of_member = |member: u32| SHARES + usize::try_from(member).unwrap_or(0);
        let place = member.map_or_else(of_address, of_member);
        if self.shares.len() <= place {
            self.shares.resize(place + 1, Share::default());
        }
        // Just made to fit.
        let last = self.shares.len() - 1;
        &mut self.shares[place.min(last)]
    }
}
