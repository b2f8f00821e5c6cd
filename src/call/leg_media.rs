//! The media of one leg: its socket pair, its side of the description, what was negotiated.

use crate::dial::LegTerms;
use crate::media::{self, LegId};
use crate::moment::Moment;
use crate::sdp::{self, Direction, Format, HoldStyle, LocalMedia, Negotiated, Offer, Refusal, Session, SrtpKeys};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Forks of one offer whose early media can be heard; Teams rings a user's devices, and those of a group.
const MAX_FORKS: usize = 8;
/// A stream begins in the lower half of its numbers: for so long they do not wrap, at 10 ms a packet.
const UNWRAPPED: Duration = Duration::from_secs(320);

/// The sockets of a leg on a media worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Sockets {
    /// Never asked for, refused, or closed.
    #[default]
    None,
    /// Asked for.
    Opening,
    Open(LegId),
    /// Being closed: the last figures are still to come.
    Closing(LegId),
}

/// Whether a peer has answered our INVITE for one way alone, and said nothing else since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum OneWay {
    /// It has not: who wants to hear nothing holds.
    #[default]
    No,
    /// It announces something, or only listens, and holds nobody.
    FromTheStart,
    /// It has announced something, and sent nothing for `media.timeout`: it holds until it is heard again.
    FellSilent,
}

/// What one leg's media is, as far as the call knows.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct LegMedia {
    pub sockets: Sockets,
    pub local: Option<LocalMedia>,
    pub negotiated: Option<Negotiated>,
    /// Our last description, byte for byte: repeated when nothing changed.
    pub described: Option<String>,
    /// The peer's last description, as received.
    pub heard: Option<Vec<u8>>,
    /// Which way the peer wants media to flow ([`LegMedia::will`]).
    #[serde(default)]
    pub will: Option<Direction>,
    #[serde(default)]
    pub one_way: OneWay,
    /// Audio of its peer has arrived.
    pub flows: bool,
    /// Its worker looks for keys as tones.
    pub listens_in_band: bool,
    /// What passes between this leg and its partner is recoded at cost, or may be after the answer.
    pub recodes_at_cost: bool,
    /// Our offer that waits for an answer.
    #[serde(skip)]
    pub offered: Option<Offer>,
    /// The keys of forks that have described themselves while none has answered for good (TEAMS-102).
    #[serde(skip)]
    pub forks: Vec<SrtpKeys>,
    /// When the first of them did: our stream to them began.
    #[serde(skip)]
    pub forks_since: Option<Moment>,
    /// Another endpoint has answered under a key of ours whose stream it has not heard: our next description has a new one.
    #[serde(default)]
    pub owes_key: bool,
    /// Our last offer, for refreshes.
    #[serde(skip)]
    pub last_offer: Option<Offer>,
}

impl LegMedia {
    /// The sockets, while they can be used.
    pub fn handle(&self) -> Option<LegId> {
        match self.sockets {
            Sockets::Open(handle) => Some(handle),
            Sockets::None | Sockets::Opening | Sockets::Closing(_) => None,
        }
    }

    /// Forgets what was described since `before`, which the peer has refused, or accepted with an answer that nobody can use; the
    /// sockets stay what they are now.
    pub fn bring_back(&mut self, before: LegMedia, accepted: bool) {
        let later = self.local.take();
        *self = LegMedia {
            sockets: self.sockets,
            flows: self.flows,
            // It may have fallen silent meanwhile, or be heard again.
            one_way: self.one_way,
            listens_in_band: self.listens_in_band,
            ..before
        };
        if let (Some(local), Some(later)) = (&mut self.local, &later) {
            local.instead_of(later, accepted);
        }
    }

    /// Whether a hold of ours is under way; then it is taken as accepted, whatever the answer says beside that: who is on hold
    /// sends nothing and hears nothing.
    pub fn holds_without_an_answer(&mut self) -> bool {
        let holds = self
            .offered
            .as_ref()
            .is_some_and(|offer| offer.direction == Direction::Inactive);
        let Some(settled) = self.negotiated.as_mut().filter(|_| holds) else {
            return false;
        };
        settled.direction = Direction::Inactive;
        self.settle();
        true
    }

    /// Makes our offer; the same bytes again when nothing changed.
    pub fn offer(&mut self, terms: &LegTerms, formats: &[Format], direction: Direction) -> Option<String> {
        let settled = self.negotiated.as_ref();
        let formats = settled.map_or_else(|| formats.to_vec(), |settled| settled.keep_numbers(formats));
        let local = self.local.as_mut()?;
        if std::mem::take(&mut self.owes_key) {
            local.take_new_key();
        }
        let offer = sdp::offer(&terms.media, local, &formats, direction);
        let body = offer.body.clone();
        self.described = Some(body.clone());
        self.last_offer = Some(offer.clone());
        self.offered = Some(offer);
        Some(body)
    }

    /// Takes the peer's answer to the pending offer. The offer stays pending when `last` is false: a provisional
    /// response of one fork is not the final word (RFC 3261 §13.2.1).
    pub fn take_answer(&mut self, terms: &LegTerms, body: &[u8], last: bool) -> Result<(), Refusal> {
        let session = Session::parse(body)?;
        let (Some(local), Some(offer)) = (&mut self.local, &self.offered) else {
            return Err(Refusal::NoAudio);
        };
        let negotiated = sdp::read_answer(&terms.media, local, offer, &session)?;
        let asks_to_talk = offer.direction == Direction::SendRecv;
        // While our numbers have not wrapped all forks begin alike, and under a new key so do all who answer.
        let takes_over = |settled: &Negotiated| {
            let goes_on = settled.srtp.as_ref().is_some_and(|keys| keys.local == local.key);
            goes_on && sdp::is_another_endpoint(settled, &session)
        };
        self.owes_key |= last && self.forks.is_empty() && self.negotiated.as_ref().is_some_and(takes_over);
        match (last, &negotiated.srtp) {
            (true, _) => self.settle(),
            (false, Some(keys)) if !self.forks.contains(keys) => {
                self.forks.truncate(MAX_FORKS - 1);
                self.forks.insert(0, keys.clone());
            }
            (false, _) => {}
        }
        // What answers a hold of ours says nothing of the peer's own.
        if asks_to_talk {
            let will = session.audio().map(|audio| audio.direction);
            if self.will != will {
                self.one_way = OneWay::No;
            }
            self.will = will;
        }
        self.negotiated = Some(negotiated);
        self.heard = Some(body.to_vec());
        Ok(())
    }

    /// Takes what a fork says of itself while it rings.
    pub fn take_early_answer(&mut self, terms: &LegTerms, body: &[u8], now: Moment) -> Result<(), Refusal> {
        self.take_answer(terms, body, false)?;
        self.one_way = self.one_way_from_the_start();
        self.forks_since.get_or_insert(now);
        Ok(())
    }

    /// Takes the answer of the fork that wins. Where our numbers may have wrapped meanwhile, one that has not heard all of
    /// them is owed a key.
    pub fn take_last_answer(&mut self, terms: &LegTerms, body: &[u8], now: Moment) -> Result<(), Refusal> {
        if self.forks_since.is_some_and(|since| now.since(since) >= UNWRAPPED) {
            self.forks.clear();
        }
        self.take_answer(terms, body, true)?;
        // The old form of hold is one in an answer too (RFC 3264 §8.4).
        let is_hold = Session::parse(body)?
            .audio()
            .is_some_and(|audio| audio.address.is_unspecified());
        self.one_way = match is_hold {
            true => OneWay::No,
            false => self.one_way_from_the_start(),
        };
        Ok(())
    }

    fn one_way_from_the_start(&self) -> OneWay {
        match self.will() {
            Direction::SendOnly | Direction::RecvOnly => OneWay::FromTheStart,
            Direction::SendRecv | Direction::Inactive => OneWay::No,
        }
    }

    /// The offer is answered for good: no other fork is heard any more.
    pub fn settle(&mut self) {
        self.offered = None;
        self.forks.clear();
    }

    /// Answers the peer's offer with what the other leg settled.
    pub fn answer(
        &mut self,
        terms: &LegTerms,
        offer: &[u8],
        formats: &[Format],
        direction: Direction,
    ) -> Result<String, Refusal> {
        let session = Session::parse(offer)?;
        let repeated = self.is_refresh(offer);
        let local = self.local.as_mut().ok_or(Refusal::NoAudio)?;
        if session.is_switched_off() {
            (self.will, self.one_way) = (Some(Direction::Inactive), OneWay::No);
            // It is settled as before, and nothing flows until the stream has a port again.
            let settled = self.negotiated.as_mut().ok_or(Refusal::NoAudio)?;
            settled.direction = Direction::Inactive;
            settled.remote_rtp.set_port(0);
            settled.remote_rtcp = None;
            let body = sdp::answer_switched_off(local, &session);
            self.described = Some(body.clone());
            self.heard = Some(offer.to_vec());
            return Ok(body);
        }
        // A refusal leaves our side as it was.
        let mut answering = local.clone();
        let settled = self.negotiated.as_ref();
        if self.owes_key || settled.is_some_and(|settled| sdp::is_another_endpoint(settled, &session)) {
            answering.take_new_key();
        }
        let answer = sdp::answer(&terms.media, &mut answering, &session, formats, direction)?;
        *local = answering;
        self.owes_key = false;
        // A refresh repeats what stands, a hold of the other side's too.
        if !repeated {
            self.will = session.audio().map(|audio| audio.direction);
            self.one_way = OneWay::No;
        }
        self.negotiated = Some(answer.negotiated);
        self.described = Some(answer.body.clone());
        self.heard = Some(offer.to_vec());
        Ok(answer.body)
    }

    /// Answers the peer's offer for ourselves: its audio ends here. The error says in words why it can't. A codec that we
    /// don't speak is taken where none of ours is in use that would be lost.
    pub fn answer_alone(&mut self, terms: &LegTerms, offer: &[u8]) -> Result<(), String> {
        let settled = self.negotiated.as_ref();
        let formats = match settled.is_some_and(Negotiated::is_spoken_here) {
            true => sdp::formats_ended_here,
            false => sdp::formats_alone,
        };
        let answered = Session::parse(offer)
            .map_err(Refusal::from)
            .and_then(|session| formats(&session, &terms.media))
            .and_then(|formats| self.answer(terms, offer, &formats, Direction::SendRecv));
        answered.map(|_| ()).map_err(|refusal| refusal.to_string())
    }

    /// Offers again what was described last: byte for byte when the last description was an offer of ours.
    pub fn repeat_offer(&mut self, terms: &LegTerms) -> Option<String> {
        if let (Some(offer), Some(body)) = (self.last_offer.clone(), self.described.clone())
            && offer.body == body
            && !self.owes_key
        {
            self.offered = Some(offer);
            return Some(body);
        }
        let settled = self.negotiated.clone()?;
        self.offer(terms, &settled.formats(), settled.direction)
    }

    /// True when `offer` asks for nothing that is not so already: a session refresh (RFC 4028 §7.4).
    pub fn is_refresh(&self, offer: &[u8]) -> bool {
        let parsed = |body: &[u8]| Session::parse(body).ok();
        match self.heard.as_deref().and_then(parsed).zip(parsed(offer)) {
            Some((before, now)) => now.same_media(&before),
            None => false,
        }
    }

    /// True when what is settled here and on the other leg has no speech codec in common.
    pub fn recodes(&self, other: &LegMedia) -> bool {
        let (Some(here), Some(there)) = (&self.negotiated, &other.negotiated) else {
            return false;
        };
        let mut speech = here.formats.iter().filter(|known| !known.format.codec.is_auxiliary());
        !speech.any(|known| {
            there
                .formats
                .iter()
                .any(|format| format.format.same_codec(&known.format))
        })
    }

    /// Which way its peer wants media to flow, as the peer has said it of its own accord: by an offer, or in answer to one of
    /// ours to talk.
    pub fn will(&self) -> Direction {
        self.will.unwrap_or(Direction::SendRecv)
    }

    /// Whether its peer holds of its own accord, by an offer or by its answer to a re-INVITE: it wants to hear nothing.
    pub fn holds(&self) -> bool {
        !self.will().receives() && self.one_way != OneWay::FromTheStart
    }

    /// Whether its peer wants to be heard, and to hear nothing, and holds nobody.
    pub fn announces(&self) -> bool {
        self.will() == Direction::SendOnly && self.one_way == OneWay::FromTheStart
    }

    /// Whether its peer holds, or may not send.
    pub fn is_on_hold(&self) -> bool {
        let settled = self.negotiated.as_ref();
        self.holds() || settled.is_some_and(|settled| !settled.direction.receives())
    }

    /// Which way media flow as a leg of this style is told it. Where one way can't be said, who holds is told of as inactive, and
    /// who has been one way from the start as open: an announcement is to be heard.
    pub fn told_to(&self, style: HoldStyle) -> Option<Direction> {
        let carried = self.negotiated.as_ref()?.carried_direction();
        Some(match self.one_way {
            OneWay::No => style.offered(carried),
            OneWay::FromTheStart | OneWay::FellSilent => style.answered(Direction::SendRecv, carried),
        })
    }

    /// The name of the codec in use.
    pub fn codec(&self) -> Option<String> {
        Some(self.negotiated.as_ref()?.speech()?.format.codec.name().to_owned())
    }

    /// What the media worker is told, when `other` is the leg that is heard here.
    pub fn worker_config(&self, latch: media::Latch, other: Option<&LegMedia>) -> Option<media::LegConfig> {
        let negotiated = self.negotiated.as_ref()?;
        let map = match other.and_then(|other| other.negotiated.as_ref()) {
            Some(other) => sdp::payload_map(negotiated, other),
            None => [sdp::DROP; 128],
        };
        let mut config = media::LegConfig::negotiated(negotiated, &map, latch);
        if !self.forks.is_empty() {
            config = config.while_forks_ring(&self.forks);
        }
        Some(match other.and_then(|other| other.negotiated.as_ref()) {
            Some(other) => config.recoding(other),
            None => config,
        })
    }
}
