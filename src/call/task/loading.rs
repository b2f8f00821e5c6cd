//! The sounds that a call's verbs name, from where they lie or who speaks them.

use crate::app::outbound::HookUrl;
use crate::app::payload::Voiced;
use crate::app::sounds::{Place, SoundFault, Sounds, Took, Utterance};
use crate::app::verb::Voicing;
use crate::call::event::Source;
use crate::config::Tenant;
use crate::media::Sound;
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

/// What the sounds of one call are loaded with.
#[derive(Clone)]
pub(super) struct Loader {
    pub sounds: Arc<Sounds>,
    /// A path that begins with `/` lies at the application's server.
    pub base: HookUrl,
    /// As it was when the call began.
    pub tenant: Arc<Tenant>,
}

/// What came of loading a sound.
pub(super) struct Found {
    pub result: Result<Arc<Sound>, String>,
    /// Why it isn't the first choice's but the fallback's.
    pub missed: Option<String>,
    /// Who spoke it, where it is a text, and the time that took.
    pub voiced: Option<(Voiced, Took)>,
}

impl Loader {
    /// The sound. What a file makes a decoder do is that file's fault: whoever named it hears of it.
    pub async fn load(&self, source: &Source) -> Found {
        let found = AssertUnwindSafe(self.find(source)).catch_unwind().await;
        found.unwrap_or_else(|_| Found::of(Err("the sound could not be loaded".into())))
    }

    async fn find(&self, source: &Source) -> Found {
        let (text, by, fresh) = match source {
            Source::Url(url) => return Found::of(self.at(url).await),
            Source::Speech { text, by, fresh } => (text, by, *fresh),
        };
        let first = self.spoken(text, &by.voicing, fresh).await;
        let (why, fallback) = match (first, &by.fallback) {
            (Ok((sound, voiced)), _) => return Found::spoken(sound, voiced, None),
            (Err(why), None) => return Found::of(Err(why)),
            (Err(why), Some(fallback)) => (why, fallback),
        };
        match self.spoken(text, fallback, fresh).await {
            Ok((sound, voiced)) => Found::spoken(sound, voiced, Some(format!("the fallback spoke: {why}"))),
            Err(other) => Found::of(Err(format!("{why}; and the fallback: {other}"))),
        }
    }

    async fn at(&self, url: &str) -> Result<Arc<Sound>, String> {
        let place = Place::parse(url, Some(&self.base)).map_err(|fault| fault.to_string())?;
        let found = self.sounds.at(self.owner(), &place).await;
        found.map_err(|fault| fault.to_string())
    }

    async fn spoken(&self, text: &str, by: &Voicing, fresh: bool) -> Result<(Arc<Sound>, (Voiced, Took)), String> {
        let utterance = Utterance::new(text, by, Some(&self.tenant.account));
        let utterance = utterance.map_err(|fault| SoundFault::from(fault).to_string())?;
        let found = self.sounds.spoken(self.owner(), &utterance, fresh).await;
        let (sound, took) = found.map_err(|fault| fault.to_string())?;
        let voiced = Voiced {
            vendor: utterance.vendor().to_owned(),
            language: Utterance::language(by).to_owned(),
            characters: text.chars().count(),
            took: None,
        };
        Ok((sound, (voiced, took)))
    }

    fn owner(&self) -> &str {
        self.tenant.account.sid.as_str()
    }
}

impl Found {
    fn of(result: Result<Arc<Sound>, String>) -> Found {
        Found {
            result,
            missed: None,
            voiced: None,
        }
    }

    fn spoken(sound: Arc<Sound>, voiced: (Voiced, Took), missed: Option<String>) -> Found {
        Found {
            result: Ok(sound),
            missed,
            voiced: Some(voiced),
        }
    }
}
