//! The places that a call takes under the limits, and when it gives them back.

use super::CallTask;
use crate::call::event::Event;
use crate::call::id::LegIndex;
use crate::call::leg::LegState;
use crate::call::offering::RecodingPlace;
use crate::call::record::{CallFacts, Direction};
use crate::call::value::Phase;
use crate::config::{Config, Limits, TenantId};
use crate::dial::{Attempt, AttemptFailure, DialPlan, PeerName};
use crate::guard::{Place, carrier_owner, payer};
use crate::sip::Method;
use crate::sip::message::RequestDraft;
use std::sync::Arc;

/// A leg's place at its carrier.
pub(super) type CarrierPlace = (LegIndex, Arc<str>, Place);

/// What a call takes at the carrier that it came from goes with the caller's leg, which may leave sooner.
pub(super) fn apart(mut place: Place, facts: &CallFacts) -> (Place, Option<CarrierPlace>) {
    let of_caller = facts.carrier.as_ref().and_then(|carrier| {
        let part = place.split(&carrier_owner(carrier))?;
        Some((LegIndex::CALLER, carrier.as_str().into(), part))
    });
    (place, of_caller)
}

impl CallTask {
    /// A call that has ended takes no place any more, whatever its legs still wait for.
    pub(super) fn free_places(&mut self) {
        let is_over = matches!(self.call.phase(), Phase::Ending | Phase::Over);
        if is_over {
            self.place = None;
            self.carrier_places.clear();
        }
        // While anybody is tried, what a failed gateway has left is for the next one of its carrier.
        if !self.call.tries_somebody() && !self.call.is_transferring() {
            let legs = self.call.legs();
            let is_gone = |leg: LegIndex| {
                let leg = legs.get(usize::from(leg.0));
                leg.is_none_or(|leg| leg.state == LegState::Gone)
            };
            self.carrier_places.retain(|(taker, ..)| !is_gone(*taker));
        }
        let is_planned = |event: &Event| matches!(event, Event::Planned { .. });
        if is_over || (!self.call.dials_emergency() && !self.pending.iter().any(is_planned)) {
            self.emergency_places.clear();
        }
        // One that is planned begins with its event.
        let is_planned = |event: &Event| matches!(event, Event::TransferPlanned { .. });
        if !self.call.is_transferring() && !self.pending.iter().any(is_planned) {
            self.transfer_place = None;
        }
        self.keep_recoding_place(match is_over {
            true => RecodingPlace::Needless,
            false => self.call.recoding_place(),
        });
    }

    /// Emergency numbers that an application dials take a place each among those of its tenant; what finds none is not rung.
    /// The error says why where nobody else is.
    pub(super) fn take_emergency_places(&mut self, plan: &mut DialPlan, tenant: &TenantId) -> Result<(), String> {
        // One dial at a time: what an earlier one had goes on to this one, and nobody comes between them.
        let mut earlier = std::mem::take(&mut self.emergency_places);
        let mut refused = None;
        let urgent = |attempt: &&mut Attempt| attempt.emergency && !attempt.hops.is_empty();
        for attempt in plan.attempts.iter_mut().filter(urgent) {
            let place = earlier.pop().map_or_else(|| self.node.take_emergency_place(tenant), Ok);
            match place {
                Ok(place) => self.emergency_places.push(place),
                Err(why) => {
                    attempt.hops.clear();
                    attempt.emergency = false;
                    attempt.failed = Some(AttemptFailure::local(503, "Service Unavailable", why.clone()));
                    refused = Some(why);
                }
            }
        }
        match refused {
            Some(why) if plan.attempts.iter().all(|attempt| attempt.hops.is_empty()) => Err(why),
            _ => Ok(()),
        }
    }

    /// A call out takes its place at the carrier of the gateway that is tried now.
    pub(super) fn take_carrier_place(&mut self, leg: LegIndex, draft: &RequestDraft) -> Result<(), String> {
        let hop = self
            .call
            .legs()
            .get(usize::from(leg.0))
            .and_then(|leg| leg.hop.as_ref());
        let (Method::Invite, Some(PeerName::Gateway { carrier, .. })) = (draft.method(), hop.map(|hop| &hop.peer))
        else {
            return Ok(());
        };
        if self.carrier_places.iter().any(|(taker, ..)| *taker == leg) {
            return Ok(());
        }
        // The next gateway of a carrier goes on in the place of the one that failed, or fell silent.
        let legs = self.call.legs();
        let makes_room = |leg: LegIndex| {
            legs.get(usize::from(leg.0))
                .is_none_or(|leg| matches!(leg.state, LegState::Gone | LegState::Cancelling))
        };
        let freed = self
            .carrier_places
            .iter_mut()
            .find(|(taker, known, _)| known == carrier && makes_room(*taker));
        if let Some((taker, ..)) = freed {
            *taker = leg;
            return Ok(());
        }
        // Where another carrier has failed this one stands in for it: that is one call.
        let stands_in = self.carrier_places.iter().any(|(taker, ..)| makes_room(*taker));
        self.carrier_places.retain(|(taker, ..)| !makes_room(*taker));
        let config = self.node.config.load();
        let limits = config
            .sbc
            .carriers
            .iter()
            .find(|known| known.id.as_str() == &**carrier)
            .map(|known| known.limits);
        let owner = carrier_owner(carrier);
        let paid_by = payer(&self.live.facts.tenant);
        let mut owners = vec![(owner.as_str(), limits.unwrap_or_default())];
        let a_day = self.calls_per_day(&config).filter(|_| !stands_in);
        owners.extend(a_day.map(|limits| (paid_by.as_str(), limits)));
        let emergency = self.call.is_emergency(leg);
        let place = self
            .node
            .places
            .take(&owners, emergency, self.node.clock.now())
            .map_err(|full| full.to_string())?;
        self.carrier_places.push((leg, carrier.clone(), place));
        Ok(())
    }

    /// How many calls the tenant may make through carriers in a day. What comes from one and goes to another is a caller's
    /// from outside, whose number the tenant has not chosen.
    fn calls_per_day(&self, config: &Config) -> Option<Limits> {
        let facts = &self.live.facts;
        if facts.direction == Direction::CarrierToCarrier {
            return None;
        }
        let id = TenantId::parse(&facts.tenant).ok()?;
        let calls_per_day = config.tenant(&id)?.destinations.calls_per_day?;
        Some(Limits {
            calls_per_day: Some(calls_per_day),
            ..Limits::default()
        })
    }
}
