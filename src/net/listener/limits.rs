//! How many connections a listener bears, in all, from one source, and in their handshakes.

use crate::net::admission::Admittance;
use crate::net::connection::StreamLimits;
use crate::sip::source_network;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Limits of a listener. Those of the streams count for UDP as nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptLimits {
    /// Accepted connections at a time.
    pub connections: usize,
    /// Those among them that strangers may not use.
    pub kept_connections: usize,
    /// Accepted connections at a time from one source (an IPv6 host has a /64). Teams opens up to two from each of dozens
    /// of machines.
    pub connections_per_source: usize,
    /// TLS handshakes at a time.
    pub handshakes: usize,
    /// Those among them that strangers may not use.
    pub kept_handshakes: usize,
    /// TLS handshakes at a time from one source that is a stranger: who says nothing holds up few others. One machine of Teams
    /// may open all its connections at once (TEAMS-016).
    pub handshakes_per_source: usize,
    /// From the accept to the end of the handshake.
    pub handshake: Duration,
    pub stream: StreamLimits,
}

impl Default for AcceptLimits {
    fn default() -> AcceptLimits {
        AcceptLimits {
            connections: 4096,
            kept_connections: 0,
            connections_per_source: 64,
            handshakes: 256,
            kept_handshakes: 0,
            handshakes_per_source: 16,
            handshake: Duration::from_secs(10),
            stream: StreamLimits::default(),
        }
    }
}

/// The connections and handshakes that a listener bears at the moment.
#[derive(Debug, Default)]
pub(in crate::net) struct Occupancy(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    connections: usize,
    handshakes: usize,
    /// By the network that counts as one source.
    sources: HashMap<IpAddr, Source>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Source {
    connections: usize,
    handshakes: usize,
}

/// Which limit refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::net) enum Full {
    Connections,
    Handshakes,
}

impl Occupancy {
    /// A place for a connection from `source`, given back on drop.
    pub(in crate::net) fn take(
        self: &Arc<Occupancy>,
        source: IpAddr,
        admitted: Admittance,
        limits: &AcceptLimits,
        handshake: bool,
    ) -> Result<Place, Full> {
        let source = source_network(source);
        let free_to_all = |places: usize, kept: usize| match admitted {
            Admittance::Known => places,
            _ => places.saturating_sub(kept),
        };
        let connections = free_to_all(limits.connections, limits.kept_connections);
        let handshakes = free_to_all(limits.handshakes, limits.kept_handshakes);
        let mut counts = self.lock();
        let from_source = counts.sources.get(&source).copied().unwrap_or_default();
        if counts.connections >= connections || from_source.connections >= limits.connections_per_source {
            return Err(Full::Connections);
        }
        let handshakes_per_source = match admitted {
            // A proxy of Teams opens 64 at once (TEAMS-016); one host behind a NAT that is known must not take all places.
            Admittance::Known => limits
                .connections_per_source
                .min(limits.handshakes / 4)
                .max(limits.handshakes_per_source),
            _ => limits.handshakes_per_source,
        };
        let hands_full = counts.handshakes >= handshakes || from_source.handshakes >= handshakes_per_source;
        if handshake && hands_full {
            return Err(Full::Handshakes);
        }
        counts.connections += 1;
        counts.handshakes += usize::from(handshake);
        let from_source = counts.sources.entry(source).or_default();
        from_source.connections += 1;
        from_source.handshakes += usize::from(handshake);
        Ok(Place {
            occupancy: self.clone(),
            source,
            handshake,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the counts.
#[derive(Debug)]
pub(in crate::net) struct Place {
    occupancy: Arc<Occupancy>,
    source: IpAddr,
    handshake: bool,
}

impl Place {
    /// The handshake is over; the connection stays.
    pub(in crate::net) fn handshake_done(&mut self) {
        if std::mem::take(&mut self.handshake) {
            let mut counts = self.occupancy.lock();
            counts.handshakes -= 1;
            if let Some(from_source) = counts.sources.get_mut(&self.source) {
                from_source.handshakes -= 1;
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.handshake_done();
        let mut counts = self.occupancy.lock();
        counts.connections -= 1;
        if let Some(from_source) = counts.sources.get_mut(&self.source) {
            from_source.connections -= 1;
            if from_source.connections == 0 {
                counts.sources.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Admittance::{Known, Stranger};

    #[test]
    fn places_are_bounded_in_all_by_source_and_in_handshakes_and_come_back() {
        let limits = AcceptLimits {
            connections: 3,
            connections_per_source: 2,
            handshakes: 2,
            ..AcceptLimits::default()
        };
        let occupancy = Arc::new(Occupancy::default());
        let [one, two] = [IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2])];
        let mut first = occupancy.take(one, Known, &limits, true).unwrap();
        let second = occupancy.take(one, Known, &limits, true).unwrap();
        assert_eq!(
            occupancy.take(one, Known, &limits, false).unwrap_err(),
            Full::Connections
        );
        assert_eq!(occupancy.take(two, Known, &limits, true).unwrap_err(), Full::Handshakes);
        first.handshake_done();
        let _third = occupancy.take(two, Known, &limits, true).unwrap();
        assert_eq!(
            occupancy.take(two, Known, &limits, false).unwrap_err(),
            Full::Connections
        );
        drop((first, second));
        assert_eq!(occupancy.lock().sources.len(), 1);
        assert!(occupancy.take(one, Known, &limits, true).is_ok());
    }

    #[test]
    fn handshakes_of_a_stranger_leave_room_for_others_and_an_ipv6_host_is_one() {
        let limits = AcceptLimits {
            connections_per_source: 3,
            handshakes_per_source: 2,
            ..AcceptLimits::default()
        };
        let occupancy = Arc::new(Occupancy::default());
        let host = |network: u16, last: u16| IpAddr::from([0x2001, 0xdb8, 0, network, 0, 0, 0, last]);
        let mut first = occupancy.take(host(0, 1), Stranger, &limits, true).unwrap();
        let _second = occupancy.take(host(0, 2), Stranger, &limits, true).unwrap();
        assert_eq!(
            occupancy.take(host(0, 3), Stranger, &limits, true).unwrap_err(),
            Full::Handshakes
        );
        let _other = occupancy.take(host(1, 1), Stranger, &limits, true).unwrap();
        first.handshake_done();
        let _third = occupancy.take(host(0, 3), Stranger, &limits, true).unwrap();
        assert_eq!(
            occupancy.take(host(0, 4), Stranger, &limits, false).unwrap_err(),
            Full::Connections
        );
        drop(first);
        let known = host(2, 1);
        let _both = [(); 3].map(|()| occupancy.take(known, Known, &limits, true).unwrap());
        assert_eq!(
            occupancy.take(known, Known, &limits, true).unwrap_err(),
            Full::Connections
        );
        assert!(occupancy.take(host(0, 4), Stranger, &limits, false).is_ok());
    }

    #[test]
    fn one_that_is_known_takes_a_quarter_of_the_handshakes() {
        let limits = AcceptLimits {
            connections_per_source: 256,
            ..AcceptLimits::default()
        };
        let occupancy = Arc::new(Occupancy::default());
        let source = IpAddr::from([192, 0, 2, 1]);
        let _teams = [(); 64].map(|()| occupancy.take(source, Known, &limits, true).unwrap());
        assert_eq!(
            occupancy.take(source, Known, &limits, true).unwrap_err(),
            Full::Handshakes
        );
    }

    #[test]
    fn strangers_leave_places_to_the_known() {
        let limits = AcceptLimits {
            connections: 4,
            kept_connections: 1,
            handshakes: 3,
            kept_handshakes: 1,
            ..AcceptLimits::default()
        };
        let occupancy = Arc::new(Occupancy::default());
        let take = |last: u8, admitted, handshake| {
            let source = IpAddr::from([192, 0, 2, last]);
            occupancy.take(source, admitted, &limits, handshake)
        };
        let _first = take(1, Stranger, true).unwrap();
        let _second = take(2, Stranger, true).unwrap();
        assert_eq!(take(3, Stranger, true).unwrap_err(), Full::Handshakes);
        let _third = take(3, Stranger, false).unwrap();
        assert_eq!(take(4, Stranger, false).unwrap_err(), Full::Connections);
        let _carrier = take(5, Known, true).unwrap();
        assert_eq!(take(5, Known, false).unwrap_err(), Full::Connections);
    }
}
