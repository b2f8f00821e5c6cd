//! A fork that answers when its call is over. Every 2xx is acknowledged, and whoever sent it hung up (RFC 3261 §13.2.2.4):
//! else it has taken a call that is silent until it gives up by itself.

use super::answer::COMPLETED_ELSEWHERE;
use super::id::{CallId, Token};
use super::switchboard::Switchboard;
use super::teardown::NORMAL_CLEARING;
use crate::config::Sbc;
use crate::moment::Moment;
use crate::net::shard::{Ack, Command};
use crate::observe::Happening;
use crate::sip::dialog::Dialog;
use crate::sip::message::{HeaderName, Message, RequestDraft};
use crate::sip::{Flow, Hop, Method, Transport};
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// So long answers of an INVITE come after the first (64*T1, RFC 6026 §7.2).
pub(super) const REMEMBERED: Duration = Duration::from_secs(32);
/// Forks of one shard that are remembered; what is above is left to end by itself.
const MOST: usize = 1_024;
/// Numbers of requests in no call's count: the BYEs go down from here.
const LAST_NUMBER: u32 = 0xff_ffff;

/// Forks that were hung up so: what comes of them again is acknowledged and no more.
#[derive(Debug, Default)]
pub(super) struct LateAnswers {
    known: HashSet<(CallId, String)>,
    /// The oldest first.
    order: VecDeque<(Moment, CallId, String)>,
    sent: u32,
}

/// What a fork is to one that answers late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fork {
    New,
    Known,
    /// There are too many.
    Ignored,
}

impl LateAnswers {
    /// Whether a response has to be acknowledged, whatever became of its call.
    pub fn wants(response: &Message) -> bool {
        let is_answer = response.status().is_some_and(|status| (200..300).contains(&status));
        is_answer && response.cseq().1 == Method::Invite
    }

    fn fork(&mut self, call: CallId, tag: &str, now: Moment) -> Fork {
        while let Some((since, ..)) = self.order.front()
            && now.since(*since) >= REMEMBERED
            && let Some((_, call, tag)) = self.order.pop_front()
        {
            self.known.remove(&(call, tag));
        }
        let fork = (call, tag.to_owned());
        if self.known.contains(&fork) {
            return Fork::Known;
        }
        if self.order.len() >= MOST {
            return Fork::Ignored;
        }
        self.order.push_back((now, call, fork.1.clone()));
        self.known.insert(fork);
        Fork::New
    }

    /// A number that no request of a live call has.
    fn number(&mut self) -> u32 {
        let number = LAST_NUMBER - self.sent % (LAST_NUMBER / 2);
        self.sent = self.sent.wrapping_add(1);
        number
    }
}

impl Switchboard {
    /// Ends what a 2xx of an INVITE of ours began whose call is over; ACK and BYE go back to where it came from.
    pub(super) fn answered_late(
        &mut self,
        (call, invite): (CallId, Token),
        answer: &Message,
        flow: &Flow,
        commands: &mut Vec<Command>,
    ) {
        let Some(mut dialog) = Dialog::of_answer(answer) else {
            return;
        };
        let now = self.node.clock.now();
        let fork = match self.node.calls.has_hung_up(answer) {
            true => Fork::Known,
            false => self.late.fork(call, &dialog.id().remote_tag, now),
        };
        if fork == Fork::Ignored {
            return;
        }
        let config = self.node.config.load_full();
        let hop = way_back(flow);
        let ack = marked(dialog.ack(answer.cseq().0), flow, &config.sbc);
        let ack = Ack::to(Token::ack(call).to_wire(), ack, hop.clone());
        commands.push(Command::Ack(Box::new(ack)));
        if fork == Fork::New {
            let source = flow.remote;
            self.node
                .observer
                .happened(&Happening::AnsweredAfterTheEnd { call, source });
            let reason = match self.node.calls.has_lost(invite, now) {
                true => COMPLETED_ELSEWHERE,
                false => NORMAL_CLEARING,
            };
            let bye = dialog.request(Method::Bye).header(HeaderName::Reason, reason);
            let number = self.late.number();
            commands.push(Command::Request {
                token: Token { call, number }.to_wire(),
                draft: marked(bye, flow, &config.sbc),
                hop,
            });
        }
    }
}

/// With what every request of ours bears.
fn marked(draft: RequestDraft, flow: &Flow, sbc: &Sbc) -> RequestDraft {
    let draft = draft.header(HeaderName::UserAgent, &sbc.teams.product);
    match flow.listener == sbc.teams.listener {
        true => draft.header(HeaderName::XMsSbc, &sbc.teams.product),
        false => draft,
    }
}

fn way_back(flow: &Flow) -> Hop {
    let proven = flow.peer.as_ref().and_then(|peer| peer.names().next());
    let server_name = || Arc::from(proven.unwrap_or_default());
    Hop {
        transport: flow.transport,
        listener: flow.listener,
        remote: flow.remote,
        server_name: (flow.transport == Transport::Tls).then(server_name),
        connection: flow.transport.is_reliable().then_some(flow.connection),
        account: None,
        presented: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fork_is_hung_up_once_and_no_more_are_remembered_than_there_is_room_for() {
        let (mut late, now) = (LateAnswers::default(), Moment::ZERO);
        let call = |number: u64| Token::from_wire(number << 24).expect("a call").call;
        assert_eq!(late.fork(call(1), "a", now), Fork::New);
        assert_eq!(late.fork(call(1), "a", now), Fork::Known);
        assert_eq!(late.fork(call(2), "a", now), Fork::New);
        for more in 2..MOST {
            assert_eq!(late.fork(call(1), &more.to_string(), now), Fork::New);
        }
        assert_eq!(late.fork(call(3), "b", now), Fork::Ignored);
        let later = now + REMEMBERED;
        assert_eq!(late.fork(call(3), "b", later), Fork::New);
        assert_eq!(late.known.len(), 1);
        assert_ne!(late.number(), late.number());
    }
}
