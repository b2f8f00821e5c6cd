//! Sounds that were heard lately, up to a number of bytes; the one that was heard longest ago goes first.

use super::SoundError;
use crate::media::Sound;
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::time::Instant;

/// Bytes of all sounds that are kept.
const MOST_BYTES: usize = 128 * 1_024 * 1_024;
/// What a web server has said is believed for this long.
const FRESH: Duration = Duration::from_secs(300);

type Cell = Arc<OnceCell<Arc<Sound>>>;

#[derive(Default)]
pub(super) struct Cache {
    entries: Mutex<HashMap<String, Entry>>,
}

struct Entry {
    cell: Cell,
    made: Instant,
    heard: Instant,
}

impl Cache {
    /// The sound of this name; who asks while it is being made waits for it. A failure is not kept.
    pub(super) async fn get<F>(&self, key: String, make: impl FnOnce() -> F) -> Result<Arc<Sound>, SoundError>
    where
        F: Future<Output = Result<Sound, SoundError>>,
    {
        let cell = self.cell(key);
        let sound = cell
            .get_or_try_init(|| async { make().await.map(Arc::new) })
            .await?
            .clone();
        self.shrink();
        Ok(sound)
    }

    fn cell(&self, key: String) -> Cell {
        let now = Instant::now();
        let mut entries = self.lock();
        let entry = entries.entry(key).or_insert_with(|| Entry {
            cell: Cell::default(),
            made: now,
            heard: now,
        });
        if now.duration_since(entry.made) > FRESH {
            (entry.cell, entry.made) = (Cell::default(), now);
        }
        entry.heard = now;
        entry.cell.clone()
    }

    fn shrink(&self) {
        let mut entries = self.lock();
        let size = |entry: &Entry| entry.cell.get().map_or(0, |sound| sound.bytes());
        let mut total: usize = entries.values().map(size).sum();
        while total > MOST_BYTES {
            let made = entries.iter().filter(|(_, entry)| entry.cell.initialized());
            let Some(oldest) = made.min_by_key(|(_, entry)| entry.heard).map(|(key, _)| key.clone()) else {
                return;
            };
            total -= entries.remove(&oldest).map_or(0, |entry| size(&entry));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    #[tokio::test]
    async fn a_sound_is_made_once_and_a_failure_again() {
        let (cache, made) = (Cache::default(), AtomicUsize::new(0));
        let make = || async {
            made.fetch_add(1, Relaxed);
            tokio::task::yield_now().await;
            Ok(Sound::new(&[0; 800], 8_000))
        };
        let both = tokio::join!(cache.get("a".into(), make), cache.get("a".into(), make));
        assert!(Arc::ptr_eq(&both.0.unwrap(), &both.1.unwrap()));
        assert_eq!(made.load(Relaxed), 1);
        let fail = || async { Err(SoundError::Speech("no".into())) };
        assert!(cache.get("b".into(), fail).await.is_err());
        assert!(cache.get("b".into(), make).await.is_ok());
    }

    #[tokio::test]
    async fn the_oldest_goes_first() {
        let cache = Cache::default();
        // 48 kB each second of 8 kHz.
        let long = || async { Ok(Sound::new(&vec![0; 8_000 * 1_000], 8_000)) };
        for name in ["a", "b", "c"] {
            cache.get(name.into(), long).await.unwrap();
        }
        let kept: Vec<bool> = ["a", "b", "c"].map(|name| cache.lock().contains_key(name)).into();
        assert_eq!(kept, [false, true, true]);
    }
}
