//! What a verb needs of the caller before it begins: that it is answered or has early media of ours, and a codec that we
//! speak. Where it has none, the call is refused before it is answered, or the verb fails and its application hears why.

use super::application::Running;
use super::cause::Cause;
use super::id::LegIndex;
use super::leg::LegState;
use super::value::Call;
use crate::app::verb::Verb;
use crate::moment::Moment;
use crate::sdp::{self, Codec, Format, Refusal, Session};

/// What a verb needs of whom it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// That its call is answered.
    Answer,
    /// That keys pass: what it presses is heard, or it hears those that are sent.
    Keys,
    /// That it hears us.
    Ears,
}

/// A verb that is to begin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beginning {
    pub what: &'static str,
    pub needs: Needs,
    /// It is to be heard before the call is answered.
    pub early: bool,
}

/// Whether a verb can begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ready {
    Yes,
    /// It can't, and the application has been told why; the next one may.
    Never(String),
    /// The leg is not up, or the call is over.
    Over,
}

const NO_OFFER: &str = "the caller made no offer, so it hears nothing before it is answered";
/// What a leg lacks that can neither say nor hear a key.
pub(super) const NO_KEYS: &str = "the leg negotiated neither a codec of ours nor telephone-event";

impl Call {
    /// Whether a verb has to wait until the caller has answered our offer; the verb is put back then. What it hears, and
    /// what whoever is dialled is offered, starts from that answer.
    pub(super) fn settles_first(&mut self, leg: LegIndex, verb: &Verb, now: Moment) -> bool {
        let caller = self.leg(LegIndex::CALLER);
        let unsettled = caller.is_some_and(|caller| caller.media.negotiated.is_none()) && self.offer.is_none();
        let (needs, early) = match verb {
            Verb::Say(say) => (Needs::Ears, self.speaks_early(say.early_media)),
            Verb::Play(play) => (Needs::Ears, self.speaks_early(play.early_media)),
            Verb::Gather(_) | Verb::Dtmf(_) => (Needs::Keys, self.speaks_early(false)),
            Verb::Dial(dial) if !dial.answer_on_bridge || self.milestones.answered.is_some() => (Needs::Answer, false),
            _ => return false,
        };
        if leg != LegIndex::CALLER || !unsettled || self.hears_too_late(early) {
            return false;
        }
        let what = verb.name();
        if self.ready_for(leg, Beginning { what, needs, early }, now) == Ready::Yes
            && let Some(line) = self.line_mut(leg)
        {
            line.verbs.push_front(verb.clone());
            line.running = Some(Running::Settling);
        }
        true
    }

    /// Whether a verb that says so, or not, is heard before the call is answered.
    pub(super) fn speaks_early(&self, says_so: bool) -> bool {
        says_so || self.app.as_ref().is_some_and(|app| app.early_media)
    }

    /// Makes a leg ready for a verb: an unanswered caller is answered, or gets early media.
    pub(super) fn ready_for(&mut self, leg: LegIndex, beginning: Beginning, now: Moment) -> Ready {
        let Beginning { what, needs, early } = beginning;
        if leg != LegIndex::CALLER {
            let is_up = self.leg(leg).is_some_and(|leg| leg.state == LegState::Up);
            return if is_up { Ready::Yes } else { Ready::Over };
        }
        if self.hears_too_late(early) {
            self.tell_bad_answer(leg, what, NO_OFFER, now);
            return Ready::Never(NO_OFFER.into());
        }
        let ready = match self.lacks(needs) {
            Some(why) if self.settled_here => {
                self.tell_bad_answer(leg, what, &why, now);
                return Ready::Never(why);
            }
            Some(why) => Err(why),
            None if early && self.milestones.answered.is_none() => self.early_here(now),
            None => self.answer_here(now),
        };
        match ready {
            Ok(()) => Ready::Yes,
            Err(detail) => {
                self.tell_bad_answer(leg, what, &detail, now);
                self.end(Cause::MediaRefused { detail }, now);
                Ready::Over
            }
        }
    }

    /// Why music can't be heard while others ring.
    pub(super) fn hears_no_music(&self, answer_on_bridge: bool) -> Option<String> {
        match self.hears_too_late(answer_on_bridge) {
            true => Some(NO_OFFER.into()),
            false => self.lacks(Needs::Ears),
        }
    }

    /// An answer to an offer of ours comes with the ACK of a 200 alone (RFC 3261 §13.2.1): what is to be heard `early` would
    /// answer the call.
    fn hears_too_late(&self, early: bool) -> bool {
        early && self.offer.is_none() && !self.settled_here && self.milestones.answered.is_none()
    }

    /// What the caller's description lacks for this. Where the caller waits for an offer, ours has all that is needed. What
    /// is settled and can't be heard, its media worker says with each sound.
    fn lacks(&self, needs: Needs) -> Option<String> {
        let caller = self.leg(LegIndex::CALLER)?;
        let settled = caller.media.negotiated.as_ref().filter(|_| self.settled_here);
        match (needs, settled) {
            (Needs::Answer, _) | (Needs::Ears, Some(_)) => None,
            (Needs::Keys, Some(settled)) => {
                let formats: Vec<Format> = settled.formats();
                (!gives_keys(&formats)).then(|| NO_KEYS.into())
            }
            (Needs::Keys | Needs::Ears, None) => {
                let offer = Session::parse(self.offer.as_deref()?).map_err(Refusal::from);
                let spoken = offer.and_then(|offer| {
                    let formats = sdp::formats_alone(&offer, &caller.terms.media)?;
                    match needs == Needs::Keys && gives_keys(&formats) {
                        true => Ok(formats),
                        false => sdp::formats_ended_here(&offer, &caller.terms.media),
                    }
                });
                spoken.err().map(|refusal| refusal.to_string())
            }
        }
    }
}

/// Keys come as events, or as tones in a codec that we speak.
pub(super) fn gives_keys(formats: &[Format]) -> bool {
    let gives = |format: &Format| format.codec == Codec::TelephoneEvent || format.speech().is_some();
    formats.iter().any(gives)
}
