//! Tones that an application describes instead of a place: `tone_stream://v=-10;%(400,200,425);loops=3`,
//! `silence_stream://1000`. Pure, but for the time that making the samples takes.

use crate::codec::speech::mix;
use crate::codec::tone::Sine;
use crate::media::Sound;
use std::time::Duration;

const TONES: &str = "tone_stream://";
const SILENCE: &str = "silence_stream://";
/// Hz of the samples that are made.
const RATE: u32 = 16_000;
/// Bytes of a description.
const LONGEST_TEXT: usize = 2_048;
/// Of one description, and of the frequencies that sound at once.
const MOST_BURSTS: usize = 32;
const MOST_FREQUENCIES: usize = 8;
/// Hz; what telephones with G.722 can carry.
const HIGHEST: f64 = 7_000.0;
/// Milliseconds of one burst, or of its pause.
const LONGEST_PART: u32 = 60_000;
/// Decibels below full scale that a description without `v` means.
const USUAL_VOLUME: f64 = -7.0;
/// A sine of full scale, in dBov (RFC 6465).
const FULL_SINE: f64 = -3.01;

/// Tones with their pauses, or silence.
#[derive(Debug, Clone, PartialEq)]
pub struct Tones {
    text: String,
    bursts: Vec<Burst>,
    /// How often; `None`: for ever.
    times: Option<u32>,
}

#[derive(Debug, Clone, PartialEq)]
struct Burst {
    on: Duration,
    off: Duration,
    /// Hz; none is silence.
    frequencies: Vec<f64>,
    /// dBov.
    level: f64,
}

/// What of a description is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TonesFault {
    #[error(
        "'{part}' is no part of a tone: %(on,off,frequency,…) in milliseconds and Hz, v=decibels and loops=times are"
    )]
    Part { part: String },
    #[error("'{part}': {why}")]
    Burst { part: String, why: &'static str },
    #[error("there is no %(on,off,frequency,…) in it")]
    Nothing,
    #[error("more than {MOST_BURSTS} bursts")]
    TooMany,
    #[error("'{text}' is no silence: milliseconds are, or -1 for ever")]
    Silence { text: String },
    #[error("more than {LONGEST_TEXT} bytes")]
    TooLong,
    #[error("nothing of it sounds or lasts")]
    Empty,
}

impl Tones {
    /// Whether a text means tones, not a place.
    pub fn are_meant(text: &str) -> bool {
        text.starts_with(TONES) || text.starts_with(SILENCE)
    }

    /// Reads a description.
    ///
    /// # Errors
    /// Which part of it is none, or that it is too long.
    pub fn read(text: &str) -> Result<Tones, TonesFault> {
        if text.len() > LONGEST_TEXT {
            return Err(TonesFault::TooLong);
        }
        let (bursts, times) = match text.strip_prefix(SILENCE) {
            Some(length) => read_silence(length)?,
            None => read_tones(text.strip_prefix(TONES).unwrap_or(text))?,
        };
        if bursts.iter().all(|burst| (burst.on + burst.off).is_zero()) {
            return Err(TonesFault::Empty);
        }
        Ok(Tones {
            text: text.to_owned(),
            bursts,
            times,
        })
    }

    /// The description; two that are alike sound alike.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether they go on for ever. Their sound is one round then.
    pub fn are_endless(&self) -> bool {
        self.times.is_none()
    }

    /// All rounds; `None` when they last for more than `longest`. Takes its time.
    pub fn sound(&self, longest: Duration) -> Option<Sound> {
        let round: Duration = self.bursts.iter().map(|burst| burst.on + burst.off).sum();
        let times = self.times.unwrap_or(1);
        round.checked_mul(times).filter(|all| *all <= longest)?;
        let mut samples = Vec::new();
        for burst in &self.bursts {
            burst.append(&mut samples);
        }
        let round = samples.len();
        for _ in 1..times {
            samples.extend_from_within(..round);
        }
        Some(Sound::new(&samples, RATE))
    }
}

impl Burst {
    fn append(&self, samples: &mut Vec<i16>) {
        let begin = samples.len();
        samples.resize(begin + count(self.on), 0);
        let mut part = vec![0; count(self.on)];
        for frequency in &self.frequencies {
            Sine::new(*frequency, self.level, RATE).fill(&mut part);
            mix(samples.get_mut(begin..).unwrap_or_default(), &part);
        }
        samples.resize(samples.len() + count(self.off), 0);
    }
}

/// Samples of a span.
fn count(span: Duration) -> usize {
    usize::try_from(span.as_millis()).unwrap_or(0) * (RATE / 1_000) as usize
}

type Read = (Vec<Burst>, Option<u32>);

fn read_tones(text: &str) -> Result<Read, TonesFault> {
    let (mut bursts, mut times, mut volume) = (Vec::new(), Some(1), USUAL_VOLUME);
    for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
        let unknown = || TonesFault::Part { part: shown(part) };
        if let Some(inside) = part.strip_prefix("%(").and_then(|part| part.strip_suffix(')')) {
            bursts.push(read_burst(inside, volume).map_err(|why| TonesFault::Burst { part: shown(part), why })?);
        } else if let Some(decibels) = part.strip_prefix("v=") {
            let decibels: f64 = decibels.trim().parse().map_err(|_| unknown())?;
            volume = Some(decibels)
                .filter(|decibels| (-63.0..=0.0).contains(decibels))
                .ok_or_else(unknown)?;
        } else if let Some(rounds) = part.strip_prefix("loops=") {
            times = match rounds.trim().parse::<i32>() {
                Ok(-1) => None,
                Ok(rounds @ 1..=10_000) => Some(rounds.unsigned_abs()),
                _ => return Err(unknown()),
            };
        } else {
            return Err(unknown());
        }
    }
    match bursts.len() {
        0 => Err(TonesFault::Nothing),
        1..=MOST_BURSTS => Ok((bursts, times)),
        _ => Err(TonesFault::TooMany),
    }
}

fn read_burst(inside: &str, volume: f64) -> Result<Burst, &'static str> {
    let mut numbers = inside.split(',').map(str::trim);
    let mut span = || {
        let span = numbers.next().and_then(|number| number.parse::<u32>().ok());
        let span = span.filter(|span| *span <= LONGEST_PART);
        span.map(|span| Duration::from_millis(u64::from(span)))
            .ok_or("milliseconds up to 60000 are expected first, of the tone and of the pause behind it")
    };
    let (on, off) = (span()?, span()?);
    let frequency = |number: &str| {
        let frequency = number.parse::<f64>().ok();
        frequency.filter(|frequency| (1.0..=HIGHEST).contains(frequency))
    };
    let frequencies: Option<Vec<f64>> = numbers.map(frequency).collect();
    match frequencies {
        Some(frequencies) if (1..=MOST_FREQUENCIES).contains(&frequencies.len()) => Ok(Burst {
            on,
            off,
            frequencies,
            level: volume + FULL_SINE,
        }),
        _ => Err("one to eight frequencies up to 7000 Hz are expected behind tone and pause"),
    }
}

fn read_silence(text: &str) -> Result<Read, TonesFault> {
    // Comfort noise is not made: none is what the second number may ask for.
    let length = text.strip_suffix(",0").unwrap_or(text).trim().parse::<i32>();
    let silence = |millis: u64| {
        vec![Burst {
            on: Duration::ZERO,
            off: Duration::from_millis(millis),
            frequencies: Vec::new(),
            level: USUAL_VOLUME,
        }]
    };
    match length {
        Ok(-1) => Ok((silence(1_000), None)),
        Ok(millis @ 1..) => Ok((silence(u64::from(millis.unsigned_abs())), Some(1))),
        _ => Err(TonesFault::Silence { text: shown(text) }),
    }
}

fn shown(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tone::{Detector, level};

    const LONGEST: Duration = Duration::from_secs(60);

    fn sound(text: &str) -> Sound {
        Tones::read(text).expect("tones").sound(LONGEST).expect("a sound")
    }

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_ringing_tone_is_heard_with_its_pause() {
        let sound = sound("tone_stream://v=-17;%(400,200,440,480);loops=2");
        assert_eq!(sound.duration(), millis(1_200));
        for begin in [0, 600] {
            let on = sound.heard(millis(begin + 50), millis(begin + 350));
            for frequency in [440.0, 480.0] {
                let heard = Detector::new(frequency, 8_000).level(on);
                assert!((heard + 20.0).abs() < 1.0, "{frequency} Hz at {heard} dBov");
            }
            let off = sound.heard(millis(begin + 450), millis(begin + 550));
            assert!(level(off) < -60.0, "{}", level(off));
        }
    }

    #[test]
    fn a_volume_holds_from_where_it_stands() {
        let sound = sound("tone_stream://%(100,0,941.0,1477.0);v=-30;%(100, 0, 640)");
        let (loud, quiet) = (
            level(sound.heard(millis(20), millis(80))),
            level(sound.heard(millis(120), millis(180))),
        );
        assert!(loud > -12.0 && (quiet + 33.0).abs() < 1.0, "{loud}, {quiet}");
    }

    #[test]
    fn silence_is_as_long_as_it_says() {
        let quiet = sound("silence_stream://1500");
        assert_eq!(
            (quiet.duration(), level(quiet.heard(millis(0), millis(1_500)))),
            (millis(1_500), -127.0)
        );
        for (text, endless) in [
            ("silence_stream://-1", true),
            ("silence_stream://20,0", false),
            ("tone_stream://%(2000,4000,440,480);loops=-1", true),
        ] {
            assert_eq!(Tones::read(text).expect(text).are_endless(), endless, "{text}");
        }
    }

    #[test]
    fn what_is_no_description_says_which_part() {
        for (text, part) in [
            ("tone_stream://", "there is no"),
            ("tone_stream://v=-7", "there is no"),
            ("tone_stream://%(100,0,440);x=3", "'x=3'"),
            ("tone_stream://%(100,0)", "frequencies"),
            ("tone_stream://%(100,0,9000)", "frequencies"),
            ("tone_stream://%(100,440)", "frequencies"),
            ("tone_stream://%(-5,0,440)", "milliseconds"),
            ("tone_stream://%(100,0,440);v=7", "'v=7'"),
            ("tone_stream://%(100,0,440);loops=0", "'loops=0'"),
            ("tone_stream://path=/etc/passwd", "'path="),
            ("silence_stream://soon", "'soon'"),
            ("silence_stream://0", "'0'"),
            ("silence_stream://1000,1400", "no silence"),
        ] {
            let fault = Tones::read(text).expect_err(text).to_string();
            assert!(fault.contains(part), "{text}: {fault}");
        }
        let many = format!("tone_stream://{}", "%(1,0,440);".repeat(MOST_BURSTS + 1));
        assert_eq!(Tones::read(&many), Err(TonesFault::TooMany));
        let long = Tones::read("tone_stream://%(60000,60000,440);loops=10000").expect("tones");
        assert!(long.sound(LONGEST).is_none());
        assert_eq!(Tones::read("tone_stream://%(0,0,440)"), Err(TonesFault::Empty));
        let volumes = format!("tone_stream://{}%(1,0,440)", "v=-7;".repeat(500));
        assert_eq!(Tones::read(&volumes), Err(TonesFault::TooLong));
    }
}
