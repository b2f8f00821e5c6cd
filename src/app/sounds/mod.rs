//! Sounds that applications let callers hear: files of the media folder, files of web servers, and spoken text.
//!
//! In: a [`Source`]. Out: a decoded [`Sound`], kept for the next caller, or a [`SoundError`] that names what to fix. Touches
//! files, the network through [`HookClient`], and the speech synthesiser's process. Promises: a path stays inside the media
//! folder; sizes, lengths and times are bounded; what is asked for by many callers at once is fetched once; decoding runs on
//! threads of its own.

mod cache;
mod decode;
mod file;
mod speech;

use crate::app::outbound::{HookClient, HookUrl};
use crate::call::Source;
use crate::media::Sound;
use cache::Cache;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of one file.
const LARGEST_FILE: usize = 20 * 1_024 * 1_024;
/// For fetching one.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no sound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SoundError {
    #[error("{name}: `media_folder` of [application_servers] names no folder, so that no sound can be named by path")]
    NoFolder { name: String },
    #[error("{name} leads out of the media folder")]
    Outside { name: String },
    #[error("{name}: {why}")]
    Unreadable { name: String, why: String },
    #[error("{name} is longer than {most} bytes")]
    TooLarge { name: String, most: usize },
    #[error("{name} is no wav or mp3 that can be decoded: {why}")]
    NotAudio { name: String, why: String },
    #[error("speech can't be synthesised: {0}")]
    Speech(String),
}

/// Where sounds come from, and those that were heard lately.
#[derive(Clone)]
pub struct Sounds {
    folder: Option<PathBuf>,
    client: HookClient,
    cache: Arc<Cache>,
}

impl Sounds {
    /// Sounds of this folder, and of web servers through `client`.
    pub fn new(folder: Option<PathBuf>, client: HookClient) -> Sounds {
        Sounds {
            folder,
            client,
            cache: Arc::default(),
        }
    }

    /// The same with another configuration; what was heard is kept.
    pub fn reconfigured(&self, folder: Option<PathBuf>, client: HookClient) -> Sounds {
        Sounds {
            folder,
            client,
            cache: self.cache.clone(),
        }
    }

    /// The sound of a source.
    pub async fn sound(&self, source: &Source) -> Result<Arc<Sound>, SoundError> {
        match source {
            Source::Speech { text, language, voice } => {
                let voice = speech::Voice {
                    language: language.clone(),
                    name: voice.clone(),
                };
                let key = format!("speech {voice:?} {text}");
                self.cache.get(key, || self.speak(text, &voice)).await
            }
            Source::Url(url) if url.contains("://") => self.cache.get(url.clone(), || self.fetch(url)).await,
            Source::Url(path) => {
                // A file that was changed is another sound.
                let file = file::find(self.folder.as_deref(), path).await?;
                self.cache.get(file.key(), || self.read(&file)).await
            }
        }
    }

    async fn speak(&self, text: &str, voice: &speech::Voice) -> Result<Sound, SoundError> {
        let wav = speech::synthesise(text, voice).await?;
        decoded("the synthesiser's audio", wav).await
    }

    async fn fetch(&self, url: &str) -> Result<Sound, SoundError> {
        let unreadable = |why: String| SoundError::Unreadable {
            name: url.to_owned(),
            why,
        };
        let parsed = HookUrl::parse(url, None).map_err(|fault| unreadable(fault.to_string()))?;
        let fetched = self.client.fetch(&parsed, LARGEST_FILE, PATIENCE).await;
        let fetched = fetched.map_err(|failure| unreadable(failure.to_string()))?;
        decoded(url, fetched.bytes.to_vec()).await
    }

    async fn read(&self, file: &file::Found) -> Result<Sound, SoundError> {
        let bytes = file.read(LARGEST_FILE).await?;
        decoded(&file.name, bytes).await
    }
}

async fn decoded(name: &str, bytes: Vec<u8>) -> Result<Sound, SoundError> {
    let failed = |why: String| SoundError::NotAudio {
        name: name.to_owned(),
        why,
    };
    let decoding = tokio::task::spawn_blocking(move || decode::decode(bytes));
    match decoding.await {
        Ok(result) => result.map_err(failed),
        // What a file makes a decoder do is that file's fault.
        Err(error) => Err(failed(error.to_string())),
    }
}
