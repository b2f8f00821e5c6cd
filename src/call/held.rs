//! Hold while two sides talk (`onHoldHook`): the application says what the other side hears until it is resumed.
//!
//! That side is not told of the hold: it stays open both ways. Who is told is `inactive` where Teams takes part (TEAMS-071,
//! TEAMS-072), and nothing could be played to it. Where the application has nothing to be heard it is told after all.

use super::application::Why;
use super::event::{Reply, Source};
use super::id::LegIndex;
use super::leg::Leg;
use super::playing::Playback;
use super::value::Call;
use crate::app::payload::{self, Properties};
use crate::app::verb::Verb;
use crate::moment::Moment;
use crate::sdp::{Direction, Session};
use crate::sip::message::{HeaderName, Message};
use serde::{Deserialize, Serialize};

/// One side of a bridge has put the other on hold, and the application has a say in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Hold {
    /// Who put the other side on hold.
    by: LegIndex,
    /// Who hears what the application says.
    pub leg: LegIndex,
    stage: Stage,
    /// Who is held has offered a hold too: what the application is to be told of it once the other is back.
    returned: Option<Properties>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Stage {
    /// The re-INVITE is not accepted yet; then the application is asked, with these details.
    Offered(Properties),
    /// By this question.
    Asked(u32),
    Plays(Box<Playback>),
    /// There is nothing to be heard: a hold like any other.
    Silent,
}

impl Hold {
    pub(super) fn playback(&mut self) -> Option<&mut Playback> {
        match &mut self.stage {
            Stage::Plays(playback) => Some(playback),
            Stage::Offered(_) | Stage::Asked(_) | Stage::Silent => None,
        }
    }

    fn is_silent(&self) -> bool {
        matches!(self.stage, Stage::Silent)
    }
}

impl Call {
    /// A peer offers this: the application is asked where that is a hold, and is accepted.
    pub(super) fn note_hold_of(&mut self, index: LegIndex, message: &Message, offer: &[u8]) {
        let partner = self.partner(index).filter(|_| self.bridged.is_some());
        let (Some(app), Some(partner)) = (&mut self.app, partner) else {
            return;
        };
        let dialing = app.dialing.as_ref();
        let asks = dialing.is_some_and(|dialing| dialing.verb.on_hold_hook.is_some());
        if !asks || !Session::parse(offer).is_ok_and(|session| is_hold(&session)) {
            return;
        }
        let header = |name| message.header(name).unwrap_or_default();
        let details = payload::hold_details(header(HeaderName::From), header(HeaderName::To));
        match &mut app.hold {
            None => {
                app.hold = Some(Hold {
                    by: index,
                    leg: partner,
                    stage: Stage::Offered(details),
                    returned: None,
                });
            }
            Some(hold) if hold.leg == index => hold.returned = Some(details),
            Some(_) => {}
        }
    }

    /// What a peer offered is accepted, or it has answered our offer: its hold begins, or is over.
    pub(super) fn hold_settled(&mut self, index: LegIndex, now: Moment) {
        let holds = self.says_of(index, is_hold);
        let hold = self.app.as_mut().and_then(|app| app.hold.as_mut());
        let Some(hold) = hold.filter(|hold| hold.by == index) else {
            return;
        };
        if holds {
            if let Stage::Offered(details) = &mut hold.stage {
                let details = std::mem::take(details);
                self.ask_about_hold(details, now);
            }
            return;
        }
        let (held, returned) = (hold.leg, hold.returned.take());
        self.stop_hold_music();
        let returned = returned.filter(|_| self.says_of(held, is_hold));
        if let (Some(details), Some(app)) = (returned, &mut self.app) {
            app.hold = Some(Hold {
                by: held,
                leg: index,
                stage: Stage::Silent,
                returned: None,
            });
            self.ask_about_hold(details, now);
        }
    }

    /// A caller that was up already and its callee talk from now on. A hold that began before is told to the other side, or
    /// the application is asked; whom somebody held that is gone is to hear and be heard.
    pub(super) fn hold_meets_bridge(&mut self, callee: LegIndex, now: Moment) {
        let holder = [LegIndex::CALLER, callee]
            .into_iter()
            .find(|leg| self.has_chosen_hold(*leg));
        let Some((by, held)) = holder.zip(holder.and_then(|by| self.partner(by))) else {
            if !self.is_open_both_ways(LegIndex::CALLER) {
                self.align_staying(callee, LegIndex::CALLER, now);
            }
            return;
        };
        let asks = self.app.as_ref().and_then(|app| app.dialing.as_ref());
        if asks.is_none_or(|dialing| dialing.verb.on_hold_hook.is_none()) {
            self.align(held, now);
            return;
        }
        let dialog = self.leg(by).and_then(|leg| leg.dialog.as_ref());
        let details = dialog.map(|dialog| payload::hold_details(dialog.remote(), dialog.local()));
        if let Some(app) = &mut self.app {
            app.hold = Some(Hold {
                by,
                leg: held,
                stage: Stage::Silent,
                returned: None,
            });
        }
        self.ask_about_hold(details.unwrap_or_default(), now);
    }

    /// Whether the peer of a leg holds of its own accord, and not because it was put on hold.
    pub(super) fn has_chosen_hold(&self, leg: LegIndex) -> bool {
        self.leg(leg).is_some_and(|leg| leg.media.holds())
    }

    /// Asks what is to be heard during the hold there is.
    fn ask_about_hold(&mut self, details: Properties, now: Moment) {
        let Some(app) = &self.app else { return };
        let hook = app
            .dialing
            .as_ref()
            .and_then(|dialing| dialing.verb.on_hold_hook.clone());
        let (Some(hook), Some(by)) = (hook, app.hold.as_ref().map(|hold| hold.by)) else {
            return;
        };
        let mut properties = self.properties(LegIndex::CALLER, now);
        properties.extend(details);
        let number = self.ask_aside(by, Why::Hold, hook, properties);
        if let Some(hold) = self.app.as_mut().and_then(|app| app.hold.as_mut()) {
            hold.stage = Stage::Asked(number);
        }
    }

    /// What a peer offered is refused.
    pub(super) fn hold_refused(&mut self, index: LegIndex) {
        let refused = |hold: &Hold| hold.by == index && matches!(hold.stage, Stage::Offered(_));
        if let Some(app) = &mut self.app
            && app.hold.as_ref().is_some_and(refused)
        {
            app.hold = None;
        }
    }

    /// What the application lets the held side hear, in answer to this question.
    pub(super) fn hold_decided(&mut self, number: u32, result: Result<Reply, String>, now: Moment) {
        let verbs = result.map_or_else(
            |detail| {
                self.tell_bad_answer(LegIndex::CALLER, "onHoldHook", &detail, now);
                Vec::new()
            },
            |reply| reply.verbs,
        );
        let mut sources = Vec::new();
        for verb in verbs {
            match verb {
                Verb::Say(say) => sources.extend(self.speech(LegIndex::CALLER, &say)),
                Verb::Play(play) => sources.extend(play.urls.into_iter().map(Source::Url)),
                Verb::Pause(_) => {}
                _ => {
                    let why = "only say, play and pause can be heard on hold";
                    self.tell_bad_answer(LegIndex::CALLER, "onHoldHook", why, now);
                }
            }
        }
        let hold = self.app.as_mut().and_then(|app| app.hold.as_mut());
        let Some(hold) = hold.filter(|hold| matches!(hold.stage, Stage::Asked(asked) if asked == number)) else {
            return;
        };
        if sources.is_empty() {
            self.hold_falls_silent(now);
            return;
        }
        hold.stage = Stage::Plays(Box::new(Playback::new(sources, None)));
        let leg = hold.leg;
        self.play_next(leg, now);
        // It came back to a side that holds, and was told of that.
        if !self.is_open_both_ways(leg) && !self.says_of(leg, is_hold) {
            self.align(leg, now);
        }
    }

    /// The application has nothing more for who is on hold: that side is told of it.
    pub(super) fn hold_falls_silent(&mut self, now: Moment) {
        if let Some(hold) = self.app.as_mut().and_then(|app| app.hold.as_mut()) {
            hold.stage = Stage::Silent;
            let leg = hold.leg;
            self.align(leg, now);
        }
    }

    pub(super) fn stop_hold_music(&mut self) {
        let Some(mut hold) = self.app.as_mut().and_then(|app| app.hold.take()) else {
            return;
        };
        let leg = hold.leg;
        if let Some(playback) = hold.playback() {
            let play = playback.current();
            self.stop_playing(leg, play);
        }
    }

    /// Whether the other side is not to hear of the direction that the peer of `index` says.
    pub(super) fn keeps_hold_from_partner(&self, index: LegIndex, said: &Session) -> bool {
        let hold = self.app.as_ref().and_then(|app| app.hold.as_ref());
        hold.is_some_and(|hold| !hold.is_silent() && (hold.leg == index || hold.by == index && is_hold(said)))
    }

    /// Which way the media of a leg flow, where those of the other side flow `so`.
    pub(super) fn direction_beside(&self, index: LegIndex, so: Direction) -> Direction {
        let hold = self.app.as_ref().and_then(|app| app.hold.as_ref());
        let hears = hold.is_some_and(|hold| hold.leg == index && !hold.is_silent());
        let partner = self.partner(index).and_then(|partner| self.leg(partner));
        let plays = partner.is_some_and(|partner| self.says_of(partner.index, |said| partner.plays_on_hold(said)));
        match hears || plays || self.hears_transfer(index) {
            true => Direction::SendRecv,
            false => so,
        }
    }

    /// Whether the peer of a leg has put the other side on hold.
    pub(super) fn holds(&self, leg: LegIndex) -> bool {
        self.says_of(leg, |session| {
            session
                .audio()
                .is_some_and(|audio| audio.direction != Direction::SendRecv)
        })
    }

    /// Whether the media of a leg flow both ways.
    pub(super) fn is_open_both_ways(&self, leg: LegIndex) -> bool {
        let settled = self.leg(leg).and_then(|leg| leg.media.negotiated.as_ref());
        settled.is_some_and(|settled| settled.direction == Direction::SendRecv)
    }

    /// Whether the last description of a leg's peer says so.
    fn says_of(&self, leg: LegIndex, what: impl Fn(&Session) -> bool) -> bool {
        let heard = self.leg(leg).and_then(|leg| leg.media.heard.as_deref());
        let session = heard.and_then(|heard| Session::parse(heard).ok());
        session.is_some_and(|session| what(&session))
    }
}

impl Leg {
    /// Whether the peer holds with this, and what it goes on sending is to be heard (TEAMS-080).
    pub(super) fn plays_on_hold(&self, said: &Session) -> bool {
        let plays = |direction: Direction| direction.sends() && !direction.receives();
        self.terms.music_on_hold && said.audio().is_some_and(|audio| plays(audio.direction))
    }
}

/// Whoever says this listens no more.
fn is_hold(session: &Session) -> bool {
    session.is_switched_off() || session.audio().is_some_and(|audio| !audio.direction.receives())
}
