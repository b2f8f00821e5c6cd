//! What a caller hears while somebody rings: which provisional responses go on to it, and a ringing tone of ours where
//! nothing else sounds.

use super::event::Effect;
use super::id::LegIndex;
use super::last_word::LastWord;
use super::leg::Leg;
use super::value::{Call, Phase};
use crate::config::{Ringing, Tell};
use crate::moment::Moment;
use crate::sdp::{Format, Session};

/// What becomes known of a destination before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// An 18x with this status, without media that could be heard.
    Rings(u16),
    /// An 18x with a description, to which the caller's own is made.
    Describes,
    /// Audio of who has described itself.
    Flows,
}

/// A provisional response to the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Say {
    status: u16,
    described: bool,
}

/// What a caller with these terms is told of a word. A silent 183 ends the ringing tone that a 180 has begun (TEAMS-062).
fn say(terms: Ringing, last: &LastWord, word: Word) -> Option<Say> {
    let plain = |status| Say {
        status,
        described: false,
    };
    let described = Say {
        status: 183,
        described: true,
    };
    let once = |say| (!last.rang).then_some(say);
    match (terms.tell, word) {
        (tell, Word::Rings(status @ (181 | 182))) => {
            let fits = match tell {
                Tell::All => true,
                Tell::Media | Tell::Tone => !last.described,
                Tell::First | Tell::Plain => false,
            };
            (fits && terms.forwarding).then_some(plain(status))
        }
        (Tell::All, Word::Rings(status)) => Some(plain(status)),
        (Tell::All, Word::Describes) => Some(described),
        (Tell::First, Word::Describes) => once(described),
        (Tell::First, Word::Rings(_)) => once(plain(180)),
        (Tell::Plain | Tell::Media | Tell::Tone, Word::Rings(_) | Word::Describes) => once(plain(180)),
        (Tell::Media | Tell::Tone, Word::Flows) => (!last.described).then_some(described),
        (Tell::All | Tell::First | Tell::Plain, Word::Flows) => None,
    }
}

impl Call {
    /// Tells the caller what has become known of a destination, as its terms want it.
    pub(super) fn tell_progress(&mut self, word: Word, now: Moment) {
        let Some(terms) = self.leg(LegIndex::CALLER).map(|caller| caller.terms.ringing) else {
            return;
        };
        let heard_by_tone = terms.tell == Tell::Tone && !self.last_word.described && self.sounds(word, now);
        if !heard_by_tone && let Some(Say { status, described }) = say(terms, &self.last_word, word) {
            self.tell_caller(status, described, now);
        }
        match word {
            Word::Rings(180) => self.ring_where_silent(),
            Word::Rings(_) => {}
            Word::Describes => {
                let flows = self
                    .winner
                    .and_then(|winner| self.leg(winner))
                    .map(|leg| leg.media.flows);
                if flows == Some(true) {
                    self.tell_progress(Word::Flows, now);
                }
            }
            Word::Flows => self.sound_ringing(false),
        }
    }

    /// Gives the caller a description and our tone. False where it can't have them: it rings by itself.
    fn sounds(&mut self, word: Word, now: Moment) -> bool {
        if self.app.is_some() || self.offer.is_none() {
            return false;
        }
        match word {
            Word::Rings(180) if self.only_spoken() && self.early_here(now).is_ok() => {}
            // Its answer is made from the callee's.
            Word::Describes if self.speaks_to_caller() => self.tell_caller(183, true, now),
            _ => return false,
        }
        self.sound_ringing(true);
        true
    }

    /// Audio of a leg's peer has arrived.
    pub(super) fn media_flows(&mut self, index: LegIndex, now: Moment) {
        let Some(leg) = self.leg_mut(index) else { return };
        leg.media.flows = true;
        if self.winner == Some(index) && matches!(self.phase, Phase::Opening | Phase::Ringing) {
            self.tell_progress(Word::Flows, now);
        }
    }

    /// Our tone for a caller that has had our description, and so doesn't ring by itself, and hears nobody: whom it heard has
    /// failed, or is screened, or music has ended, and somebody only rings.
    pub(super) fn ring_where_silent(&mut self) {
        let waits = self
            .leg(LegIndex::CALLER)
            .is_some_and(|caller| caller.waiting.is_some());
        if waits && self.winner.is_none() && self.last_word.described {
            self.sound_ringing(true);
        }
    }

    /// The ringing tone for the caller, or no longer. Where an application has music it is that which is heard.
    pub(super) fn sound_ringing(&mut self, on: bool) {
        let has_music = self.app.as_ref().is_some_and(|app| app.music.is_some());
        let wanted = on && !has_music && self.speaks_to_caller();
        if self.ringing_tone == wanted {
            return;
        }
        self.ringing_tone = wanted;
        if let Some(handle) = self.leg(LegIndex::CALLER).and_then(|caller| caller.media.handle()) {
            self.effects.push(Effect::RingBack { handle, on: wanted });
        }
    }

    /// What is settled with the caller is a codec of ours.
    fn speaks_to_caller(&self) -> bool {
        let settled = self
            .leg(LegIndex::CALLER)
            .and_then(|caller| caller.media.negotiated.as_ref());
        settled.is_some_and(|settled| settled.is_spoken_here())
    }

    /// Nobody who rings has been offered a codec that could not be turned into the caller's, once that is settled.
    fn only_spoken(&self) -> bool {
        let is_ours = |format: &Format| format.codec.is_auxiliary() || format.speech().is_some();
        let offered = |leg: &Leg| {
            let session = Session::parse(leg.media.described.as_deref()?.as_bytes()).ok()?;
            Some(session.audio()?.formats.iter().all(is_ours))
        };
        let callees = self
            .legs
            .iter()
            .skip(1)
            .filter(|leg| leg.invite.is_some() && leg.is_alive());
        callees.map(offered).all(|spoken| spoken == Some(true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: [Word; 7] = [
        Word::Rings(181),
        Word::Rings(180),
        Word::Rings(180),
        Word::Describes,
        Word::Rings(182),
        Word::Flows,
        Word::Rings(180),
    ];

    /// What is told of these words, one after the other: negative with a description.
    fn told(tell: Tell, forwarding: bool, words: &[Word]) -> Vec<i32> {
        let now = Moment::from_micros(1);
        let mut last = LastWord::at(now);
        let mut told = Vec::new();
        for word in words {
            if let Some(said) = say(Ringing { tell, forwarding }, &last, *word) {
                last = last.then(said.status, said.described, now);
                told.push(i32::from(said.status) * if said.described { -1 } else { 1 });
            }
        }
        told
    }

    #[test]
    fn teams_061_062_each_choice_tells_what_it_says() {
        assert_eq!(told(Tell::All, true, &WORDS), [181, 180, 180, -183, 182, 180]);
        assert_eq!(told(Tell::All, false, &WORDS), [180, 180, -183, 180]);
        assert_eq!(told(Tell::Media, true, &WORDS), [181, 180, 182, -183]);
        for tell in [Tell::Media, Tell::Tone] {
            assert_eq!(told(tell, false, &WORDS), [180, -183]);
        }
        for forwarding in [true, false] {
            assert_eq!(told(Tell::First, forwarding, &WORDS), [180]);
            assert_eq!(
                told(Tell::First, forwarding, &[Word::Describes, Word::Rings(180)]),
                [-183]
            );
            assert_eq!(told(Tell::Plain, forwarding, &WORDS), [180]);
            assert_eq!(told(Tell::Plain, forwarding, &[Word::Describes, Word::Flows]), [180]);
        }
    }

    #[test]
    fn teams_062_no_180_turns_into_a_silent_183() {
        let silent = [Word::Describes, Word::Describes, Word::Rings(180)];
        for tell in [Tell::Media, Tell::Plain, Tell::Tone] {
            assert_eq!(told(tell, true, &silent), [180]);
        }
        assert_eq!(told(Tell::First, true, &[Word::Rings(180), Word::Describes]), [180]);
    }
}
