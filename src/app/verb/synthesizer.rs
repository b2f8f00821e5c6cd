//! What speaks a text: vendor, language, voice.

use super::read::{Object, Read};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What an application wants its texts spoken by.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Synthesizer {
    pub voicing: Voicing,
    /// Speaks when the first fails.
    pub fallback: Option<Voicing>,
}

/// Vendor, language and voice; what is absent is as usual.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Voicing {
    /// `custom:<name>` for a speech service of the tenant.
    pub vendor: Option<String>,
    /// Such as `en-US`.
    pub language: Option<String>,
    pub voice: Option<Voice>,
}

/// A voice by its name, or described in the vendor's own way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Voice {
    Name(String),
    Described(Map<String, Value>),
}

impl Synthesizer {
    /// With what is usual where nothing is said. A vendor of its own has a fallback of its own, or none.
    pub fn over(&self, usual: &Synthesizer) -> Synthesizer {
        let voicing = self.voicing.over(&usual.voicing);
        let same = voicing.vendor == usual.voicing.vendor;
        let usual_fallback = usual.fallback.as_ref().filter(|_| same);
        let fallback = match (&self.fallback, usual_fallback) {
            (Some(own), Some(usual)) => Some(own.over(usual)),
            (own, usual) => own.as_ref().or(usual).cloned(),
        };
        Synthesizer { fallback, voicing }
    }
}

impl Voicing {
    /// With what is usual where nothing is said. A voice belongs to its vendor and its language.
    pub fn over(&self, usual: &Voicing) -> Voicing {
        let vendor = self.vendor.clone().or_else(|| usual.vendor.clone());
        let language = self.language.clone().or_else(|| usual.language.clone());
        let same = vendor == usual.vendor && language == usual.language;
        let usual_voice = || usual.voice.clone().filter(|_| same);
        Voicing {
            voice: self.voice.clone().or_else(usual_voice),
            vendor,
            language,
        }
    }
}

impl Voice {
    /// As it stands in JSON.
    pub fn to_json(&self) -> Value {
        match self {
            Voice::Name(name) => Value::from(name.as_str()),
            Voice::Described(properties) => Value::Object(properties.clone()),
        }
    }
}

pub(super) fn read_synthesizer(object: &mut Object) -> Read<Option<Synthesizer>> {
    let Some(mut object) = object.object("synthesizer")? else {
        return Ok(None);
    };
    for name in ["label", "fallbackLabel", "engine", "gender", "options"] {
        object.ignore(name);
    }
    let voicing = read_voicing(&mut object, ["vendor", "language", "voice"])?;
    let fallback = read_voicing(&mut object, ["fallbackVendor", "fallbackLanguage", "fallbackVoice"])?;
    object.finish()?;
    Ok(Some(Synthesizer {
        voicing,
        fallback: Some(fallback).filter(|fallback| *fallback != Voicing::default()),
    }))
}

/// What says that something is as usual.
const USUAL: &str = "default";

/// Whatever is `default` is as usual.
pub(in crate::app) fn read_voicing(object: &mut Object, names: [&'static str; 3]) -> Read<Voicing> {
    let [vendor, language, voice] = names;
    Ok(Voicing {
        vendor: object.line(vendor)?.filter(|vendor| vendor != USUAL),
        language: object.line(language)?.filter(|language| language != USUAL),
        voice: read_voice(object, voice)?,
    })
}

fn read_voice(object: &mut Object, name: &'static str) -> Read<Option<Voice>> {
    match object.is_object(name) {
        true => Ok(object.data(name)?.map(Voice::Described)),
        false => Ok(object.line(name)?.filter(|voice| voice != USUAL).map(Voice::Name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(synthesizer: Value) -> Synthesizer {
        let map = json!({ "synthesizer": synthesizer });
        let mut object = Object::of(String::new(), map).expect("an object");
        read_synthesizer(&mut object).expect("a synthesizer").expect("one")
    }

    #[test]
    fn default_is_as_usual_wherever_it_stands() {
        for name in [
            "vendor",
            "language",
            "voice",
            "label",
            "fallbackVendor",
            "fallbackLanguage",
            "fallbackVoice",
            "fallbackLabel",
        ] {
            assert_eq!(read(json!({ name: "default" })), Synthesizer::default(), "{name}");
        }
        let described = read(json!({ "vendor": "default", "voice": { "name": "alba" } }));
        let usual = Synthesizer {
            voicing: read(json!({ "vendor": "custom:aria", "language": "de-DE" })).voicing,
            fallback: Some(read(json!({ "vendor": "custom:ben", "language": "de-DE" })).voicing),
        };
        let spoken = described.over(&usual);
        assert_eq!(spoken.voicing.vendor, usual.voicing.vendor);
        assert!(matches!(spoken.voicing.voice, Some(Voice::Described(_))));
        let english = read(json!({ "fallbackVendor": "default", "fallbackLanguage": "en-GB" })).over(&usual);
        let fallback = english.fallback.expect("a fallback");
        assert_eq!(
            (fallback.vendor.as_deref(), fallback.language.as_deref()),
            (Some("custom:ben"), Some("en-GB"))
        );
    }
}
