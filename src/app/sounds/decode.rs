//! wav and mp3, decoded to one channel.

use crate::media::Sound;
use std::io::Cursor;
use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;

/// Longer sounds are refused: decoded they take 48 kB a second.
const LONGEST_SECONDS: usize = 30 * 60;
/// Sampling rates that telephony can be made from.
const RATES: std::ops::RangeInclusive<u32> = 4_000..=192_000;

/// Decodes a whole file. The error says in words what is wrong with it.
pub(super) fn decode(bytes: Vec<u8>) -> Result<Sound, String> {
    let stream = MediaSourceStream::new(Box::new(Cursor::new(bytes)), Default::default());
    let mut format = symphonia::default::get_probe()
        .probe(
            &Hint::new(),
            stream,
            FormatOptions::default(),
            MetadataOptions::default(),
        )
        .map_err(|error| error.to_string())?;
    let track = format.default_track(TrackType::Audio).ok_or("it has no audio")?;
    let parameters = track
        .codec_params
        .as_ref()
        .and_then(|parameters| parameters.audio())
        .ok_or("it has no audio")?;
    let mut decoder = symphonia::default::get_codecs()
        .make_audio_decoder(parameters, &AudioDecoderOptions::default())
        .map_err(|error| error.to_string())?;
    let track = track.id;
    let mut interleaved: Vec<i16> = Vec::new();
    let mut samples: Vec<i16> = Vec::new();
    let mut rate = None;
    loop {
        let packet = match format.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => break,
            // A file that was cut off is heard up to there.
            Err(Error::IoError(_)) if !samples.is_empty() => break,
            Err(error) => return Err(error.to_string()),
        };
        if packet.track_id != track {
            continue;
        }
        let audio = match decoder.decode(&packet) {
            Ok(audio) => audio,
            Err(Error::DecodeError(_)) => continue,
            Err(error) => return Err(error.to_string()),
        };
        let this = audio.spec().rate();
        if !RATES.contains(&this) || *rate.get_or_insert(this) != this {
            return Err(format!("a sampling rate of {this} Hz"));
        }
        let channels = audio.spec().channels().count().max(1);
        interleaved.resize(audio.samples_interleaved(), 0);
        audio.copy_to_slice_interleaved(&mut interleaved);
        samples.extend(interleaved.chunks(channels).map(mixed));
        if samples.len() > LONGEST_SECONDS * this as usize {
            return Err(format!("longer than {LONGEST_SECONDS} s"));
        }
    }
    match rate.filter(|_| !samples.is_empty()) {
        Some(rate) => Ok(Sound::new(&samples, rate)),
        None => Err("it has no samples".into()),
    }
}

/// The mean of all channels.
fn mixed(frame: &[i16]) -> i16 {
    let sum: i32 = frame.iter().map(|sample| i32::from(*sample)).sum();
    let count = i32::try_from(frame.len()).unwrap_or(1).max(1);
    i16::try_from(sum / count).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    /// A second of a tone as a wav of this rate and number of channels.
    pub(crate) fn wav(rate: u32, channels: u16) -> Vec<u8> {
        let frames = rate as usize;
        let data = frames * usize::from(channels) * 2;
        let mut bytes = Vec::with_capacity(44 + data);
        bytes.extend(b"RIFF");
        bytes.extend((36 + data as u32).to_le_bytes());
        bytes.extend(b"WAVEfmt ");
        bytes.extend(16_u32.to_le_bytes());
        bytes.extend(1_u16.to_le_bytes());
        bytes.extend(channels.to_le_bytes());
        bytes.extend(rate.to_le_bytes());
        bytes.extend((rate * u32::from(channels) * 2).to_le_bytes());
        bytes.extend((channels * 2).to_le_bytes());
        bytes.extend(16_u16.to_le_bytes());
        bytes.extend(b"data");
        bytes.extend((data as u32).to_le_bytes());
        for frame in 0..frames {
            let phase = frame as f32 * 440.0 / rate as f32 * std::f32::consts::TAU;
            for _ in 0..channels {
                bytes.extend(((phase.sin() * 8_000.0) as i16).to_le_bytes());
            }
        }
        bytes
    }

    #[test]
    fn a_wav_of_any_rate_is_a_second_long() {
        for (rate, channels) in [(8_000, 1), (16_000, 2), (44_100, 2), (48_000, 1)] {
            let sound = decode(wav(rate, channels)).unwrap();
            assert_eq!(sound.duration(), Duration::from_secs(1), "{rate} {channels}");
        }
    }

    #[test]
    fn what_is_no_audio_says_so() {
        assert!(decode(Vec::new()).is_err());
        assert!(decode(b"<html>not found</html>".to_vec()).is_err());
        assert!(decode(wav(8_000, 1)[..44].to_vec()).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn broken_files_do_no_harm(at in 0_usize..200, byte in any::<u8>(), cut in 0_usize..2_000) {
            let mut bytes = wav(8_000, 1);
            bytes[at] = byte;
            bytes.truncate(16_044 - cut);
            let _decoded = decode(bytes);
        }
    }
}
