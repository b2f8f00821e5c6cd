//! Calls: live ones seen and ended, and the ladders of those that are over too.

use super::state::AdminState;
use crate::call::{CallStatus, Event, LineStatus, LiveCall, Phase, Talker, TransferStatus, Undelivered};
use crate::dial::PeerName;
use crate::moment::Moment;
use crate::observe::{Arrow, rfc3339};
use crate::route::TraceStep;
use crate::teams::is_guid;
use serde::Serialize;
use std::sync::PoisonError;

/// A call in the list.
#[derive(Debug, Serialize)]
pub struct CallView {
    pub id: String,
    pub tenant: String,
    pub direction: &'static str,
    /// The carrier that it came from, else the one that it goes to, as soon as that is known.
    pub carrier: Option<String>,
    pub from: String,
    pub to: String,
    pub emergency: bool,
    pub phase: Phase,
    /// Hub or gateway that is tried or talked to.
    pub peer: Option<String>,
    pub began: String,
    pub age_seconds: u64,
    /// Since the answer.
    pub talked_seconds: Option<u64>,
    /// Who talks now, the caller's place first.
    pub talkers: Vec<TalkerView>,
    /// A transfer that is under way.
    pub transfer: Option<TransferView>,
    /// The legs as an application knows them; absent where a route decides.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<LineStatus>,
}

/// Who has one of the two places of a call.
#[derive(Debug, Serialize)]
pub struct TalkerView {
    pub side: &'static str,
    pub name: String,
    pub through: Option<String>,
    pub party: String,
    /// In this place.
    pub seconds: Option<u64>,
    /// It has put the other one on hold.
    pub holds: bool,
}

/// A transfer that is under way.
#[derive(Debug, Serialize)]
pub struct TransferView {
    pub kind: &'static str,
    /// Side and name of who leaves, and has sent the REFER where there is one; and of who goes on talking.
    pub leaves: String,
    pub stays: String,
    /// Whom the REFER names.
    pub refer_to: Option<String>,
    /// What its sender was told last.
    pub status: Option<u16>,
}

/// One call with all that is known.
#[derive(Debug, Serialize)]
pub struct CallDetail {
    #[serde(flatten)]
    pub call: CallView,
    pub trace: Vec<TraceStep>,
    /// Empty unless ladders were switched on before the call began.
    pub ladder: Vec<Arrow>,
}

/// The messages of a call.
#[derive(Debug, Serialize)]
pub struct LadderView {
    pub id: String,
    /// The call has ended.
    pub over: bool,
    pub ladder: Vec<Arrow>,
}

/// What became of the wish to end a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clearing {
    /// It ends now.
    Begun,
    NoSuchCall,
    /// It is flooded with events: ask again.
    Busy,
}

/// Live calls, the oldest first; of one tenant when `tenant` says so.
pub fn list(state: &AdminState, tenant: Option<&str>) -> Vec<CallView> {
    let calls = state.node.calls.list();
    let wanted = |call: &&LiveCall| tenant.is_none_or(|tenant| call.facts.tenant == tenant);
    calls.iter().filter(wanted).map(|call| view(state, call)).collect()
}

/// The call with this id.
pub fn detail(state: &AdminState, id: &str) -> Option<CallDetail> {
    let call = find(state, id)?;
    let step = |step: &TraceStep| TraceStep {
        rule: step.rule.clone(),
        subject: state.text(&step.subject),
        outcome: state.text(&step.outcome),
    };
    Some(CallDetail {
        call: view(state, &call),
        trace: call.facts.trace.iter().map(step).collect(),
        ladder: arrows(state, id),
    })
}

/// The ladder of the call with this id, live or over; `None`: nothing is kept of it.
pub fn ladder(state: &AdminState, id: &str) -> Option<LadderView> {
    let ladder = arrows(state, id);
    (!ladder.is_empty()).then(|| LadderView {
        id: id.to_owned(),
        over: find(state, id).is_none(),
        ladder,
    })
}

fn arrows(state: &AdminState, id: &str) -> Vec<Arrow> {
    let mut arrows = state.observation.ladders.of(id);
    for arrow in &mut arrows {
        arrow.what = state.text(&arrow.what);
        arrow.reason = arrow.reason.as_deref().map(|reason| shown_reason(state, reason));
    }
    arrows
}

/// Microsoft's support asks for the GUID, digit by digit: it names no number.
fn shown_reason(state: &AdminState, reason: &str) -> String {
    let ends = [';', '"'];
    reason
        .split_inclusive(ends)
        .map(|part| match is_guid(part.trim_end_matches(ends).trim()) {
            true => part.to_owned(),
            false => state.text(part),
        })
        .collect()
}

/// Ends the call with this id on both sides.
pub fn clear(state: &AdminState, id: &str) -> Clearing {
    let Some(call) = find(state, id) else {
        return Clearing::NoSuchCall;
    };
    let detail = "cleared by an administrator".to_owned();
    match state.node.calls.deliver(call.id, Event::Clear { detail }) {
        Ok(()) => Clearing::Begun,
        Err(Undelivered::Unknown) => Clearing::NoSuchCall,
        Err(Undelivered::Full) => Clearing::Busy,
    }
}

fn find(state: &AdminState, id: &str) -> Option<LiveCall> {
    state
        .node
        .calls
        .list()
        .into_iter()
        .find(|call| call.id.to_string() == id)
}

fn view(state: &AdminState, call: &LiveCall) -> CallView {
    let now = state.node.clock.now();
    let facts = &call.facts;
    let status = call.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let CallStatus {
        phase,
        answered,
        ended,
        emergency,
        peer,
        talkers,
        transfer,
        bridged: _,
        lines,
        past: _,
        terms: _,
    } = status;
    CallView {
        id: call.id.to_string(),
        tenant: facts.tenant.clone(),
        direction: facts.direction.label(),
        carrier: carrier(facts.carrier.as_deref(), peer.as_ref(), &talkers),
        from: state.number(&facts.from),
        to: state.number(&facts.to),
        emergency,
        phase,
        peer: peer.map(|peer| peer.to_string()),
        began: rfc3339(facts.began_unix_ms),
        age_seconds: now.since(call.born).as_secs(),
        talked_seconds: answered.map(|answered| ended.unwrap_or(now).since(answered).as_secs()),
        talkers: talkers
            .into_iter()
            .map(|talker| talker_view(state, talker, now))
            .collect(),
        transfer: transfer.map(|transfer| transfer_view(state, transfer)),
        lines,
    }
}

/// The carrier that a call came from, that is tried or talked to, or that talks with somebody else by now.
fn carrier(came_from: Option<&str>, peer: Option<&PeerName>, talkers: &[Talker]) -> Option<String> {
    let talks = || talkers.iter().find(|talker| talker.side == "carrier");
    let goes_to = || peer.and_then(PeerName::carrier);
    let carrier = came_from.or_else(goes_to);
    carrier
        .or_else(|| talks().map(|talker| &*talker.name))
        .map(str::to_owned)
}

fn talker_view(state: &AdminState, talker: Talker, now: Moment) -> TalkerView {
    let Talker {
        side,
        name,
        through,
        party,
        since,
        holds,
    } = talker;
    TalkerView {
        side,
        name: state.text(&name),
        through: through.map(|through| state.text(&through)),
        party: match party.bytes().all(|byte| byte == b'+' || byte.is_ascii_digit()) {
            true => state.number(&party),
            false => state.text(&party),
        },
        seconds: since.map(|since| now.since(since).as_secs()),
        holds,
    }
}

fn transfer_view(state: &AdminState, transfer: TransferStatus) -> TransferView {
    let TransferStatus {
        kind,
        leaves,
        stays,
        refer_to,
        status,
    } = transfer;
    TransferView {
        kind: kind.label(),
        leaves: state.text(&leaves),
        stays: state.text(&stays),
        refer_to: refer_to.map(|target| state.text(&target)),
        status,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_carrier_of_a_call_is_the_one_on_whichever_side_there_is_one() {
        let gateway = PeerName::Gateway {
            carrier: "north".into(),
            gateway: "203.0.113.2:5060".into(),
        };
        let hub = PeerName::Hub("sip.hub.example".into());
        let talker = |side, name: &str| Talker {
            side,
            name: name.to_owned(),
            through: None,
            party: String::new(),
            since: None,
            holds: false,
        };
        let referred = [talker("teams", "contoso.sbc1.example.net"), talker("carrier", "south")];
        for (came_from, peer, talkers, shown) in [
            (None, None, &[][..], None),
            (None, Some(&gateway), &[], Some("north")),
            (None, Some(&hub), &[], None),
            (None, Some(&hub), &referred, Some("south")),
            (Some("west"), Some(&hub), &[], Some("west")),
            (Some("west"), Some(&gateway), &[], Some("west")),
        ] {
            assert_eq!(carrier(came_from, peer, talkers).as_deref(), shown);
        }
    }
}
