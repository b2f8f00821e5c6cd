//! Text to speech by a server, as jambonz asks a custom vendor: the text in a POST, the audio in the answer.

use super::decode::{DecodeFault, decode, decode_linear};
use super::speech::SpeechFault;
use crate::app::outbound::{Fetched, FileRequest, HookUrl};
use crate::app::verb::{Voice, is_markup};
use crate::config::SpeechService;
use crate::media::Sound;
use serde_json::json;
use std::time::Duration;

/// A text for a speech service.
#[derive(Debug, Clone, PartialEq)]
pub struct Served {
    vendor: String,
    request: FileRequest,
}

/// What a server says that its audio is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AudioKind {
    /// A file that says itself what it is: wav or mp3.
    File,
    /// Samples alone at so many Hz.
    Linear(u32),
    Other(String),
}

impl Served {
    /// `language` such as `en-US`.
    pub fn new(
        service: &SpeechService,
        text: &str,
        language: &str,
        voice: Option<&Voice>,
    ) -> Result<Served, SpeechFault> {
        if text.trim().is_empty() {
            return Err(SpeechFault::Empty);
        }
        let url = HookUrl::parse(service.url.as_str(), None);
        let url = url.map_err(|fault| SpeechFault::Service(fault.to_string()))?;
        let kind = if is_markup(text) { "ssml" } else { "text" };
        let json = json!({
            "language": language,
            "voice": voice.map(Voice::to_json),
            "type": kind,
            "text": text,
        });
        Ok(Served {
            vendor: format!("{}{}", SpeechService::VENDOR_PREFIX, service.name),
            request: FileRequest {
                url,
                bearer: service.token.clone(),
                json,
            },
        })
    }

    /// The vendor, as verbs name it.
    pub(super) fn vendor(&self) -> &str {
        &self.vendor
    }

    pub(super) fn request(&self) -> &FileRequest {
        &self.request
    }

    /// Names it in the cache, among the sounds of its tenant.
    pub(super) fn key(&self) -> String {
        format!("say:{} {}", self.request.url.as_str(), self.request.json)
    }
}

/// The audio of an answer; takes its time.
pub(super) fn read(answer: Fetched, longest: Duration) -> Result<Sound, DecodeFault> {
    match AudioKind::of(answer.content_type.as_deref()) {
        AudioKind::File => decode(answer.bytes.into(), longest),
        AudioKind::Linear(rate) => decode_linear(&answer.bytes, rate, longest),
        AudioKind::Other(kind) => Err(DecodeFault::Format(format!("the server says {kind}"))),
    }
}

impl AudioKind {
    fn of(content_type: Option<&str>) -> AudioKind {
        let text = content_type.unwrap_or_default().to_ascii_lowercase();
        let mut parts = text.split(';').map(str::trim);
        match parts.next().unwrap_or_default() {
            "audio/mpeg" | "audio/mp3" | "audio/wav" | "audio/x-wav" | "audio/wave" | "audio/vnd.wave" => {
                AudioKind::File
            }
            // It says nothing: the file itself does.
            "" | "application/octet-stream" => AudioKind::File,
            "audio/l16" => {
                let parts: Vec<&str> = parts.collect();
                let said = |name: &str| parts.iter().find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
                let number = |text: &str| text.trim_matches('"').parse::<u32>().ok();
                // RFC 2586: one channel where none is said.
                match (said("rate").and_then(number), said("channels").map_or(Some(1), number)) {
                    (Some(rate), Some(1)) => AudioKind::Linear(rate),
                    (Some(_), _) => AudioKind::Other("audio/l16 of several channels; one is expected".to_owned()),
                    (None, _) => AudioKind::Other("audio/l16 without a rate".to_owned()),
                }
            }
            other => AudioKind::Other(other.chars().take(80).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::sounds::decode::tests::tone;
    use crate::codec::tone::level;

    const LONGEST: Duration = Duration::from_secs(10);

    fn answer(kind: Option<&str>, bytes: Vec<u8>) -> Fetched {
        Fetched {
            room: crate::app::outbound::Room::default(),
            bytes: bytes.into(),
            content_type: kind.map(str::to_owned),
            etag: None,
        }
    }

    #[test]
    fn samples_alone_are_read_by_their_rate() {
        for rate in [8_000, 16_000, 24_000, 32_000, 48_000] {
            let bytes: Vec<u8> = tone(rate).iter().flat_map(|sample| sample.to_le_bytes()).collect();
            let kind = format!("audio/L16;rate={rate};channels=1");
            let sound = read(answer(Some(&kind), bytes), LONGEST).expect("a sound");
            assert_eq!(sound.duration(), Duration::from_secs(1), "{rate}");
        }
    }

    #[test]
    fn samples_are_heard_in_either_order_of_their_bytes() {
        let loud: Vec<i16> = tone(16_000).iter().map(|sample| sample * 6).collect();
        let faint: Vec<i16> = tone(16_000).iter().map(|sample| sample / 256).collect();
        for samples in [tone(16_000), loud, faint, vec![0; 16_000]] {
            let heard = |bytes: Vec<u8>| {
                let sound = read(answer(Some("audio/l16;rate=16000"), bytes), LONGEST).expect("a sound");
                sound.heard(Duration::ZERO, Duration::from_secs(1)).to_vec()
            };
            let lower_first = heard(samples.iter().flat_map(|sample| sample.to_le_bytes()).collect());
            let higher_first = heard(samples.iter().flat_map(|sample| sample.to_be_bytes()).collect());
            assert_eq!(lower_first, higher_first);
            let level = level(&lower_first) - level(&samples);
            assert!(level.abs() < 1.0, "{level}");
        }
    }

    #[test]
    fn what_is_no_audio_says_so() {
        let fault = |kind, bytes: &[u8]| read(answer(kind, bytes.to_vec()), LONGEST).err();
        let format = |why: &str| Some(DecodeFault::Format(why.to_owned()));
        assert_eq!(
            fault(Some("text/html; charset=utf-8"), b"<html>"),
            format("the server says text/html")
        );
        assert_eq!(
            fault(Some("audio/l16"), &[0; 320]),
            format("the server says audio/l16 without a rate")
        );
        assert_eq!(
            fault(Some("audio/l16;rate=1"), &[0; 320]),
            Some(DecodeFault::Rate { rate: 1 })
        );
        assert_eq!(fault(Some("audio/l16;rate=8000"), &[]), Some(DecodeFault::Empty));
        let long = vec![0; 2 * 8_000 * 11];
        assert_eq!(
            fault(Some("audio/l16; rate=8000"), &long),
            Some(DecodeFault::TooLong { limit: LONGEST })
        );
        assert!(matches!(fault(None, b"hello"), Some(DecodeFault::Format(_))));
    }
}
