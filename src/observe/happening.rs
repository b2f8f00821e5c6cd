//! What can happen.

use crate::call::{CallFacts, CallId, CallNews, CallRecord, RefusedReplace};
use crate::carrier::Unidentified;
use crate::config::Reload;
use crate::dial::PeerName;
use crate::guard::{Load, Turn};
use crate::moment::Moment;
use crate::net::NetEvent;
use crate::registrar::{Aor, Unasked, Verdict};
use crate::route::{Refusal, TraceStep};
use crate::sip::{ListenerId, Method};
use std::net::SocketAddr;
use std::time::Duration;

/// One thing that happened.
#[derive(Debug)]
pub enum Happening<'a> {
    /// A call was routed and begins.
    CallBegan { call: CallId, facts: &'a CallFacts },
    /// A milestone on its way.
    CallNews {
        call: CallId,
        facts: &'a CallFacts,
        news: &'a CallNews,
        /// Hub or gateway that is tried or talked to.
        peer: Option<&'a PeerName>,
        /// The hub that called.
        hub: Option<&'a str>,
    },
    /// It is over.
    CallOver { record: &'a CallRecord },
    /// A fork has taken a call that is over; it is hung up.
    AnsweredAfterTheEnd { call: CallId, source: SocketAddr },
    /// A fault of ours ended a call's task; its peers are told nothing and give up by their own timers.
    CallPanicked { call: CallId },
    /// An INVITE that became no call.
    CallRefused {
        source: SocketAddr,
        dialled: &'a str,
        refusal: &'a Refusal,
        trace: &'a [TraceStep],
    },
    /// An INVITE with Replaces that came to no call; `tenant`: whose trunk name it calls.
    ReplaceRefused {
        tenant: Option<&'a str>,
        refused: &'a RefusedReplace,
    },
    /// A request or a connection of nobody's was turned away, with or without an answer.
    Unidentified {
        /// `None`: a connection, closed as it came.
        method: Option<&'a Method>,
        source: SocketAddr,
        listener: ListenerId,
        why: Unidentified<'a>,
    },
    /// A tenant's registration hook was asked about somebody who registers, or calls.
    HookAsked {
        tenant: &'a str,
        /// Who the sender claims to be.
        user: &'a Aor,
        source: SocketAddr,
        method: &'a Method,
        verdict: &'a Verdict,
        took: Duration,
    },
    /// A registration hook was not asked: the name that was given can be nobody's, or is another's than the address.
    HookUnasked {
        unasked: &'a Unasked,
        source: SocketAddr,
        method: &'a Method,
    },
    /// A carrier's password was not proven; `banned`: the answer was not looked at, or wrong after too many that were.
    PasswordRefused {
        source: SocketAddr,
        username: &'a str,
        banned: bool,
    },
    /// A SIP message of a call, when ladders are wanted.
    Message(LadderLine<'a>),
    /// An event of the transports.
    Net(&'a NetEvent<'a>),
    /// The configuration was read again.
    Reloaded { outcome: &'a Reload },
    /// A listener's certificate files were read again.
    Certificates {
        listener: &'a str,
        reload: &'a crate::net::tls::Reload,
    },
    /// A certificate of a listener ends soon, or has ended.
    CertificateEnds {
        listener: &'a str,
        certificate: &'a str,
        serial: &'a str,
        /// Whole ones that are left: 0 on the last day, negative after the end.
        days: i64,
    },
    /// A listener's files of roots were read again, and what the configuration says of whom it believes.
    Trust {
        listener: &'a str,
        replaced: bool,
        /// What is wrong: the old trust stays.
        failed: Option<&'a str>,
    },
    /// OPTIONS or a call have shown something new of a hub or gateway; `trouble` says why where it is for the worse.
    PeerTurned {
        peer: &'a PeerName,
        turn: Turn,
        trouble: Option<&'a str>,
    },
    /// The node takes no new calls and waits for these to end.
    Draining { calls: usize, patience: Duration },
    /// The node is asked for more than it can do and refuses some of the new calls, or no longer.
    Overload { shedding: bool, load: Load },
    /// Something was dropped because a queue was full.
    Overflow { queue: Queue },
}

/// A queue that may be full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// Events of a call.
    CallMailbox,
    /// Responses to OPTIONS of ours.
    Monitor,
    MediaCommands,
    /// Commands to the shards.
    Signalling,
    ApplicationEvents,
}

impl Queue {
    pub const ALL: [Queue; 5] = [
        Queue::CallMailbox,
        Queue::Monitor,
        Queue::MediaCommands,
        Queue::Signalling,
        Queue::ApplicationEvents,
    ];

    /// A word for logs and metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Queue::CallMailbox => "call mailbox",
            Queue::Monitor => "monitor",
            Queue::MediaCommands => "media commands",
            Queue::Signalling => "signalling",
            Queue::ApplicationEvents => "application events",
        }
    }
}

/// One arrow of a ladder.
#[derive(Debug, Clone)]
pub struct LadderLine<'a> {
    pub at: Moment,
    pub call: CallId,
    /// 0: the caller's leg.
    pub leg: u16,
    pub way: Way,
    /// `INVITE` or `200 OK`.
    pub what: &'a str,
    /// Method of the CSeq.
    pub method: &'a str,
    /// All values of Reason (RFC 3326).
    pub reason: Option<&'a str>,
    /// Whether a session description is inside.
    pub has_sdp: bool,
}

/// Seen from us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    In,
    Out,
}

/// Hears of everything, on the task where it happens: it must not block.
pub trait Observer: Send + Sync + 'static {
    /// One thing happened.
    fn happened(&self, happening: &Happening<'_>);

    /// Whether [`Happening::Message`] is wanted: it costs a little on every message.
    fn wants_messages(&self) -> bool {
        false
    }
}
