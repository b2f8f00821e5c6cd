//! wav and mp3 to a [`Sound`].

use super::quiet::quietly;
use crate::media::Sound;
use std::io::Cursor;
use std::ops::RangeInclusive;
use std::time::Duration;
use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;

/// Why bytes are no sound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeFault {
    #[error("neither wav nor mp3 ({0})")]
    Format(String),
    #[error("no audio that can be decoded ({0})")]
    Codec(String),
    #[error("the audio is empty")]
    Empty,
    #[error("longer than {} s", .limit.as_secs())]
    TooLong { limit: Duration },
    #[error("the sample rate changes within")]
    RateChanges,
    #[error("a sample rate of {rate} Hz, not 4,000 to 192,000")]
    Rate { rate: u32 },
    #[error("{channels} channels, not 1 to {}", CHANNELS.end())]
    Channels { channels: u16 },
    /// A panic, and what it said: for the log.
    #[error("the decoder failed")]
    Broken { said: String },
}

/// Hz; resampling takes memory and time by the rate.
const RATES: RangeInclusive<u32> = 4_000..=192_000;

/// Those that the decoder knows places for. It multiplies by what a header says before it looks whether that can be.
const CHANNELS: RangeInclusive<u16> = 1..=26;

/// Decodes a whole file to mono; takes its time. Damaged parts are left out. A header that makes the decoder panic (one
/// whose sizes overflow does, where overflow is checked) costs its file alone.
pub fn decode(bytes: Vec<u8>, longest: Duration) -> Result<Sound, DecodeFault> {
    quietly(|| decode_whole(bytes, longest)).unwrap_or_else(|said| Err(DecodeFault::Broken { said }))
}

fn decode_whole(mut bytes: Vec<u8>, longest: Duration) -> Result<Sound, DecodeFault> {
    if bytes.is_empty() {
        return Err(DecodeFault::Empty);
    }
    read_wave(&mut bytes)?;
    let source = MediaSourceStream::new(Box::new(Cursor::new(bytes)), Default::default());
    let mut format = symphonia::default::get_probe()
        .probe(
            &Hint::new(),
            source,
            FormatOptions::default(),
            MetadataOptions::default(),
        )
        .map_err(|error| DecodeFault::Format(error.to_string()))?;
    let none = || DecodeFault::Codec("no audio track".into());
    let track = format.default_track(TrackType::Audio).ok_or_else(none)?;
    let id = track.id;
    let parameters = track
        .codec_params
        .as_ref()
        .and_then(|parameters| parameters.audio())
        .ok_or_else(none)?;
    let mut decoder = symphonia::default::get_codecs()
        .make_audio_decoder(parameters, &AudioDecoderOptions::default())
        .map_err(|error| DecodeFault::Codec(error.to_string()))?;
    let (mut rate, mut samples, mut frames) = (0, Vec::new(), Vec::<f32>::new());
    // what ends before its header said it would, ends there
    while let Ok(Some(packet)) = format.next_packet() {
        if packet.track_id != id {
            continue;
        }
        let decoded = match decoder.decode(&packet) {
            Ok(decoded) => decoded,
            Err(Error::DecodeError(_)) => continue,
            Err(error) => return Err(DecodeFault::Codec(error.to_string())),
        };
        let (packet_rate, channels) = (decoded.spec().rate(), decoded.num_planes().max(1));
        if rate != 0 && packet_rate != rate {
            return Err(DecodeFault::RateChanges);
        }
        if !RATES.contains(&packet_rate) {
            return Err(DecodeFault::Rate { rate: packet_rate });
        }
        rate = packet_rate;
        decoded.copy_to_vec_interleaved(&mut frames);
        let mono = |frame: &[f32]| {
            let mean = frame.iter().sum::<f32>() / frame.len() as f32;
            (mean * 32_768.0).round().clamp(-32_768.0, 32_767.0) as i16
        };
        samples.extend(frames.chunks_exact(channels).map(mono));
        if samples.len() as u64 > longest.as_secs().saturating_mul(u64::from(rate)) {
            return Err(DecodeFault::TooLong { limit: longest });
        }
    }
    if samples.is_empty() || rate == 0 {
        return Err(DecodeFault::Empty);
    }
    Ok(Sound::new(&samples, rate))
}

/// 16-bit samples of one channel without a header, in either order of their bytes; takes its time.
pub(super) fn decode_linear(bytes: &[u8], rate: u32, longest: Duration) -> Result<Sound, DecodeFault> {
    if !RATES.contains(&rate) {
        return Err(DecodeFault::Rate { rate });
    }
    let (samples, _odd) = bytes.as_chunks::<2>();
    if samples.is_empty() {
        return Err(DecodeFault::Empty);
    }
    if samples.len() as u64 > longest.as_secs().saturating_mul(u64::from(rate)) {
        return Err(DecodeFault::TooLong { limit: longest });
    }
    Ok(Sound::new(&in_order(samples), rate))
}

/// RFC 2586 sends the higher byte first; servers that were written for jambonz, whose player takes the machine's order, the
/// lower one. Audio read in the wrong order is noise: whichever is far smoother is right.
fn in_order(samples: &[[u8; 2]]) -> Vec<i16> {
    let read = |order: fn([u8; 2]) -> i16| samples.iter().copied().map(order).collect::<Vec<i16>>();
    let roughness = |samples: &[i16]| -> u64 {
        let steps = samples.iter().zip(samples.get(1..).unwrap_or_default());
        steps.map(|(one, next)| u64::from(one.abs_diff(*next))).sum()
    };
    let (lower_first, higher_first) = (read(i16::from_le_bytes), read(i16::from_be_bytes));
    match roughness(&higher_first) < roughness(&lower_first) / 2 {
        true => higher_first,
        false => lower_first,
    }
}

/// Looks through the chunks of a wav, where it is one. Formats that can't be are refused. One that was written to a pipe says
/// that its data is longer than the file: what is there is what counts.
fn read_wave(bytes: &mut [u8]) -> Result<(), DecodeFault> {
    if bytes.get(..4) != Some(b"RIFF") || bytes.get(8..12) != Some(b"WAVE") {
        return Ok(());
    }
    let total = bytes.len();
    let mut at = 12;
    while let Some(header) = bytes.get(at..at + 8) {
        let (Some(kind), Some(length)) = (header.first_chunk::<4>(), header.last_chunk::<4>()) else {
            return Ok(());
        };
        let (is_data, length) = (kind == b"data", u32::from_le_bytes(*length) as usize);
        let begin = at + 8;
        if kind == b"fmt " {
            may_be(bytes.get(begin..).unwrap_or_default())?;
        }
        if is_data && length > total - begin {
            let (real, whole) = ((total - begin) as u32, total.saturating_sub(8) as u32);
            bytes[at + 4..begin].copy_from_slice(&real.to_le_bytes());
            bytes[4..8].copy_from_slice(&whole.to_le_bytes());
        }
        let Some(next) = begin.checked_add(length + length % 2) else {
            return Ok(());
        };
        if is_data {
            return Ok(());
        }
        at = next;
    }
    Ok(())
}

/// Whether what a wav says of its format can be: two bytes of its kind, then channels and rate.
fn may_be(format: &[u8]) -> Result<(), DecodeFault> {
    let Some([_, _, channels @ .., a, b, c, d]) = format.first_chunk::<8>() else {
        return Ok(());
    };
    let (channels, rate) = (u16::from_le_bytes(*channels), u32::from_le_bytes([*a, *b, *c, *d]));
    if !CHANNELS.contains(&channels) {
        return Err(DecodeFault::Channels { channels });
    }
    match RATES.contains(&rate) {
        true => Ok(()),
        false => Err(DecodeFault::Rate { rate }),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::codec::tone::{Detector, Sine, level};
    use proptest::prelude::*;

    const LONGEST: Duration = Duration::from_secs(10);

    /// A wav of 16-bit samples, all channels alike.
    pub fn wave(samples: &[i16], rate: u32, channels: u16) -> Vec<u8> {
        let data: Vec<u8> = samples
            .iter()
            .flat_map(|sample| sample.to_le_bytes().repeat(usize::from(channels)))
            .collect();
        let mut bytes = b"RIFF".to_vec();
        bytes.extend((36 + data.len() as u32).to_le_bytes());
        bytes.extend(b"WAVEfmt \x10\0\0\0\x01\0");
        bytes.extend(channels.to_le_bytes());
        bytes.extend(rate.to_le_bytes());
        bytes.extend((rate * u32::from(channels) * 2).to_le_bytes());
        bytes.extend((channels * 2).to_le_bytes());
        bytes.extend(b"\x10\0data");
        bytes.extend((data.len() as u32).to_le_bytes());
        bytes.extend(data);
        bytes
    }

    pub fn tone(rate: u32) -> Vec<i16> {
        let mut samples = vec![0; rate as usize];
        Sine::new(1_000.0, -20.0, rate).fill(&mut samples);
        samples
    }

    #[test]
    fn waves_of_any_rate_last_a_second() {
        for (rate, channels) in [(8_000, 1), (16_000, 2), (22_050, 1), (44_100, 2), (48_000, 1)] {
            let sound = decode(wave(&tone(rate), rate, channels), LONGEST).expect("decoded");
            assert_eq!(
                sound.duration(),
                Duration::from_secs(1),
                "{rate} Hz, {channels} channels"
            );
        }
    }

    #[test]
    fn an_mp3_has_its_tone() {
        let sound = decode(include_bytes!("../../../tests/data/sounds/tone.mp3").to_vec(), LONGEST).expect("decoded");
        let length = sound.duration();
        assert!(
            (Duration::from_millis(1_450)..Duration::from_millis(1_650)).contains(&length),
            "{length:?}"
        );
        // The encoder begins and ends with a little silence.
        let middle = sound.heard(Duration::from_millis(400), Duration::from_millis(800));
        let tone = Detector::new(700.0, 8_000).level(middle);
        assert!(
            tone > -13.0 && (tone - level(middle)).abs() < 0.5,
            "{tone} of {}",
            level(middle)
        );
    }

    #[test]
    fn a_wave_from_a_pipe_and_a_cut_one_have_what_is_there() {
        let mut piped = wave(&tone(8_000), 8_000, 1);
        piped[4..8].copy_from_slice(&0x7fff_f024u32.to_le_bytes());
        piped[40..44].copy_from_slice(&0x7fff_f000u32.to_le_bytes());
        let whole = decode(piped.clone(), LONGEST).expect("decoded");
        assert_eq!(whole.duration(), Duration::from_secs(1));
        piped.truncate(44 + 8_000);
        let half = decode(piped, LONGEST).expect("decoded");
        assert_eq!(half.duration(), Duration::from_millis(500));
    }

    #[test]
    fn what_is_no_sound_says_so() {
        assert!(matches!(
            decode(b"<html>".repeat(100), LONGEST),
            Err(DecodeFault::Format(_))
        ));
        assert_eq!(decode(Vec::new(), LONGEST).err(), Some(DecodeFault::Empty));
        assert!(decode(wave(&[], 8_000, 1), LONGEST).is_err());
        let fast = wave(&tone(8_000), 4_000_000, 1);
        assert_eq!(decode(fast, LONGEST).err(), Some(DecodeFault::Rate { rate: 4_000_000 }));
        let long = wave(&tone(8_000).repeat(11), 8_000, 1);
        assert_eq!(
            decode(long, LONGEST).err(),
            Some(DecodeFault::TooLong { limit: LONGEST })
        );
    }

    #[test]
    fn headers_that_can_not_be_never_reach_the_decoder() {
        for channels in [0u16, 27, 16_384, 65_535] {
            let mut bytes = wave(&tone(8_000), 8_000, 1);
            bytes[22..24].copy_from_slice(&channels.to_le_bytes());
            // Neither bytes a second nor bytes a frame.
            bytes[28..34].fill(0);
            assert_eq!(decode(bytes, LONGEST).err(), Some(DecodeFault::Channels { channels }));
        }
        for rate in [0u32, 1, 3_999, u32::MAX] {
            let mut bytes = wave(&tone(8_000), 8_000, 1);
            bytes[24..28].copy_from_slice(&rate.to_le_bytes());
            assert_eq!(decode(bytes, LONGEST).err(), Some(DecodeFault::Rate { rate }));
        }
        let surround = wave(&tone(8_000), 8_000, 8);
        assert_eq!(
            decode(surround, LONGEST).map(|sound| sound.duration()),
            Ok(Duration::from_secs(1))
        );
    }

    /// A wav whose places of channels the decoder shifts by more bits than there are.
    pub fn panicking() -> Vec<u8> {
        let plain = wave(&tone(8_000), 8_000, 2);
        let mut bytes = plain[..16].to_vec();
        bytes.extend(40u32.to_le_bytes());
        bytes.extend(b"\xfe\xff");
        bytes.extend(&plain[22..36]);
        bytes.extend(b"\x16\0\x10\0\0\0\0\x80");
        bytes.extend(b"\x01\0\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71");
        bytes.extend(&plain[36..]);
        let length = bytes.len() as u32 - 8;
        bytes[4..8].copy_from_slice(&length.to_le_bytes());
        bytes
    }

    #[test]
    #[cfg(debug_assertions)]
    fn a_panic_of_the_decoder_costs_its_file_alone() {
        let fault = decode(panicking(), LONGEST).err();
        assert!(
            matches!(&fault, Some(DecodeFault::Broken { said }) if said.contains("overflow")),
            "{fault:?}"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn damage_is_survived(at in 0usize..60, value: u8, cut in 0usize..400) {
            let mut bytes = wave(&[100; 160], 8_000, 1);
            bytes[at] = value;
            bytes.truncate(bytes.len() - cut.min(bytes.len()));
            if let Ok(sound) = decode(bytes, LONGEST) {
                prop_assert!(sound.duration() <= LONGEST * 8);
            }
        }
    }
}
