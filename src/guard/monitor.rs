//! OPTIONS to every hub and gateway that wants them: who answers is up (RFC 3261 §11, TEAMS-021 to TEAMS-027).

use super::rounds::{Round, UnderWay, Waiting};
use super::timetable::Timetable;
use super::{Liveness, Peers, Turn};
use crate::carrier;
use crate::config::{Carrier, Config, Host, Hub, TenantFqdn};
use crate::dial::PeerName;
use crate::net::Clock;
use crate::net::dns::Resolver;
use crate::net::shard::SignallingHandle;
use crate::sip::dialog::Initiation;
use crate::sip::locate::{Candidate, Target};
use crate::sip::message::{HeaderName, Message};
use crate::sip::transaction::Cause;
use crate::sip::{Hop, ListenerId, Method, NameAddr, RequestDraft, Transport, Uri};
use crate::teams;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// Within which the first round goes.
const AT_ONCE: Duration = Duration::from_millis(300);

/// Somebody to be asked.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) peer: PeerName,
    pub(super) target: Target,
    uri: String,
    contact: String,
    from: String,
    listener: ListenerId,
    pub(super) server_name: Option<Arc<str>>,
    /// A trunk, by the name in Contact.
    pub(super) presented: Option<Arc<str>>,
    /// The first OPTIONS goes within this time.
    first_within: Duration,
    interval: Duration,
    /// For its answer.
    pub(super) timeout: Duration,
    /// Failures in a row that mark it down.
    threshold: u32,
    product: String,
    /// What we take of it.
    allow: &'static str,
}

impl Asked {
    pub(super) fn is_hub(&self) -> bool {
        matches!(self.peer, PeerName::Hub(_) | PeerName::Trunk { .. })
    }

    /// What its addresses answer concerns calls: not so a hub that doesn't know one tenant's trunk.
    fn tells_health(&self) -> bool {
        !matches!(self.peer, PeerName::Trunk { .. })
    }
}

/// Another configuration is in force: who is in it no more is forgotten, and whoever is not asked any more is no longer known
/// to be down, for no answer of its own could change that.
fn take_over(config: &Config, plan: &[Asked], peers: &Peers, under_way: &mut UnderWay) {
    let asked: HashSet<&PeerName> = plan.iter().map(|asked| &asked.peer).collect();
    peers.keep(|peer| known(config, peer));
    peers.unlearn(|peer| !asked.contains(peer));
    for address in under_way.keep(|peer| asked.contains(peer)) {
        peers.update_address(address, Liveness::unlearn);
    }
}

/// What the monitor works with.
pub struct Monitor<C> {
    pub peers: C,
    pub clock: Clock,
    pub signalling: SignallingHandle,
    /// After which a request is sent again over UDP: T1 (RFC 3261 §17.1.2.1).
    pub sent_again_after: Duration,
}

/// The end of one OPTIONS: the token that it was sent with, and its final response, or why none came.
pub type Outcome = (u64, Result<Message, Cause>);

/// Shared state that a monitor reads: the configuration in force, the peers' table, the resolver.
pub trait Surroundings: Send + Sync + 'static {
    fn config(&self) -> Arc<Config>;
    fn peers(&self) -> &Peers;
    fn resolver(&self) -> Arc<Resolver>;
    /// The node goes out of service.
    fn is_draining(&self) -> bool;
    /// A peer has turned; `trouble` says why where it is for the worse.
    fn turned(&self, peer: &PeerName, turn: Turn, trouble: Option<&str>);
}

impl<C: Surroundings> Monitor<C> {
    /// Runs until `outcomes` closes. The first round is spread over the first 300 ms (own trunks: a quarter of the
    /// interval), later ones by a tenth of the interval, so that peers are not asked in step.
    pub async fn run(self, mut outcomes: mpsc::Receiver<Outcome>) {
        let mut timetable = Timetable::default();
        let mut under_way = UnderWay::default();
        // Beside each other: a name server that doesn't answer for one peer must not keep the others from being asked.
        // One look-up a peer and interval, and each has its own deadline, so few are under way.
        let mut looking_up: JoinSet<(Asked, Result<Vec<Candidate>, String>)> = JoinSet::new();
        let mut generation = 0;
        let mut plan: Vec<Asked> = Vec::new();
        loop {
            let config = self.peers.config();
            if config.generation != generation {
                generation = config.generation;
                plan = asked(&config);
                timetable.keep(|peer| plan.iter().any(|asked| asked.peer == *peer));
                take_over(&config, &plan, self.peers.peers(), &mut under_way);
            }
            let now = Instant::now();
            // Who answers later than this does not answer.
            let late: Vec<u64> = under_way
                .waiting
                .iter()
                .filter(|(_, waiting)| waiting.until <= now)
                .map(|(token, _)| *token)
                .collect();
            for token in late {
                self.ended(token, None, &mut under_way);
            }
            let hubs_are_asked = !self.peers.is_draining() && !self.lacks_carriers(&config);
            for asked in &plan {
                let spans = (asked.first_within, asked.interval);
                let is_due = timetable.is_due(&asked.peer, spans, rand::random(), now);
                if is_due && (hubs_are_asked || !asked.is_hub()) {
                    let (asked, resolver) = (asked.clone(), self.peers.resolver());
                    looking_up.spawn(async move {
                        let resolved = resolver.resolve(&asked.target).await;
                        let candidates = resolved.map(|answer| answer.candidates);
                        (asked, candidates.map_err(|error| error.to_string()))
                    });
                }
            }
            // New configurations are noticed within a second.
            let soon = now + Duration::from_secs(1);
            let next = timetable.next().map_or(soon, |next| next.min(soon));
            tokio::select! {
                outcome = outcomes.recv() => match outcome {
                    Some((token, outcome)) => self.ended(token, Some(outcome), &mut under_way),
                    None => return,
                },
                Some(Ok((asked, candidates))) = looking_up.join_next() => {
                    // The configuration may have changed meanwhile.
                    if plan.iter().any(|known| known.peer == asked.peer) {
                        self.ask(asked, candidates, &mut under_way).await;
                    }
                }
                () = sleep_until(next) => {}
            }
        }
    }

    /// Whether hubs are to hear nothing because no carrier can take calls: Teams prefers another SBC then (TEAMS-026).
    fn lacks_carriers(&self, config: &Config) -> bool {
        // Who has refused a call may take the next one.
        let is_down = |name: &PeerName| self.peers.peers().is_down(name);
        !config.sbc.teams.options_without_carriers && all_are_down(&config.sbc.carriers, is_down)
    }

    /// Asks every address of a peer.
    async fn ask(&self, asked: Asked, candidates: Result<Vec<Candidate>, String>, under_way: &mut UnderWay) {
        let candidates = match candidates {
            Ok(candidates) => candidates,
            Err(why) => return self.failed(&asked, why),
        };
        let Some(draft) = draft(&asked) else {
            return self.failed(&asked, format!("{} is no URI to send OPTIONS to", asked.uri));
        };
        let now = self.clock.now();
        self.peers.peers().update(&asked.peer, |known| known.sent(now));
        under_way.last_round += 1;
        let round = under_way.last_round;
        let (left, answered) = (candidates.len(), false);
        under_way.rounds.insert(round, Round { left, answered });
        let addresses = candidates.iter().map(|candidate| candidate.address).collect();
        under_way.asked_at.insert(asked.peer.clone(), addresses);
        let until = Instant::now() + asked.timeout;
        for candidate in candidates {
            let token = self.signalling.next_token();
            let server_name = match candidate.transport {
                Transport::Tls => asked.server_name.clone().or(candidate.server_name),
                _ => None,
            };
            let hop = Hop {
                transport: candidate.transport,
                listener: asked.listener,
                remote: candidate.address,
                server_name,
                connection: None,
                account: None,
                presented: asked.presented.clone(),
            };
            let waiting = Waiting {
                asked: asked.clone(),
                address: candidate.address,
                round,
                until,
                sent: self.clock.now(),
                sent_again_after: (!candidate.transport.is_reliable()).then_some(self.sent_again_after),
            };
            under_way.waiting.insert(token, waiting);
            // Refused only when the shards are gone, and then nobody waits any more.
            let _stopped = self.signalling.request(token, draft.clone(), hop).await;
        }
    }

    /// OPTIONS to one address has its answer, or none in time. A peer answers when one of its addresses does.
    fn ended(&self, token: u64, outcome: Option<Result<Message, Cause>>, under_way: &mut UnderWay) {
        let Some(waiting) = under_way.waiting.remove(&token) else {
            return;
        };
        let round_trip = waiting.round_trip(self.clock.now());
        let Waiting {
            asked, address, round, ..
        } = waiting;
        let why = match &outcome {
            Some(Ok(_)) => String::new(),
            Some(Err(Cause::Transport)) => match self.peers.peers().why_not_connected(address) {
                Some(why) => format!("OPTIONS could not be sent: {why}"),
                None => "OPTIONS could not be sent: no connection".into(),
            },
            Some(Err(Cause::Timeout)) => "no answer to OPTIONS".into(),
            None => format!("no answer to OPTIONS within {} s", asked.timeout.as_secs_f64()),
        };
        let answer = outcome.and_then(Result::ok);
        let status = answer.as_ref().map_or(0, |message| status(&asked, message));
        let is_good = (200..300).contains(&status);
        let now = self.clock.now();
        if asked.tells_health() {
            self.peers.peers().update_address(address, |known| match &answer {
                Some(_) => known.answered(status, None, asked.threshold, now),
                None => known.failed(why.clone(), asked.threshold),
            });
        }
        let Some(known) = under_way.rounds.get_mut(&round) else {
            return;
        };
        let speaks = known.one_ends(is_good);
        if known.left == 0 {
            under_way.rounds.remove(&round);
        }
        match answer {
            _ if !speaks => {}
            Some(message) => self.answered(&asked, &message, round_trip),
            None => self.failed(&asked, why),
        }
    }

    fn answered(&self, asked: &Asked, message: &Message, round_trip: Option<Duration>) {
        let (status, now) = (status(asked, message), self.clock.now());
        self.learn(asked, |known| {
            if let Some(round_trip) = round_trip {
                known.measured(round_trip);
            }
            known.answered(status, message.header(HeaderName::Server), asked.threshold, now)
        });
    }

    fn failed(&self, asked: &Asked, why: String) {
        self.learn(asked, |known| known.failed(why, asked.threshold));
    }

    fn learn(&self, asked: &Asked, change: impl FnOnce(&mut Liveness) -> Option<Turn>) {
        let (turn, trouble) = self
            .peers
            .peers()
            .update(&asked.peer, |known| (change(known), known.trouble().map(str::to_owned)));
        if let Some(turn) = turn {
            self.peers.turned(&asked.peer, turn, trouble.as_deref());
        }
    }
}

/// What an answer says of a peer. A carrier that answers at all is alive, whatever it thinks of OPTIONS.
fn status(asked: &Asked, message: &Message) -> u16 {
    match message.status().unwrap_or(0) {
        status if asked.is_hub() || status == 503 => status,
        _ => 200,
    }
}

/// Whether every gateway there is is known to be down. One that gets no OPTIONS is not known to be.
fn all_are_down(carriers: &[Arc<Carrier>], is_down: impl Fn(&PeerName) -> bool) -> bool {
    let mut gateways = carriers
        .iter()
        .flat_map(|carrier| carrier.gateways.iter().map(move |gateway| (carrier, gateway)))
        .peekable();
    gateways.peek().is_some()
        && gateways.all(|(carrier, gateway)| {
            gateway.options_interval.is_some() && is_down(&carrier::gateway_name(carrier, gateway))
        })
}

fn known(config: &Config, peer: &PeerName) -> bool {
    let is_hub = |host: &str| config.sbc.teams.hubs.iter().any(|hub| hub.host.as_str() == host);
    match peer {
        PeerName::Hub(host) => is_hub(host),
        PeerName::Trunk { hub, trunk } => is_hub(hub) && further_trunks(config).any(|name| *name == **trunk),
        PeerName::User { .. } | PeerName::Uri(_) => false,
        PeerName::Gateway { carrier, .. } => {
            let mut carriers = config.sbc.carriers.iter();
            let carrier = carriers.find(|known| known.id.as_str() == &**carrier);
            carrier.is_some_and(|carrier| {
                let mut gateways = carrier.gateways.iter();
                gateways.any(|gateway| carrier::gateway_name(carrier, gateway) == *peer)
            })
        }
    }
}

/// The trunks beside the base of which Teams has to hear (TEAMS-021): further carrier trunks, and names that tenants have of their
/// own. What is derived from one of the carrier trunks needs no word (TEAMS-024).
fn further_trunks(config: &Config) -> impl Iterator<Item = &str> {
    let further = config.sbc.teams.further_bases.iter();
    further.chain(own_trunks(config)).map(TenantFqdn::as_str)
}

fn own_trunks(config: &Config) -> impl Iterator<Item = &TenantFqdn> {
    let names = config.tenants.iter().flat_map(|tenant| tenant.trunks());
    names.filter(|name| config.sbc.teams.base_of(name).is_none())
}

/// Who is asked under a configuration: all hubs, for each carrier trunk and for trunks that are not derived from one, and gateways
/// that have an interval.
pub(super) fn asked(config: &Config) -> Vec<Asked> {
    let sbc = &config.sbc;
    let teams = &sbc.teams;
    let mut all = Vec::new();
    for hub in &teams.hubs {
        let Ok(target) = Target::new(hub.host.as_str()) else {
            continue;
        };
        let as_trunk = |peer, trunk: &str| as_trunk(config, (hub, &target), peer, trunk);
        let as_further = |trunk: &TenantFqdn| {
            let peer = PeerName::Trunk {
                hub: hub.host.as_str().into(),
                trunk: trunk.as_str().into(),
            };
            as_trunk(peer, trunk.as_str())
        };
        all.push(as_trunk(teams::hub_name(hub), teams.base.as_str()));
        all.extend(teams.further_bases.iter().map(as_further));
        all.extend(own_trunks(config).map(|trunk| Asked {
            // They are many: they must not all be announced at once.
            first_within: teams.options_interval / 4,
            ..as_further(trunk)
        }));
    }
    for carrier in &sbc.carriers {
        for gateway in &carrier.gateways {
            let (Some(interval), Some(listener)) = (gateway.options_interval, sbc.listener(gateway.listener)) else {
                continue;
            };
            let host = match &gateway.host {
                Host::Address(address) => address.to_string(),
                Host::Name(name) => name.to_string(),
            };
            let Ok(target) = Target::new(&host) else { continue };
            let target = match gateway.port {
                Some(port) => target.with_port(port),
                None => target,
            };
            let port = gateway.port.map(|port| format!(":{port}")).unwrap_or_default();
            let transport = gateway.transport.uri_name();
            let ours = format!("{}:{}", listener.advertise, listener.advertise_port);
            all.push(Asked {
                peer: carrier::gateway_name(carrier, gateway),
                target: target.with_transport(gateway.transport),
                uri: format!("sip:{}{port};transport={transport}", gateway.host),
                contact: format!("<sip:{ours};transport={transport}>"),
                from: format!("<sip:{ours}>"),
                listener: gateway.listener,
                server_name: gateway.server_name.as_ref().map(|name| name.as_str().into()),
                presented: None,
                first_within: AT_ONCE,
                interval,
                timeout: teams.options_timeout,
                threshold: 3,
                product: teams.product.clone(),
                allow: carrier::allow(carrier),
            });
        }
    }
    all
}

/// How a hub is asked for a trunk.
pub(super) fn as_trunk(config: &Config, (hub, target): (&Hub, &Target), peer: PeerName, trunk: &str) -> Asked {
    let teams = &config.sbc.teams;
    let listener = config.sbc.listener(teams.listener);
    let port = listener.map_or(5061, |listener| listener.advertise_port);
    Asked {
        peer,
        target: target.clone().with_port(hub.port).with_transport(Transport::Tls),
        uri: format!("sip:{}:{};transport=tls", hub.host, hub.port),
        // No user part, never an address (TEAMS-023).
        contact: format!("<sip:{trunk}:{port};transport=tls>"),
        from: format!("<sip:{trunk}>"),
        listener: teams.listener,
        server_name: Some(hub.host.as_str().into()),
        presented: Some(trunk.into()),
        first_within: AT_ONCE,
        interval: teams.options_interval,
        timeout: teams.options_timeout,
        threshold: teams.options_failures,
        product: teams.product.clone(),
        allow: teams::allow(config, config.tenant_by_host(trunk).map(Arc::as_ref)),
    }
}

pub(super) fn draft(asked: &Asked) -> Option<RequestDraft> {
    let uri = Uri::parse(&asked.uri).ok()?;
    let from = NameAddr::parse(HeaderName::From, &asked.from).ok()?;
    let to = NameAddr::new(Uri::parse(&asked.uri).ok()?.without_param("transport"));
    let mut draft = Initiation::new(uri, &from, &to, &mut rand::rng())
        .request(Method::Options)
        .header(HeaderName::Contact, &asked.contact)
        .header(HeaderName::Allow, asked.allow)
        .header(HeaderName::UserAgent, &asked.product);
    if asked.is_hub() {
        draft = draft.header(HeaderName::XMsSbc, &asked.product);
    }
    Some(draft)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::fixture::machine;
    use std::net::SocketAddr;

    const NORTH: &str = "[[carriers]]\nid = \"north\"\nnetworks = [\"203.0.113.0/24\"]\n\
                         gateways = [{ host = \"203.0.113.2\", listener = \"udp\" }, \
                                     { host = \"203.0.113.3\", listener = \"udp\" }]\n";

    #[test]
    fn who_is_asked_no_more_is_not_down_and_who_is_gone_is_forgotten() {
        let config = |north: &str| {
            let config = Config::from_toml_strs(&machine(north), &[]);
            config.unwrap_or_else(|wrong| panic!("{wrong}"))
        };
        let (peers, now) = (Peers::default(), crate::moment::Moment::from_micros(5));
        let mut under_way = UnderWay::default();
        let before = asked(&config(NORTH));
        let gateways = || before.iter().filter(|asked| !asked.is_hub()).cloned();
        for (round, asked) in gateways().enumerate() {
            let address = SocketAddr::from(([203, 0, 113, 2 + round as u8], 5060));
            for _ in 0..3 {
                peers.update(&asked.peer, |known| known.failed("no answer".into(), 3));
                peers.update_address(address, |known| known.failed("no answer".into(), 3));
            }
            under_way.asked_at.insert(asked.peer.clone(), vec![address]);
            let (left, answered) = (1, false);
            under_way.rounds.insert(round as u64, Round { left, answered });
            let waiting = Waiting {
                asked,
                address,
                round: round as u64,
                until: Instant::now(),
                sent: now,
                sent_again_after: None,
            };
            under_way.waiting.insert(round as u64, waiting);
        }
        let shown = || -> Vec<(String, bool)> {
            let reports = peers.report(now).into_iter();
            reports.map(|report| (report.peer, report.up)).collect()
        };
        let [one, other] = ["north/203.0.113.2", "north/203.0.113.3"].map(str::to_owned);
        assert_eq!(shown(), [(one.clone(), false), (other.clone(), false)]);

        // One gateway is taken out, the other is asked as before.
        let fewer = NORTH.replace("{ host = \"203.0.113.3\", listener = \"udp\" }", "");
        let fewer = config(&fewer);
        take_over(&fewer, &asked(&fewer), &peers, &mut under_way);
        assert_eq!(shown(), [(one.clone(), false)]);
        assert_eq!((under_way.waiting.len(), under_way.rounds.len()), (1, 1));
        let held = |last: u8| {
            let address = SocketAddr::from(([203, 0, 113, last], 5060));
            peers.update_address(address, |known| known.is_held(now))
        };
        assert!(held(2) && !held(3));

        let unasked = config(&format!("{NORTH}options_interval = \"0s\"\n"));
        take_over(&unasked, &asked(&unasked), &peers, &mut under_way);
        assert_eq!(shown(), [(one, true)]);
        assert!(!held(2) && under_way.waiting.is_empty() && under_way.rounds.is_empty());
    }

    #[test]
    fn carrier_trunks_and_trunks_of_their_own_are_announced_and_derived_ones_are_not() {
        let sbc = "[[listeners]]\nname = \"teams\"\npurpose = \"teams\"\ntransport = \"tls\"\nbind = \"0.0.0.0:5061\"\n\
                   certificates = [{ certificate = \"sbc.pem\", key = \"sbc.key\" }]\n\
                   [media]\nadvertise = \"198.51.100.10\"\n\
                   [teams]\nbase = \"sbc1.example.net\"\nfurther_bases = [\"sbc1.example.org\"]\n\
                   hubs = [\"sip.hub.example\", \"sip2.hub.example\"]\n\
                   [[carriers]]\nid = \"north\"\nnetworks = [\"203.0.113.0/24\"]\n";
        let derived = "domains = [\"contoso.example\"]\nlabel = \"contoso\"\ncarriers = [\"north\"]\n";
        // A further name is a trunk like the first; that below the base is derived.
        let own = "domains = [\"fabrikam.example\"]\nfqdn = \"sbc.fabrikam.example\"\n\
                   aliases = [\"old.fabrikam.example\", \"fabrikam.sbc1.example.net\"]\ncarriers = [\"north\"]\n";
        // Two labels: nothing of the base's holds for it.
        let below = "domains = [\"tailspin.example\"]\nfqdn = \"a.b.sbc1.example.net\"\ncarriers = [\"north\"]\n";
        let elsewhere = derived.replace("contoso", "adatum") + "base = \"sbc1.example.org\"\n";
        let whole = derived.replace("contoso", "litware");
        let whole = whole.replace("label = \"litware\"", "fqdn = \"litware.sbc1.example.org\"");
        let tenants = [
            ("adatum", &*elsewhere),
            ("contoso", derived),
            ("fabrikam", own),
            ("litware", &whole),
            ("tailspin", below),
        ];
        let config = Config::from_toml_strs(sbc, &tenants);
        let config = config.unwrap_or_else(|wrong| panic!("{wrong}"));
        let asked = asked(&config);
        let said: Vec<(String, &str, bool)> = asked
            .iter()
            .map(|asked| (asked.peer.to_string(), asked.contact.as_str(), asked.tells_health()))
            .collect();
        let (base, further, own, old, below) = (
            "<sip:sbc1.example.net:5061;transport=tls>",
            "<sip:sbc1.example.org:5061;transport=tls>",
            "<sip:sbc.fabrikam.example:5061;transport=tls>",
            "<sip:old.fabrikam.example:5061;transport=tls>",
            "<sip:a.b.sbc1.example.net:5061;transport=tls>",
        );
        assert_eq!(
            said,
            [
                ("sip.hub.example".into(), base, true),
                ("sip.hub.example for sbc1.example.org".into(), further, false),
                ("sip.hub.example for sbc.fabrikam.example".into(), own, false),
                ("sip.hub.example for old.fabrikam.example".into(), old, false),
                ("sip.hub.example for a.b.sbc1.example.net".into(), below, false),
                ("sip2.hub.example".into(), base, true),
                ("sip2.hub.example for sbc1.example.org".into(), further, false),
                ("sip2.hub.example for sbc.fabrikam.example".into(), own, false),
                ("sip2.hub.example for old.fabrikam.example".into(), old, false),
                ("sip2.hub.example for a.b.sbc1.example.net".into(), below, false),
            ]
        );
        assert!(asked.iter().all(|asked| known(&config, &asked.peer)));
        let at_once = asked.iter().filter(|asked| asked.first_within == AT_ONCE);
        let contacts: HashSet<&str> = at_once.map(|asked| asked.contact.as_str()).collect();
        assert_eq!(contacts, HashSet::from([base, further]));
    }

    #[test]
    fn teams_026_carriers_are_all_down_once_each_gateway_that_is_asked_is() {
        let carriers = |more: &str| {
            let config = Config::from_toml_strs(&machine(&format!("{NORTH}{more}")), &[]);
            config.unwrap_or_else(|wrong| panic!("{wrong}")).sbc.carriers.clone()
        };
        let one = carriers("");
        assert!(all_are_down(&one, |_| true));
        assert!(!all_are_down(&one, |name| name.to_string().contains("203.0.113.2")));
        let unasked = "[[carriers]]\nid = \"south\"\nnetworks = [\"192.0.2.0/28\"]\noptions_interval = \"0s\"\n\
                       gateways = [{ host = \"192.0.2.4\", listener = \"udp\" }]\n";
        assert!(!all_are_down(&carriers(unasked), |_| true), "nobody knows");
        assert!(!all_are_down(&[], |_| true));
    }
}
