//! Where a sound is, as an application writes it.

use crate::app::outbound::{HookUrl, UrlFault};
use crate::app::tones::{Tones, TonesFault};

/// A sound's place.
#[derive(Debug, Clone, PartialEq)]
pub enum Place {
    /// Below the folder of sounds: components that are plain names, joined by slashes.
    File(String),
    /// At an application server, `http` or `https`.
    Url(HookUrl),
    /// Nowhere: it is made of its description.
    Tones(Tones),
}

/// Why a text names no place of a sound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceFault {
    #[error("sound {name:?} must be a path below the folder of sounds, without `..`, or an http or https URL")]
    Path { name: String },
    #[error("sound {0}")]
    Url(#[from] UrlFault),
    #[error("tone: {0}")]
    Tones(#[from] TonesFault),
    #[error("`{scheme}:` is no scheme of a sound; http and https are")]
    Scheme { scheme: &'static str },
    #[error("no folder of sounds is configured (`media_folder` of `[application_servers]`)")]
    NoFolder,
}

impl Place {
    /// Reads a name below the folder, a URL, or the description of a tone. `base` is the application's own URL, which a path
    /// that begins with a slash belongs to; without it such a path is refused.
    pub fn parse(text: &str, base: Option<&HookUrl>) -> Result<Place, PlaceFault> {
        if Tones::are_meant(text) {
            return Ok(Place::Tones(Tones::read(text)?));
        }
        if text.contains("://") || text.starts_with('/') && base.is_some() {
            let mut url = HookUrl::parse(text, base)?;
            // Of an application over WebSocket, sounds are at the same server.
            if text.starts_with('/') {
                url = url.over_http();
            }
            if url.is_websocket() {
                return Err(PlaceFault::Scheme { scheme: "ws" });
            }
            return Ok(Place::Url(url));
        }
        let plain = |part: &str| {
            !part.is_empty()
                && !part.starts_with('.')
                && !part.contains(|c: char| c.is_control() || c == '\\' || c == ':')
        };
        if text.len() > 512 || !text.split('/').all(plain) {
            let name = text.chars().take(80).collect();
            return Err(PlaceFault::Path { name });
        }
        Ok(Place::File(text.to_owned()))
    }

    /// The place as text; two places are the same when it is.
    pub fn as_str(&self) -> &str {
        match self {
            Place::File(name) => name,
            Place::Url(url) => url.as_str(),
            Place::Tones(tones) => tones.as_str(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_urls() {
        assert_eq!(
            Place::parse("prompts/hello world.wav", None),
            Ok(Place::File("prompts/hello world.wav".into()))
        );
        let url = Place::parse("https://app.example/music.mp3", None).expect("a URL");
        assert_eq!(url.as_str(), "https://app.example/music.mp3");
        let base = HookUrl::parse("https://app.example/incoming", None).expect("a URL");
        let relative = Place::parse("/music.mp3", Some(&base)).expect("of the application");
        assert_eq!(relative, url);
        let base = HookUrl::parse("wss://app.example/session", None).expect("a URL");
        let relative = Place::parse("/music.mp3", Some(&base)).expect("of an application over WebSocket");
        assert_eq!(relative.as_str(), url.as_str());
    }

    #[test]
    fn what_leads_elsewhere_is_refused() {
        for text in [
            "",
            "..",
            "../secret.wav",
            "a/../../secret.wav",
            "/etc/passwd",
            "a//b.wav",
            ".hidden",
            "a\\..\\b",
            "C:autoexec",
            "a\0b",
            "a\nb",
        ] {
            assert!(
                matches!(Place::parse(text, None), Err(PlaceFault::Path { .. })),
                "{text:?}"
            );
        }
        for text in ["file:///etc/passwd", "ftp://x/y", "ws://x/y"] {
            assert!(Place::parse(text, None).is_err(), "{text:?}");
        }
    }
}
