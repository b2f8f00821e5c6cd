//! Which services a domain's NAPTR records offer us (RFC 3263 §4.1, RFC 3403 §4.1).

use super::target::{SrvQuery, Target};
use crate::sip::Transport;
use std::sync::Arc;

/// One NAPTR record, as far as SIP uses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Naptr {
    pub order: u16,
    pub preference: u16,
    /// `s` leads to SRV, `a` to addresses; case doesn't matter. Others aren't for SIP server location.
    pub flags: String,
    /// `SIP+D2U`, `SIP+D2T`, `SIPS+D2T`; case doesn't matter.
    pub services: String,
    pub replacement: Arc<str>,
}

/// Where a NAPTR record leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replacement {
    Srv(SrvQuery),
    /// Addresses of `name`, at the transport's default port.
    Addresses {
        transport: Transport,
        name: Arc<str>,
    },
}

/// The services to try, best first. Empty when no record is usable: then the SRV names are guessed.
///
/// Records that we can't use are dropped first; of the rest only the lowest order counts (RFC 3403 §4.1: "MUST NOT consider
/// any NAPTRs with a higher value for ORDER"), so that a domain which puts TLS first isn't reached in the clear.
pub fn pick_services(records: &[Naptr], target: &Target, spoken: &[Transport]) -> Vec<Replacement> {
    let usable = |record: &Naptr| -> Option<Replacement> {
        let transport = match record.services.to_ascii_uppercase().as_str() {
            "SIP+D2U" => Transport::Udp,
            "SIP+D2T" => Transport::Tcp,
            "SIPS+D2T" => Transport::Tls,
            _ => return None,
        };
        if !spoken.contains(&transport) || (target.secure && transport != Transport::Tls) {
            return None;
        }
        let name = record.replacement.clone();
        match record.flags.as_str() {
            "s" | "S" => Some(Replacement::Srv(SrvQuery { transport, name })),
            "a" | "A" => Some(Replacement::Addresses { transport, name }),
            _ => None,
        }
    };
    let mut services: Vec<_> = records
        .iter()
        .filter_map(|r| Some((r.order, r.preference, usable(r)?)))
        .collect();
    services.sort_by_key(|(order, preference, _)| (*order, *preference));
    let lowest = services.first().map(|(order, _, _)| *order);
    services
        .into_iter()
        .filter(|(order, _, _)| Some(*order) == lowest)
        .map(|(_, _, service)| service)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Transport::{Tcp, Tls, Udp};

    fn record(order: u16, preference: u16, flags: &str, services: &str) -> Naptr {
        let replacement = format!("{services}.example.net").to_ascii_lowercase().into();
        Naptr {
            order,
            preference,
            flags: flags.into(),
            services: services.into(),
            replacement,
        }
    }

    fn picked(records: &[Naptr], spoken: &[Transport], secure: bool) -> Vec<(Transport, bool)> {
        let target = Target {
            secure,
            ..Target::new("example.net").unwrap()
        };
        let kind = |replacement| match replacement {
            Replacement::Srv(query) => (query.transport, true),
            Replacement::Addresses { transport, .. } => (transport, false),
        };
        pick_services(records, &target, spoken).into_iter().map(kind).collect()
    }

    /// The three records of RFC 3263 §4.1.
    fn rfc() -> [Naptr; 3] {
        [
            record(90, 50, "s", "SIP+D2T"),
            record(50, 50, "s", "SIPS+D2T"),
            record(100, 50, "s", "SIP+D2U"),
        ]
    }

    #[test]
    fn the_lowest_order_that_we_speak_wins_alone() {
        assert_eq!(picked(&rfc(), &[Udp, Tcp, Tls], false), [(Tls, true)]);
        assert_eq!(picked(&rfc(), &[Udp, Tcp], false), [(Tcp, true)]);
        assert_eq!(picked(&rfc(), &[Udp], false), [(Udp, true)]);
        assert_eq!(picked(&rfc(), &[Udp], true), []);
    }

    #[test]
    fn preference_sorts_within_an_order() {
        let records = [
            record(1, 30, "S", "sip+d2u"),
            record(1, 10, "a", "SIPS+D2T"),
            record(1, 20, "s", "SIP+D2T"),
        ];
        assert_eq!(
            picked(&records, &[Udp, Tcp, Tls], false),
            [(Tls, false), (Tcp, true), (Udp, true)]
        );
    }

    #[test]
    fn foreign_services_and_flags_are_dropped() {
        let records = [
            record(1, 1, "u", "E2U+sip"),
            record(1, 1, "u", "SIP+D2U"),
            record(1, 1, "s", "SIP+D2S"),
        ];
        assert_eq!(picked(&records, &[Udp, Tcp, Tls], false), []);
    }
}
