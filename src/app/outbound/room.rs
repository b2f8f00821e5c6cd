//! Memory for files on their way: bounded in all, and shared so that no account takes that of others.

use crate::app::turns::{Share, Turn, Turns};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::{Body, Incoming};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Bytes that are counted as one.
const GRAIN: usize = 64 * 1_024;
/// What is taken at a time where nobody says how long a file is.
const STEP: usize = 256 * 1_024;

/// The memory of a node, in grains. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Rooms(Turns);

/// Memory that is taken; clones share it, and the last gives it back.
#[derive(Debug, Clone, Default)]
pub struct Room {
    _held: Option<Arc<Turn>>,
}

/// Why there is no file.
#[derive(Debug)]
pub(super) enum Unread {
    TooLarge,
    Broken(hyper::Error),
}

impl Rooms {
    /// `most` bytes in all, no less than the longest file.
    pub fn new(most: usize) -> Rooms {
        Rooms(Turns::new(grains(most), Share::Rest))
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
        // A file that waits holds nothing: of those that grow side by side none could end.
        let most = told.unwrap_or(limit).min(limit);
        waits.store(true, Relaxed);
        let mut room = self.0.take(owner, grains(most)).await;
        waits.store(false, Relaxed);
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
        room.keep(grains(bytes.capacity()));
        let room = Room {
            _held: Some(Arc::new(room)),
        };
        Ok((Bytes::from(bytes), room))
    }
}

fn grains(bytes: usize) -> usize {
    bytes.div_ceil(GRAIN).max(1)
}
