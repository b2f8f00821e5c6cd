//! Who speaks a text.

use super::service::Served;
use super::speech::PROGRAM;
use super::speech::{SpeechFault, Spoken};
use crate::app::verb::{Voice, Voicing};
use crate::config::{Account, SpeechService};

/// What is spoken where neither a verb nor the configuration says a language.
const LANGUAGE: &str = "en-US";

/// A text, and who speaks it.
#[derive(Debug, Clone, PartialEq)]
pub enum Utterance {
    /// The synthesiser of this machine.
    Local(Spoken),
    /// A speech service of the tenant.
    Served(Served),
}

impl Utterance {
    /// Who speaks it, as verbs name it.
    pub fn vendor(&self) -> &str {
        match self {
            Utterance::Local(_) => PROGRAM,
            Utterance::Served(served) => served.vendor(),
        }
    }

    /// The language that a text is spoken in.
    pub fn language(by: &Voicing) -> &str {
        by.language.as_deref().unwrap_or(LANGUAGE)
    }

    /// The vendor `custom:<name>` is a speech service of the account. Any other is spoken by the synthesiser of this machine,
    /// in the language alone: voices of vendors that are not here mean nothing to it, nor do those that it could not have.
    pub fn new(text: &str, by: &Voicing, account: Option<&Account>) -> Result<Utterance, SpeechFault> {
        let language = Utterance::language(by);
        let vendor = by.vendor.as_deref().unwrap_or(PROGRAM);
        if let Some(name) = vendor.strip_prefix(SpeechService::VENDOR_PREFIX) {
            let service = account.and_then(|account| account.speech_service(name));
            let service = service.ok_or_else(|| SpeechFault::NoService(name.chars().take(64).collect()))?;
            return Served::new(service, text, language, by.voice.as_ref()).map(Utterance::Served);
        }
        let voice = match &by.voice {
            _ if vendor != PROGRAM => None,
            None => None,
            Some(Voice::Name(name)) => Some(name.as_str()),
            Some(Voice::Described(_)) => None,
        };
        Spoken::new(text, voice, language).map(Utterance::Local)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(vendor: Option<&str>, voice: Option<&str>) -> Voicing {
        Voicing {
            vendor: vendor.map(str::to_owned),
            language: Some("de-DE".into()),
            voice: voice.map(|name| Voice::Name(name.into())),
        }
    }

    #[test]
    fn voices_of_other_vendors_mean_nothing_here() {
        let local = |by: &Voicing| match Utterance::new("Hallo", by, None) {
            Ok(Utterance::Local(spoken)) => spoken,
            other => panic!("{other:?}"),
        };
        let german = local(&by(None, None));
        assert_eq!(local(&by(Some("google"), Some("de-DE-Standard-A"))), german);
        assert_ne!(local(&by(None, Some("mb-de3"))), german);
        assert_eq!(local(&by(Some("espeak-ng"), None)), german);
        assert_eq!(local(&by(None, Some("de-DE Katja (Neural)"))), german);
        let described = Voicing {
            voice: Some(Voice::Described(serde_json::Map::new())),
            ..by(None, None)
        };
        assert_eq!(local(&described), german);
    }

    #[test]
    fn a_service_that_is_not_there_is_named() {
        let fault = Utterance::new("Hallo", &by(Some("custom:aria"), None), None).expect_err("no service");
        assert_eq!(fault, SpeechFault::NoService("aria".into()));
    }
}
