//! Who talks in a call, as a status page shows it: whoever has one of its two places now, however it came there.

use super::Call;
use super::id::LegIndex;
use super::leg::Leg;
use crate::moment::Moment;
use crate::sip::NameAddr;
use crate::sip::message::HeaderName;

/// A leg that is up in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Talker {
    /// `teams`, `carrier`, `user` or `sip`.
    pub side: &'static str,
    /// The carrier, the tenant's trunk, the user's address, or the host.
    pub name: String,
    /// The hub, gateway, device or server that was called, or the hub that called; none for a carrier or a user that did.
    pub through: Option<String>,
    /// A number as it was routed; of who came by a transfer the user part of its address, or all of it where that has none.
    pub party: String,
    /// On the process's clock.
    pub since: Option<Moment>,
    /// It has put the other one on hold.
    pub holds: bool,
}

/// What a change of the talkers shows by, without describing them: who is up in the two places since when, and holds, whose
/// peer is shown, and how far a transfer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seats {
    talking: [Option<(LegIndex, Option<Moment>, bool)>; 2],
    shown: LegIndex,
    transfer: Option<(LegIndex, Option<u16>)>,
}

impl Call {
    /// Who talks, the caller's place first. Whoever is alone with an application is alone.
    pub(super) fn talkers(&self) -> Vec<Talker> {
        let up = self.places().into_iter().flatten();
        up.filter_map(|index| self.leg(index))
            .map(|leg| self.talker(leg))
            .collect()
    }

    /// The leg whose peer is shown: who is talked to, else who is to come, else who was tried last.
    pub(super) fn shown_leg(&self) -> LegIndex {
        let talked_to = self.places()[1];
        let arriving = self.transfer.as_ref().map(|transfer| transfer.new);
        let last = LegIndex(u16::try_from(self.legs.len().saturating_sub(1)).unwrap_or(u16::MAX));
        talked_to.or(arriving).or(self.winner).unwrap_or(last)
    }

    /// Who has answered, where it was somebody else than an application.
    pub(super) fn answered_leg(&self) -> Option<LegIndex> {
        let placed = self.app.as_ref().is_some_and(|app| app.placed);
        self.places()[1].or(self.winner).or(placed.then_some(LegIndex::CALLER))
    }

    pub(super) fn seats(&self) -> Seats {
        Seats {
            talking: self.places().map(|index| {
                self.leg(index?)
                    .map(|leg| (leg.index, leg.came, leg.holds_since.is_some()))
            }),
            shown: self.shown_leg(),
            transfer: self.transfer_mark(),
        }
    }

    /// Who is up in the caller's place, and in the callee's.
    fn places(&self) -> [Option<LegIndex>; 2] {
        let is_up = |index: &LegIndex| self.leg(*index).is_some_and(Leg::is_up);
        let callee = self.winner.filter(|_| self.app.is_none() || self.bridged.is_some());
        [Some(LegIndex::CALLER), callee].map(|place| place.filter(is_up))
    }

    fn talker(&self, leg: &Leg) -> Talker {
        let kind = &leg.terms.kind;
        let called = || leg.record.peer.as_ref().map(ToString::to_string);
        let child = self.attempt_of(leg.index).and_then(|position| self.child(position));
        let answered = match (&self.app, child) {
            (_, Some(child)) => child.answered,
            (Some(app), None) => app.answered,
            (None, None) => None,
        };
        let transferred = leg.record.transfer.as_ref().and_then(|_| party_of(leg));
        let as_routed = || match (leg.index, child, &self.app) {
            (_, Some(child), _) => child.target.name().to_owned(),
            (LegIndex::CALLER, None, Some(app)) if app.placed => app.caller.to.clone(),
            (LegIndex::CALLER, None, _) => self.facts.from.clone(),
            _ => self.facts.to.clone(),
        };
        Talker {
            side: kind.side(),
            name: kind.name().to_owned(),
            through: leg.record.hub.clone().or_else(called),
            party: transferred.unwrap_or_else(as_routed),
            since: leg.came.or(answered).or(self.milestones.answered),
            holds: leg.holds_since.is_some(),
        }
    }
}

/// Whom the peer of a leg says it is, or whom we have called there.
fn party_of(leg: &Leg) -> Option<String> {
    let remote = NameAddr::parse(HeaderName::To, leg.dialog.as_ref()?.remote()).ok()?;
    let user = remote.uri().user().map(str::to_owned);
    Some(user.unwrap_or_else(|| remote.uri().to_string()))
}
