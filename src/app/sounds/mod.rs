//! Sounds by name: where they lie, how they are fetched, spoken and decoded, who has them already.
//!
//! In: what an application wrote (`prompts/hello.wav`, `https://…/music.mp3`) or a text and who speaks it, and the tenant that
//! asks. Out: an `Arc<Sound>` that any number of legs play, or a [`SoundFault`] that names the place. Touches: files below
//! one folder, application servers and speech services through [`Fetch`], child processes. Promises: a sound is fetched and
//! decoded once while it is in the cache and its place holds no other, also when many ask at the same time; nobody waits
//! for a look at whether a sound that is there has changed; bytes, seconds, the cache, child processes and decoders are
//! bounded, and no tenant keeps the others from them; nothing outside the folder is ever opened; decoding never runs on a
//! task's thread.

mod cache;
mod decode;
mod files;
mod lately;
mod maker;
mod place;
mod quiet;
mod service;
mod speech;
#[cfg(test)]
mod tests;
mod utterance;
mod work;

pub use cache::Took;
pub use decode::{DecodeFault, decode};
pub use place::{Place, PlaceFault};
pub use service::Served;
pub use speech::{SpeechFault, Spoken};
pub use utterance::Utterance;
pub use work::TooMany;

use self::cache::{Cache, Got, Loaded};
use self::lately::Lately;
use self::maker::Maker;
use super::outbound::{Fetched, FileRequest, HookClient, HookFailure, HookUrl};
use crate::media::Sound;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

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
    /// Files of this machine that are read, or wait to be decoded, at once.
    pub readers: usize,
    /// Sounds of one tenant that wait for any of these.
    pub most_waiting: usize,
}

impl Default for SoundSettings {
    /// 16 MiB and ten minutes a sound, 256 MiB kept, 10 s of patience, a look a minute, no folder; as many at once as the machine has cores,
    /// two at least, twice as many files read, and 100 of a tenant in wait.
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
            readers: 2 * cores,
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
    #[error("sound {name:?} is not there")]
    NotThere { name: String },
    #[error("sound {name:?} is {what}, not a file")]
    NoFile { name: String, what: &'static str },
    #[error("sound {name:?} can't be read: {kind}")]
    File { name: String, kind: io::ErrorKind },
    #[error("sound {name:?} was not read within {} s", .after.as_secs())]
    Unread { name: String, after: Duration },
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
        let name = name.to_owned();
        match error.kind() {
            io::ErrorKind::NotFound => SoundFault::NotThere { name },
            kind => SoundFault::File { name, kind },
        }
    }

    /// There is no such sound any more.
    fn is_gone(&self) -> bool {
        match self {
            SoundFault::NotThere { .. } => true,
            SoundFault::Fetch(HookFailure::Status { status, .. }) => matches!(status, 404 | 410),
            _ => false,
        }
    }
}

/// How long a place whose bytes are no sound is not read again.
const UNREADABLE: Duration = Duration::from_secs(10);

/// The sounds of a node. Whoever drops it ends its looks at what has changed.
pub struct Sounds {
    maker: Arc<Maker>,
    cache: Arc<Cache>,
    /// Places that could not be decoded.
    unreadable: Lately<SoundFault>,
    /// How many were before it: what they keep is not its own.
    generation: u32,
    looks: Mutex<JoinSet<()>>,
}

impl Sounds {
    /// An empty cache.
    pub fn new(settings: SoundSettings, fetch: Arc<dyn Fetch>) -> Sounds {
        Sounds {
            cache: Arc::new(Cache::new(settings.cache_bytes, settings.recheck)),
            maker: Arc::new(Maker::new(settings, fetch)),
            unreadable: Lately::new(UNREADABLE),
            generation: 0,
            looks: Mutex::default(),
        }
    }

    /// Those that take the place of these. What is kept, made and read counts for both, within the bounds of these; nothing that
    /// these keep is heard there.
    pub fn anew(&self, settings: SoundSettings, fetch: Arc<dyn Fetch>) -> Sounds {
        Sounds {
            cache: self.cache.clone(),
            maker: Arc::new(self.maker.anew(settings, fetch)),
            unreadable: Lately::new(UNREADABLE),
            generation: self.generation.wrapping_add(1),
            looks: Mutex::default(),
        }
    }

    fn key(&self, name: &str) -> String {
        format!("{} {name}", self.generation)
    }

    /// The sound at a place, for the account `owner`: as it was at the last look. Where that was too long ago, this call
    /// causes the next one.
    pub async fn at(&self, owner: &str, place: &Place) -> Result<Arc<Sound>, SoundFault> {
        let key = self.key(place.as_str());
        // Whoever waits for the same place asks once it has failed: that is known then.
        let load = async || match self.unreadable.of(&key) {
            Some(fault) => Err(fault),
            None => {
                let loaded = self.maker.load(owner, place, None).await;
                if let Err(fault @ SoundFault::Decode { .. }) = &loaded {
                    self.unreadable.note(&key, fault.clone());
                }
                loaded
            }
        };
        let Got { loaded, is_due } = self.cache.get(&key, load).await?;
        if is_due {
            self.look(owner, place, loaded.clone());
        }
        Ok(loaded.sound)
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
            let sound = self.maker.speak(owner, utterance).await?;
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
        let loaded = self.cache.get(&self.key(&key), speak).await?.loaded;
        Ok((loaded.sound, loaded.took))
    }

    /// How many sounds have made a decoder panic; each is a defect.
    pub fn panics(&self) -> u64 {
        self.maker.panics.load(Ordering::Relaxed)
    }

    /// Looks whether a place still holds what it held `before`; who asks from then on hears what is found. Looks are bounded
    /// by what is kept and how often it is due; what a look fetches and decodes waits for its turn as everything does.
    fn look(&self, owner: &str, place: &Place, before: Loaded) {
        let (maker, cache) = (self.maker.clone(), self.cache.clone());
        let (owner, place, key) = (owner.to_owned(), place.clone(), self.key(place.as_str()));
        let look = async move {
            match maker.load(&owner, &place, Some(&before)).await {
                Ok(now) => cache.replace(&key, &before, now),
                Err(fault) if fault.is_gone() => {
                    cache.remove(&key, &before);
                    tracing::warn!(account = owner, "{fault}: it is played no more");
                }
                Err(fault) => tracing::warn!(account = owner, "{fault}: what was there before is played"),
            }
        };
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        // Room of those that ended; what they return is nothing.
        while looks.try_join_next().is_some() {}
        looks.spawn(look);
    }
}
