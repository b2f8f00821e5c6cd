//! A fork that answers when its call is over. Every 2xx is acknowledged, and whoever sent it hung up (RFC 3261 §13.2.2.4):
//! else it has taken a call that is silent until it gives up by itself.

use super::id::{CallId, Token};
use super::teardown::NORMAL_CLEARING;
use crate::net::shard::Command;
use crate::sip::dialog::Dialog;
use crate::sip::message::{HeaderName, Message};
use crate::sip::{Flow, Hop, Method, Transport};

/// Numbers of requests in no call's count: the BYEs go down from here.
const LAST_NUMBER: u32 = 0xff_ffff;

/// Ends what a 2xx to an INVITE began; both requests go back to where it came from.
#[derive(Debug, Default)]
pub(super) struct LateAnswers {
    sent: u32,
}

impl LateAnswers {
    /// Whether a response has to be acknowledged, whatever became of its call.
    pub fn wants(response: &Message) -> bool {
        let is_answer = response.status().is_some_and(|status| (200..300).contains(&status));
        is_answer && response.cseq().1 == Method::Invite
    }

    /// ACK and BYE; none for an answer that nothing can be sent to.
    pub fn end(&mut self, call: CallId, answer: &Message, flow: &Flow) -> Option<[Command; 2]> {
        let mut dialog = Dialog::of_answer(answer)?;
        let hop = Hop {
            transport: flow.transport,
            listener: flow.listener,
            remote: flow.remote,
            server_name: server_name(flow),
            connection: flow.transport.is_reliable().then_some(flow.connection),
            account: None,
            presented: None,
        };
        // Call ids are reused no sooner than these.
        let number = LAST_NUMBER - self.sent % (LAST_NUMBER / 2);
        self.sent = self.sent.wrapping_add(1);
        let bye = dialog.request(Method::Bye).header(HeaderName::Reason, NORMAL_CLEARING);
        Some([
            Command::Ack {
                draft: dialog.ack(answer.cseq().0),
                hop: hop.clone(),
            },
            Command::Request {
                token: Token { call, number }.to_wire(),
                draft: bye,
                hop,
            },
        ])
    }
}

fn server_name(flow: &Flow) -> Option<std::sync::Arc<str>> {
    let proven = flow.peer.as_ref().and_then(|peer| peer.names().next());
    (flow.transport == Transport::Tls).then(|| proven.unwrap_or_default().into())
}
