//! Sounds by name: where they lie, how they are fetched, spoken and decoded, who has them already.
//!
//! In: what an application wrote (`prompts/hello.wav`, `https://…/music.mp3`) or a text and who speaks it, and the tenant that
//! asks. Out: an `Arc<Sound>` that any number of legs play, or a [`SoundFault`] that names the place. Touches: files below
//! one folder, application servers and speech services through [`Fetch`], child processes. Promises: a sound is fetched and
//! decoded once while it is in the cache and its place holds no other, also when many ask at the same time; bytes, seconds, the cache, child processes and
//! decoders are bounded, and no tenant keeps the others from them; nothing outside the folder is ever opened; decoding never
//! runs on a task's thread.

mod cache;
mod decode;
mod place;
mod service;
mod speech;
#[cfg(test)]
mod tests;
mod turns;
mod utterance;

pub use cache::Took;
pub use decode::{DecodeFault, decode};
pub use place::{Place, PlaceFault};
pub use service::Served;
pub use speech::{SpeechFault, Spoken};
pub use turns::TooMany;
pub use utterance::Utterance;

use self::cache::{Cache, Loaded, Mark};
use self::speech::PROGRAM;
use self::turns::{Turn, Turns};
use super::outbound::{Fetched, FileRequest, HookClient, HookFailure, HookUrl};
use crate::media::Sound;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How long callers wait for a look at whether a sound that is there has changed.
const LOOK_PATIENCE: Duration = Duration::from_secs(2);

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
    /// For fetching, and for speaking with the wait for a turn.
    pub patience: Duration,
    /// A file or URL is looked at again when the last look is this long ago.
    pub recheck: Duration,
    /// Synthesisers of this machine that run at once.
    pub speakers: usize,
    /// Sounds that are decoded at once.
    pub decoders: usize,
    /// Sounds of one tenant that wait for either.
    pub most_waiting: usize,
}

impl Default for SoundSettings {
    /// 16 MiB and ten minutes a sound, 256 MiB kept, 10 s of patience, a look a minute, no folder; as many at once as the machine has cores,
    /// two at least, and 100 of a tenant in wait.
    fn default() -> SoundSettings {
        let cores = std::thread::available_parallelism().map_or(2, |cores| cores.get().max(2));
        SoundSettings {
            folder: None,
            most_bytes: 16 << 20,
            longest: Duration::from_secs(600),
            cache_bytes: 256 << 20,
            patience: Duration::from_secs(10),
            recheck: Duration::from_secs(60),
            speakers: cores,
            decoders: cores,
            most_waiting: 100,
        }
    }
}

/// Brings files of application servers and speech services.
pub trait Fetch: Send + Sync {
    /// A file of at most `most` bytes within `patience`, for the account `owner`.
    fn fetch<'a>(&'a self, owner: &'a str, url: &'a HookUrl, most: usize, patience: Duration) -> Fetching<'a>;

    /// The same for a file that had this `ETag`; `None`: it has it still.
    fn fetch_changed<'a>(
        &'a self,
        owner: &'a str,
        url: &'a HookUrl,
        etag: &'a str,
        most: usize,
        patience: Duration,
    ) -> FetchingChanged<'a>;

    /// A text, spoken: a file of at most `most` bytes within `patience`, for the account `owner`.
    fn speak<'a>(&'a self, owner: &'a str, request: &'a FileRequest, most: usize, patience: Duration) -> Fetching<'a>;
}

/// A file on its way.
pub type Fetching<'a> = Pin<Box<dyn Future<Output = Result<Fetched, HookFailure>> + Send + 'a>>;

/// A file on its way, if it is another one by now.
pub type FetchingChanged<'a> = Pin<Box<dyn Future<Output = Result<Option<Fetched>, HookFailure>> + Send + 'a>>;

impl Fetch for HookClient {
    fn fetch<'a>(&'a self, owner: &'a str, url: &'a HookUrl, most: usize, patience: Duration) -> Fetching<'a> {
        Box::pin(HookClient::fetch(self, owner, url, most, patience))
    }

    fn fetch_changed<'a>(
        &'a self,
        owner: &'a str,
        url: &'a HookUrl,
        etag: &'a str,
        most: usize,
        patience: Duration,
    ) -> FetchingChanged<'a> {
        Box::pin(HookClient::fetch_changed(self, owner, url, etag, most, patience))
    }

    fn speak<'a>(&'a self, owner: &'a str, request: &'a FileRequest, most: usize, patience: Duration) -> Fetching<'a> {
        Box::pin(HookClient::speak(self, owner, request, most, patience))
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
    #[error("text to speech by {vendor}: {failure}")]
    Served { vendor: String, failure: HookFailure },
    #[error(transparent)]
    TooMany(#[from] TooMany),
    #[error("no turn came within {} s", .0.as_secs())]
    Late(Duration),
}

impl SoundFault {
    fn file(name: &str, error: &io::Error) -> SoundFault {
        SoundFault::File {
            name: name.to_owned(),
            kind: error.kind(),
        }
    }

    /// There is no such sound any more.
    fn is_gone(&self) -> bool {
        match self {
            SoundFault::File { kind, .. } => *kind == io::ErrorKind::NotFound,
            SoundFault::Fetch(HookFailure::Status { status, .. }) => matches!(status, 404 | 410),
            _ => false,
        }
    }
}

/// The sounds of a node.
pub struct Sounds {
    settings: SoundSettings,
    fetch: Arc<dyn Fetch>,
    cache: Cache,
    speakers: Turns,
    decoders: Turns,
}

impl Sounds {
    /// An empty cache.
    pub fn new(settings: SoundSettings, fetch: Arc<dyn Fetch>) -> Sounds {
        Sounds {
            cache: Cache::new(settings.cache_bytes, settings.recheck),
            speakers: Turns::new("spoken", settings.speakers, settings.most_waiting),
            decoders: Turns::new("decoded", settings.decoders, settings.most_waiting),
            settings,
            fetch,
        }
    }

    /// The sound at a place, for the account `owner`.
    pub async fn at(&self, owner: &str, place: &Place) -> Result<Arc<Sound>, SoundFault> {
        let load = |before| self.load(owner, place, before);
        Ok(self.cache.get(place.as_str(), load).await?.sound)
    }

    /// A text, spoken for the account `owner`. `fresh`: it is not kept, nor taken from what is kept.
    pub async fn spoken(
        &self,
        owner: &str,
        utterance: &Utterance,
        fresh: bool,
    ) -> Result<(Arc<Sound>, Took), SoundFault> {
        let speak = async || {
            let begun = Instant::now();
            let sound = self.speak(owner, utterance).await?;
            Ok::<_, SoundFault>(Loaded::spoken(sound, begun.elapsed()))
        };
        if fresh {
            let loaded = speak().await?;
            return Ok((loaded.sound, loaded.took));
        }
        let key = match utterance {
            Utterance::Local(spoken) => spoken.key(),
            // What one tenant pays for is not for others.
            Utterance::Served(served) => format!("{owner} {}", served.key()),
        };
        let loaded = self.cache.get(&key, |_| speak()).await?;
        Ok((loaded.sound, loaded.took))
    }

    async fn speak(&self, owner: &str, utterance: &Utterance) -> Result<Sound, SoundFault> {
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

    /// What a place holds; `before`, where it holds that still.
    async fn load(&self, owner: &str, place: &Place, before: Option<Loaded>) -> Result<Loaded, SoundFault> {
        let (bytes, mark) = match place {
            Place::File(name) => {
                let (path, mark) = self.find(name).await?;
                if let Some(before) = before.filter(|before| before.mark == mark) {
                    return Ok(before);
                }
                (self.read(name, &path).await?, mark)
            }
            Place::Url(url) => {
                let fetched = match &before {
                    None => self.fetched(owner, url).await?,
                    Some(before) => match self.fetched_again(owner, url, before).await? {
                        Some(fetched) => fetched,
                        None => return Ok(before.clone()),
                    },
                };
                (fetched.bytes.to_vec(), Mark::Url(fetched.etag))
            }
        };
        // What follows the `?` of a URL may be a secret.
        let name = match place {
            Place::File(name) => name.clone(),
            Place::Url(url) => url.to_string(),
        };
        let longest = self.settings.longest;
        let sound = self.decoded(owner, &name, move || decode(bytes, longest)).await?;
        Ok(Loaded::new(sound, mark))
    }

    async fn fetched(&self, owner: &str, url: &HookUrl) -> Result<Fetched, HookFailure> {
        let SoundSettings {
            most_bytes, patience, ..
        } = self.settings;
        self.fetch.fetch(owner, url, most_bytes, patience).await
    }

    /// What a URL holds that was fetched before; nothing where that is the same. Callers wait: not for long.
    async fn fetched_again(&self, owner: &str, url: &HookUrl, before: &Loaded) -> Result<Option<Fetched>, HookFailure> {
        let (most, patience) = (self.settings.most_bytes, self.settings.patience.min(LOOK_PATIENCE));
        match &before.mark {
            Mark::Url(Some(etag)) => self.fetch.fetch_changed(owner, url, etag, most, patience).await,
            _ => self.fetch.fetch(owner, url, most, patience).await.map(Some),
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
}
