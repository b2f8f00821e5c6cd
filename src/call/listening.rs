//! Keys that come as tones: looked for in what a peer says while somebody waits for keys of it and it sends no events.

use super::application::Running;
use super::event::Effect;
use super::id::LegIndex;
use super::value::Call;

impl Call {
    /// Begins to listen where it has become needed, and ends where it is needed no more: it costs a look at every packet.
    pub(super) fn settle_listening(&mut self) {
        for position in 0..self.legs.len() {
            let leg = &self.legs[position];
            let (index, listens) = (leg.index, leg.media.listens_in_band);
            let Some(handle) = leg.media.handle() else { continue };
            let settled = leg.media.negotiated.as_ref();
            let tones = settled.is_some_and(|settled| settled.telephone_event().is_none());
            let on = tones && (self.wants_keys_of(index) || self.turns_tones(index));
            if on != listens {
                self.legs[position].media.listens_in_band = on;
                self.effects.push(Effect::ListenInBand { handle, on });
            }
        }
    }

    fn wants_keys_of(&self, leg: LegIndex) -> bool {
        let Some(app) = &self.app else { return false };
        let gathers = |running: &Running| matches!(running, Running::Gathering(_));
        let line = app.line(leg).and_then(|line| line.running.as_ref());
        line.is_some_and(gathers) || app.captures.iter().any(|capture| capture.leg == leg)
    }
}
