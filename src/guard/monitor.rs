//! OPTIONS to every hub and gateway that wants them: who answers is up (RFC 3261 §11, TEAMS-021 to TEAMS-027).

use super::{Liveness, Peers, Turn};
use crate::carrier;
use crate::config::{Config, Host};
use crate::dial::{PeerName, allow};
use crate::net::Clock;
use crate::net::dns::Resolver;
use crate::net::shard::SignallingHandle;
use crate::sip::dialog::Initiation;
use crate::sip::locate::{Candidate, Target};
use crate::sip::message::{HeaderName, Message};
use crate::sip::transaction::Cause;
use crate::sip::{Hop, ListenerId, Method, NameAddr, RequestDraft, Transport, Uri};
use crate::teams;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// Somebody to be asked.
#[derive(Debug, Clone)]
struct Asked {
    peer: PeerName,
    target: Target,
    uri: String,
    contact: String,
    from: String,
    listener: ListenerId,
    server_name: Option<Arc<str>>,
    interval: Duration,
    /// For its answer.
    timeout: Duration,
    /// Failures in a row that mark it down.
    threshold: u32,
    product: String,
    is_hub: bool,
}

/// What the monitor works with.
pub struct Monitor<C> {
    pub peers: C,
    pub clock: Clock,
    pub signalling: SignallingHandle,
}

/// The end of one OPTIONS: the token that it was sent with, and its final response, or why none came.
pub type Outcome = (u64, Result<Message, Cause>);

/// Shared state that a monitor reads: the configuration in force, the peers' table, the resolver.
pub trait Surroundings: Send + Sync + 'static {
    fn config(&self) -> Arc<Config>;
    fn peers(&self) -> &Peers;
    fn resolver(&self) -> Arc<Resolver>;
    /// A peer has turned; `trouble` says why where it is for the worse.
    fn turned(&self, peer: &PeerName, turn: Turn, trouble: Option<&str>);
}

impl<C: Surroundings> Monitor<C> {
    /// Runs until `outcomes` closes. The first round is spread over the first 300 ms, later ones by a tenth of the
    /// interval, so that peers are not asked in step.
    pub async fn run(self, mut outcomes: mpsc::Receiver<Outcome>) {
        let mut due: HashMap<PeerName, Instant> = HashMap::new();
        let mut waiting: HashMap<u64, (Asked, Instant)> = HashMap::new();
        // Beside each other: a name server that doesn't answer for one peer must not keep the others from being asked.
        // One look-up a peer and interval, and each has its own deadline, so few are under way.
        let mut looking_up: JoinSet<(Asked, Result<Candidate, String>)> = JoinSet::new();
        let mut generation = 0;
        let mut plan: Vec<Asked> = Vec::new();
        loop {
            let config = self.peers.config();
            if config.generation != generation {
                generation = config.generation;
                plan = asked(&config);
                due.retain(|peer, _| plan.iter().any(|asked| asked.peer == *peer));
                self.peers.peers().keep(|peer| known(&config, peer));
            }
            let now = Instant::now();
            // Who answers later than this does not answer.
            waiting.retain(|_, (asked, until)| {
                let late = *until <= now;
                if late {
                    self.failed(
                        asked,
                        format!("no answer to OPTIONS within {} s", asked.timeout.as_secs_f64()),
                    );
                }
                !late
            });
            for asked in &plan {
                let at = *due
                    .entry(asked.peer.clone())
                    .or_insert_with(|| now + spread(Duration::from_millis(300)));
                if at <= now {
                    due.insert(asked.peer.clone(), now + asked.interval + spread(asked.interval / 10));
                    let (asked, resolver) = (asked.clone(), self.peers.resolver());
                    looking_up.spawn(async move {
                        let candidate = match resolver.resolve(&asked.target).await {
                            Ok(answer) => answer
                                .candidates
                                .into_iter()
                                .next()
                                .ok_or("the name has no address".into()),
                            Err(error) => Err(error.to_string()),
                        };
                        (asked, candidate)
                    });
                }
            }
            // New configurations are noticed within a second.
            let next = due
                .values()
                .min()
                .copied()
                .unwrap_or(now + Duration::from_secs(1))
                .min(now + Duration::from_secs(1));
            tokio::select! {
                outcome = outcomes.recv() => match outcome {
                    Some((token, outcome)) => if let Some((asked, _)) = waiting.remove(&token) {
                        match outcome {
                            Ok(message) => self.answered(&asked, &message),
                            Err(Cause::Timeout) => self.failed(&asked, "no answer to OPTIONS".into()),
                            Err(Cause::Transport) => self.failed(&asked, "OPTIONS could not be sent: no connection".into()),
                        }
                    },
                    None => return,
                },
                Some(Ok((asked, candidate))) = looking_up.join_next() => self.ask(asked, candidate, &mut waiting).await,
                () = sleep_until(next) => {}
            }
        }
    }

    async fn ask(
        &self,
        asked: Asked,
        candidate: Result<Candidate, String>,
        waiting: &mut HashMap<u64, (Asked, Instant)>,
    ) {
        let candidate = match candidate {
            Ok(candidate) => candidate,
            Err(why) => return self.failed(&asked, why),
        };
        let Some(draft) = draft(&asked) else {
            return self.failed(&asked, format!("{} is no URI to send OPTIONS to", asked.uri));
        };
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
        };
        let now = self.clock.now();
        self.peers.peers().update(&asked.peer, |known| known.sent(now));
        let until = Instant::now() + asked.timeout;
        waiting.insert(token, (asked, until));
        if self.signalling.request(token, draft, hop).await.is_err() {
            waiting.remove(&token);
        }
    }

    fn answered(&self, asked: &Asked, message: &Message) {
        let now = self.clock.now();
        let status = message.status().unwrap_or(0);
        // A carrier that answers at all is alive, whatever it thinks of OPTIONS.
        let status = if !asked.is_hub && status != 503 { 200 } else { status };
        self.learn(asked, |known| {
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

fn spread(most: Duration) -> Duration {
    most.mul_f64(rand::random::<f64>())
}

fn known(config: &Config, peer: &PeerName) -> bool {
    match peer {
        PeerName::Hub(host) => config.sbc.teams.hubs.iter().any(|hub| hub.host.as_str() == &**host),
        PeerName::User { .. } | PeerName::Uri(_) => false,
        PeerName::Gateway { carrier, .. } => config.sbc.carriers.iter().any(|known| known.id.as_str() == &**carrier),
    }
}

/// Who is asked under a configuration: all hubs, for the base name alone (TEAMS-024), and gateways that have an interval.
fn asked(config: &Config) -> Vec<Asked> {
    let sbc = &config.sbc;
    let teams = &sbc.teams;
    let mut all = Vec::new();
    let port = sbc
        .listener(teams.listener)
        .map_or(5061, |listener| listener.advertise_port);
    for hub in &teams.hubs {
        let Ok(target) = Target::new(hub.host.as_str()) else {
            continue;
        };
        all.push(Asked {
            peer: teams::hub_name(hub),
            target: target.with_port(hub.port).with_transport(Transport::Tls),
            uri: format!("sip:{}:{};transport=tls", hub.host, hub.port),
            // No user part, never an address (TEAMS-023).
            contact: format!("<sip:{}:{port};transport=tls>", teams.base),
            from: format!("<sip:{}>", teams.base),
            listener: teams.listener,
            server_name: Some(hub.host.as_str().into()),
            interval: teams.options_interval,
            timeout: teams.options_timeout,
            threshold: teams.options_failures,
            product: teams.product.clone(),
            is_hub: true,
        });
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
                interval,
                timeout: teams.options_timeout,
                threshold: 3,
                product: teams.product.clone(),
                is_hub: false,
            });
        }
    }
    all
}

fn draft(asked: &Asked) -> Option<RequestDraft> {
    let uri = Uri::parse(&asked.uri).ok()?;
    let from = NameAddr::parse(HeaderName::From, &asked.from).ok()?;
    let to = NameAddr::new(Uri::parse(&asked.uri).ok()?.without_param("transport"));
    let allow = if asked.is_hub { allow::TEAMS } else { allow::STEERED };
    let mut draft = Initiation::new(uri, &from, &to, &mut rand::rng())
        .request(Method::Options)
        .header(HeaderName::Contact, &asked.contact)
        .header(HeaderName::Allow, allow)
        .header(HeaderName::UserAgent, &asked.product);
    if asked.is_hub {
        draft = draft.header(HeaderName::XMsSbc, &asked.product);
    }
    Some(draft)
}
