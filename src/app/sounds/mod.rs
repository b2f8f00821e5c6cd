//! Sounds by name: where they lie, how they are fetched and decoded, who has them already.
//!
//! In: what an application wrote (`prompts/hello.wav`, `https://…/music.mp3`) or a text to speak. Out: an `Arc<Sound>` that
//! any number of legs play, or a [`SoundFault`] that names the place. Touches: files below one folder, application servers
//! through [`Fetch`], a child process. Promises: a sound is fetched and decoded once while it is in the cache, also when
//! many ask at the same time; bytes, seconds and the cache are bounded; nothing outside the folder is ever opened;
//! decoding never runs on a task's thread.

mod cache;
mod decode;
mod place;
mod speech;
#[cfg(test)]
mod tests;

pub use decode::{DecodeFault, decode};
pub use place::{Place, PlaceFault};
pub use speech::{SpeechFault, Spoken};

use self::cache::Cache;
use super::outbound::{Fetched, HookClient, HookFailure, HookUrl};
use crate::media::Sound;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// Limits and places.
#[derive(Debug, Clone)]
pub struct SoundSettings {
    /// Names without a scheme are below this folder; None: there are no such names.
    pub folder: Option<PathBuf>,
    /// Bytes of a file, here or at an application server.
    pub most_bytes: usize,
    /// Of decoded audio.
    pub longest: Duration,
    /// Bytes of decoded audio that are kept.
    pub cache_bytes: usize,
    /// For fetching, and for speaking.
    pub patience: Duration,
}

impl Default for SoundSettings {
    /// 16 MiB and ten minutes a sound, 256 MiB kept, 10 s of patience, no folder.
    fn default() -> SoundSettings {
        SoundSettings {
            folder: None,
            most_bytes: 16 << 20,
            longest: Duration::from_secs(600),
            cache_bytes: 256 << 20,
            patience: Duration::from_secs(10),
        }
    }
}

/// Brings files of application servers.
pub trait Fetch: Send + Sync {
    /// A file of at most `most` bytes within `patience`, for the account `owner`.
    fn fetch<'a>(
        &'a self,
        owner: &'a str,
        url: &'a HookUrl,
        most: usize,
        patience: Duration,
    ) -> Pin<Box<dyn Future<Output = Result<Fetched, HookFailure>> + Send + 'a>>;
}

impl Fetch for HookClient {
    fn fetch<'a>(
        &'a self,
        owner: &'a str,
        url: &'a HookUrl,
        most: usize,
        patience: Duration,
    ) -> Pin<Box<dyn Future<Output = Result<Fetched, HookFailure>> + Send + 'a>> {
        Box::pin(HookClient::fetch(self, owner, url, most, patience))
    }
}

/// Why there is no sound. Every variant but the place's own says which one.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SoundFault {
    #[error(transparent)]
    Place(#[from] PlaceFault),
    #[error("sound {name:?} can't be read: {kind}")]
    File { name: String, kind: io::ErrorKind },
    #[error("sound {name:?} leads out of the folder of sounds")]
    Outside { name: String },
    #[error("sound {name:?} has {bytes} bytes, more than {limit}")]
    TooLarge { name: String, bytes: u64, limit: usize },
    #[error("sound {0}")]
    Fetch(#[from] HookFailure),
    #[error("sound {name:?}: {fault}")]
    Decode { name: String, fault: DecodeFault },
    #[error("text to speech: {0}")]
    Speech(#[from] SpeechFault),
}

/// The sounds of a node.
pub struct Sounds {
    settings: SoundSettings,
    fetch: Arc<dyn Fetch>,
    cache: Cache,
}

impl Sounds {
    /// An empty cache.
    pub fn new(settings: SoundSettings, fetch: Arc<dyn Fetch>) -> Sounds {
        Sounds {
            cache: Cache::new(settings.cache_bytes),
            settings,
            fetch,
        }
    }

    /// The sound at a place, fetched for the account `owner`.
    pub async fn at(&self, owner: &str, place: &Place) -> Result<Arc<Sound>, SoundFault> {
        self.cache.get(place.as_str(), || self.load(owner, place)).await
    }

    /// A text, spoken.
    pub async fn spoken(&self, spoken: &Spoken) -> Result<Arc<Sound>, SoundFault> {
        let speak = || async {
            let wave = spoken.speak(self.settings.patience, self.settings.most_bytes).await?;
            self.decoded("text to speech".to_owned(), wave).await
        };
        self.cache.get(&spoken.key(), speak).await
    }

    async fn load(&self, owner: &str, place: &Place) -> Result<Sound, SoundFault> {
        let bytes = match place {
            Place::File(name) => self.read(name).await?,
            Place::Url(url) => {
                let fetched = self
                    .fetch
                    .fetch(owner, url, self.settings.most_bytes, self.settings.patience)
                    .await?;
                fetched.bytes.to_vec()
            }
        };
        // What follows the `?` of a URL may be a secret.
        let name = match place {
            Place::File(name) => name.clone(),
            Place::Url(url) => url.to_string(),
        };
        self.decoded(name, bytes).await
    }

    async fn read(&self, name: &str) -> Result<Vec<u8>, SoundFault> {
        let failed = |error: io::Error| SoundFault::File {
            name: name.to_owned(),
            kind: error.kind(),
        };
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
        tokio::fs::read(&path).await.map_err(failed)
    }

    async fn decoded(&self, name: String, bytes: Vec<u8>) -> Result<Sound, SoundFault> {
        let longest = self.settings.longest;
        let decoded = tokio::task::spawn_blocking(move || decode(bytes, longest)).await;
        // a decoder that panics on strange bytes ends this sound alone
        let decoded = decoded.unwrap_or(Err(DecodeFault::Broken));
        decoded.map_err(|fault| SoundFault::Decode { name, fault })
    }
}
