//! Makes sounds: finds or fetches what a place holds, has texts spoken, and decodes, each in its turn.

use super::cache::{Loaded, Mark};
use super::decode::{DecodeFault, decode};
use super::files::{self, Files, Found};
use super::lately::Lately;
use super::place::{Place, PlaceFault};
use super::service;
use super::speech::PROGRAM;
use super::work::Work;
use super::{Fetch, SoundFault, SoundSettings, Utterance};
use crate::app::outbound::Room;
use crate::app::turns::Turn;
use crate::media::Sound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::timeout;

/// How long it is known that the synthesiser lacks a voice: it may be installed.
const LACKED: Duration = Duration::from_secs(60);

/// Knows how sounds come about, and keeps none.
pub(super) struct Maker {
    pub settings: SoundSettings,
    fetch: Arc<dyn Fetch>,
    files: Files,
    speakers: Work,
    pub decoders: Work,
    /// Voices that the synthesiser doesn't have.
    lacked: Lately<()>,
    /// Sounds that made a decoder panic.
    pub panics: Arc<AtomicU64>,
}

impl Maker {
    pub fn new(settings: SoundSettings, fetch: Arc<dyn Fetch>) -> Maker {
        Maker {
            files: Files::new(Work::new("read", settings.readers, settings.most_waiting)),
            speakers: Work::new("spoken", settings.speakers, settings.most_waiting),
            decoders: Work::new("decoded", settings.decoders, settings.most_waiting),
            lacked: Lately::new(LACKED),
            panics: Arc::default(),
            settings,
            fetch,
        }
    }

    /// One that takes the place of this one, within its bounds.
    pub fn anew(&self, settings: SoundSettings, fetch: Arc<dyn Fetch>) -> Maker {
        Maker {
            files: self.files.clone(),
            speakers: self.speakers.clone(),
            decoders: self.decoders.clone(),
            lacked: Lately::new(LACKED),
            panics: self.panics.clone(),
            settings,
            fetch,
        }
    }

    /// What a place holds; `before`, where it holds that still.
    pub async fn load(&self, owner: &str, place: &Place, before: Option<&Loaded>) -> Result<Loaded, SoundFault> {
        let longest = self.settings.longest;
        let SoundSettings {
            most_bytes, patience, ..
        } = self.settings;
        // While a file is in memory it holds room, where it was fetched, or the place of who has read it.
        let (bytes, mark, held) = match place {
            Place::Tones(tones) => {
                let (name, tones) = (tones.as_str(), tones.clone());
                let made = move || tones.sound(longest).ok_or(DecodeFault::TooLong { limit: longest });
                let sound = self.decoded(owner, name, made).await?;
                return Ok(Loaded::new(sound, Mark::Lasting));
            }
            Place::File(name) => {
                let folder = self.settings.folder.clone().ok_or(PlaceFault::NoFolder)?;
                let (below, file, before) = (folder.clone(), name.clone(), before.cloned());
                let read = move || files::find(&below, &file, most_bytes, before);
                match self.files.read(owner, (&folder, name), patience, read).await? {
                    (Found::Same(before), _) => return Ok(before),
                    (Found::New { bytes, mark }, reader) => (bytes, mark, (Room::default(), Some(reader))),
                }
            }
            Place::Url(url) => {
                let fetched = match before.map(|before| (before, &before.mark)) {
                    Some((before, Mark::Url(Some(etag)))) => {
                        let changed = self.fetch.fetch_changed(owner, url, etag, most_bytes, patience).await?;
                        match changed {
                            Some(fetched) => fetched,
                            None => return Ok(before.clone()),
                        }
                    }
                    _ => self.fetch.fetch(owner, url, most_bytes, patience).await?,
                };
                (Vec::from(fetched.bytes), Mark::Url(fetched.etag), (fetched.room, None))
            }
        };
        let turn = self.turn(&self.decoders, owner).await?;
        // What follows the `?` of a URL may be a secret.
        let name = match place {
            Place::File(name) => name.clone(),
            Place::Url(url) => url.to_string(),
            Place::Tones(tones) => tones.as_str().to_owned(),
        };
        let sound = self.decoded_in(turn, owner, &name, move || {
            let _held = held;
            decode(bytes, longest)
        });
        Ok(Loaded::new(sound.await?, mark))
    }

    /// A text, spoken.
    pub async fn speak(&self, owner: &str, utterance: &Utterance) -> Result<Sound, SoundFault> {
        let SoundSettings {
            patience,
            most_bytes,
            longest,
            ..
        } = self.settings;
        match utterance {
            Utterance::Local(spoken) => {
                let _turn = self.turn(&self.speakers, owner).await?;
                let wave = spoken.speak(&self.lacked, patience, most_bytes).await?;
                self.decoded(owner, PROGRAM, move || decode(wave, longest)).await
            }
            Utterance::Served(served) => {
                let answer = self.fetch.speak(owner, served.request(), most_bytes, patience).await;
                let answer = answer.map_err(|failure| SoundFault::Served {
                    vendor: served.vendor().to_owned(),
                    failure,
                })?;
                self.decoded(owner, served.vendor(), move || service::read(answer, longest))
                    .await
            }
        }
    }

    async fn turn(&self, work: &Work, owner: &str) -> Result<Turn, SoundFault> {
        let patience = self.settings.patience;
        let turn = timeout(patience, work.take(owner)).await;
        Ok(turn.map_err(|_| SoundFault::Late(patience))??)
    }

    async fn decoded(
        &self,
        owner: &str,
        name: &str,
        decode: impl FnOnce() -> Result<Sound, DecodeFault> + Send + 'static,
    ) -> Result<Sound, SoundFault> {
        let turn = self.turn(&self.decoders, owner).await?;
        self.decoded_in(turn, owner, name, decode).await
    }

    async fn decoded_in(
        &self,
        turn: Turn,
        owner: &str,
        name: &str,
        decode: impl FnOnce() -> Result<Sound, DecodeFault> + Send + 'static,
    ) -> Result<Sound, SoundFault> {
        let decoded = tokio::task::spawn_blocking(move || {
            // The work goes on where the wait for it is given up: it keeps its place.
            let _turn = turn;
            decode()
        });
        // a decoder that panics on strange bytes ends this sound alone
        let decoded = decoded.await.unwrap_or_else(|ended| {
            let said = ended.to_string();
            Err(DecodeFault::Broken { said })
        });
        if let Err(DecodeFault::Broken { said }) = &decoded {
            self.panics.fetch_add(1, Ordering::Relaxed);
            tracing::error!(account = owner, sound = name, "a sound made the decoder panic: {said}");
        }
        let name = name.to_owned();
        decoded.map_err(|fault| SoundFault::Decode { name, fault })
    }
}
