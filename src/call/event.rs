//! What happens to a call, and what it wants done.

use super::id::{CallId, LegIndex, Token};
use super::leg::Leg;
use super::parting::Parted;
use super::record::{CallRecord, RefusedRefer};
use super::transfer::{CalledTrunk, LegAnswer, LegWanted, RefusedReplace, TransferNews, TransferWish, Unmovable};
pub use crate::app::command::{Command, Onward, Wish};
use crate::app::payload::{Kind, Properties, Voiced};
use crate::app::sid::CallSid;
use crate::app::verb::{Dial, Hook, Synthesizer, Verb};
use crate::config::MediaAddressId;
use crate::dial::{Attempt, DialPlan, DialRefusal, NextHop, PeerName, TargetName, targets};
use crate::guard::Fault;
use crate::ice::Credentials;
use crate::media::{self, LegId};
use crate::route::{Refusal, Trace, TraceStep};
use crate::sdp::LocalMedia;
use crate::sip::header::Replaces;
use crate::sip::message::{Message, RequestDraft, ResponseDraft};
use crate::sip::transaction::{Cause as TransportCause, ServerTransactionId};
use crate::sip::{Flow, Hop};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::oneshot;

/// Why a dial rings nobody, and how that was found, for the record.
#[derive(Debug)]
pub struct Unplanned {
    pub why: String,
    pub trace: Vec<TraceStep>,
}

impl Unplanned {
    pub fn of(refusal: &DialRefusal, trace: &Trace) -> Unplanned {
        Unplanned {
            why: refusal.to_string(),
            trace: trace.bounded(targets::MOST_STEPS),
        }
    }
}

/// Something that happened.
#[derive(Debug)]
pub enum Event {
    /// The sockets of a leg are there, or could not be had.
    MediaOpened {
        leg: LegIndex,
        result: Result<(LegId, LocalMedia), String>,
        /// The call has a place among those whose audio is recoded at cost.
        may_recode: bool,
    },
    /// A response to a request of ours.
    Response { token: Token, message: Message, flow: Flow },
    /// An INVITE to a name has left for `hop`; its name has these other addresses, in order.
    Located {
        token: Token,
        hop: Hop,
        others: VecDeque<Hop>,
    },
    /// No final response will come.
    Failed { token: Token, failure: SendFailure },
    /// A request inside a dialog of this call. `vouched`: configuration, registrations or look-ups say
    /// that the flow is of the leg's peer; for a user, that a device of whom From names is there.
    Request {
        transaction: ServerTransactionId,
        message: Message,
        flow: Flow,
        vouched: bool,
    },
    /// An INVITE from Teams, to this trunk name, that wants to take over a dialog of this call.
    Replace {
        transaction: ServerTransactionId,
        message: Message,
        flow: Flow,
        replaces: Replaces,
        trunk: Box<CalledTrunk>,
    },
    /// The ACK of a 2xx.
    Ack {
        message: Message,
        flow: Flow,
        vouched: bool,
    },
    /// The caller's INVITE is cancelled.
    Cancelled {
        transaction: ServerTransactionId,
        message: Message,
    },
    /// No ACK came for our 2xx.
    AckTimeout { transaction: ServerTransactionId },
    /// A media worker has something to tell.
    Media(LegIndex, MediaNotice),
    /// The time that [`Call::next_timeout`](super::Call::next_timeout) named has come.
    Tick,
    /// An administrator, or the end of a drain.
    Clear { detail: String },
    /// The same, and nothing more is waited for: the node goes.
    Cut { detail: String },
    /// A defect of this program: carrying out what a step wanted, or the step itself, has panicked.
    Broken { detail: String },
    /// What the REFER of a carrier or a user leads to, or why it is refused.
    TransferPlanned {
        wish: Box<TransferWish>,
        plan: Result<Vec<Attempt>, Refusal>,
        trace: Trace,
    },
    /// Another call wants a leg of this one.
    LegWanted(Box<LegWanted>),
    /// The call that wanted it is gone.
    LegReturned { leg: Box<Leg>, from: LegIndex },
    /// The leg that a REFER wants from another call, or why it does not get it.
    LegGiven {
        wish: Box<TransferWish>,
        given: Result<Box<Leg>, Unmovable>,
    },
    /// The plan of the dial that waits for it, or why there is none.
    Planned { result: Result<Box<DialPlan>, Unplanned> },
    /// The application's answer to a question; the error says what went wrong.
    Answered { ask: u32, result: Result<Reply, NoReply> },
    /// The text of a sound on a leg is spoken, or was before.
    Voiced { leg: LegIndex, play: u32, voiced: Voiced },
    /// A sound on a leg is there and begins.
    PlayBegan { leg: LegIndex, play: u32 },
    /// A sound on a leg has come to its end.
    Played {
        leg: LegIndex,
        play: u32,
        outcome: PlayOutcome,
    },
    /// Keys for a leg's peer have been sent, or can't be.
    DigitsSent { leg: LegIndex, cookie: u32 },
    /// A key was pressed on a leg.
    Digit { leg: LegIndex, digit: char },
    /// The application, or somebody over REST, wants something of the call.
    Command(Box<Command>),
    /// The same, and somebody waits for what comes of it. The call's task turns it into a command with a number.
    Wanted {
        command: Box<Command>,
        answer: oneshot::Sender<Outcome>,
    },
    /// The application's WebSocket is closed for good: by the application, or because it `failed`.
    Disconnected { failed: Option<String> },
}

/// What an application answers a question with.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// Empty: nothing said.
    pub verbs: Vec<Verb>,
}

/// Why there is no answer that could be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoReply {
    pub why: String,
    /// Of an HTTP answer that is no success.
    pub status: Option<u16>,
}

impl<T: Into<String>> From<T> for NoReply {
    fn from(why: T) -> NoReply {
        NoReply {
            why: why.into(),
            status: None,
        }
    }
}

/// What came of a request that somebody wanted sent: the final response, or why it was not sent.
pub type Outcome = Result<Answered, String>;

/// A final response as others are told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    pub status: u16,
    pub reason: String,
}

/// How a sound ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlayOutcome {
    Completed {
        played: Duration,
    },
    Stopped {
        played: Duration,
    },
    /// It could not be had, or the leg can't play.
    Failed {
        why: String,
    },
}

/// Why a request got no final response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendFailure {
    /// The name could not be resolved.
    Unresolved(String),
    /// A limit of ours for this peer is reached.
    NoPlace(String),
    /// No address could be reached, or none answered.
    Transport(TransportCause),
    /// The same where the transport said why.
    Unreached(String),
}

impl std::fmt::Display for SendFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SendFailure::Unresolved(why) | SendFailure::NoPlace(why) | SendFailure::Unreached(why) => f.write_str(why),
            SendFailure::Transport(TransportCause::Timeout) => f.write_str("no answer"),
            SendFailure::Transport(TransportCause::Transport) => f.write_str("no connection"),
        }
    }
}

/// What a media worker tells of a leg.
#[derive(Debug, Clone, PartialEq)]
pub enum MediaNotice {
    /// The first RTP that is believed has arrived.
    Flows,
    /// The first after a silence that was told.
    FlowsAgain,
    /// No RTP arrived for this long although the peer should send.
    Silent {
        lasting: Duration,
        /// Its RTCP still arrives: it is not gone.
        reports: bool,
    },
    /// Final counts of a closed leg.
    Closed(Box<media::MediaStats>),
}

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// To be resolved (RFC 3263); addresses that can't be reached are passed over.
    Next(NextHop),
    /// To the first address of the name; [`Event::Located`] tells the others.
    First(NextHop),
    /// Straight there: a peer behind NAT.
    Hop(Hop),
}

/// Over which connection a question to the application goes, where its hook names a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Course {
    /// The session, which the first question opens.
    Here,
    /// One that is the session from then on.
    Opens,
    /// One beside the session, until [`Effect::Moved`] or [`Effect::TakeBack`].
    Moves,
}

/// Something to do. Effects are carried out in order.
#[derive(Debug)]
pub enum Effect {
    /// Bind sockets for a leg at `address`; [`Event::MediaOpened`] follows. `mux`: the peer takes RTCP on the RTP port. `may_recode`: a
    /// place among the calls that are recoded at cost is asked for.
    OpenMedia {
        leg: LegIndex,
        address: MediaAddressId,
        mux: bool,
        may_recode: bool,
    },
    /// Connectivity checks that prove these may come: whoever gets our description checks before it answers (TEAMS-100).
    ExpectChecks {
        handle: LegId,
        credentials: Credentials,
    },
    ConfigureMedia {
        handle: LegId,
        config: media::LegConfig,
    },
    BridgeMedia {
        a: LegId,
        b: LegId,
    },
    /// Nothing passes between this leg and the other any more.
    UnbridgeMedia {
        handle: LegId,
    },
    /// The side has answered: its silence counts from now on.
    AwaitMedia {
        handle: LegId,
    },
    /// A callee leaves: it becomes a call of its own.
    Part(Box<Parted>),
    /// The caller's leg and this one have changed their places in the call.
    LegsSwapped {
        with: LegIndex,
    },
    CloseMedia {
        leg: LegIndex,
        handle: LegId,
    },
    Send {
        leg: LegIndex,
        token: Token,
        draft: RequestDraft,
        to: To,
    },
    /// A BYE that could not be sent: say it again a few times. The call does not wait for what becomes of it.
    RepeatBye {
        leg: LegIndex,
        draft: RequestDraft,
        to: To,
    },
    /// An ACK of a 2xx: no transaction, no answer.
    SendAck {
        leg: LegIndex,
        draft: RequestDraft,
        to: To,
    },
    /// Cancel the request `token`, with this Reason.
    CancelRequest {
        token: Token,
        reason: Option<String>,
    },
    Respond {
        transaction: ServerTransactionId,
        draft: ResponseDraft,
    },
    /// The ACK of the 2xx came: stop repeating it.
    Acknowledged {
        transaction: ServerTransactionId,
    },
    /// A peer of the plan failed or answered: health is learnt from calls too.
    Peer {
        peer: PeerName,
        verdict: PeerVerdict,
    },
    /// An address of a hub or gateway is tried last for a while. `drop`: nothing new goes over the connection to it, and the
    /// name that has led there is looked up anew.
    AddressDown {
        hop: Hop,
        fault: Fault,
        drop: Option<NextHop>,
    },
    Tell(CallNews),
    /// Route what a carrier or a user has referred to; [`Event::TransferPlanned`] follows.
    PlanTransfer(Box<TransferWish>),
    /// Ask the call of the dialog that a REFER names for a leg; [`Event::LegGiven`] follows.
    Join(Box<TransferWish>),
    /// This leg, which was `from` here, belongs to the call that has asked.
    GiveLeg {
        leg: Box<Leg>,
        from: LegIndex,
        to: CallId,
        answer: LegAnswer,
    },
    /// Plan the targets of a dial; [`Event::Planned`] follows.
    Plan {
        dial: Box<Dial>,
    },
    /// Ask the application; [`Event::Answered`] follows.
    Ask {
        ask: u32,
        leg: LegIndex,
        kind: Kind,
        course: Course,
        hook: Hook,
        properties: Properties,
    },
    /// Nobody waits any more for this question, which was to lead the application elsewhere.
    TakeBack {
        ask: u32,
    },
    /// The application's own hook is this one now, absolute: relative URLs belong to its server. A WebSocket to where it was
    /// led is its session from here on.
    Moved {
        hook: Hook,
    },
    /// Tell the application; its answer is not waited for. In order.
    Notify {
        leg: LegIndex,
        kind: Kind,
        hook: Hook,
        properties: Properties,
    },
    /// Play a sound on a leg; [`Event::Played`] follows.
    Play {
        leg: LegIndex,
        handle: LegId,
        play: u32,
        sound: Sound,
    },
    /// The tone of somebody else's ringing, until it is taken off.
    RingBack {
        handle: LegId,
        on: bool,
    },
    /// Have a sound ready: it is played next.
    Prepare {
        source: Source,
    },
    StopPlaying {
        handle: LegId,
        play: u32,
    },
    /// Send keys to a leg's peer; [`Event::DigitsSent`] follows.
    SendDigits {
        handle: LegId,
        cookie: u32,
        digits: String,
        duration: Duration,
    },
    /// Look for keys as tones in what a leg's peer says, too, or no longer.
    ListenInBand {
        handle: LegId,
        on: bool,
    },
    /// Make what the other side says louder or softer on a leg; `None`: leave it as it is said.
    Boost {
        handle: LegId,
        decibels: Option<i8>,
    },
    /// Block what a leg's peer says, or no longer.
    Mute {
        handle: LegId,
        on: bool,
    },
    /// What came of the command with this number.
    Done {
        reply: u32,
        outcome: Outcome,
    },
    /// The application has no more to do with this call.
    ApplicationOver,
    /// The call is over and its record complete.
    Over(Box<CallRecord>),
}

impl Effect {
    /// The leg that it is carried out for, where whoever does that looks the leg up.
    pub(super) fn leg_mut(&mut self) -> Option<&mut LegIndex> {
        match self {
            Effect::OpenMedia { leg, .. }
            | Effect::CloseMedia { leg, .. }
            | Effect::Send { leg, .. }
            | Effect::RepeatBye { leg, .. }
            | Effect::SendAck { leg, .. } => Some(leg),
            _ => None,
        }
    }
}

/// What is to be played.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sound {
    pub source: Source,
    /// How often; `None`: until it is stopped.
    pub times: Option<u32>,
    pub seek: Duration,
    /// Over what the other side says, instead of it.
    pub mixed: bool,
    /// Louder or softer than it was recorded.
    pub decibels: i8,
}

/// Where a sound comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Source {
    /// A URL, or a file under the media folder.
    Url(String),
    Speech {
        text: String,
        by: Synthesizer,
        /// Not from the sounds that are kept, and not kept.
        fresh: bool,
    },
}

impl Source {
    /// Whether it is there at once when it was loaded before.
    pub fn is_kept(&self) -> bool {
        !matches!(self, Source::Speech { fresh: true, .. })
    }
}

/// What an attempt taught about a gateway or hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerVerdict {
    /// It lives: by this address, where that is known.
    Answered(Option<SocketAddr>),
    /// Try it last for a while.
    HoldDown(Fault),
}

/// Milestones that observers hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallNews {
    Ringing,
    Answered,
    /// Media arrives from one side only, or from none.
    Silent {
        leg: LegIndex,
        seconds: u64,
        /// RTCP still arrives.
        reports: bool,
    },
    /// A hop failed and the next is tried.
    Hunting {
        from: PeerName,
        why: String,
    },
    /// Nobody of a destination of a dial could be called, or nobody there has said a word.
    TargetFailed {
        target: TargetName,
        why: String,
    },
    /// The way of an ACK was not found: the peer repeats its 2xx and then hangs up.
    AckNotSent {
        why: String,
    },
    /// A BYE has reached nobody, or nobody who could pass it on, and is said again.
    ByeDelayed {
        leg: LegIndex,
        why: String,
    },
    /// It was given up: the peer keeps the call until its own timers end it.
    ByeNotSent {
        leg: LegIndex,
        why: String,
    },
    /// The Contact or Route of a leg's peer names this transport; requests go to it on the leg's own.
    TransportPassedOver {
        leg: LegIndex,
        named: String,
    },
    /// Somebody else spoke inside the dialog of a leg, and was not heard.
    Stranger {
        leg: LegIndex,
        source: SocketAddr,
    },
    /// The REFER of a leg's peer is not carried out.
    ReferRefused {
        leg: LegIndex,
        refused: RefusedRefer,
    },
    /// The application has accepted the REFER of a leg's peer, which is told this status of what comes of it: 200, or 603 where
    /// it stays in the call.
    ReferDecided {
        leg: LegIndex,
        refer_to: String,
        status: u16,
    },
    /// An INVITE with Replaces that came to this call takes nobody's place.
    ReplaceRefused(Box<RefusedReplace>),
    /// A transfer that was accepted has come a step further.
    Transfer(TransferNews),
    /// The peer of a leg that is on hold has refused to be taken off it.
    StaysOnHold {
        leg: LegIndex,
        status: u16,
    },
    /// The peer of a leg could not take what the other side asks for just now: it has said so with this status, or was not
    /// reached. A hold (`held`) is accepted all the same, and who asks for anything else may ask again.
    ChangePutOff {
        leg: LegIndex,
        status: Option<u16>,
        held: bool,
    },
    /// The peer of a leg has put the other side on hold.
    Holds {
        leg: LegIndex,
    },
    /// It holds no longer.
    Resumes {
        leg: LegIndex,
        held_ms: u64,
    },
    /// The peer of a leg has refused our session refresh, and not with that status before.
    RefreshRefused {
        leg: LegIndex,
        status: u16,
    },
    /// A destination was not called: it shares no codec with the caller, and too many calls are recoded already.
    NotRecoded {
        leg: LegIndex,
    },
    /// Something is wrong with what the application wants, or with the application.
    ApplicationError {
        what: &'static str,
        detail: String,
        /// The leg that it is about, where it is about one.
        call_sid: Option<CallSid>,
    },
}
