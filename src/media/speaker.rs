//! What a leg says by itself: a sound, digits, a gain on what it relays. Legs without any of them have no speaker.

use super::keys::{Keys, Manner, Step};
use super::leg::Leg;
use super::play::{Over, Player};
use super::sound::units;
use super::stats::WorkerStats;
use super::{CannotSend, Ending, MediaEvent, Play, SendDigits, Voice};
use crate::codec::speech::{Decoder, Encoder, Gain, Speech, mix};
use crate::codec::tone::{DigitTone, dtmf};
use crate::moment::Moment;
use crate::rtp::packet::{FIXED_HEADER, Header};
use std::time::Duration;

/// Longest frame, 120 ms at 16 kHz: longer packets of the bridged leg pass as they are.
pub(super) const FRAME: usize = 1_920;

/// The state of what a leg says.
#[derive(Default)]
pub(super) struct Speaker {
    player: Option<Player>,
    keys: Option<Keys>,
    tone: Option<(char, DigitTone)>,
    boost: Option<Gain>,
    encoder: Encoder,
    decoder: Decoder,
    /// The leg is in the worker's pacer.
    pub paced: bool,
}

impl Speaker {
    /// True when nothing of the bridged leg may be sent now.
    pub fn replaces(&self) -> bool {
        self.keys.is_some()
            || self
                .player
                .as_ref()
                .is_some_and(|player| player.play.over == Over::Replace)
    }

    /// True while a sound plays, alone or over the bridged leg.
    pub fn plays(&self) -> bool {
        self.player.is_some()
    }

    /// Treats a payload of the bridged leg in place: gain, and the sound over it.
    pub fn treat(&mut self, codec: Speech, payload: &mut [u8]) {
        if self.player.is_none() && self.boost.is_none() {
            return;
        }
        let (mut frame, mut sound) = ([0i16; FRAME], [0i16; FRAME]);
        let count = payload.len() * codec.samples_per_byte();
        let (Some(frame), Some(sound)) = (frame.get_mut(..count), sound.get_mut(..count)) else {
            return;
        };
        self.decoder.decode(codec, payload, frame);
        if let Some(boost) = self.boost {
            boost.apply(frame);
        }
        if let Some(player) = &mut self.player {
            player.fill(codec, sound);
            mix(frame, sound);
        }
        self.encoder.encode(codec, frame, payload);
    }

    /// Audio of a digit, going on from the last frame of the same digit.
    fn tone(&mut self, digit: char, rate: u32, frame: &mut [i16]) {
        if self.tone.as_ref().is_none_or(|(current, _)| *current != digit) {
            self.tone = dtmf(digit).map(|pair| (digit, DigitTone::new(pair, rate)));
        }
        if let Some((_, tone)) = &mut self.tone {
            tone.fill(frame);
        }
    }
}

impl Leg {
    /// Begins a sound; what was played before is stopped. True when the leg must be paced from now on.
    pub fn play(&mut self, play: Play, totals: &mut WorkerStats) -> bool {
        let voice = match &self.settled {
            None => Err(CannotSend::NotNegotiated),
            Some(settled) => settled.config.voice.ok_or(CannotSend::NoCodec),
        };
        if let Err(why) = voice {
            let (cookie, ending) = (play.cookie, Ending::Failed(why));
            self.tell_played(cookie, ending, Duration::ZERO, totals);
            return false;
        }
        self.stop(None, totals);
        let speaker = self.speaker.get_or_insert_default();
        speaker.player = Some(Player::new(play));
        !std::mem::replace(&mut speaker.paced, true)
    }

    /// Stops the sound, only the one of this cookie when one is given.
    pub fn stop(&mut self, cookie: Option<u64>, totals: &mut WorkerStats) {
        self.end_sound(Ending::Stopped, cookie, totals);
    }

    /// Begins digits; what was being sent before is stopped. True when the leg must be paced from now on.
    pub fn send_digits(&mut self, send: &SendDigits, totals: &mut WorkerStats) -> bool {
        let manner = match &self.settled {
            None => Err(CannotSend::NotNegotiated),
            Some(settled) => match (settled.config.events, settled.config.voice) {
                (Some(number), _) => Ok(Manner::Events(number)),
                (None, Some(_)) => Ok(Manner::InBand),
                (None, None) => Err(CannotSend::NoCodec),
            },
        };
        let manner = match manner {
            Ok(manner) => manner,
            Err(why) => {
                self.tell_digits_sent(send.cookie, Ending::Failed(why), totals);
                return false;
            }
        };
        self.end_digits(Ending::Stopped, totals);
        let speaker = self.speaker.get_or_insert_default();
        speaker.keys = Some(Keys::new(send, manner));
        !std::mem::replace(&mut speaker.paced, true)
    }

    /// The gain of what the bridged leg says, None for none.
    pub fn boost(&mut self, gain: Option<Gain>) {
        match gain.filter(|gain| *gain != Gain::UNITY) {
            Some(gain) => self.speaker.get_or_insert_default().boost = Some(gain),
            None => {
                if let Some(speaker) = &mut self.speaker {
                    speaker.boost = None;
                }
            }
        }
    }

    /// Everything of ours ends with the leg.
    pub fn fall_silent(&mut self, totals: &mut WorkerStats) {
        self.stop(None, totals);
        self.end_digits(Ending::Stopped, totals);
    }

    /// It is with another worker from now on, and in nobody's pacer.
    pub fn leave_pacer(&mut self) {
        if let Some(speaker) = &mut self.speaker {
            speaker.paced = false;
        }
    }

    /// After a new negotiation: what can't go on, ends.
    pub(super) fn speak_anew(&mut self, totals: &mut WorkerStats) {
        let Some(config) = self.settled.as_ref().map(|settled| &settled.config) else {
            return;
        };
        let (voice, events) = (config.voice, config.events);
        let keys = self.speaker.as_ref().and_then(|speaker| speaker.keys.as_ref());
        let keys_end = keys.is_some_and(|keys| match keys.manner {
            Manner::Events(number) => events != Some(number),
            Manner::InBand => voice.is_none(),
        });
        let failed = Ending::Failed(CannotSend::NoCodec);
        if voice.is_none() {
            self.end_sound(failed, None, totals);
        }
        if keys_end {
            self.end_digits(failed, totals);
        }
    }

    /// A packet of our own when one is due; the time until the next one, None when the leg has nothing more to say.
    pub fn speak(&mut self, buffer: &mut [u8], now: Moment, totals: &mut WorkerStats) -> Option<Duration> {
        let said = self.say(buffer, now, totals);
        if said.is_none()
            && let Some(speaker) = &mut self.speaker
        {
            self.outgoing.pause();
            speaker.paced = false;
            speaker.tone = None;
        }
        said
    }

    fn say(&mut self, buffer: &mut [u8], now: Moment, totals: &mut WorkerStats) -> Option<Duration> {
        let config = &self.settled.as_ref()?.config;
        let (interval, voice) = (config.spoken_packet_time(), config.voice);
        let count = units(interval);
        let speaker = self.speaker.as_mut()?;
        if let Some(keys) = &mut speaker.keys {
            let (step, manner) = (keys.step(count), keys.manner);
            if step == Step::Over {
                self.end_digits(Ending::Completed, totals);
            } else {
                self.say_digit(step, manner, voice, count, buffer, now, totals);
                return Some(interval);
            }
        }
        let heard = self.outgoing.is_relaying(now) && self.sends();
        let player = self.speaker.as_mut()?.player.as_mut()?;
        if player.is_over() {
            self.end_sound(Ending::Completed, None, totals);
            return None;
        }
        // while the bridged leg speaks, the sound is mixed into its packets
        if player.play.over == Over::Mix && heard {
            return Some(interval);
        }
        let voice = voice?;
        let mut frame = [0i16; FRAME];
        let frame = frame.get_mut(..count * voice.codec.samples_per_byte())?;
        player.fill(voice.codec, frame);
        self.say_frame(frame, voice, count, buffer, now, totals);
        Some(interval)
    }

    #[allow(clippy::too_many_arguments, reason = "one packet's circumstances")]
    fn say_digit(
        &mut self,
        step: Step,
        manner: Manner,
        voice: Option<Voice>,
        count: usize,
        buffer: &mut [u8],
        now: Moment,
        totals: &mut WorkerStats,
    ) {
        let mut frame = [0i16; FRAME];
        match (step, manner, voice) {
            (Step::Event { payload, begins }, Manner::Events(number), _) => {
                if !self.sends() {
                    return;
                }
                let numbers = self.outgoing.event(self.reports.ssrc(), begins, now);
                if let Some(place) = buffer.get_mut(FIXED_HEADER..FIXED_HEADER + payload.len()) {
                    place.copy_from_slice(&payload);
                    self.send_own(numbers, number, None, payload.len(), buffer, now, totals);
                }
            }
            (Step::Tone(digit), _, Some(voice)) => {
                let Some(frame) = frame.get_mut(..count * voice.codec.samples_per_byte()) else {
                    return;
                };
                if let Some(speaker) = &mut self.speaker {
                    speaker.tone(digit, voice.codec.sample_rate(), frame);
                }
                self.say_frame(frame, voice, count, buffer, now, totals);
            }
            (Step::Silence, _, Some(voice)) => {
                if let Some(speaker) = &mut self.speaker {
                    speaker.tone = None;
                }
                if let Some(frame) = frame.get(..count * voice.codec.samples_per_byte()) {
                    self.say_frame(frame, voice, count, buffer, now, totals);
                }
            }
            _ => {}
        }
    }

    /// Encodes and sends; on hold the time passes without a packet.
    fn say_frame(
        &mut self,
        frame: &[i16],
        voice: Voice,
        count: usize,
        buffer: &mut [u8],
        now: Moment,
        totals: &mut WorkerStats,
    ) {
        if !self.sends() {
            self.outgoing.pause();
            return;
        }
        let Some(speaker) = &mut self.speaker else { return };
        let Some(payload) = buffer.get_mut(FIXED_HEADER..FIXED_HEADER + count) else {
            return;
        };
        speaker.encoder.encode(voice.codec, frame, payload);
        let numbers = self.outgoing.sound(self.reports.ssrc(), count as u32, now);
        let clock_rate = Some(Speech::CLOCK_RATE);
        self.send_own(numbers, voice.number, clock_rate, count, buffer, now, totals);
    }

    #[allow(clippy::too_many_arguments, reason = "one packet's circumstances")]
    fn send_own(
        &mut self,
        numbers: super::outgoing::Numbers,
        number: u8,
        clock_rate: Option<u32>,
        payload_len: usize,
        buffer: &mut [u8],
        now: Moment,
        totals: &mut WorkerStats,
    ) {
        let header = Header {
            marker: numbers.marker,
            payload_type: number,
            sequence: numbers.sequence,
            timestamp: numbers.timestamp,
            ssrc: numbers.ssrc,
            len: FIXED_HEADER,
        };
        if header.write(buffer).is_some() {
            let len = FIXED_HEADER + payload_len;
            self.send_numbered(buffer, len, numbers, clock_rate, payload_len, now, totals);
        }
    }

    fn end_sound(&mut self, ending: Ending, cookie: Option<u64>, totals: &mut WorkerStats) {
        let Some(speaker) = &mut self.speaker else { return };
        let ended = speaker
            .player
            .take_if(|player| cookie.is_none_or(|cookie| player.play.cookie == cookie));
        if let Some(player) = ended {
            self.tell_played(player.play.cookie, ending, player.played(), totals);
        }
    }

    fn end_digits(&mut self, ending: Ending, totals: &mut WorkerStats) {
        let Some(speaker) = &mut self.speaker else { return };
        if let Some(keys) = speaker.keys.take() {
            self.tell_digits_sent(keys.cookie, ending, totals);
        }
    }

    fn tell_played(&self, cookie: u64, ending: Ending, played: Duration, totals: &mut WorkerStats) {
        let leg = self.id;
        let event = MediaEvent::Played {
            leg,
            cookie,
            ending,
            played,
        };
        self.tell(event, totals);
    }

    fn tell_digits_sent(&self, cookie: u64, ending: Ending, totals: &mut WorkerStats) {
        let leg = self.id;
        self.tell(MediaEvent::DigitsSent { leg, cookie, ending }, totals);
    }
}
