//! Makes sounds: finds or fetches what a place holds, has texts spoken, and decodes, each in its turn.

use super::cache::{Loaded, Mark};
use super::decode::{DecodeFault, decode};
use super::place::{Place, PlaceFault};
use super::service;
use super::speech::PROGRAM;
use super::turns::{Turn, Turns};
use super::{Fetch, SoundFault, SoundSettings, Utterance};
use crate::app::outbound::Room;
use crate::media::Sound;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::time::timeout;

/// Knows how sounds come about, and keeps none.
pub(super) struct Maker {
    pub settings: SoundSettings,
    fetch: Arc<dyn Fetch>,
    speakers: Turns,
    pub decoders: Turns,
}

impl Maker {
    pub fn new(settings: SoundSettings, fetch: Arc<dyn Fetch>) -> Maker {
        Maker {
            speakers: Turns::new("spoken", settings.speakers, settings.most_waiting),
            decoders: Turns::new("decoded", settings.decoders, settings.most_waiting),
            settings,
            fetch,
        }
    }

    /// What a place holds; `before`, where it holds that still.
    pub async fn load(&self, owner: &str, place: &Place, before: Option<&Loaded>) -> Result<Loaded, SoundFault> {
        let longest = self.settings.longest;
        // A file of this machine is read in the turn in which it is decoded, so only so many are in memory.
        let (bytes, mark, room, turn) = match place {
            Place::Tones(tones) => {
                let (name, tones) = (tones.as_str(), tones.clone());
                let made = move || tones.sound(longest).ok_or(DecodeFault::TooLong { limit: longest });
                let sound = self.decoded(owner, name, made).await?;
                return Ok(Loaded::new(sound, Mark::Lasting));
            }
            Place::File(name) => {
                let (path, mark) = self.find(name).await?;
                if let Some(before) = before.filter(|before| before.mark == mark) {
                    return Ok(before.clone());
                }
                let turn = self.turn(&self.decoders, owner).await?;
                (self.read(name, &path).await?, mark, Room::default(), turn)
            }
            Place::Url(url) => {
                let SoundSettings {
                    most_bytes, patience, ..
                } = self.settings;
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
                let turn = self.turn(&self.decoders, owner).await?;
                (Vec::from(fetched.bytes), Mark::Url(fetched.etag), fetched.room, turn)
            }
        };
        // What follows the `?` of a URL may be a secret.
        let name = match place {
            Place::File(name) => name.clone(),
            Place::Url(url) => url.to_string(),
            Place::Tones(tones) => tones.as_str().to_owned(),
        };
        let sound = decoded(turn, &name, move || {
            let _held = room;
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
                let wave = spoken.speak(patience, most_bytes).await?;
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

    async fn turn(&self, turns: &Turns, owner: &str) -> Result<Turn, SoundFault> {
        let patience = self.settings.patience;
        let turn = timeout(patience, turns.take(owner)).await;
        Ok(turn.map_err(|_| SoundFault::Late(patience))??)
    }

    /// Where a file lies, and what tells whether it is another by now.
    async fn find(&self, name: &str) -> Result<(PathBuf, Mark), SoundFault> {
        let failed = |error: io::Error| SoundFault::file(name, &error);
        let folder = self.settings.folder.as_ref().ok_or(PlaceFault::NoFolder)?;
        let folder = tokio::fs::canonicalize(folder).await.map_err(failed)?;
        let path = tokio::fs::canonicalize(folder.join(name)).await.map_err(failed)?;
        // a symbolic link may lead anywhere
        if !path.starts_with(&folder) {
            return Err(SoundFault::Outside { name: name.to_owned() });
        }
        let metadata = tokio::fs::metadata(&path).await.map_err(failed)?;
        if !metadata.is_file() {
            return Err(failed(io::ErrorKind::InvalidInput.into()));
        }
        if metadata.len() > self.settings.most_bytes as u64 {
            return Err(SoundFault::TooLarge {
                name: name.to_owned(),
                bytes: metadata.len(),
                limit: self.settings.most_bytes,
            });
        }
        let mark = Mark::File(metadata.modified().ok(), metadata.len());
        Ok((path, mark))
    }

    async fn read(&self, name: &str, path: &Path) -> Result<Vec<u8>, SoundFault> {
        let read = tokio::fs::read(path).await;
        read.map_err(|error| SoundFault::file(name, &error))
    }

    async fn decoded(
        &self,
        owner: &str,
        name: &str,
        decode: impl FnOnce() -> Result<Sound, DecodeFault> + Send + 'static,
    ) -> Result<Sound, SoundFault> {
        let turn = self.turn(&self.decoders, owner).await?;
        decoded(turn, name, decode).await
    }
}

async fn decoded(
    turn: Turn,
    name: &str,
    decode: impl FnOnce() -> Result<Sound, DecodeFault> + Send + 'static,
) -> Result<Sound, SoundFault> {
    let decoded = tokio::task::spawn_blocking(move || {
        // The work goes on where the wait for it is given up: it keeps its place.
        let _turn = turn;
        decode()
    });
    // a decoder that panics on strange bytes ends this sound alone
    let decoded = decoded.await.unwrap_or(Err(DecodeFault::Broken));
    let name = name.to_owned();
    decoded.map_err(|fault| SoundFault::Decode { name, fault })
}
