//! What can be set about a site, with its defaults, and the limits that cannot.

use std::time::Duration;

/// Members that a node keeps; more are refused.
pub const MEMBERS_MAX: usize = 4096;
/// A packet's largest size, as it passes every network unfragmented with its seal.
pub const PACKET_BYTES: usize = 1200;
/// A reliable message's largest size.
pub const RELIABLE_BYTES: usize = 64 * 1024;

/// How a site behaves. The same on all of its nodes, except while it is being changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// One member is probed in each.
    pub period: Duration,
    /// How long a direct probe waits; it is sent again at half of it. Helpers are asked after it, until the period ends.
    pub timeout: Duration,
    /// Helpers that are asked to probe a member that did not answer.
    pub helpers: usize,
    /// How often what is new is passed on, while there is something new.
    pub gossip_period: Duration,
    /// How many members it is passed on to each time.
    pub fan_out: usize,
    /// Each piece of news is sent so many times the (decimal) logarithm of the site's size.
    pub retransmit: u32,
    /// How long a suspected member has at least to refute, when many miss it. Longer than hosts stand still and live.
    pub suspicion_min: Duration,
    /// The same when only one misses it, as a multiple.
    pub suspicion_max: u32,
    /// So many others who miss it on their own bring it down to the least.
    pub confirmations: u32,
    /// Without enough witnesses by then, a silent member is `unknown`.
    pub give_up: Duration,
    /// Witnesses that must agree, where there are so many.
    pub witnesses: usize,
    /// How long the edges may take to ask a host.
    pub ask_patience: Duration,
    /// At least so many members that fall silent together...
    pub together_min: usize,
    /// ...and at least this part of the site (one in so many) are a matter of the network: `unknown`.
    pub together_part: usize,
    /// How long a host that said it reboots may take.
    pub reboot_grace: Duration,
    /// How long a path must be broken before it is called so.
    pub path_after: Duration,
    /// How often a member without a path to the collector hands out its heartbeat.
    pub vouch_period: Duration,
    /// How often, on average, one that is down or left, or a seed, is tried again, and lists are compared at all.
    pub heal_period: Duration,
    /// After so long without a sign of life a member that is down is forgotten; one that left, after a tenth of it.
    pub forget: Duration,
    /// A packet's largest size; at most [`PACKET_BYTES`].
    pub packet_bytes: usize,
    /// Local health, suspicion that shortens, the suspect told first, and one's own lag noticed. Off only to compare.
    pub lifeguard: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            period: Duration::from_secs(1),
            timeout: Duration::from_millis(500),
            helpers: 3,
            gossip_period: Duration::from_millis(200),
            fan_out: 3,
            retransmit: 4,
            suspicion_min: Duration::from_millis(5_500),
            suspicion_max: 4,
            confirmations: 3,
            give_up: Duration::from_secs(25),
            witnesses: 5,
            ask_patience: Duration::from_millis(1_500),
            together_min: 3,
            together_part: 10,
            reboot_grace: Duration::from_mins(5),
            path_after: Duration::from_secs(15),
            vouch_period: Duration::from_secs(10),
            heal_period: Duration::from_secs(10),
            forget: Duration::from_hours(24),
            packet_bytes: PACKET_BYTES,
            lifeguard: true,
        }
    }
}
