//! Hold while two sides talk (`onHoldHook`): the application says what the other side hears until it is resumed.

use super::application::Why;
use super::event::Source;
use super::id::LegIndex;
use super::playing::Playback;
use super::value::Call;
use crate::app::payload;
use crate::app::verb::Verb;
use crate::moment::Moment;
use crate::sdp::Session;
use crate::sip::message::{HeaderName, Message};
use serde::{Deserialize, Serialize};

/// What is played to the side that was put on hold.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct HoldMusic {
    /// Who put the other side on hold.
    pub by: LegIndex,
    /// Who hears it.
    pub leg: LegIndex,
    pub playback: Option<Playback>,
}

impl Call {
    /// A re-INVITE that was heard: it may begin or end a hold.
    pub(super) fn note_hold_of(&mut self, index: LegIndex, message: &Message, offer: &[u8], now: Moment) {
        let Some(app) = &self.app else { return };
        let holding = Session::parse(offer)
            .ok()
            .and_then(|session| session.audio().map(|audio| !audio.direction.receives()))
            .unwrap_or(false);
        let (held, hook) = (
            app.hold.as_ref().is_some_and(|hold| hold.by == index),
            app.dialing
                .as_ref()
                .and_then(|dialing| dialing.verb.on_hold_hook.clone()),
        );
        match (holding, held, hook, self.partner(index)) {
            (true, false, Some(hook), Some(partner)) if self.bridged.is_some() => {
                let header = |name| message.header(name).unwrap_or_default();
                let details = payload::hold_details(header(HeaderName::From), header(HeaderName::To));
                if let Some(app) = &mut self.app {
                    app.hold = Some(HoldMusic {
                        by: index,
                        leg: partner,
                        playback: None,
                    });
                }
                let mut properties = self.properties(LegIndex::CALLER, now);
                properties.extend(details);
                self.ask_aside(index, Why::Hold, hook, properties);
            }
            (false, true, _, _) => self.stop_hold_music(),
            _ => {}
        }
    }

    /// What the application lets the held side hear.
    pub(super) fn hold_decided(&mut self, verbs: Vec<Verb>, now: Moment) {
        let mut sources = Vec::new();
        for verb in verbs {
            match verb {
                Verb::Say(say) => sources.extend(self.speech(&say)),
                Verb::Play(play) => sources.extend(play.urls.into_iter().map(Source::Url)),
                Verb::Pause(_) => {}
                _ => self.tell_error("onHoldHook", "only say, play and pause can be heard on hold"),
            }
        }
        let Some(hold) = self.app.as_mut().and_then(|app| app.hold.as_mut()) else {
            return;
        };
        if !sources.is_empty() {
            hold.playback = Some(Playback::new(sources, None));
            let leg = hold.leg;
            self.play_next(leg, now);
        }
    }

    pub(super) fn stop_hold_music(&mut self) {
        let Some(hold) = self.app.as_mut().and_then(|app| app.hold.take()) else {
            return;
        };
        if let Some(playback) = hold.playback {
            self.stop_playing(hold.leg, playback.current());
        }
    }
}
