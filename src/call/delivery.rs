//! Requests on their way: names resolved (RFC 3263), the next address tried when one can't be reached (§4.3).

use super::event::{Event, To};
use super::id::Token;
use super::node::Node;
use crate::config::Config;
use crate::dial::{NextHop, may_reach};
use crate::net::shard::SignallingHandle;
use crate::sip::locate::{Candidate, Host, Target};
use crate::sip::{Hop, RequestDraft};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::task::JoinSet;

/// A look-up that has ended. `token` is `None` for an ACK.
pub struct Resolved {
    pub token: Option<Token>,
    draft: RequestDraft,
    hops: Result<VecDeque<Hop>, String>,
    /// The call itself decides about the other addresses.
    first_only: bool,
}

/// Requests of one call that may still go to another address.
pub struct Deliveries {
    node: Arc<Node>,
    signalling: SignallingHandle,
    /// With addresses left.
    open: Vec<(Token, RequestDraft, VecDeque<Hop>)>,
    looking_up: JoinSet<Resolved>,
    /// Requests whose look-up is under way; ACKs are not among them.
    unsent: Vec<Token>,
}

impl Deliveries {
    /// None yet.
    pub fn new(node: Arc<Node>, signalling: SignallingHandle) -> Deliveries {
        Deliveries {
            node,
            signalling,
            open: Vec::new(),
            looking_up: JoinSet::new(),
            unsent: Vec::new(),
        }
    }

    /// Sends at once where the address is known, else begins the look-up. What has left is told where the call wants it.
    /// `guard`: the server was named by an application, and by this configuration may not be ourselves or this machine.
    pub async fn send(
        &mut self,
        token: Option<Token>,
        draft: RequestDraft,
        to: To,
        guard: Option<Arc<Config>>,
    ) -> Result<Option<Event>, String> {
        let (next, first_only) = match to {
            To::Hop(hop) => {
                let hops = Ok(VecDeque::from([hop]));
                return self
                    .send_resolved(Resolved {
                        token,
                        draft,
                        hops,
                        first_only: false,
                    })
                    .await;
            }
            To::Next(next) => (next, false),
            To::First(next) => (next, true),
        };
        let target = target(&next)?;
        if let Some(answer) = self.node.resolver.load().try_cached(&target) {
            let hops = hops(&next, &answer.candidates, guard.as_deref());
            let resolved = Resolved {
                token,
                draft,
                hops,
                first_only,
            };
            return self.send_resolved(resolved).await;
        }
        self.unsent.extend(token);
        let node = self.node.clone();
        self.looking_up.spawn(async move {
            let resolver = node.resolver.load_full();
            let hops = match resolver.resolve(&target).await {
                Ok(answer) => hops(&next, &answer.candidates, guard.as_deref()),
                Err(error) => Err(error.to_string()),
            };
            Resolved {
                token,
                draft,
                hops,
                first_only,
            }
        });
        Ok(None)
    }

    /// The next look-up that ends; waits for ever while there is none.
    pub async fn resolved(&mut self) -> Resolved {
        loop {
            match self.looking_up.join_next().await {
                Some(Ok(resolved)) => {
                    let known = resolved.token.is_none_or(|token| self.withdraw(token));
                    if known {
                        return resolved;
                    }
                }
                // A look-up that panicked sends nothing: the call's own timers end the wait for it.
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// Takes back a request that has not left yet. False when there is none: it is under way, or was never sent.
    pub fn withdraw(&mut self, token: Token) -> bool {
        let found = self.unsent.iter().position(|unsent| *unsent == token);
        found.map(|position| self.unsent.swap_remove(position)).is_some()
    }

    /// Sends to the first address, those that failed lately tried last, and remembers the others or tells them.
    pub async fn send_resolved(&mut self, resolved: Resolved) -> Result<Option<Event>, String> {
        let mut hops = resolved.hops?;
        if hops.len() > 1 {
            self.node.peers.sort(&mut hops, self.node.clock.now());
        }
        let hop = hops.pop_front().ok_or("the name has no address")?;
        let Some(token) = resolved.token else {
            let sent = self.signalling.send_ack(resolved.draft, hop).await;
            return sent.map(|()| None).map_err(|stopped| stopped.to_string());
        };
        let located = resolved.first_only.then(|| Event::Located {
            token,
            hop: hop.clone(),
            others: std::mem::take(&mut hops),
        });
        if !hops.is_empty() {
            self.open.push((token, resolved.draft.clone(), hops));
        }
        let sent = self.signalling.request(token.to_wire(), resolved.draft, hop).await;
        sent.map(|()| located).map_err(|stopped| stopped.to_string())
    }

    /// Tries the next address of a request that found nobody. False when there is none left.
    pub async fn try_next(&mut self, token: Token) -> bool {
        let Some(position) = self.open.iter().position(|(open, ..)| *open == token) else {
            return false;
        };
        let (_, draft, hops) = self.open.swap_remove(position);
        self.send_resolved(Resolved {
            token: Some(token),
            draft,
            hops: Ok(hops),
            first_only: false,
        })
        .await
        .is_ok()
    }

    /// The request has its answer, or is given up: no other address is tried.
    pub fn done(&mut self, token: Token) {
        self.open.retain(|(open, ..)| *open != token);
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
pub(super) fn hops(next: &NextHop, candidates: &[Candidate], guard: Option<&Config>) -> Result<VecDeque<Hop>, String> {
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
    };
    let mut refused = None;
    let allowed = |candidate: &&Candidate| {
        let address = candidate.address;
        let verdict = guard.map_or(Ok(()), |config| {
            may_reach(config, &Host::Ip(address.ip()), address.port())
        });
        verdict.map_err(|why| refused.get_or_insert(why).len()).is_ok()
    };
    let hops: VecDeque<Hop> = candidates.iter().filter(allowed).map(hop).collect();
    match refused {
        Some(why) if hops.is_empty() => Err(format!("{}: {why}", next.host)),
        _ => Ok(hops),
    }
}
