//! The call detail record: what is known of a call when it ended. The call keeps it as it goes.

use super::cause::{Cause, Party};
use super::directory::LiveCall;
use crate::app::payload::Status;
use crate::app::sid::CallSid;
use crate::config::E164;
use crate::dial::{AttemptFailure, PeerName};
use crate::media::MediaStats;
use crate::moment::Moment;
use crate::route::{Elin, TraceStep};
use crate::sip::message::reason_phrase;
use crate::sip::{HeaderName, Message, Transport};
use crate::teams::UserPlace;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::sync::PoisonError;

/// Between which sides a call runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    CarrierToTeams,
    TeamsToCarrier,
    /// To a number that lives on a PBX or another trunk.
    CarrierToCarrier,
    /// To a user that registers here.
    CarrierToUser,
    TeamsToUser,
    /// From a user that registers here.
    UserToCarrier,
    UserToTeams,
    UserToUser,
    /// Placed by an application.
    Placed,
}

impl Direction {
    /// All of them.
    pub const ALL: [Direction; 9] = [
        Direction::CarrierToTeams,
        Direction::TeamsToCarrier,
        Direction::CarrierToCarrier,
        Direction::CarrierToUser,
        Direction::TeamsToUser,
        Direction::UserToCarrier,
        Direction::UserToTeams,
        Direction::UserToUser,
        Direction::Placed,
    ];

    /// A word for metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Direction::CarrierToTeams => "carrier_to_teams",
            Direction::TeamsToCarrier => "teams_to_carrier",
            Direction::CarrierToCarrier => "carrier_to_carrier",
            Direction::CarrierToUser => "carrier_to_user",
            Direction::TeamsToUser => "teams_to_user",
            Direction::UserToCarrier => "user_to_carrier",
            Direction::UserToTeams => "user_to_teams",
            Direction::UserToUser => "user_to_user",
            Direction::Placed => "placed",
        }
    }

    /// On which sides of the node the caller and the callee stand.
    pub const fn sides(self) -> (&'static str, &'static str) {
        match self {
            Direction::CarrierToTeams => ("carrier", "teams"),
            Direction::TeamsToCarrier => ("teams", "carrier"),
            Direction::CarrierToCarrier => ("carrier", "carrier"),
            Direction::CarrierToUser => ("carrier", "user"),
            Direction::TeamsToUser => ("teams", "user"),
            Direction::UserToCarrier => ("user", "carrier"),
            Direction::UserToTeams => ("user", "teams"),
            Direction::UserToUser => ("user", "user"),
            Direction::Placed => ("called", "called"),
        }
    }
}

/// What is fixed when a call is born.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallFacts {
    pub direction: Direction,
    pub tenant: String,
    /// The carrier that the call came from; for calls out of Teams the leg names it.
    pub carrier: Option<String>,
    /// Caller and callee as routed: E.164 where the number is one.
    pub from: String,
    pub to: String,
    pub emergency: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elin: Option<ElinUse>,
    /// Wall clock at birth, milliseconds since the Unix epoch.
    pub began_unix_ms: u64,
    /// How the route was found, step by step.
    pub trace: Vec<TraceStep>,
}

/// What a call has to do with an emergency location identification number (ELIN).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ElinUse {
    /// An emergency call: it is shown instead of the caller.
    Shown(E164),
    /// An emergency call: a carrier wants one, and none fits.
    Missing,
    /// The call goes back to whom it was shown for.
    CalledBack(E164),
}

impl ElinUse {
    /// As the call was decided.
    pub fn of(decided: &Elin) -> Option<ElinUse> {
        match decided {
            Elin::None => None,
            Elin::Fitting(_) => Some(ElinUse::Missing),
            Elin::Shown(number) => Some(ElinUse::Shown(*number)),
            Elin::CalledBack(number) => Some(ElinUse::CalledBack(*number)),
        }
    }

    /// All of [`ElinUse::label`].
    pub const LABELS: [&str; 3] = ["shown", "missing", "called_back"];

    /// A word for records and metrics.
    pub const fn label(self) -> &'static str {
        match self {
            ElinUse::Shown(_) => "shown",
            ElinUse::Missing => "missing",
            ElinUse::CalledBack(_) => "called_back",
        }
    }

    pub const fn number(self) -> Option<E164> {
        match self {
            ElinUse::Shown(number) | ElinUse::CalledBack(number) => Some(number),
            ElinUse::Missing => None,
        }
    }
}

/// One leg in the record.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LegRecord {
    /// Who it leads to: `teams`, `carrier`, `user` or `sip`; set with the end of its call.
    #[serde(default)]
    pub side: String,
    /// SIP Call-ID of the leg.
    pub call_id: String,
    /// What an application knows the leg by; the gateways that one destination is tried at share it.
    pub call_sid: Option<CallSid>,
    /// Hub or gateway; absent on the caller's leg.
    pub peer: Option<PeerName>,
    /// Where its peer is: the address that the INVITE went to, or came from.
    #[serde(default)]
    pub address: Option<(Transport, SocketAddr)>,
    /// Final status of the leg's INVITE.
    pub status: Option<u16>,
    pub phrase: Option<String>,
    /// Why it was given up, or could not be reached; none where the far side decided.
    pub why: Option<String>,
    /// `Reason` values that the far side gave (RFC 3326).
    pub reasons: Vec<String>,
    /// Microsoft's correlation id: `x-i` of the Contact that Teams sent.
    pub correlation: Option<String>,
    /// The hub that Teams called by: the host of its Record-Route.
    pub hub: Option<String>,
    /// It was to take another leg's place.
    pub transfer: Option<LegTransfer>,
    /// REFERs of its peer that were refused, the first [`MOST_REFUSED_REFERS`] of them.
    #[serde(default)]
    pub refers_refused: Vec<RefusedRefer>,
    /// How often its peer has put the other side on hold, and for how many milliseconds in all.
    #[serde(default)]
    pub holds: u32,
    #[serde(default)]
    pub held_ms: u64,
    /// Where Teams says that its user is.
    #[serde(default)]
    pub user_place: Option<UserPlace>,
    /// The local address that its media have therefore.
    #[serde(default)]
    pub local_media: Option<String>,
    /// Codec in use at the end.
    pub codec: Option<String>,
    /// What the media worker counted.
    pub media: Option<MediaStats>,
}

/// How a leg came to take another's place in its call, or was to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegTransfer {
    pub kind: TransferKind,
    /// The other leg, by its place in the record.
    pub of: u16,
    /// Whom the REFER has named.
    pub refer_to: Option<String>,
    /// Who has asked for it, as it said itself.
    pub referred_by: Option<String>,
    /// How it was routed, where that was for us to do.
    #[serde(default)]
    pub trace: Vec<TraceStep>,
}

/// A REFER that was not carried out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedRefer {
    /// Whom it has named, where that could be read.
    pub refer_to: Option<String>,
    pub status: u16,
    pub why: String,
    /// How far it was routed.
    pub trace: Vec<TraceStep>,
}

/// Refused REFERs that the record of a leg keeps.
pub const MOST_REFUSED_REFERS: usize = 8;

/// Who asked for a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransferKind {
    /// Who took over, by an INVITE with Replaces.
    Replaced,
    /// Who left, by a REFER.
    Referred,
}

impl TransferKind {
    /// The word in records and in the log.
    pub const fn label(self) -> &'static str {
        match self {
            TransferKind::Replaced => "replaced",
            TransferKind::Referred => "referred",
        }
    }
}

impl LegRecord {
    /// `Reason` values in all, and octets of one: longer ones, and more, are left out.
    const MOST_REASONS: usize = 8;
    const LONGEST_REASON: usize = 1_024;

    /// The `Reason` values of a message that are of a length to be told on.
    pub fn reasons_of(message: &Message) -> impl Iterator<Item = &str> {
        let values = message.headers(HeaderName::Reason);
        let fits = |value: &&str| value.len() <= LegRecord::LONGEST_REASON;
        values.filter(fits).take(LegRecord::MOST_REASONS)
    }

    /// Whether its INVITE came to us, so that its final answer is ours: the caller's, and of who came to take another's place.
    pub fn we_answered(&self) -> bool {
        let came = |transfer: &LegTransfer| transfer.kind == TransferKind::Replaced;
        self.peer.is_none() || self.transfer.as_ref().is_some_and(came)
    }

    /// The final answer to its INVITE is ours, with the phrase of its code.
    pub fn note_own(&mut self, status: u16) {
        self.status = Some(status);
        self.phrase = Some(reason_phrase(status).to_owned());
    }

    /// It was to take another leg's place, and does not: an answer that could not be used stands for nobody who came.
    pub fn note_missed(&mut self, status: u16, failure: &AttemptFailure) {
        let came = |transfer: &LegTransfer| transfer.kind == TransferKind::Replaced;
        match self.status {
            Some(300..) => return,
            None if !self.transfer.as_ref().is_some_and(came) => self.status = Some(status),
            _ => self.note_own(status),
        }
        self.why = self.why.take().or_else(|| failure.local.clone());
    }

    /// Keeps the `Reason` values of a message that ends the leg.
    pub fn note_reasons(&mut self, message: &Message) {
        let room = LegRecord::MOST_REASONS.saturating_sub(self.reasons.len());
        self.reasons
            .extend(LegRecord::reasons_of(message).take(room).map(str::to_owned));
    }
}

/// What an application made of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplicationRecord {
    /// In the tenant's file; empty where a hook of its own steers the call.
    pub name: String,
    pub application_sid: String,
    pub call_sid: CallSid,
    /// The call that this one was a callee of.
    pub parent_call_sid: Option<CallSid>,
    /// In their order, the first [`MOST_DIALS`] of them.
    pub dials: Vec<DialRecord>,
    /// What was wrong with the application, or with what it wanted, in their order, the first [`MOST_ERRORS`].
    #[serde(default)]
    pub errors: Vec<ErrorRecord>,
}

/// A failure of an application, as the log tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorRecord {
    /// A verb, a hook, or a property.
    pub what: String,
    pub why: String,
    /// The leg that it is about, where it is about one.
    pub call_sid: Option<CallSid>,
}

impl ErrorRecord {
    /// Bytes of `why` that are kept.
    const LONGEST: usize = 500;

    pub(super) fn new(what: &str, why: &str, call_sid: Option<CallSid>) -> ErrorRecord {
        let why = why.get(..why.floor_char_boundary(ErrorRecord::LONGEST));
        ErrorRecord {
            what: what.to_owned(),
            why: why.unwrap_or_default().to_owned(),
            call_sid,
        }
    }
}

/// What became of one dial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DialRecord {
    /// Milliseconds after the call's birth.
    pub began_after_ms: u64,
    pub ended_after_ms: u64,
    /// As the application was told them.
    pub dial_status: Status,
    pub sip_status: u16,
    /// The child that these are of.
    pub call_sid: Option<CallSid>,
    /// Where a destination was bridged: `caller`, `callee`, `time_limit`, `application` or `node`.
    pub ended_by: Option<String>,
    /// Why nobody was rung.
    pub error: Option<String>,
    /// What was decided that is of none of `targets`.
    #[serde(default)]
    pub trace: Vec<TraceStep>,
    pub targets: Vec<TargetRecord>,
}

/// What became of one destination of a dial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetRecord {
    #[serde(rename = "type")]
    pub kind: String,
    pub name: String,
    pub call_sid: CallSid,
    pub status: Status,
    pub sip_status: u16,
    /// From its answer to its end.
    pub talked_ms: Option<u64>,
    /// Where it led and why.
    #[serde(default)]
    pub trace: Vec<TraceStep>,
}

/// Dials that a record keeps; an application may dial for ever.
pub const MOST_DIALS: usize = 100;

/// Failures of its application that a record keeps; each verb may fail.
pub const MOST_ERRORS: usize = 32;

/// Steps that a record keeps of all dials together.
pub const MOST_DIAL_STEPS: usize = 500;

impl DialRecord {
    /// Steps that it keeps.
    pub(super) fn steps(&self) -> usize {
        self.trace.len() + self.targets.iter().map(|target| target.trace.len()).sum::<usize>()
    }
}

/// The record as it is written, one JSON line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallRecord {
    pub call: String,
    #[serde(flatten)]
    pub facts: CallFacts,
    /// Milliseconds after birth.
    pub ringing_after_ms: Option<u64>,
    pub answered_after_ms: Option<u64>,
    pub ended_after_ms: u64,
    /// The final status that the caller's INVITE got.
    pub status: u16,
    pub cause: Cause,
    pub cause_text: String,
    pub ended_by: Party,
    /// None where a route decided.
    pub application: Option<ApplicationRecord>,
    pub legs: Vec<LegRecord>,
}

impl CallRecord {
    /// The record of a call whose value is lost: what others saw of it.
    pub(super) fn of_lost(live: &LiveCall, detail: &str, now: Moment) -> CallRecord {
        let cause = Cause::Fault { detail: detail.into() };
        let status = live.status.lock().unwrap_or_else(PoisonError::into_inner);
        let milestones = Milestones::new(live.born);
        CallRecord {
            call: live.id.to_string(),
            facts: CallFacts::clone(&live.facts),
            ringing_after_ms: None,
            answered_after_ms: status.answered.map(|at| milestones.after_ms(at)),
            ended_after_ms: milestones.after_ms(status.ended.unwrap_or(now)),
            status: if status.answered.is_some() { 200 } else { cause.status() },
            cause_text: cause.explain(),
            ended_by: cause.ended_by(),
            cause,
            application: None,
            legs: Vec::new(),
        }
    }
}

/// Milestones of a call on the process clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Milestones {
    pub born: Moment,
    pub ringing: Option<Moment>,
    pub answered: Option<Moment>,
    /// The last answers of its legs may still be to come.
    pub ended: Option<Moment>,
}

impl Milestones {
    /// A call born at `born`.
    pub const fn new(born: Moment) -> Milestones {
        Milestones {
            born,
            ringing: None,
            answered: None,
            ended: None,
        }
    }

    /// Milliseconds from birth to `at`.
    pub fn after_ms(&self, at: Moment) -> u64 {
        u64::try_from(at.since(self.born).as_millis()).unwrap_or(u64::MAX)
    }
}
