//! What a destination is offered, and whether that is recoded at cost: such calls are counted, and bounded.

use super::event::CallNews;
use super::id::LegIndex;
use super::leg::Leg;
use super::leg_media::Sockets;
use super::value::Call;
use crate::codec::speech::Speech;
use crate::dial::AttemptFailure;
use crate::sdp::{self, Direction, Format, LegProfile, Recoding, Refusal, Session};

/// Whether a call takes a place among those whose audio is recoded at cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecodingPlace {
    Needed,
    Needless,
    /// A destination whose sockets are being opened will tell.
    Undecided,
}

/// Formats in the order of preference, and which way media flow.
type Offered = (Vec<Format>, Direction);

/// What a destination can be offered of the caller's audio.
struct Offerable {
    /// With all that can be recoded.
    any: Offered,
    /// Without what is recoded at cost.
    cheap: Result<Offered, Refusal>,
    /// The caller makes no offer, and what it answers to ours may have to be recoded at cost.
    costs_later: bool,
}

impl Offerable {
    fn may_cost(&self) -> bool {
        self.costs_later || self.cheap.as_ref() != Ok(&self.any)
    }
}

/// Whether one of these codecs may have to become one of a leg's that costs much to make of it.
fn is_far(formats: &[Format], leg: &LegProfile) -> bool {
    let own = || {
        Speech::ALL
            .into_iter()
            .filter(|own| leg.codecs.contains(&Format::of_speech(*own).codec))
    };
    let mut spoken = formats.iter().filter_map(Format::speech);
    spoken.any(|spoken| own().any(|own| spoken.is_far_from(own)))
}

impl Call {
    /// The caller's formats that the leg allows, or all that both allow when the caller made no offer.
    fn offerable(&self, index: LegIndex) -> Result<Offerable, String> {
        let caller = self.legs.first().ok_or("no caller")?;
        let settled = caller.media.negotiated.as_ref().filter(|_| self.settled_here);
        let session = match self.offer.as_deref().map(Session::parse) {
            Some(session) => Some(session.map_err(|error| error.to_string())?),
            None => None,
        };
        let to = &self.leg(index).ok_or("no such leg")?.terms.media;
        let from = &caller.terms.media;
        let carry = |recoding| match (settled, &session) {
            // The caller's codec stands: the destination is asked for it, and to talk. What is on hold then is told when
            // the two are bridged; it may be over by then.
            (Some(settled), _) => {
                sdp::carry_settled(settled, to, recoding).map(|(formats, _)| (formats, Direction::SendRecv))
            }
            (None, Some(session)) => {
                sdp::carry_offer(session, from, to, recoding).map(|carried| (carried.formats, carried.direction))
            }
            (None, None) => {
                let mut formats = sdp::formats_without_offer(to, from);
                // Whoever answers a placed call hears us first.
                formats
                    .retain(|format| !self.is_engaging() || format.codec.is_auxiliary() || format.speech().is_some());
                Ok((formats, Direction::SendRecv))
            }
        };
        let any = carry(Recoding::Any).map_err(|refusal| refusal.to_string())?;
        let gets_ours = settled.is_none() && session.is_none() && !self.is_engaging();
        Ok(Offerable {
            costs_later: gets_ours && is_far(&any.0, from),
            any,
            cheap: carry(Recoding::Cheap),
        })
    }

    /// Whether a leg whose sockets are opened may be recoded at cost. Who comes by a transfer may.
    pub(super) fn may_recode(&self, index: LegIndex) -> bool {
        let may_cost = || self.offerable(index).is_ok_and(|offerable| offerable.may_cost());
        index != LegIndex::CALLER && (self.is_arriving(index) || may_cost())
    }

    /// Our offer on a leg. Without `may_recode` nothing is offered that could be costly to recode.
    pub(super) fn offer_for(&mut self, index: LegIndex, may_recode: bool) -> Result<String, Box<AttemptFailure>> {
        let refused = |status, phrase, detail: &str| Box::new(AttemptFailure::local(status, phrase, detail.into()));
        let broken = |detail: &str| refused(488, "Not Acceptable Here", detail);
        if self.is_arriving(index) {
            return self.offer_arriving(index, may_recode).map_err(|detail| broken(&detail));
        }
        let offerable = self.offerable(index).map_err(|detail| broken(&detail))?;
        let recodes = may_recode && offerable.may_cost();
        let (formats, direction) = match (may_recode, offerable.cheap) {
            (true, _) => offerable.any,
            (false, Ok(cheap)) => cheap,
            (false, Err(_)) => {
                self.tell(CallNews::NotRecoded { leg: index });
                let detail = "no codec is shared, and too many calls are recoded already (recoded_calls of [media])";
                return Err(refused(503, "Service Unavailable", detail));
            }
        };
        let leg = self.leg_mut(index).ok_or_else(|| broken("no such leg"))?;
        leg.media.recodes_at_cost = recodes;
        let terms = leg.terms.clone();
        let offer = leg.media.offer(&terms, &formats, direction);
        offer.ok_or_else(|| broken("media is not open"))
    }

    /// Whether the call takes a place among those whose audio is recoded at cost.
    pub fn recoding_place(&self) -> RecodingPlace {
        let recodes = |leg: &Leg| leg.media.handle().is_some() && leg.media.recodes_at_cost;
        let opens = |leg: &Leg| leg.media.sockets == Sockets::Opening && leg.index != LegIndex::CALLER;
        if self.legs.iter().any(recodes) {
            RecodingPlace::Needed
        } else if self.legs.iter().any(opens) {
            RecodingPlace::Undecided
        } else {
            RecodingPlace::Needless
        }
    }
}
