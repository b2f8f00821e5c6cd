//! Requests on their way: names resolved (RFC 3263), the next address tried when one can't be reached (§4.3).

use super::event::{Event, To};
use super::id::{CallId, Token};
use super::node::Node;
use crate::carrier::may_lead;
use crate::config::{Config, Tenant};
use crate::dial::{NextHop, may_reach};
use crate::guard::Fault;
use crate::net::shard::{Ack, SignallingHandle};
use crate::sip::locate::{Candidate, Host, Target};
use crate::sip::message::reason_phrase;
use crate::sip::{Hop, HopAccount, RequestDraft};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// A look-up that has ended. `token` is `None` for an ACK.
pub struct Resolved {
    pub token: Option<Token>,
    draft: RequestDraft,
    hops: Result<VecDeque<Hop>, String>,
    /// The call itself decides about the other addresses.
    first_only: bool,
    /// What its address says of itself counts for all calls: not that of a server that an application named.
    is_ours: bool,
}

/// A request whose name is being looked up. Those to one name leave in order, behind the one that waits for it: a BYE
/// must not overtake the ACK (RFC 3261 §15).
struct Waiting {
    token: Option<Token>,
    draft: RequestDraft,
    next: NextHop,
    guard: Option<Guard>,
    first_only: bool,
    found: Option<Found>,
}

type Found = Result<Arc<[Candidate]>, String>;

impl Waiting {
    fn resolved(self) -> Resolved {
        let found = self.found.unwrap_or_else(|| Err("the look-up has failed".into()));
        Resolved {
            token: self.token,
            draft: self.draft,
            hops: found.and_then(|candidates| hops(&self.next, &candidates, self.guard.as_ref())),
            first_only: self.first_only,
            is_ours: !matches!(self.guard, Some(Guard::Named { .. })),
        }
    }
}

/// Requests whose names are being looked up, in the order in which they were to be sent.
#[derive(Default)]
struct Queue(Vec<Waiting>);

impl Queue {
    /// Puts a request behind those that wait for its name, else gives it back.
    fn join(&mut self, request: Waiting) -> Option<Waiting> {
        let Some(known) = self.0.iter().find(|waiting| waiting.next == request.next) else {
            return Some(request);
        };
        let found = known.found.clone();
        self.0.push(Waiting { found, ..request });
        None
    }

    /// A look-up has ended; one of `None` does not say for which name it was.
    fn found(&mut self, next: Option<&NextHop>, found: &Found) {
        let theirs = |waiting: &&mut Waiting| waiting.found.is_none() && next.is_none_or(|next| waiting.next == *next);
        for waiting in self.0.iter_mut().filter(theirs) {
            waiting.found = Some(found.clone());
        }
    }

    fn pop(&mut self) -> Option<Resolved> {
        let position = self.0.iter().position(|waiting| waiting.found.is_some())?;
        Some(self.0.remove(position).resolved())
    }

    fn withdraw(&mut self, token: Token) -> bool {
        let before = self.0.len();
        self.0.retain(|waiting| waiting.token != Some(token));
        self.0.len() < before
    }
}

/// Servers that are remembered as busy: names lead to few.
const MOST_BUSY: usize = 16;

/// A request that may still go to another address.
struct Open {
    token: Token,
    draft: RequestDraft,
    tried: Hop,
    others: VecDeque<Hop>,
    is_ours: bool,
}

/// Requests of one call that may still go to another address.
pub struct Deliveries {
    call: CallId,
    node: Arc<Node>,
    signalling: SignallingHandle,
    /// With addresses left.
    open: Vec<Open>,
    /// Where those went that have no answer yet and need a connection, and where the last ACK may have gone at last.
    sent: Vec<(Token, SocketAddr)>,
    /// Servers that have said 503 in this call: what follows, an ACK among it, goes to others of their name.
    busy: Vec<SocketAddr>,
    looking_up: JoinSet<(NextHop, Found)>,
    waiting: Queue,
}

impl Deliveries {
    /// None yet.
    pub fn new(call: CallId, node: Arc<Node>, signalling: SignallingHandle) -> Deliveries {
        Deliveries {
            call,
            node,
            signalling,
            open: Vec::new(),
            sent: Vec::new(),
            busy: Vec::new(),
            looking_up: JoinSet::new(),
            waiting: Queue::default(),
        }
    }

    /// Sends at once where the address is known, else begins the look-up. What has left is told where the call wants it.
    pub async fn send(
        &mut self,
        token: Option<Token>,
        draft: RequestDraft,
        to: To,
        guard: Option<Guard>,
    ) -> Result<Option<Event>, String> {
        let (next, first_only) = match to {
            To::Hop(mut hop) => {
                hop.account = hop.account.or_else(|| guard.as_ref().and_then(Guard::account));
                // Where a server that was named has answered from is no reason to go where it may not lead us.
                let allowed = match &guard {
                    Some(guard @ Guard::Named { .. }) => guard.check(hop.remote),
                    _ => Ok(()),
                };
                let hops = allowed.map(|()| VecDeque::from([hop]));
                return self
                    .send_resolved(Resolved {
                        token,
                        draft,
                        hops,
                        first_only: false,
                        is_ours: false,
                    })
                    .await;
            }
            To::Next(next) => (next, false),
            To::First(next) => (next, true),
        };
        let target = target(&next)?;
        let request = Waiting {
            token,
            draft,
            next: next.clone(),
            guard,
            first_only,
            found: None,
        };
        let Some(mut request) = self.waiting.join(request) else {
            return Ok(None);
        };
        if let Some(answer) = self.node.resolver.load().try_cached(&target) {
            request.found = Some(Ok(answer.candidates.into()));
            return self.send_resolved(request.resolved()).await;
        }
        self.waiting.0.push(request);
        let node = self.node.clone();
        self.looking_up.spawn(async move {
            let resolver = node.resolver.load_full();
            let answer = resolver.resolve(&target).await;
            let found = answer.map(|answer| answer.candidates.into());
            (next, found.map_err(|error| error.to_string()))
        });
        Ok(None)
    }

    /// The next request whose look-up has ended; waits for ever while there is none.
    pub async fn resolved(&mut self) -> Resolved {
        loop {
            if let Some(resolved) = self.waiting.pop() {
                return resolved;
            }
            match self.looking_up.join_next().await {
                Some(Ok((next, found))) => self.waiting.found(Some(&next), &found),
                Some(Err(_)) => self.waiting.found(None, &Err("the look-up has failed".into())),
                None => std::future::pending().await,
            }
        }
    }

    /// Takes back a request that has not left yet. False when there is none: it is under way, or was never sent.
    pub fn withdraw(&mut self, token: Token) -> bool {
        self.waiting.withdraw(token)
    }

    /// Sends to the first address, those that failed lately tried last, and remembers the others or tells them.
    pub async fn send_resolved(&mut self, resolved: Resolved) -> Result<Option<Event>, String> {
        let mut hops = resolved.hops?;
        if hops.len() > 1 {
            self.node.peers.sort(&mut hops, self.node.clock.now());
            let is_busy = |hop: &Hop| self.busy.contains(&hop.remote);
            hops.make_contiguous().sort_by_key(is_busy);
        }
        let hop = hops.pop_front().ok_or("the name has no address")?;
        let Some(token) = resolved.token else {
            let token = Token::ack(self.call);
            self.sent.retain(|(sent, _)| *sent != token);
            self.sent
                .push((token, hops.back().map_or(hop.remote, |last| last.remote)));
            let ack = Ack {
                token: token.to_wire(),
                draft: resolved.draft,
                hop,
                others: hops,
            };
            let sent = self.signalling.send_ack(ack).await;
            return sent.map(|()| None).map_err(|stopped| stopped.to_string());
        };
        let located = resolved.first_only.then(|| Event::Located {
            token,
            hop: hop.clone(),
            others: std::mem::take(&mut hops),
        });
        if !hops.is_empty() {
            self.open.push(Open {
                token,
                draft: resolved.draft.clone(),
                tried: hop.clone(),
                others: hops,
                is_ours: resolved.is_ours,
            });
        }
        self.sent.retain(|(sent, _)| *sent != token);
        if hop.transport.is_reliable() {
            self.sent.push((token, hop.remote));
        }
        let sent = self.signalling.request(token.to_wire(), resolved.draft, hop).await;
        sent.map(|()| located).map_err(|stopped| stopped.to_string())
    }

    /// Tries the next address of a request that found nobody. False when there is none left.
    pub async fn try_next(&mut self, token: Token) -> bool {
        let Some(position) = self.open.iter().position(|open| open.token == token) else {
            return false;
        };
        let Open {
            draft, others, is_ours, ..
        } = self.open.swap_remove(position);
        self.send_resolved(Resolved {
            token: Some(token),
            draft,
            hops: Ok(others),
            first_only: false,
            is_ours,
        })
        .await
        .is_ok()
    }

    /// The same of a request that was refused with this status: one with 503 goes to the next server of the name. The one that
    /// said so is the last of its name for the rest of the call; who says for how long it takes none, until then for all
    /// calls, and its connection carries nothing new (TEAMS-063).
    pub async fn refused(&mut self, token: Token, status: u16, retry_after: Option<Duration>) -> bool {
        let open = self.open.iter().find(|open| open.token == token);
        let Some((tried, is_ours)) = open
            .filter(|_| status == 503)
            .map(|open| (open.tried.clone(), open.is_ours))
        else {
            return false;
        };
        if !self.busy.contains(&tried.remote) && self.busy.len() < MOST_BUSY {
            self.busy.push(tried.remote);
        }
        if let Some(span) = retry_after.filter(|_| is_ours) {
            let fault = Fault::told(span, format!("{status} {}", reason_phrase(status)));
            self.node
                .peers
                .hold_address(tried.remote, &fault, self.node.clock.now());
            if self.signalling.drop_connection(tried).await.is_err() {
                return false;
            }
        }
        self.try_next(token).await
    }

    /// The request has its answer, or is given up: no other address is tried.
    pub fn done(&mut self, token: Token) {
        self.open.retain(|open| open.token != token);
        self.sent.retain(|(sent, _)| *sent != token);
    }

    /// Why there was no connection for a request that could not be sent.
    pub fn why_not_sent(&self, token: Token) -> Option<String> {
        let (_, address) = self.sent.iter().find(|(sent, _)| *sent == token)?;
        self.node.peers.why_not_connected(*address)
    }
}

/// Where a peer may not lead us.
#[derive(Clone)]
pub(super) enum Guard {
    /// A server that an application named: not to ourselves, this machine, or where its tenant has no business.
    Named { config: Arc<Config>, tenant: Arc<Tenant> },
    /// A carrier, by its Contact and Record-Route: neither to ourselves nor to what only this machine can reach.
    Carrier {
        config: Arc<Config>,
        carrier: Arc<str>,
        /// Where it was heard in this call.
        heard: Vec<IpAddr>,
    },
    /// A device, to the host that it registered from; the port is its own to say.
    Device { tenant: Arc<str> },
}

impl Guard {
    fn check(&self, address: SocketAddr) -> Result<(), String> {
        match self {
            Guard::Named { config, tenant } => may_reach(config, tenant, &Host::Ip(address.ip()), address.port()),
            Guard::Carrier { config, carrier, heard } => may_lead(config, carrier, heard, address),
            Guard::Device { .. } => Ok(()),
        }
    }

    /// On whose account connections are opened.
    fn account(&self) -> Option<HopAccount> {
        match self {
            Guard::Named { tenant, .. } => Some(HopAccount::Tenant(tenant.id.as_str().into())),
            Guard::Device { tenant } => Some(HopAccount::Tenant(tenant.clone())),
            Guard::Carrier { .. } => None,
        }
    }
}

/// What a look-up asks for.
pub(super) fn target(next: &NextHop) -> Result<Target, String> {
    let mut target = Target::new(&next.host).map_err(|error| error.to_string())?;
    if let Some(port) = next.port {
        target = target.with_port(port);
    }
    if let Some(transport) = next.transport {
        target = target.with_transport(transport);
    }
    Ok(target)
}

/// The addresses found, as hops; `guard` may forbid some.
pub(super) fn hops(next: &NextHop, candidates: &[Candidate], guard: Option<&Guard>) -> Result<VecDeque<Hop>, String> {
    let account = guard.and_then(Guard::account);
    let hop = |candidate: &Candidate| Hop {
        transport: candidate.transport,
        listener: next.listener,
        remote: candidate.address,
        server_name: match candidate.transport {
            crate::sip::Transport::Tls => next
                .server_name
                .clone()
                .or_else(|| candidate.server_name.clone())
                .or_else(|| Some(next.host.clone())),
            _ => None,
        },
        connection: None,
        account: account.clone(),
        presented: next.presented.clone(),
    };
    let mut refused = None;
    let allowed = |candidate: &&Candidate| {
        let address = candidate.address;
        let verdict = guard.map_or(Ok(()), |guard| guard.check(address));
        verdict.map_err(|why| refused.get_or_insert(why).len()).is_ok()
    };
    let hops: VecDeque<Hop> = candidates.iter().filter(allowed).map(hop).collect();
    match refused {
        Some(why) if hops.is_empty() => Err(format!("{}: {why}", next.host)),
        _ => Ok(hops),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::{ListenerId, Method, Transport};

    fn request(method: Method, host: &str, number: Option<u32>) -> Waiting {
        let call = CallId::from_random(1);
        Waiting {
            token: number.map(|number| Token { call, number }),
            draft: RequestDraft::new(method, "sip:a@b"),
            next: NextHop {
                host: host.into(),
                port: None,
                transport: Some(Transport::Udp),
                listener: ListenerId(0),
                server_name: None,
                presented: None,
            },
            guard: None,
            first_only: false,
            found: None,
        }
    }

    fn popped(queue: &mut Queue) -> Option<Method> {
        queue.pop().map(|resolved| resolved.draft.method().clone())
    }

    #[test]
    fn what_waits_for_one_name_leaves_in_order() {
        let (mut queue, found) = (Queue::default(), Err("nothing".to_owned()));
        let ack = queue.join(request(Method::Ack, "a.example", None));
        queue.0.extend(ack);
        assert!(queue.join(request(Method::Invite, "a.example", Some(1))).is_none());
        let other = queue.join(request(Method::Options, "b.example", Some(2)));
        queue.0.extend(other);
        assert_eq!(popped(&mut queue), None);
        let next = request(Method::Ack, "a.example", None).next;
        queue.found(Some(&next), &found);
        assert_eq!(popped(&mut queue), Some(Method::Ack));
        assert!(
            queue.join(request(Method::Bye, "a.example", Some(3))).is_none(),
            "nor may the last overtake"
        );
        assert_eq!(popped(&mut queue), Some(Method::Invite));
        assert_eq!(popped(&mut queue), Some(Method::Bye));
        assert_eq!(popped(&mut queue), None);
        queue.found(None, &found);
        assert_eq!(popped(&mut queue), Some(Method::Options));
        assert!(!queue.withdraw(Token {
            call: CallId::from_random(1),
            number: 2
        }));
    }
}
