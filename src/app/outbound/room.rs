//! Memory for files on their way: bounded in all and for each account.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::{Body, Incoming};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes that are counted as one.
const GRAIN: usize = 64 * 1_024;
/// What is taken at a time where nobody says how long a file is.
const STEP: usize = 256 * 1_024;

/// The memory of a node.
#[derive(Debug)]
pub(super) struct Rooms {
    all: Arc<Semaphore>,
    of_owner: usize,
    /// Of owners that have something on its way, and now and then of one that had.
    owners: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// Memory that is taken; clones share it, and the last gives it back.
#[derive(Debug, Clone, Default)]
pub struct Room {
    _held: Option<Arc<Taken>>,
}

#[derive(Debug)]
struct Taken {
    all: OwnedSemaphorePermit,
    own: OwnedSemaphorePermit,
}

/// Why there is no file.
#[derive(Debug)]
pub(super) enum Unread {
    TooLarge,
    Broken(hyper::Error),
}

impl Taken {
    /// Gives back what is not needed for so many bytes.
    fn keep(&mut self, bytes: usize) {
        for held in [&mut self.all, &mut self.own] {
            let needless = held.num_permits().saturating_sub(grains(bytes));
            drop(held.split(needless));
        }
    }
}

impl Rooms {
    /// `most` bytes in all, `of_owner` of them for one owner: neither is less than the longest file.
    pub fn new(most: usize, of_owner: usize) -> Rooms {
        Rooms {
            all: Arc::new(Semaphore::new(grains(most).min(Semaphore::MAX_PERMITS))),
            of_owner: grains(of_owner.min(most)).min(Semaphore::MAX_PERMITS),
            owners: Mutex::default(),
        }
    }

    /// The body of an answer, of at most `limit` bytes. It waits for room; while it does, nothing is read, and its server waits.
    /// Before it begins it has room for all of it, and for the longest where it does not say how long it is.
    ///
    /// Beside the reading: whether it waits for room at the moment.
    pub fn read<'r>(
        &'r self,
        owner: &'r str,
        answer: Response<Incoming>,
        limit: usize,
    ) -> (
        Arc<AtomicBool>,
        impl Future<Output = Result<(Bytes, Room), Unread>> + use<'r>,
    ) {
        let waits = Arc::new(AtomicBool::new(false));
        let reading = self.collect(owner, answer.into_body(), limit, waits.clone());
        (waits, reading)
    }

    async fn collect(
        &self,
        owner: &str,
        mut body: Incoming,
        limit: usize,
        waits: Arc<AtomicBool>,
    ) -> Result<(Bytes, Room), Unread> {
        let told = body.size_hint().exact();
        let told = told.map(|told| usize::try_from(told).unwrap_or(usize::MAX));
        if told.is_some_and(|told| told > limit) {
            return Err(Unread::TooLarge);
        }
        let account = self.account(owner);
        // Who waits holds nothing: of those that grow side by side none could end.
        let mut room = self.take(&account, told.unwrap_or(limit).min(limit), &waits).await;
        let mut bytes = Vec::with_capacity(told.unwrap_or(0));
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(Unread::Broken)?.into_data() else {
                continue;
            };
            let needed = bytes.len().saturating_add(data.len());
            if needed > limit {
                return Err(Unread::TooLarge);
            }
            if needed > bytes.capacity() {
                bytes.reserve_exact(needed.next_multiple_of(STEP) - bytes.len());
            }
            bytes.extend_from_slice(&data);
        }
        room.keep(bytes.capacity());
        let room = Room {
            _held: Some(Arc::new(room)),
        };
        Ok((Bytes::from(bytes), room))
    }

    async fn take(&self, account: &Arc<Semaphore>, bytes: usize, waits: &AtomicBool) -> Taken {
        let most = u32::try_from(self.of_owner).unwrap_or(u32::MAX);
        let grains = u32::try_from(grains(bytes)).unwrap_or(u32::MAX).min(most);
        // An account waits for its own first: so it keeps nothing from the others meanwhile.
        waits.store(true, Relaxed);
        let own = permits(account, grains).await;
        let all = permits(&self.all, grains).await;
        waits.store(false, Relaxed);
        Taken { all, own }
    }

    fn account(&self, owner: &str) -> Arc<Semaphore> {
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = owners.get(owner).and_then(Weak::upgrade) {
            return account;
        }
        owners.retain(|_, account| account.strong_count() > 0);
        let account = Arc::new(Semaphore::new(self.of_owner));
        owners.insert(owner.to_owned(), Arc::downgrade(&account));
        account
    }
}

async fn permits(semaphore: &Arc<Semaphore>, grains: u32) -> OwnedSemaphorePermit {
    match semaphore.clone().acquire_many_owned(grains).await {
        Ok(permits) => permits,
        // It is never closed.
        Err(_) => std::future::pending().await,
    }
}

fn grains(bytes: usize) -> usize {
    bytes.div_ceil(GRAIN).max(1)
}
