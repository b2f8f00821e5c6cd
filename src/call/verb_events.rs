//! What a connected application hears of its verbs while they run (`verb:status`), where it asked for that with
//! `notifyEvents`.

use super::event::Effect;
use super::id::LegIndex;
use super::value::Call;
use crate::app::payload::{self, Kind, Voiced};
use crate::app::verb::Verb;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// A verb by its name, and what the application calls it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Doing {
    name: Cow<'static, str>,
    id: Option<String>,
}

impl Doing {
    pub(super) fn new(name: &'static str, id: Option<String>) -> Doing {
        Doing {
            name: Cow::Borrowed(name),
            id,
        }
    }

    /// As an application writes it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }
}

/// What is told beside the verb.
#[derive(Clone, Copy)]
enum Detail<'a> {
    None,
    Key(char),
    Voiced(&'a Voiced),
}

impl Call {
    /// A verb of a line begins.
    pub(super) fn verb_begins(&mut self, leg: LegIndex, verb: &Verb) {
        let doing = Doing::new(verb.name(), verb.id().map(str::to_owned));
        self.tell_verb(leg, "starting", &doing, Detail::None);
        if let Some(line) = self.line_mut(leg) {
            line.doing = Some(doing);
        }
    }

    /// The verb of a line is over, where one has begun.
    pub(super) fn verb_ends(&mut self, leg: LegIndex) {
        if let Some(doing) = self.line_mut(leg).and_then(|line| line.doing.take()) {
            self.tell_verb(leg, "finished", &doing, Detail::None);
        }
    }

    /// The call is over, and every verb with it.
    pub(super) fn all_verbs_end(&mut self) {
        for leg in self.legs_with_lines() {
            self.verb_ends(leg);
        }
    }

    /// The text of a sound is spoken.
    pub(super) fn tell_voiced(&mut self, leg: LegIndex, play: u32, voiced: &Voiced) {
        let doing = self.playback(leg).and_then(|playback| playback.doing(play).cloned());
        if let Some(doing) = doing {
            self.tell_verb(leg, "synthesized-audio", &doing, Detail::Voiced(voiced));
        }
    }

    /// A sound begins: the verb that it is of hears of its first one.
    pub(super) fn first_heard(&mut self, leg: LegIndex, play: u32) {
        let doing = self.playback(leg).and_then(|playback| playback.first_heard(play));
        if let Some(doing) = doing {
            self.tell_verb(leg, "start-playback", &doing, Detail::None);
        }
    }

    /// The sounds of a verb have come to their end, or are stopped.
    pub(super) fn no_longer_heard(&mut self, leg: LegIndex, event: &'static str) {
        let doing = self.playback(leg).and_then(|playback| playback.no_longer_heard());
        if let Some(doing) = doing {
            self.tell_verb(leg, event, &doing, Detail::None);
        }
    }

    /// A key ends the prompt of a gathering.
    pub(super) fn tell_bargein(&mut self, leg: LegIndex, digit: char) {
        if let Some(doing) = self.line(leg).and_then(|line| line.doing.clone()) {
            self.tell_verb(leg, "dtmf-bargein-detected", &doing, Detail::Key(digit));
        }
    }

    fn tell_verb(&mut self, leg: LegIndex, event: &'static str, doing: &Doing, detail: Detail<'_>) {
        let Some(app) = &self.app else { return };
        let Some(hook) = app.session.clone().filter(|_| app.notifies) else {
            return;
        };
        let properties = payload::verb_event(&payload::VerbEvent {
            call_sid: self.sid_of(leg),
            event,
            name: &doing.name,
            id: doing.id(),
            digit: match detail {
                Detail::Key(digit) => Some(digit),
                Detail::None | Detail::Voiced(_) => None,
            },
            voiced: match detail {
                Detail::Voiced(voiced) => Some(voiced),
                Detail::None | Detail::Key(_) => None,
            },
        });
        self.effects.push(Effect::Notify {
            leg,
            kind: Kind::VerbStatus,
            hook,
            properties,
        });
    }
}
