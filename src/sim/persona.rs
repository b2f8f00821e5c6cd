//! What tells one kind of peer from another: its headers, its rules, its way to portcullis.

use super::description::Shape;
use super::violation::{Rule, Violation};
use super::wire::Arrival;
use crate::net::HandshakeFailure;
use crate::sdp::Protocol;
use crate::sip::{Flow, Hop, Message, Method, RequestDraft, ResponseDraft, Uri};
use bytes::Bytes;
use std::net::SocketAddr;
use std::time::Duration;

/// One kind of peer.
pub(super) trait Persona: Send + Sync + 'static {
    /// The rules that it enforces, with their numbers.
    fn rules(&self) -> &'static [Rule];

    /// Judges a request outside dialogs; no dialog may come of it when there is a refusal.
    fn judge(&self, request: &Message, flow: &Flow) -> Judgement;

    /// What is wrong with a connection of portcullis that came to nothing, whoever opened it.
    fn judge_handshake(&self, _failure: &HandshakeFailure) -> Option<Violation> {
        None
    }

    /// What is wrong with the connection that a message came on.
    fn judge_arrival(&self, _message: &Message, _arrival: &Arrival) -> Option<Violation> {
        None
    }

    /// What is wrong with an OPTIONS so long after the last one on the same connection.
    fn judge_pings(&self, _interval: Duration) -> Option<Violation> {
        None
    }

    /// What is wrong with the answer to an OPTIONS of ours.
    fn judge_pong(&self, _answer: &Message) -> Option<Violation> {
        None
    }

    /// The hub that it is, of those that one call goes to one after the other.
    fn hub(&self) -> Option<&str> {
        None
    }

    /// A call that is up may be without RTP and RTCP for no longer.
    fn longest_silence(&self) -> Option<Duration> {
        None
    }

    /// What is wrong with a message of portcullis inside a call.
    fn inspect(&self, message: &Message, known: &Known) -> Vec<Violation>;

    /// True when this method may come inside a call.
    fn takes(&self, method: &Method) -> bool;

    /// A call's own addresses; `user` is our number.
    fn face(&self, user: &str) -> Face;

    /// The headers of a request of ours inside a call.
    fn request(&self, draft: RequestDraft, face: &Face, is_initial: bool) -> RequestDraft;

    /// The headers of a response of ours; `makes_dialog`: it answers an INVITE outside a dialog.
    fn response(
        &self,
        draft: ResponseDraft,
        request: &Message,
        face: Option<&Face>,
        makes_dialog: bool,
    ) -> ResponseDraft;

    /// How it writes descriptions.
    fn shape(&self) -> Shape;

    /// The way to this URI of portcullis; `seen`: where it last spoke from.
    fn hop(&self, uri: &Uri, seen: Option<&Flow>) -> Option<Hop>;

    /// Bytes about to leave.
    fn dress(&self, bytes: Bytes) -> Bytes;

    /// True when an OPTIONS of portcullis is answered by one of ours.
    fn pings_back(&self) -> bool;

    /// Within this time the ACK of our 2xx must come.
    fn ack_limit(&self) -> Duration;

    /// Within this time our INVITE must ring, or be answered or refused; then it is cancelled.
    fn ringing_limit(&self) -> Option<Duration>;
}

/// What a rule book says of a request.
#[derive(Debug, Default)]
pub(super) struct Judgement {
    pub(super) violations: Vec<Violation>,
    /// The refusal that the real peer would send.
    pub(super) refusal: Option<ResponseDraft>,
}

/// One call's own addresses, as header values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Face {
    /// `sip:host:port`, what From of our requests has behind the number.
    pub(super) home: String,
    pub(super) contact: String,
    pub(super) record_route: Option<String>,
}

/// What portcullis must keep to inside one call.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) face: Face,
    /// Where it said that its media is.
    pub(super) media: Option<SocketAddr>,
    /// Over what.
    pub(super) protocol: Option<Protocol>,
    /// Media come from users' clients.
    pub(super) bypass: bool,
    /// What it said of ICE then.
    pub(super) ice: Option<String>,
    /// The dialog is confirmed: what comes now is a change of it.
    pub(super) answered: bool,
    /// The host of Contact that a call of Teams is to, or that the INVITE had.
    pub(super) trunk: Option<String>,
    /// The last description.
    pub(super) described: Option<Bytes>,
    /// The last offer of ours: what answers are held against. None: it was asked for one.
    pub(super) offered: Option<Bytes>,
}

impl Known {
    /// Nothing was said yet.
    pub(super) fn before_a_call(bypass: bool) -> Known {
        Known {
            face: Face {
                home: String::new(),
                contact: String::new(),
                record_route: None,
            },
            media: None,
            protocol: None,
            bypass,
            ice: None,
            answered: false,
            trunk: None,
            described: None,
            offered: None,
        }
    }
}

impl Face {
    /// The URI in Contact, which in-dialog requests have as Request-URI.
    pub(super) fn contact_uri(&self) -> &str {
        within_brackets(&self.contact)
    }
}

/// `sip:a` of `<sip:a>;x`.
pub(super) fn within_brackets(value: &str) -> &str {
    let inner = value.split_once('<').map_or(value, |(_, rest)| rest);
    inner.split_once('>').map_or(inner, |(uri, _)| uri)
}
