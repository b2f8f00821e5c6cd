//! Whom the sockets listen to: the addresses of Teams and of carriers, published to `net` as one table.

use crate::config::{Carrier, Config, Host, Listener, Network, Purpose, UnknownSource};
use crate::net::{Admission, Admittance, Approach, Clock};
use crate::sip::{ListenerId, Transport, source_network};
use arc_swap::ArcSwap;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// The table in force. Swapped whole by a reload, read without a lock.
#[derive(Debug)]
pub struct AdmissionTable {
    by_listener: ArcSwap<Table>,
    /// By themselves each: whoever forges datagrams of somebody slows nobody's connection, and whoever floods one keeps nobody
    /// behind the same address from opening another, nor from speaking where it has proven itself.
    datagrams: Rates,
    connections: Rates,
    messages: Rates,
    served: Rates,
    spoken_with: SpokenWith,
    clock: Clock,
}

#[derive(Debug)]
struct Table {
    /// By listener.
    doors: Vec<Door>,
    /// Whom no rate concerns: Teams, carriers, and gateways that are configured by address.
    known: Vec<Network>,
    /// Messages and connections a second from one address that is not known.
    per_source: u32,
}

/// Counts of the present second, by a hash of the source's network: one look at one counter, nothing grows. Two strangers that
/// share a counter share a rate.
#[derive(Debug)]
struct Rates {
    counters: Box<[AtomicU64]>,
    hasher: RandomState,
    /// Those of all strangers to listeners that tell them nothing.
    unanswered: AtomicU64,
}

const COUNTERS: usize = 4_096;

/// What strangers together may send in a second where they are told nothing: nearly all of it is in vain, and forged sources
/// are as many as somebody likes. Peers that are not known by address, who are few there, share it.
const MOST_UNANSWERED: u32 = 2_000;

impl Rates {
    fn new() -> Rates {
        Rates {
            counters: (0..COUNTERS).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::new(),
            unanswered: AtomicU64::new(0),
        }
    }

    /// Counts one more from the network of `address` in this second; false beyond `most`.
    fn count(&self, address: IpAddr, second: u32, most: u32) -> bool {
        let place = usize::try_from(self.hasher.hash_one(source_network(address)) % COUNTERS as u64).unwrap_or(0);
        let Some(counter) = self.counters.get(place) else {
            return true;
        };
        one_more(counter, second) <= most
    }

    /// Counts one more from whoever is told nothing; false beyond what all of them may send in this second.
    fn count_unanswered(&self, second: u32) -> bool {
        one_more(&self.unanswered, second) <= MOST_UNANSWERED
    }
}

/// Counts one more in `second`, which stands with its count in one counter. The count from then on.
fn one_more(counter: &AtomicU64, second: u32) -> u32 {
    let more = |packed: u64| match (packed >> 32) as u32 == second {
        true => (packed as u32).saturating_add(1),
        false => 1,
    };
    let counted = counter.fetch_update(Relaxed, Relaxed, |packed| {
        Some(u64::from(second) << 32 | u64::from(more(packed)))
    });
    more(counted.unwrap_or(0))
}

/// To whom requests went lately, by a hash of the address: where a gateway's name or a target's Contact leads is known by
/// that alone, and its answers may be many. Seconds, none for never.
#[derive(Debug)]
struct SpokenWith {
    last: Box<[AtomicU32]>,
    hasher: RandomState,
}

/// Few share a place by chance, of some hundred addresses that are spoken with.
const PARTNERS: usize = 16_384;

/// Longer than OPTIONS are apart.
const PARTNER_FOR: u32 = 300;

impl SpokenWith {
    fn new() -> SpokenWith {
        SpokenWith {
            last: (0..PARTNERS).map(|_| AtomicU32::new(0)).collect(),
            hasher: RandomState::new(),
        }
    }

    fn place(&self, address: IpAddr) -> Option<&AtomicU32> {
        let place = usize::try_from(self.hasher.hash_one(address) % PARTNERS as u64).unwrap_or(0);
        self.last.get(place)
    }

    fn note(&self, address: IpAddr, second: u32) {
        if let Some(last) = self.place(address) {
            last.store(second.saturating_add(1), Relaxed);
        }
    }

    fn has(&self, address: IpAddr, second: u32) -> bool {
        let last = self.place(address).map_or(0, |last| last.load(Relaxed));
        last != 0 && second.saturating_sub(last) < PARTNER_FOR
    }
}

/// One listener.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Door {
    /// Everybody: unknown sources are to be told 403, or a carrier is known by its password alone.
    Open,
    /// Everybody, for what a carrier's Contact outside of its networks says, a gateway that has only a name, or a server whom an
    /// application dials by SIP URI, comes from anywhere; who is not known is told nothing.
    Quiet(Vec<Network>),
    /// Everybody, at a rate: users are known by their password alone.
    Users { per_source: u32 },
    /// These only; others get no answer, before parsing and before TLS (TEAMS-113).
    Only(Vec<Network>),
}

impl AdmissionTable {
    /// The table of a configuration.
    pub fn new(config: &Config, clock: Clock) -> AdmissionTable {
        AdmissionTable {
            by_listener: ArcSwap::from_pointee(Table::new(config)),
            datagrams: Rates::new(),
            connections: Rates::new(),
            messages: Rates::new(),
            served: Rates::new(),
            spoken_with: SpokenWith::new(),
            clock,
        }
    }

    /// Publishes another configuration's table.
    pub fn publish(&self, config: &Config) {
        self.by_listener.store(Arc::new(Table::new(config)));
    }

    fn rates(&self, approach: Approach) -> &Rates {
        match approach {
            Approach::Datagram => &self.datagrams,
            Approach::Connection => &self.connections,
            Approach::Message => &self.messages,
            Approach::Served => &self.served,
        }
    }

    fn second(&self) -> u32 {
        u32::try_from(self.clock.now().as_micros() / 1_000_000).unwrap_or(u32::MAX)
    }
}

impl Admission for AdmissionTable {
    fn admit(&self, listener: ListenerId, remote: SocketAddr, approach: Approach) -> Admittance {
        let table = self.by_listener.load();
        let address = remote.ip().to_canonical();
        let is_in = |networks: &[Network]| networks.iter().any(|network| network.contains(address));
        let Some(door) = table.doors.get(usize::from(listener.0)) else {
            return Admittance::Never;
        };
        let (per_source, quiet) = match door {
            Door::Only(networks) if is_in(networks) => return Admittance::Known,
            Door::Only(_) => return Admittance::Never,
            Door::Open | Door::Quiet(_) if is_in(&table.known) => return Admittance::Known,
            Door::Open => (table.per_source, false),
            Door::Quiet(_) => (table.per_source, true),
            Door::Users { per_source } => (*per_source, false),
        };
        let second = self.second();
        if self.spoken_with.has(address, second) {
            return Admittance::Known;
        }
        let rates = self.rates(approach);
        match rates.count(address, second, per_source) && (!quiet || rates.count_unanswered(second)) {
            true => Admittance::Stranger,
            false => Admittance::Later,
        }
    }

    fn speaks_with(&self, remote: SocketAddr) {
        self.spoken_with.note(remote.ip().to_canonical(), self.second());
    }

    fn may_be_told(&self, listener: ListenerId, remote: SocketAddr) -> bool {
        let table = self.by_listener.load();
        let address = remote.ip().to_canonical();
        match table.doors.get(usize::from(listener.0)) {
            Some(Door::Quiet(known)) => known.iter().any(|network| network.contains(address)),
            _ => true,
        }
    }
}

impl Table {
    fn new(config: &Config) -> Table {
        let sbc = &config.sbc;
        let carriers = sbc
            .carriers
            .iter()
            .flat_map(|carrier| carrier.identify.networks.iter().cloned());
        let gateways = sbc.carriers.iter().flat_map(|carrier| &carrier.gateways);
        let gateways = gateways.filter_map(|gateway| only(&gateway.host));
        let known = carriers.chain(gateways).chain(sbc.teams.networks.iter().cloned());
        Table {
            doors: doors(config),
            known: known.collect(),
            per_source: sbc.guard.requests_per_source,
        }
    }
}

/// The network of one address; none for a name.
fn only(host: &Host) -> Option<Network> {
    match host {
        Host::Address(address) => Network::parse(&address.to_string()).ok(),
        Host::Name(_) => None,
    }
}

fn doors(config: &Config) -> Vec<Door> {
    let sbc = &config.sbc;
    let mut accounts = config
        .tenants
        .iter()
        .map(|tenant| (&tenant.account.applications, &tenant.tokens));
    let uris_are_dialled = accounts.any(|(applications, tokens)| !applications.is_empty() || !tokens.is_empty());
    let door = |listener: &Listener| match listener.purpose {
        Purpose::Teams => Door::Only(sbc.teams.networks.clone()),
        Purpose::Users => Door::Users {
            per_source: sbc.registrar.requests_per_source,
        },
        Purpose::Carrier => {
            let speaks = |carrier: &&Arc<Carrier>| {
                carrier.identify.transports.is_empty() || carrier.identify.transports.contains(&listener.transport)
            };
            let carriers = sbc.carriers.iter().filter(speaks);
            let by_password =
                |carrier: &Arc<Carrier>| carrier.identify.networks.is_empty() && carrier.identify.digest.is_some();
            let gateways = carriers.clone().flat_map(|carrier| &carrier.gateways);
            let gateways: Vec<&Host> = gateways
                .filter(|gateway| gateway.listener == listener.id)
                .map(|gateway| &gateway.host)
                .collect();
            if sbc.guard.unknown_source == UnknownSource::Forbid || carriers.clone().any(by_password) {
                return Door::Open;
            }
            let addresses = gateways.iter().filter_map(|host| only(host));
            let known = carriers.flat_map(|carrier| carrier.identify.networks.iter().cloned());
            let known = known.chain(addresses).collect();
            // Over UDP a carrier may speak from wherever its Contact leads, and a gateway from where its name does, for hours
            // after our last word; a connection that it opens to us from elsewhere costs too much to let everybody try it.
            match listener.transport == Transport::Udp || uris_are_dialled {
                true => Door::Quiet(known),
                false => Door::Only(known),
            }
        }
    };
    let listeners = sbc.listeners.iter();
    listeners.map(door).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::fixture::machine;
    use Admittance::{Known, Later, Stranger};
    use Approach::{Connection, Datagram, Message, Served};

    const CARRIERS: &str = r#"
        [[carriers]]
        id = "north"
        networks = ["203.0.113.0/24"]
        gateways = [{ host = "203.0.113.2", listener = "udp" }]
    "#;

    const CONTOSO: &str = r#"
        domains = ["contoso.example"]
        label = "contoso"
        carriers = ["north"]
    "#;

    const TCP: &str =
        "[[listeners]]\nname = \"tcp\"\npurpose = \"carrier\"\ntransport = \"tcp\"\nbind = \"192.0.2.10:5060\"\n";

    fn listener(config: &Config, name: &str) -> ListenerId {
        let found = config
            .sbc
            .listeners
            .iter()
            .find(|listener| listener.name.as_str() == name);
        found.expect("a listener").id
    }

    #[test]
    fn over_udp_and_where_applications_dial_uris_anybody_is_heard_and_strangers_are_told_nothing() {
        let application = format!("{CONTOSO}\n[application.reception]\nhook = \"https://app.contoso.example/\"\n");
        for (tenant, listens, heard) in [
            (CONTOSO, "udp", true),
            (CONTOSO, "tcp", false),
            (&application, "udp", true),
            (&application, "tcp", true),
        ] {
            let config = Config::from_toml_strs(&machine(&format!("{CARRIERS}{TCP}")), &[("contoso", tenant)]);
            let config = config.unwrap_or_else(|wrong| panic!("{wrong}"));
            let table = AdmissionTable::new(&config, Clock::start());
            let stranger = "198.41.0.4:5060".parse().unwrap();
            let listener = listener(&config, listens);
            assert_eq!(
                table.admit(listener, stranger, Datagram) == Stranger,
                heard,
                "{listens}"
            );
            assert!(!heard || !table.may_be_told(listener, stranger));
            assert_eq!(
                table.admit(listener, "203.0.113.2:5060".parse().unwrap(), Datagram),
                Known
            );
        }
    }

    #[test]
    fn strangers_that_are_told_nothing_share_a_rate_which_is_nothing_to_the_known() {
        let config = Config::from_toml_strs(&machine(CARRIERS), &[("contoso", CONTOSO)]);
        let config = config.unwrap_or_else(|wrong| panic!("{wrong}"));
        let table = AdmissionTable::new(&config, Clock::start());
        let udp = listener(&config, "udp");
        let strangers = (0..4 * MOST_UNANSWERED).filter(|last| {
            let stranger = IpAddr::from((0xc629_0000 + last).to_be_bytes());
            table.admit(udp, SocketAddr::new(stranger, 5060), Datagram) == Stranger
        });
        assert!(
            strangers.count() <= 2 * MOST_UNANSWERED as usize,
            "even over two seconds"
        );
        let partner = SocketAddr::from(([198, 51, 100, 77], 5060));
        table.speaks_with(partner);
        for known in [partner, SocketAddr::from(([203, 0, 113, 2], 5060))] {
            assert!((0..100).all(|_| table.admit(udp, known, Datagram) == Known), "{known}");
        }
    }

    #[test]
    fn a_stranger_has_so_many_a_second_and_the_next_second_again() {
        let rates = Rates::new();
        let stranger = IpAddr::from([192, 0, 2, 1]);
        assert!((0..20).all(|_| rates.count(stranger, 7, 20)));
        assert!(!rates.count(stranger, 7, 20));
        assert!(rates.count(stranger, 8, 20));
        let host = |last: u64| IpAddr::from(((0x2001_0db8 << 96) | u128::from(last)).to_be_bytes());
        assert!((0..20).all(|last| rates.count(host(last), 9, 20)));
        assert!(!rates.count(host(u64::MAX), 9, 20), "one host uses a whole /64 at will");
    }

    #[test]
    fn who_was_sent_a_request_may_answer_as_often_as_it_likes() {
        let sbc = machine(
            "[guard]\nunknown_source = \"403\"\n\
             [[carriers]]\nid = \"north\"\ngateways = [{ host = \"203.0.113.5\" }, { host = \"gw.north.example\" }]\n",
        );
        let config = Config::from_toml_strs(&sbc, &[]).unwrap_or_else(|wrong| panic!("{wrong}"));
        let table = AdmissionTable::new(&config, Clock::start());
        let carriers = config
            .sbc
            .listeners
            .iter()
            .find(|listener| listener.purpose == Purpose::Carrier);
        let carriers = carriers.expect("a listener for carriers").id;
        let burst = |from: SocketAddr| {
            (0..200)
                .filter(|_| table.admit(carriers, from, Datagram).is_granted())
                .count()
        };
        assert_eq!(
            burst(SocketAddr::from(([203, 0, 113, 5], 5060))),
            200,
            "a gateway's own address"
        );
        let remote = SocketAddr::from(([198, 51, 100, 77], 5060));
        assert!(burst(remote) <= 60, "a stranger's, even over two seconds");
        table.speaks_with(remote);
        assert_eq!(burst(remote), 200, "where the named one was found");
        let spoken_with = SpokenWith::new();
        assert!(!spoken_with.has(remote.ip(), 0));
        spoken_with.note(remote.ip(), 0);
        assert!(spoken_with.has(remote.ip(), PARTNER_FOR) && !spoken_with.has(remote.ip(), PARTNER_FOR + 1));
    }

    /// Of 100 that an address sends in a moment, whether some come too early.
    fn is_too_much(table: &AdmissionTable, listener: ListenerId, address: SocketAddr, approach: Approach) -> bool {
        (0..100).any(|_| table.admit(listener, address, approach) == Later)
    }

    #[test]
    fn what_comes_in_one_way_takes_nothing_from_the_other_ways_of_its_source() {
        let sbc = machine(&format!("[guard]\nunknown_source = \"403\"\n{TCP}"));
        let config = Config::from_toml_strs(&sbc, &[]).unwrap_or_else(|wrong| panic!("{wrong}"));
        let table = AdmissionTable::new(&config, Clock::start());
        let (udp, tcp) = (listener(&config, "udp"), listener(&config, "tcp"));
        let office = SocketAddr::from(([198, 51, 100, 77], 5060));
        assert!(is_too_much(&table, udp, office, Datagram), "forged, perhaps");
        assert_eq!(table.admit(tcp, office, Connection), Stranger);
        assert!(is_too_much(&table, tcp, office, Message));
        assert_eq!(table.admit(tcp, office, Connection), Stranger, "a neighbour comes");
        assert_eq!(
            table.admit(tcp, office, Served),
            Stranger,
            "a neighbour that is known by now speaks"
        );
        assert!(is_too_much(&table, tcp, office, Connection) && is_too_much(&table, tcp, office, Served));
    }
}
