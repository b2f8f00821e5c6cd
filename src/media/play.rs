//! Playing a sound on a leg: what is asked for, how far it is, how it ended.

use super::sound::{Sound, duration, units};
use crate::codec::speech::{Gain, Speech};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// A sound for a leg's peer.
#[derive(Debug, Clone)]
pub struct Play {
    /// What to play.
    pub sound: Arc<Sound>,
    /// Comes back in [`MediaEvent::Played`](super::MediaEvent::Played).
    pub cookie: u64,
    /// Where in the sound the first round begins; beyond its end there is nothing to play.
    pub offset: Duration,
    /// How often.
    pub rounds: Rounds,
    /// Louder or softer than recorded.
    pub gain: Gain,
    /// What happens to the bridged leg's audio meanwhile.
    pub over: Over,
}

impl Play {
    /// The whole sound once, as recorded, instead of the bridged leg.
    pub fn once(sound: Arc<Sound>, cookie: u64) -> Play {
        Play {
            sound,
            cookie,
            offset: Duration::ZERO,
            rounds: Rounds::Times(NonZeroU32::MIN),
            gain: Gain::UNITY,
            over: Over::Replace,
        }
    }
}

/// How often a sound is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounds {
    /// So many times.
    Times(NonZeroU32),
    /// Until it is stopped.
    Forever,
}

/// What a sound does to the bridged leg's audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// Nothing of it is sent while the sound plays.
    Replace,
    /// The sound is mixed over it (whisper).
    Mix,
}

/// How something that a leg was asked to send ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// All of it was sent.
    Completed,
    /// By command, because something else took its place, or with the leg.
    Stopped,
    /// It never began, or could not go on.
    Failed(CannotSend),
}

/// Why a leg cannot send audio or digits of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CannotSend {
    /// No offer and answer yet.
    #[error("nothing was negotiated on the leg yet")]
    NotNegotiated,
    /// Only codecs that pass through (G.729).
    #[error("the leg negotiated none of PCMU, PCMA and G.722")]
    NoCodec,
}

/// A sound on its way.
pub struct Player {
    pub play: Play,
    /// The unit that comes next.
    at: usize,
    rounds_left: Option<u32>,
    taken: usize,
}

impl Player {
    pub fn new(play: Play) -> Player {
        let rounds_left = match play.rounds {
            Rounds::Times(times) => Some(times.get()),
            Rounds::Forever => None,
        };
        Player {
            at: units(play.offset),
            rounds_left,
            taken: 0,
            play,
        }
    }

    /// True when nothing is left.
    pub fn is_over(&self) -> bool {
        self.play.sound.units() == 0
            || match self.rounds_left {
                None => false,
                Some(0) => true,
                Some(rounds) => rounds == 1 && self.at >= self.play.sound.units(),
            }
    }

    /// How much of it was taken.
    pub fn played(&self) -> Duration {
        duration(self.taken)
    }

    /// Fills a frame with what comes next, silence behind the end.
    pub fn fill(&mut self, codec: Speech, frame: &mut [i16]) {
        let each = codec.samples_per_byte();
        let mut filled = 0;
        while filled < frame.len() && !self.is_over() {
            if self.at >= self.play.sound.units() {
                self.at = 0;
                self.rounds_left = self.rounds_left.map(|rounds| rounds - 1);
                continue;
            }
            let samples = self.play.sound.from(self.at, codec);
            let room = frame.get_mut(filled..).unwrap_or_default();
            let count = samples.len().min(room.len()) / each * each;
            if count == 0 {
                break;
            }
            for (place, sample) in room.iter_mut().zip(samples).take(count) {
                *place = self.play.gain.of(*sample);
            }
            self.at += count / each;
            self.taken += count / each;
            filled += count;
        }
        frame.get_mut(filled..).unwrap_or_default().fill(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp() -> Arc<Sound> {
        let samples: Vec<i16> = (1..=10).collect();
        Arc::new(Sound::new(&samples, 8_000))
    }

    fn take(player: &mut Player, count: usize) -> Vec<i16> {
        let mut frame = vec![-1; count];
        player.fill(Speech::Pcmu, &mut frame);
        frame
    }

    #[test]
    fn once_and_from_an_offset() {
        let mut player = Player::new(Play {
            offset: Duration::from_micros(6 * 125),
            ..Play::once(ramp(), 1)
        });
        assert_eq!(take(&mut player, 3), [7, 8, 9]);
        assert!(!player.is_over());
        assert_eq!(take(&mut player, 3), [10, 0, 0]);
        assert!(player.is_over());
        assert_eq!(player.played(), Duration::from_micros(4 * 125));
        let beyond = Player::new(Play {
            offset: Duration::from_secs(9),
            ..Play::once(ramp(), 1)
        });
        assert!(beyond.is_over());
    }

    #[test]
    fn rounds_join_without_a_gap() {
        let mut player = Player::new(Play {
            offset: Duration::from_micros(8 * 125),
            rounds: Rounds::Times(NonZeroU32::MIN.saturating_add(1)),
            gain: Gain::decibels(6.0206),
            ..Play::once(ramp(), 1)
        });
        assert_eq!(
            take(&mut player, 14),
            [18, 20, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 0, 0]
        );
        assert!(player.is_over());
    }

    #[test]
    fn forever_is_not_over_but_an_empty_sound_is() {
        let forever = |sound| {
            Player::new(Play {
                rounds: Rounds::Forever,
                ..Play::once(sound, 1)
            })
        };
        let mut player = forever(ramp());
        let samples = take(&mut player, 1_005);
        assert_eq!((samples[1_000], samples[1_004], player.is_over()), (1, 5, false));
        let mut player = forever(Arc::new(Sound::new(&[], 8_000)));
        assert_eq!((take(&mut player, 2), player.is_over()), (vec![0, 0], true));
    }
}
