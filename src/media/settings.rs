//! The media plane's part of the machine's configuration.

use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::ops::RangeInclusive;
use std::thread;
use std::time::Duration;

/// Addresses, ports, workers and timeouts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaSettings {
    /// Local addresses for media; a leg names one by its index.
    pub addresses: Vec<MediaAddress>,
    /// Further addresses that the sockets have: those of the interfaces, where `bind` is unspecified.
    pub own: Vec<IpAddr>,
    /// Ports of each address. Pairs begin on even ports.
    pub ports: RangeInclusive<u16>,
    /// Worker threads; None: one per core.
    pub workers: Option<NonZeroU16>,
    /// DSCP of everything sent; 46 is expedited forwarding (RFC 3246).
    pub dscp: u8,
    /// How long a freed port is left alone while others are free.
    pub port_rest: Duration,
    /// Between our RTCP reports on a leg.
    pub report_interval: Duration,
    /// Without RTP for this long, a leg that should receive is reported silent.
    pub silence_after: Duration,
    /// Take packets from media ports of our own: for loopback demonstrations alone.
    pub allow_hairpin: bool,
}

/// A local media address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaAddress {
    /// What sockets are bound to.
    pub bind: IpAddr,
    /// What descriptions say: the same, or the outside address of a 1:1 NAT.
    pub advertise: IpAddr,
}

impl MediaSettings {
    /// One address, and the usual timeouts: reports every 5 s (RFC 3550 §6.2), silence after 10 s.
    pub fn new(address: MediaAddress, ports: RangeInclusive<u16>) -> MediaSettings {
        MediaSettings {
            addresses: vec![address],
            own: Vec::new(),
            ports,
            workers: None,
            dscp: 46,
            port_rest: Duration::from_secs(30),
            report_interval: Duration::from_secs(5),
            silence_after: Duration::from_secs(10),
            allow_hairpin: false,
        }
    }

    pub(super) fn worker_count(&self) -> u16 {
        let cores = || u16::try_from(thread::available_parallelism().map_or(1, usize::from)).unwrap_or(u16::MAX);
        self.workers.map_or_else(cores, NonZeroU16::get)
    }
}
