//! Keys of one side that go over to the other in the form that it takes (TEAMS-098). An event is relayed as an event by the media
//! worker, a tone as the audio that it is; what changes its form is sent from here, one key at a time.

use super::event::Effect;
use super::id::LegIndex;
use super::leg::Leg;
use super::value::Call;
use crate::dial::KeyForm;
use crate::sip::Method;
use crate::sip::message::HeaderName;
use std::time::Duration;

/// How long a key is held.
const HELD: Duration = Duration::from_millis(120);
/// The number of a key that is passed on: no verb or command waits for it.
pub(super) const KEY_PASSED: u32 = 0;
/// Keys that wait for the one before them; nobody types ahead further.
const MOST_QUEUED: usize = 32;

impl Leg {
    fn takes_events(&self) -> bool {
        let settled = self.media.negotiated.as_ref();
        settled.is_some_and(|settled| settled.telephone_event().is_some())
    }
}

impl Call {
    /// A key in the audio of a leg: an event where it sends events, else a tone that was looked for.
    pub(super) fn pass_key_of_audio(&mut self, index: LegIndex, key: char) {
        let Some((leg, partner)) = self.both(index) else { return };
        match (leg.takes_events(), partner.takes_events()) {
            _ if leg.muted => {}
            // Somebody else listens for its tones, and they go over as the audio that they are.
            (false, _) if leg.terms.keys != KeyForm::Tones => {}
            // Relayed as it is.
            (true, true) => {}
            (false, false) if partner.terms.keys != KeyForm::Info => {}
            // On a static route: an application's caller was answered, events and all, before anybody knew whom it would talk to.
            (true, false) if partner.terms.keys == KeyForm::Events && self.app.is_none() => {}
            _ => self.give_key(partner.index, key),
        }
    }

    /// A key that a peer has sent as INFO, and no other way.
    pub(super) fn pass_key_of_info(&mut self, index: LegIndex, key: char) {
        if let Some((leg, partner)) = self.both(index)
            && !leg.muted
        {
            self.give_key(partner.index, key);
        }
    }

    /// Whether tones are to be looked for in what a leg's peer says: somebody takes them in another form.
    pub(super) fn turns_tones(&self, index: LegIndex) -> bool {
        let both = self.both(index).filter(|_| self.passes_keys());
        both.is_some_and(|(leg, partner)| {
            let turned = partner.takes_events() || partner.terms.keys == KeyForm::Info;
            leg.terms.keys == KeyForm::Tones && leg.is_up() && turned
        })
    }

    /// Whether the two sides are there for each other: an application's caller talks to nobody before its bridge.
    pub(super) fn passes_keys(&self) -> bool {
        self.app.is_none() || self.bridged.is_some()
    }

    fn both(&self, index: LegIndex) -> Option<(&Leg, &Leg)> {
        self.leg(index)
            .zip(self.partner(index).and_then(|partner| self.leg(partner)))
    }

    fn give_key(&mut self, to: LegIndex, key: char) {
        let Some(leg) = self.leg_mut(to) else { return };
        if !leg.takes_events() && leg.terms.keys == KeyForm::Info {
            self.send_info(to, key);
            return;
        }
        let ways = &mut leg.key_ways;
        if ways.queued.len() < MOST_QUEUED {
            ways.queued.push_back(key);
        }
        if !ways.is_sending {
            self.next_key(to);
        }
    }

    /// The key before has been sent. What an application sends is not cut short by them.
    pub(super) fn next_key(&mut self, to: LegIndex) {
        let Some(leg) = self.leg_mut(to) else { return };
        if leg.key_ways.applications.is_some() {
            leg.key_ways.is_sending = false;
            return;
        }
        let (handle, key) = (leg.media.handle(), leg.key_ways.queued.pop_front());
        leg.key_ways.is_sending = handle.is_some() && key.is_some();
        if let (Some(handle), Some(key)) = (handle, key) {
            self.effects.push(Effect::SendDigits {
                handle,
                cookie: KEY_PASSED,
                digits: key.to_string(),
                duration: HELD,
            });
        }
    }

    /// Never to Teams, whose legs take events alone (TEAMS-044).
    fn send_info(&mut self, to: LegIndex, key: char) {
        let request = self.leg_mut(to).filter(|leg| leg.is_up());
        let Some((draft, destination)) = request.and_then(|leg| leg.request(Method::Info)) else {
            return;
        };
        let body = format!("Signal={key}\r\nDuration={}\r\n", HELD.as_millis());
        let contact = self.leg(to).map(Leg::contact).unwrap_or_default();
        let draft = draft
            .header(HeaderName::Contact, contact)
            .body("application/dtmf-relay", body);
        self.send(to, draft, destination);
    }
}
